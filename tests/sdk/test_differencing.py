"""Counts and tables one after the other: what is released does not differ by fewer than minimum_count people."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.policy import Policy

SMALL = Policy.model_validate(
    {"disclosure": {"minimum_count": 4, "rounding_base": 1, "minimum_parties": 2, "small_remainders": True}}
)
LEVELS = {"sex": ["F", "M"], "stage": ["a", "b", "c"]}
DICTIONARY = Dictionary.model_validate(
    {
        "id": "test",
        "columns": [
            {"name": "age", "type": "integer", "range": [0, 120]},
            *({"name": name, "type": "category", "levels": levels} for name, levels in LEVELS.items()),
        ],
    }
)
REQUESTS = [
    (where, by)
    for where in (None, "age >= 40", "age >= 41", "age < 40", "age < 60", "sex == 'F'", "stage != 'c'", "age != 33")
    for by in ((), ("sex",), ("stage",), ("sex", "stage"))
    if not by or where is None or by[0] not in where
]


def cohort(people: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(30, 70, people),
            "sex": rng.choice(LEVELS["sex"], people, p=[0.7, 0.3]),
            "stage": rng.choice(LEVELS["stage"], people, p=[0.6, 0.3, 0.1]),
        }
    )


def split(frame: pd.DataFrame, sites: int, seed: int = 0) -> dict[str, pd.DataFrame]:
    target = np.random.default_rng(seed).integers(0, sites, len(frame))
    return {f"site{k}": frame[target == k].reset_index(drop=True) for k in range(sites)}


def groups(frame: pd.DataFrame, where: str | None, by: tuple[str, ...], status: pd.Series) -> list[set[int]]:
    """The people of each released cell."""
    chosen = frame if where is None else frame.query(where)
    cells = itertools.product(*(LEVELS[name] for name in by))
    people = [set(chosen.index[(chosen[list(by)] == list(cell)).all(axis=1)]) for cell in cells]
    return [group for group, text in zip(people, status, strict=True) if text == "released"]


def unions(family: list[set[int]]) -> list[set[int]]:
    choices = itertools.product([False, True], repeat=len(family))
    return [set().union(*(g for g, taken in zip(family, c, strict=True) if taken)) for c in choices if any(c)]


@pytest.mark.parametrize("sites", [pytest.param(2, marks=pytest.mark.long), 3, pytest.param(5, marks=pytest.mark.long)])
def test_no_released_numbers_differ_by_few_people(sites: int) -> None:
    rng = np.random.default_rng(sites)
    refused = 0
    for seed in range(2 if sites == 2 else 1):
        frame = cohort(60, seed)
        families: list[list[set[int]]] = []
        parts = split(frame, sites, seed)
        with ms.local({**parts, "empty": frame[:0]}, policy=SMALL, dictionary=DICTIONARY) as consortium:
            for choice in rng.permutation(len(REQUESTS))[:10]:
                where, by = REQUESTS[choice]
                try:
                    table = consortium.count(where=where, by=list(by)).to_frame()
                except DisclosureRefused:
                    refused += 1
                else:
                    families.append(groups(frame, where, by, table["status"]))
        for one, other in itertools.permutations(families, 2):
            for cell, union in itertools.product(one, unions(other)):
                assert len(cell ^ union) not in range(1, 4)
            if one and other:
                assert len(set().union(*one) ^ set().union(*other)) not in range(1, 4)
        assert len(families) > 1
    assert refused > 1


def test_a_refused_request_opens_one_bit_and_a_repeated_one_nothing() -> None:
    frame = cohort(90, 3)
    with ms.local(split(frame, 3), policy=SMALL, dictionary=DICTIONARY) as consortium:
        first = consortium.count()
        assert [entry["name"] for entry in first.run["opened"]] == ["counts"]
        with pytest.raises(DisclosureRefused, match="fewer than 4 people") as refusal:
            consortium.count(where=f"age < {frame['age'].max()}")
        assert "next: " in str(refusal.value)
        again = consortium.count()
        assert again.run["opened"] == first.run["opened"]
        assert again.run["rounds"] <= first.run["rounds"] + 1
        pd.testing.assert_frame_equal(again.to_frame(), first.to_frame())
        # another text for the same people: compared, and answered
        same = consortium.count(where="age >= 0")
        assert {entry["name"]: entry["values"] for entry in same.run["opened"]} == {"differences": 1, "counts": 1}
        # what was refused leaves nothing behind: others are still answered
        assert consortium.count(by=["sex"]).to_frame()["count"].sum() == 90


def test_a_refused_request_is_not_remembered() -> None:
    frame = pd.DataFrame({"age": [40] * 30 + [50] * 2 + [60] * 30})
    with ms.local(split(frame, 3), policy=SMALL) as consortium:
        consortium.count(where="age == 40")
        with pytest.raises(DisclosureRefused):
            consortium.count(where="age <= 50")
        consortium.count(where="age == 60")
        # "age <= 50" was never answered, or this would be refused twice over
        with pytest.raises(DisclosureRefused):
            consortium.count(where="age >= 50")
        assert consortium.count(where="age != 50").to_frame()["count"].tolist() == [60]


def test_tables_with_pooled_margins_are_compared_too() -> None:
    frame = cohort(200, 5)
    with ms.local(split(frame, 3), policy=SMALL, dictionary=DICTIONARY) as consortium:
        table = consortium.crosstab("sex", "stage", margins="pooled")
        assert (table.outcome.tables["row_margins"]["status"] == "released").all()
        # rows were released as margins
        assert consortium.count(by=["sex"]).to_frame()["count"].sum() == 200
        with pytest.raises(DisclosureRefused):
            consortium.count(where=f"age > {frame['age'].min()} or sex == 'M'", by=["sex"])


def test_cells_that_are_hidden_stay_hidden_beside_their_total() -> None:
    frame = pd.DataFrame({"sex": ["F"] * 20 + ["M"] * 2})
    with ms.local(split(frame, 3), policy=SMALL) as consortium:
        assert consortium.count(by=["sex"]).to_frame()["status"].tolist() == ["released", "suppressed"]
        with pytest.raises(DisclosureRefused):
            consortium.count()
    with ms.local(split(frame, 3), policy=SMALL) as consortium:
        consortium.count()
        with pytest.raises(DisclosureRefused):
            consortium.count(by=["sex"])


def test_people_with_several_rows_are_compared_as_people() -> None:
    visits = pd.DataFrame({"pid": np.repeat(np.arange(40), 2), "visit": np.tile([1, 2], 40)})
    visits = visits[~((visits["visit"] == 2) & (visits["pid"] < 2))]
    dictionary = Dictionary.model_validate(
        {
            "id": "visits",
            "unit_of_count": "pid",
            "columns": [
                {"name": "pid", "type": "integer", "range": [0, 1000]},
                {"name": "visit", "type": "integer", "range": [1, 2], "levels": [1, 2]},
            ],
        }
    )
    sites = {f"site{k}": visits[visits["pid"] % 3 == k].reset_index(drop=True) for k in range(3)}
    with ms.local(sites, policy=SMALL, dictionary=dictionary) as consortium:
        assert consortium.count().to_frame()["count"].tolist() == [40]
        with pytest.raises(DisclosureRefused):  # 38 people have a second visit
            consortium.count(where="visit == 2")
        assert consortium.count(where="visit == 1").to_frame()["count"].tolist() == [40]


def test_open_rules_compare_nothing() -> None:
    frame = cohort(20, 1)
    with ms.local(split(frame, 3)) as consortium:
        runs = [consortium.count(where=where).run for where in (None, "age < 69", "age < 68")]
    assert {run["rounds"] for run in runs} == {runs[0]["rounds"]}
    assert all([entry["name"] for entry in run["opened"]] == ["counts"] for run in runs)


def test_the_table_of_a_test_counts_as_released() -> None:
    frame = pd.DataFrame({"sex": ["F", "M"] * 60, "stage": ["a", "b", "c"] * 40, "age": [40] * 119 + [70]})
    with ms.local(split(frame, 3), policy=SMALL, dictionary=DICTIONARY) as consortium:
        assert consortium.chi_square("sex", "stage").outcome.values["mode"] == "table"
        with pytest.raises(DisclosureRefused, match="fewer than 4 people"):
            consortium.count(where="age < 70")
        with pytest.raises(DisclosureRefused, match="fewer than 4 people"):
            consortium.fisher("sex", "stage", where="age < 70")
        assert consortium.crosstab("sex", "stage").outcome.tables["cells"]["count"].sum() == 120


def test_a_test_that_opens_no_counts_leaves_nothing_behind() -> None:
    rounded = Policy.model_validate(
        {"disclosure": {"minimum_count": 4, "rounding_base": 5, "minimum_parties": 2, "small_remainders": True}}
    )
    frame = pd.DataFrame({"sex": ["F", "M"] * 60, "stage": ["a", "b", "c"] * 40, "age": [40] * 119 + [70]})
    with ms.local(split(frame, 3), policy=rounded, dictionary=DICTIONARY) as consortium:
        assert consortium.chi_square("sex", "stage").outcome.values["mode"] == "statistic"
        with pytest.raises(DisclosureRefused, match="rounded"):
            consortium.fisher("sex", "stage")
        nearly = consortium.count(where="age < 70")
        assert [entry["name"] for entry in nearly.run["opened"]] == ["counts"]


def test_a_total_of_requests_and_few_more_is_refused() -> None:
    frame = pd.DataFrame({"age": [40] * 30 + [50] * 30 + [60] * 30 + [65] * 2 + [69] * 20})
    with ms.local(split(frame, 3), policy=SMALL, dictionary=DICTIONARY) as consortium:
        for age in (40, 50, 60):
            consortium.count(where=f"age == {age}")
        assert consortium.count(where="age <= 60").to_frame()["count"].tolist() == [90]
        with pytest.raises(DisclosureRefused, match="added and subtracted"):
            consortium.count(where="age <= 65")
        assert consortium.count(where="age == 40 or age >= 65").to_frame()["count"].tolist() == [52]
