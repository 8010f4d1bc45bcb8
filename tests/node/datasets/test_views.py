"""Consent and mapping: rows and codes as the party lets them be seen, from CSV, Parquet and DataFrame alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, DataError
from mpcstats.node.records import cells, scan
from mpcstats.node.records.cells import cell_counts, cell_people
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.consent import Consent
from mpcstats.node.records.parquet import ParquetTable
from mpcstats.node.records.source import Dataset, Records, load
from mpcstats.study.dictionary import parse_dictionary

DICTIONARY = parse_dictionary(
    {
        "id": "d",
        "column": [
            {"name": "pid", "type": "category"},
            {"name": "age", "type": "integer", "range": [0, 120]},
            {"name": "sex", "type": "category", "levels": ["F", "M"]},
            {"name": "dead", "type": "boolean"},
            {"name": "grade", "type": "integer", "levels": [0, 1, 2]},
        ],
    }
)
FRAME = pd.DataFrame(
    {
        "pid": [f"p{i}" for i in range(8)],
        "age": [40, 50, 999, 60, 70, 80, 30, 20],
        "sex": ["F", "M", "F", "M", "F", "M", "F", "M"],
        "dead": [True, False, True, False, True, False, True, False],
        "grade": [0, 1, 2, 0, 1, 2, 0, 1],
        "agreed": ["yes", "yes", "no", "broad", None, "yes", "", "YES"],
    }
)
ALLOW = Consent(column="agreed", allow=("yes", "broad"))


def table(kind: str, frame: pd.DataFrame, folder: Path) -> Any:
    if kind == "frame":
        return frame
    path = folder / f"t.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
class TestConsent:
    def test_rows_without_it_are_never_looked_at(self, kind: str, tmp_path: Path) -> None:
        dataset = Dataset(table(kind, FRAME, tmp_path), id="pid", consent=ALLOW)
        records = load(dataset, "north", DICTIONARY)
        assert (records.rows, records.without_consent) == (4, 4)
        # the age of 999 has no consent, so it is no problem
        frame = check_records(records, DICTIONARY, ["pid", "age", "sex"], "north")
        assert frame["pid"].tolist() == ["p0", "p1", "p3", "p5"]
        assert frame["age"].tolist() == [40, 50, 60, 80]
        counts, report = cell_counts(records, DICTIONARY, "age >= 50", ["sex"], [("F", "M")], "north")
        assert counts.tolist() == [0, 3]
        assert report.rows == 4
        assert cell_people(records, DICTIONARY, None, ["sex"], [("F", "M")], "north").members.keys.size == 4

    def test_ids_of_others_do_not_count_as_repeated(self, kind: str, tmp_path: Path) -> None:
        frame = FRAME.assign(pid=["a", "b", "a", "c", "a", "d", None, "b"])
        dataset = Dataset(table(kind, frame, tmp_path), id="pid", consent=ALLOW)
        assert load(dataset, "north", DICTIONARY).rows == 4
        with pytest.raises(DataError, match="no id"):
            load(replace(dataset, consent=None), "north", DICTIONARY)

    def test_a_table_without_the_column_is_not_used(self, kind: str, tmp_path: Path) -> None:
        dataset = Dataset(table(kind, FRAME.drop(columns="agreed"), tmp_path), consent=ALLOW)
        with pytest.raises(DataError, match="no row may be used"):
            load(dataset, "north", DICTIONARY)

    def test_nobody_consented(self, kind: str, tmp_path: Path) -> None:
        dataset = Dataset(table(kind, FRAME, tmp_path), consent=Consent(column="agreed", allow=("sure",)))
        records = load(dataset, "north", DICTIONARY)
        assert (records.rows, records.without_consent) == (0, 8)
        counts, _ = cell_counts(records, DICTIONARY, None, ["sex"], [("F", "M")], "north")
        assert counts.tolist() == [0, 0]

    @pytest.mark.parametrize(
        ("column", "allow", "kept"),
        [("dead", (True,), 4), ("dead", ("true",), 4), ("grade", (1, 2), 5), ("grade", ("1",), 3), ("age", (40,), 1)],
    )
    def test_numbers_and_truth_values(
        self, kind: str, column: str, allow: tuple[Any, ...], kept: int, tmp_path: Path
    ) -> None:
        dataset = Dataset(table(kind, FRAME, tmp_path), consent=Consent(column=column, allow=allow))
        records = load(dataset, "north", DICTIONARY)
        assert records.rows == kept
        counts, _ = cell_counts(records, DICTIONARY, None, ["sex"], [("F", "M")], "north")
        assert counts.sum() == kept

    def test_numbers_with_gaps(self, kind: str, tmp_path: Path) -> None:
        frame = FRAME.assign(agreed=[1, None, 0, 1, 1, None, 2, 0])
        records = load(Dataset(table(kind, frame, tmp_path), consent=Consent(column="agreed", allow=(1,))), "north")
        assert records.columns(["pid"])["pid"].tolist() == ["p0", "p3", "p4"]


def test_the_fast_way_over_parquet_is_kept(tmp_path: Path) -> None:
    records = load(Dataset(table("parquet", FRAME, tmp_path), consent=ALLOW), "north", DICTIONARY)
    assert isinstance(records.source, ParquetTable)
    fast = scan.scan_cells(records.source, DICTIONARY, "age > 45", ["sex", "dead"], [("F", "M"), (False, True)])
    slow = cells._from_memory(records, DICTIONARY, "age > 45", ["sex", "dead"], [("F", "M"), (False, True)], "north")
    assert fast is not None
    assert fast[0].tolist() == slow[0].tolist() == [[0, 0], [3, 0]]
    assert fast[1] == slow[1]


def test_another_rule_makes_another_table_for_the_ledger(tmp_path: Path) -> None:
    path = table("parquet", FRAME, tmp_path)

    def content(**view: Any) -> str:
        records = load(Dataset(path, **view), "north")
        return cells.table_digest(records.source)

    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[values.grade]\n"2" = 1\n')
    found = [
        content(),
        content(consent=ALLOW),
        content(consent=Consent(column="agreed", allow=("yes",))),
        content(mapping=mapping),
        content(mapping=mapping, consent=ALLOW),
    ]
    assert len(set(found)) == len(found)


def test_a_rule_needs_values() -> None:
    with pytest.raises(ValueError, match="allow"):
        Consent(column="agreed", allow=())


OWN = pd.DataFrame(
    {
        "person": ["007", "008", "009", "010"],
        "years": [40, 50, 60, 70],
        "geschlecht": ["w", "m", "w", None],
        "tot": ["J", "N", "N", "J"],
        "stufe": ["I", "II", "0", "I"],
    }
)
MAPPING = """
apiVersion = "mpcstats/v1"
kind = "Mapping"
[columns]
person = "pid"
years = "age"
geschlecht = "sex"
tot = "dead"
stufe = "grade"
[values.sex]
w = "F"
m = "M"
[values.dead]
J = true
N = false
[values.grade]
I = 1
II = 2
"""


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
class TestMapping:
    def load(self, kind: str, folder: Path, frame: pd.DataFrame = OWN, text: str = MAPPING) -> Records:
        mapping = folder / "mapping.toml"
        mapping.write_text(text)
        return load(Dataset(table(kind, frame, folder), id="pid", mapping=mapping), "north", DICTIONARY)

    def test_names_and_codes(self, kind: str, tmp_path: Path) -> None:
        records = self.load(kind, tmp_path)
        assert records.names == ["pid", "age", "sex", "dead", "grade"]
        frame = check_records(records, DICTIONARY, DICTIONARY.names, "north")
        assert frame["pid"].tolist() == ["007", "008", "009", "010"]
        assert frame["sex"].tolist() == ["F", "M", "F", None]
        assert frame["dead"].tolist() == [1, 0, 0, 1]
        assert frame["grade"].tolist() == [1, 2, 0, 1]  # "0" is a code of the dictionary as it is
        counts, _ = cell_counts(records, DICTIONARY, "dead", ["sex"], [("F", "M")], "north")
        assert counts.tolist() == [1, 0]

    @pytest.mark.parametrize(("column", "code"), [("geschlecht", "SECRET"), ("stufe", "SECRET")])
    def test_unmapped_codes_are_refused_by_number(self, kind: str, column: str, code: str, tmp_path: Path) -> None:
        records = self.load(kind, tmp_path, OWN.assign(**{column: ["m", code, code, None]}))
        name = {"geschlecht": "sex", "stufe": "grade"}[column]
        with pytest.raises(DataError, match=r"[23] rows") as caught:
            check_records(records, DICTIONARY, [name], "north")
        assert "SECRET" not in str(caught.value)
        assert check_records(records, DICTIONARY, ["age"], "north")["age"].tolist() == [40, 50, 60, 70]

    def test_consent_speaks_of_the_own_names(self, kind: str, tmp_path: Path) -> None:
        (tmp_path / "mapping.toml").write_text(MAPPING)
        consent = Consent(column="tot", allow=("J",))
        source = Dataset(table(kind, OWN, tmp_path), id="pid", consent=consent, mapping=tmp_path / "mapping.toml")
        records = load(source, "north", DICTIONARY)
        assert check_records(records, DICTIONARY, ["pid"], "north")["pid"].tolist() == ["007", "010"]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('[columns]\nnowhere = "age"', "'nowhere', which mapping.toml renames"),
            ('[columns]\nyears = "sex"\ngeschlecht = "sex"', "several columns"),
            ('[columns]\nyears = "sx"', "no such column"),
            ('[values.sex]\nw = "X"', "1 of the codes on the right"),
            ("[values.dead]\nJ = 1", "1 of the codes on the right"),
            ('[values.grade]\nI = "1"', "1 of the codes on the right"),
            ("[values.grade]\nI = 7", "1 of the codes on the right"),
            ('[values.sex]\nw = "F"', "whose codes mapping.toml maps"),
            ('[columns]\nyears = "pid"\nperson = "sex"\n[values.pid]\na = "b"\n[oops]', "oops"),
        ],
    )
    def test_what_is_wrong_is_said(self, kind: str, text: str, problem: str, tmp_path: Path) -> None:
        with pytest.raises((DataError, ConfigurationError), match=problem):
            self.load(kind, tmp_path, text=text)


def test_renamed_columns_are_read_as_the_dictionary_says(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Jahre,person\n007,007\n040,1e3\n")
    (tmp_path / "mapping.toml").write_text('[columns]\nJahre = "age"\nperson = "pid"\n')
    records = load(Dataset(tmp_path / "t.csv", mapping=tmp_path / "mapping.toml"), "north", DICTIONARY)
    frame = check_records(records, DICTIONARY, ["age", "pid"], "north")
    assert frame["age"].tolist() == [7, 40]
    assert frame["pid"].tolist() == ["007", "1e3"]


def test_a_new_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text('[columns]\nyears = "age"')
    with pytest.raises(DataError, match="has already"):
        load(Dataset(OWN.assign(age=1), mapping=tmp_path / "mapping.toml"), "north", DICTIONARY)


def test_codes_without_a_dictionary_have_the_type_of_the_right_side(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text("[values.tot]\nJ = 1\nN = 0\n[values.stufe]\nI = 1\n")
    records = load(Dataset(OWN, mapping=tmp_path / "mapping.toml"), "north")
    assert records.frame["tot"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert records.frame["stufe"].tolist() == ["1", "II", "0", "1"]
    assert OWN["tot"].tolist() == ["J", "N", "N", "J"]
