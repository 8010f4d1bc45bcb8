"""A drafted dictionary shows nothing that a few people alone have, is valid, and covers the records of most."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.datasets.describe import Draft, draft_dictionary
from mpcstats.node.records.source import Dataset, load
from mpcstats.study.dictionary import Dictionary, parse_dictionary

PEOPLE = 60


def draft(frame: pd.DataFrame, least: int = 11, person: str | None = None, id_column: str | None = None) -> Draft:
    return draft_dictionary("d", load(Dataset(frame, id=id_column), "north"), "north", least, person)


def parsed(found: Draft) -> Dictionary:
    return parse_dictionary(tomllib.loads(found.text))


def frame(**columns: Any) -> pd.DataFrame:
    ids = [f"p{i}" for i in range(PEOPLE)]
    return pd.DataFrame({"pid": ids, **columns})


def test_types_levels_and_ranges() -> None:
    numbers = np.arange(PEOPLE)
    found = draft(
        frame(
            age=20 + numbers,
            bmi=18.5 + numbers / 10,
            sex=["F", "M"] * 30,
            stage=["I"] * 40 + ["II"] * 15 + ["RARE"] * 5,
            grade=[0] * 30 + [1] * 25 + [7] * 5,
            dead=[True, False] * 30,
            day=[f"20{10 + i % 5}-03-05" for i in range(PEOPLE)],
            note=[f"text {i}" for i in range(PEOPLE)],
            empty=[None] * PEOPLE,
        ),
        id_column="pid",
    )
    dictionary = parsed(found)
    assert dictionary.unit_of_count == "pid"
    shown = {c.name: (c.type, c.levels or c.range or c.days) for c in dictionary.columns}
    assert shown["pid"] == ("category", None)
    assert shown["sex"] == ("category", ("F", "M"))
    assert shown["stage"] == ("category", ("I", "II"))
    assert shown["grade"] == ("integer", (0, 1))
    assert shown["dead"] == ("boolean", (False, True))
    assert shown["note"] == ("category", None)
    kind, (low, high) = shown["age"]
    assert (kind, low, high) == ("integer", 10.0, 90.0)
    assert shown["bmi"][0] == "decimal"
    assert [day.isoformat() for day in shown["day"][1]] == ["2010-01-01", "2019-12-31"]
    assert "RARE" not in found.text + str(found.notes)
    assert "text 1" not in found.text + str(found.notes)
    assert found.notes == [
        "column 'stage': 5 rows hold values that are none of the drafted levels",
        "column 'grade': 5 rows hold values that are none of the drafted levels",
        "column 'note': 60 rows hold values that are none of the drafted levels",
        "column 'empty': holds no value",
    ]


def test_one_person_changes_nothing_in_the_file() -> None:
    """With one more person, however odd, the text is the same."""
    rng = np.random.default_rng(1)
    usual = pd.DataFrame(
        {"x": rng.integers(40, 60, 300), "y": rng.normal(size=300).round(2), "s": rng.choice(["F", "M"], 300)}
    )
    odd = pd.DataFrame({"x": [4711], "y": [-99999.5], "s": ["King"]})
    found = draft(pd.concat([usual, odd], ignore_index=True))
    before = draft(usual)
    assert "4711" not in found.text
    assert "King" not in found.text
    assert parsed(found).column("s").levels == ("F", "M")
    assert found.text == before.text
    assert parsed(found).column("y").range == (-4.0, 4.0)
    assert len(found.notes) == 3


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6).map(lambda v: round(v, 3)), min_size=30, max_size=60),
    st.floats(1, 1e6),
)
def test_the_ends_of_a_range_do_not_depend_on_extremes(values: list[float], push: float) -> None:
    """Moving the ten largest and the ten smallest values further out leaves the range as it is."""
    cells = np.sort(np.array(values, dtype=np.float64)) + 0.001
    further = cells.copy()
    further[:10] -= push
    further[-10:] += push
    one, other = (parsed(draft(pd.DataFrame({"v": column}))).column("v") for column in (cells, further))
    if one.levels is None and other.levels is None:
        assert one.range == other.range
        low, high = one.range or (0.0, 0.0)
        assert low <= cells[10]
        assert cells[-11] <= high


def test_several_rows_of_a_person_count_once() -> None:
    rows = pd.DataFrame({"pid": ["a"] * 50 + [f"p{i}" for i in range(20)], "s": ["odd"] * 50 + ["usual"] * 20})
    assert parsed(draft(rows)).column("s").levels == ("odd", "usual")
    found = parsed(draft(rows, person="pid"))
    assert found.column("s").levels == ("usual",)
    assert found.unit_of_count == "pid"


def test_few_people_give_no_range_and_no_levels() -> None:
    found = draft(pd.DataFrame({"x": range(30, 40), "s": ["F"] * 10}))
    assert parsed(found).column("x").range is None
    assert parsed(found).column("s").levels is None


def test_what_cannot_be_used(tmp_path: Path) -> None:
    found = draft(pd.DataFrame({"m": [1, "a"] * 20, "d": pd.to_timedelta(range(40), unit="D"), "x": range(40)}))
    assert parsed(found).names == ("x",)
    assert len([note for note in found.notes if "left out" in note]) == 2
    with pytest.raises(DataError, match="named as the one of people"):
        draft(frame(), person="nobody")
