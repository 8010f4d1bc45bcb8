"""The data dictionary: reading, inferring, looking up."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.study.dictionary import Column, Dictionary, infer_dictionary, load_dictionary, parse_dictionary

PARTIES = Path(__file__).parents[2] / "parties"

TOML = """
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "cohort"
version = 3
unit_of_count = "person_id"
[[column]]
name = "person_id"
type = "category"
missing = "refused"
[[column]]
name = "sbp"
type = "decimal"
range = [60, 260]
unit = "mm[Hg]"
[[column]]
name = "stage"
type = "category"
levels = ["I", "II", "III"]
[[column]]
name = "death"
type = "boolean"
[[column]]
name = "grade"
type = "integer"
levels = [1, 2, 3]
"""


@pytest.fixture
def dictionary(tmp_path: Path) -> Dictionary:
    (tmp_path / "dictionary.toml").write_text(TOML)
    return load_dictionary(tmp_path / "dictionary.toml")


def test_a_dictionary_is_read_from_toml(dictionary: Dictionary) -> None:
    assert dictionary.version == 3
    assert dictionary.unit_of_count == "person_id"
    assert dictionary.names == ("person_id", "sbp", "stage", "death", "grade")
    assert dictionary.column("stage").levels == ("I", "II", "III")
    assert dictionary.column("death").levels == (False, True)
    assert dictionary.column("sbp").range == (60.0, 260.0)
    assert dictionary.column("person_id").missing == "refused"


@pytest.mark.parametrize("party", ["northfield", "lakeside", "westbay"])
@pytest.mark.parametrize("name", ["dictionary.toml", "genetics.dictionary.toml"])
def test_the_parties_of_the_demonstration_share_their_dictionaries(party: str, name: str) -> None:
    assert load_dictionary(PARTIES / party / name).digest() == load_dictionary(PARTIES / "northfield" / name).digest()


def test_the_digest_depends_on_content_only(dictionary: Dictionary) -> None:
    again = parse_dictionary(dict(reversed(dictionary.model_dump().items())))
    assert again.digest() == dictionary.digest()
    assert len(dictionary.digest()) == 32
    wider = [c.model_copy(update={"range": (60.0, 261.0)}) if c.name == "sbp" else c for c in dictionary.columns]
    assert dictionary.model_copy(update={"columns": tuple(wider)}).digest() != dictionary.digest()


def test_an_unknown_column_gets_the_nearest_names(dictionary: Dictionary) -> None:
    with pytest.raises(SpecError, match="no column 'Stagee'") as caught:
        dictionary.column("Stagee")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean 'stage'")
    with pytest.raises(SpecError, match="columns: person_id, sbp"):
        dictionary.column("qqqqqq")


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        ({"name": "a", "type": "category", "levels": [1, 2]}, "must be text"),
        ({"name": "a", "type": "integer", "levels": [1, 1]}, "listed twice"),
        ({"name": "a", "type": "integer", "levels": [1.5]}, "whole numbers"),
        ({"name": "a", "type": "integer", "levels": [True]}, "whole numbers"),
        ({"name": "a", "type": "decimal", "levels": [1.5]}, "have a range instead"),
        ({"name": "a", "type": "decimal", "range": [2, 1]}, "low first"),
        ({"name": "a", "type": "decimal", "range": [0, float("inf")]}, "finite"),
        ({"name": "a", "type": "category", "range": [0, 1]}, "only integer, decimal and date"),
        ({"name": "a", "type": "integer", "range": [0, 5], "levels": [7]}, "outside the range"),
        ({"name": "a", "type": "integer", "range": [0, 1e17]}, "2^53"),
        ({"name": "a", "type": "boolean", "levels": [True, False]}, "false, true"),
        ({"name": "a", "type": "time"}, "'a'.type"),
        ({"name": "a", "type": "date", "range": [0, 5]}, "must be two days, for example"),
        ({"name": "a", "type": "date", "range": "2020-01-01"}, "must be two days"),
        ({"name": "a", "type": "date", "range": ["2020-01-01"]}, "must be two days"),
        ({"name": "a", "type": "date", "range": ["2020-01-01", "2020-13-01"]}, "must be two days"),
        ({"name": "a", "type": "date", "range": ["2020-01-01T00:00:00", "2020-02-01"]}, "must be two days"),
        ({"name": "a", "type": "date", "range": ["2021-01-01", "2020-01-01"]}, "first day first"),
        ({"name": "a", "type": "date", "levels": ["2020-01-01"]}, "date columns have a range instead"),
        ({"name": "a", "type": "date", "resolution": 1}, "only integer and decimal"),
        ({"name": "a", "type": "integer", "days": ["2020-01-01", "2020-01-02"]}, "only date columns"),
        ({"name": "a", "type": "decimal", "levles": []}, "levles"),
        ({"name": "", "type": "decimal"}, "at least 1 character"),
    ],
)
def test_a_wrong_column_is_refused_by_name(column: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_dictionary({"id": "x", "column": [column]}, "dictionary.toml")
    assert complaint in str(caught.value)
    assert "dictionary.toml" in str(caught.value)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_dictionary(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("id = ")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_dictionary(tmp_path / "broken.toml")
    column = {"name": "a", "type": "decimal"}
    with pytest.raises(ConfigurationError, match="described twice: a"):
        parse_dictionary({"id": "x", "column": [column, column]})
    with pytest.raises(ConfigurationError, match="unit_of_count names 'b'"):
        parse_dictionary({"id": "x", "unit_of_count": "b", "column": [column]})


def test_types_levels_and_ranges_are_inferred_over_all_sites() -> None:
    frames = {
        "a": pd.DataFrame(
            {
                "stage": ["II", None, "I"],
                "sex": [1.0, 2.0, np.nan],
                "death": [True, False, True],
                "bmi": [20.5, 31, 18],
                "day": [3, 60, 900],
                "code": pd.Categorical(["x", "y", "x"]),
                "event": [True, False, False],
            }
        ),
        "b": pd.DataFrame(
            {
                "stage": ["IV"],
                "sex": [1],
                "death": pd.array([None], dtype="boolean"),
                "bmi": [44],
                "day": [1022],
                "code": ["z"],
                "event": [1],
            }
        ),
        "empty": pd.DataFrame({"stage": pd.Series([], dtype=object), "sex": pd.Series([], dtype="int64")}),
    }
    found = infer_dictionary(frames)
    assert found.column("stage") == Column(name="stage", type="category", levels=("I", "II", "IV"))
    assert found.column("sex") == Column(name="sex", type="integer", levels=(1, 2), range=(1, 2))
    assert found.column("death") == Column(name="death", type="boolean")
    assert found.column("event") == Column(name="event", type="boolean")
    assert found.column("bmi") == Column(name="bmi", type="decimal", range=(18, 44), resolution=0.5)
    assert found.column("day") == Column(name="day", type="integer", levels=(3, 60, 900, 1022), range=(3, 1022))
    assert found.column("code").levels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("values", "resolution"),
    [
        ([0.3, 28.1], 0.1),
        ([0.5, 2.0], 0.5),
        ([0.0], None),
        ([1e-6, 0.5], 1e-6),
        ([0.1, 1 / 3], None),
        ([2.0**53 + 2, 0.5], None),
        ([-1.25, 0.1], 0.05),
    ],
)
def test_decimal_numbers_have_the_resolution_with_which_they_were_written(
    values: list[float], resolution: float | None
) -> None:
    assert infer_dictionary({"a": pd.DataFrame({"x": values})}).column("x").resolution == resolution


def test_many_integers_have_a_range_but_no_levels() -> None:
    found = infer_dictionary({"a": pd.DataFrame({"day": range(51), "few": [0, 1, 1] * 17})})
    assert found.column("day").levels is None
    assert found.column("day").range == (0, 50)
    assert found.column("few").levels == (0, 1)


def test_many_texts_have_no_levels() -> None:
    found = infer_dictionary({"a": pd.DataFrame({"note": [f"n{i}" for i in range(1001)]})})
    assert found.column("note").type == "category"
    assert found.column("note").levels is None


def test_the_id_column_gets_neither_levels_nor_range() -> None:
    frames = {"a": pd.DataFrame({"IID": ["1", "2"], "number": [7, 8]})}
    assert infer_dictionary(frames, "IID").column("IID").levels is None
    assert infer_dictionary(frames, "IID").unit_of_count == "IID"
    assert infer_dictionary(frames, "number").column("number").range is None
    with pytest.raises(SpecError, match="no table has the id column 'pid'"):
        infer_dictionary(frames, "pid")


def test_columns_that_cannot_be_used_say_why_without_values() -> None:
    frames = {
        "a": pd.DataFrame({"age": [41, 42], "mix": [1, "CANARY"], "when": pd.to_datetime(["2031-07-01", None])}),
        "b": pd.DataFrame({"age": ["CANARY", "61"], "mix": [3, 4], "when": pd.to_datetime(["2031-07-01 13:00", None])}),
    }
    frames["a"]["length"] = pd.to_timedelta([1, 2], unit="D")
    frames["a"]["due"], frames["b"]["due"] = pd.to_datetime(["2031-07-01", None]), ["CANARY", None]
    found = infer_dictionary(frames)
    for name, complaint in (
        ("age", "integer at a, text at b"),
        ("mix", "party a"),
        ("when", "times of day, or time zones, at party b"),
        ("length", "neither numbers, text nor dates at party a"),
        ("due", "date at a, text at b"),
    ):
        with pytest.raises(SpecError, match=complaint) as caught:
            found.column(name)
        assert "CANARY" not in str(caught.value)
        assert "2031" not in str(caught.value)


def test_dates_have_a_range_of_days(tmp_path: Path) -> None:
    text = 'id = "x"\n[[column]]\nname = "a"\ntype = "date"\nrange = {}\n'
    (tmp_path / "text.toml").write_text(text.format('["1900-01-01", "2030-12-31"]'))
    (tmp_path / "toml.toml").write_text(text.format("[1900-01-01, 2030-12-31]"))
    found = load_dictionary(tmp_path / "text.toml")
    assert found.column("a").days == (datetime.date(1900, 1, 1), datetime.date(2030, 12, 31))
    assert found.column("a").range is None
    assert found.digest() == load_dictionary(tmp_path / "toml.toml").digest()
    assert found == parse_dictionary(found.model_dump()) == parse_dictionary(found.model_dump(mode="json"))
    assert parse_dictionary({"id": "x", "column": [{"name": "a", "type": "date"}]}).column("a").days is None


def test_dates_are_inferred_from_dates_and_from_text_that_is_all_dates() -> None:
    frames = {
        "a": pd.DataFrame(
            {
                "d": pd.to_datetime(["2020-02-29", None]),
                "text": ["2020-01-01", None],
                "nearly": ["2020-01-01", "2020-1-1"],
                "codes": [20200101, 20200102],
            }
        ),
        "b": pd.DataFrame(
            {
                "d": ["1999-01-01", "2021-01-01"],
                "text": ["2019-12-31", "2020-06-01"],
                "nearly": ["2020-01-01", None],
                "codes": [1, 2],
            }
        ),
        "empty": pd.DataFrame({"d": pd.Series([None], dtype=object)}),
    }
    found = infer_dictionary(frames)
    assert found.column("d") == Column(
        name="d", type="date", days=(datetime.date(1999, 1, 1), datetime.date(2021, 1, 1))
    )
    assert found.column("text").days == (datetime.date(2019, 12, 31), datetime.date(2020, 6, 1))
    assert found.column("nearly").type == "category"
    assert found.column("codes").type == "integer"
    assert infer_dictionary({"a": frames["a"][["d"]]}, "d").column("d") == Column(name="d", type="date")
