"""`dataset check`: everything that is wrong, by name and number, and never a record's value."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.datasets.check import Report, check_dataset, id_format
from mpcstats.node.datasets.column_check import column_findings
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.source import Records
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party
from mpcstats.study.dictionary import Column, Dictionary, parse_dictionary

DATA = Path(__file__).parents[2] / "data"
SECRET = "Zyklotron"


@pytest.fixture
def party(tmp_path: Path) -> Path:
    create_party(tmp_path / "north", name="north", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    return tmp_path / "north"


def check(party: Path, frame: pd.DataFrame, columns: str, section: str = "", against: Path | None = None) -> Report:
    frame.to_csv(party / "t.csv", index=False)
    (party / "d.toml").write_text('id = "d"\n' + columns)
    text = (party / "party.toml").read_text().split("\n[datasets.main]")[0]
    (party / "party.toml").write_text(f'{text}\n[datasets.main]\ntable = "t.csv"\ndictionary = "d.toml"\n{section}')
    return check_dataset(PartyDirectory(party), "main", against)


def codes(report: Report) -> dict[str, int]:
    return {finding.code: finding.rows for finding in report.findings if finding.status == "problem"}


def test_all_that_is_wrong_is_found_at_once(party: Path) -> None:
    frame = pd.DataFrame(
        {
            "pid": ["a1", "a1", "b2", "c3"],
            "age": ["40", SECRET, "50", ""],
            "bmi": [20.04, 200, 30, 31],
            "sex": ["F", "F", SECRET, SECRET + "2"],
            "day": ["2020-01-01", "2030-02-30", "1850-01-01", ""],
            "full": ["1", "", "", "2"],
        }
    )
    dictionary = """
[[column]]
name = "age"
type = "integer"
[[column]]
name = "bmi"
type = "decimal"
resolution = 0.1
range = [10, 80]
unit = "kg/m2"
[[column]]
name = "sex"
type = "category"
levels = ["F", "M"]
[[column]]
name = "day"
type = "date"
range = ["1900-01-01", "2029-12-31"]
[[column]]
name = "full"
type = "integer"
levels = [1, 2]
missing = "refused"
[[column]]
name = "stage"
type = "category"
"""
    report = check(party, frame, dictionary, 'id = "pid"\n')
    found = [(f.code, f.column, f.rows) for f in report.findings if f.status == "problem"]
    assert found == [
        ("E2102", "age", 1),
        ("E2105", "bmi", 1),
        ("E2103", "bmi", 1),
        ("E2104", "sex", 2),
        ("E2102", "day", 1),
        ("E2103", "day", 1),
        ("E2106", "full", 2),
        ("E2101", "stage", 0),
        ("E2107", "pid", 2),
    ]
    assert report.problems == 9
    assert SECRET not in json.dumps(report.to_plain())
    assert "2 codes" in next(f.what for f in report.findings if f.code == "E2104")
    unit = next(f for f in report.findings if f.code == "E2110")
    assert (unit.status, "1 of 2 numeric columns" in unit.what, unit.what.endswith("age")) == ("warning", True, True)


def test_a_fine_data_set(party: Path) -> None:
    columns = '[[column]]\nname = "age"\ntype = "integer"\nunit = "a"\nrange = [0, 120]\n'
    report = check(party, pd.DataFrame({"age": [40, 50], "extra": [1, 2]}), columns)
    assert report.problems == 0
    assert {finding.status for finding in report.findings} == {"ok"}
    assert any("1 columns are not in the dictionary and will never be read: extra" in f.what for f in report.findings)


def test_an_empty_site_is_fine(party: Path) -> None:
    columns = '[[column]]\nname = "age"\ntype = "integer"\nunit = "a"\nrange = [0, 120]\n'
    assert check(party, pd.DataFrame({"age": []}), columns).problems == 0


def test_against_another_dictionary(party: Path, tmp_path: Path) -> None:
    columns = '[[column]]\nname = "age"\ntype = "integer"\nunit = "a"\n'
    (tmp_path / "other.toml").write_text('id = "d"\n' + columns + "range = [0, 45]\n")
    frame = pd.DataFrame({"age": [40, 50]})
    assert codes(check(party, frame, columns)) == {}
    assert codes(check(party, frame, columns, against=tmp_path / "other.toml")) == {"E2103": 1}


def test_rows_per_person(party: Path) -> None:
    columns = 'unit_of_count = "pid"\n[[column]]\nname = "pid"\ntype = "category"\n'
    report = check(party, pd.DataFrame({"pid": ["a", "a", "a", "b", None]}), columns)
    assert codes(report) == {"E2108": 1}
    several = next(f for f in report.findings if f.code == "E2108" and f.status == "warning")
    assert (several.rows, several.what) == (3, "1 of 2 people have more than one row")


def test_a_table_that_cannot_be_read(party: Path) -> None:
    report = check(party, pd.DataFrame({"age": [1]}), '[[column]]\nname = "age"\ntype = "integer"\n')
    (party / "t.csv").write_text(f"age,sex\n1,2,{SECRET}\n")
    report = check_dataset(PartyDirectory(party), "main")
    assert codes(report) == {"E2111": 0}
    assert SECRET not in str(report.findings)


def test_consent_and_mapping_come_first(party: Path) -> None:
    (party / "mapping.toml").write_text('[columns]\nJahre = "age"\n[values.sex]\nw = "F"\n')
    frame = pd.DataFrame({"Jahre": [40, 400, 50], "sex": ["w", "w", "k"], "ok": ["j", "n", "j"]})
    columns = (
        '[[column]]\nname = "age"\ntype = "integer"\nrange = [0, 120]\nunit = "a"\n'
        '[[column]]\nname = "sex"\ntype = "category"\nlevels = ["F", "M"]\n'
    )
    section = 'mapping = "mapping.toml"\n[datasets.main.consent]\ncolumn = "ok"\nallow = ["j"]\n'
    report = check(party, frame, columns, section)
    assert codes(report) == {"E2104": 1}
    assert report.findings[0].what == "consent: 1 rows left out, 2 rows may be used"


def test_genotypes_by_the_form_of_ids(party: Path) -> None:
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copyfile(DATA / f"regenie{suffix}", party / f"set{suffix}")
    own = pd.read_csv(party / "set.psam", sep=r"\s+", dtype=str)["IID"]
    ids = [*own[:-3], "NA12878", "x-77"]
    columns = '[[column]]\nname = "IID"\ntype = "category"\n'
    section = 'genotypes = "set"\nid = "IID"\n'
    report = check(party, pd.DataFrame({"IID": ids}), columns, section)
    finding = next(f for f in report.findings if f.code == "E2109")
    assert finding.status == "warning"
    assert f"{len(own) - 3:,} rows matched, 2 without genotypes, 3 samples without a row" in finding.what
    assert "A{2}9{5} a-9{2} in the table" in finding.hint
    text = json.dumps(report.to_plain())
    assert "NA12878" not in text
    assert "x-77" not in text
    report = check(party, pd.DataFrame({"IID": ["NA12878", "x-77"]}), columns, section)
    assert codes(report) == {"E2109": 2 + len(own)}
    assert check(party, pd.DataFrame({"IID": own}), columns, section).problems == 0


@pytest.mark.parametrize(
    ("text", "form"),
    [("NA12878", "A{2}9{5}"), ("ab-1 X", "a{2}-9_A"), ("", ""), ("é", "?"), ("1a" * 30, "9a" * 10 + "...")],
)
def test_forms_of_ids(text: str, form: str) -> None:
    assert id_format(text) == form


COLUMNS = [
    {"name": "c", "type": "integer", "range": [0, 5]},
    {"name": "c", "type": "integer", "levels": [0, 1, 2]},
    {"name": "c", "type": "decimal", "resolution": 0.5},
    {"name": "c", "type": "decimal", "range": [-1, 2.5], "missing": "refused"},
    {"name": "c", "type": "category", "levels": ["a", "1"]},
    {"name": "c", "type": "boolean"},
    {"name": "c", "type": "date", "range": ["2000-01-01", "2020-12-31"]},
]
CELLS = st.one_of(
    st.lists(st.sampled_from([0, 1, 2, 3, -9, 2**53, 2**53 + 1]), max_size=4),
    st.lists(st.sampled_from([0.0, 0.5, 1.25, float("nan"), -1.0, float("inf")]), max_size=4),
    st.lists(st.sampled_from(["a", "1", "b", None, "2001-01-01", "1999-01-01"]), max_size=4),
    st.lists(st.sampled_from([True, False]), max_size=4),
)


@settings(max_examples=80, deadline=None)
@given(column=st.sampled_from(COLUMNS), cells=CELLS)
def test_both_checks_agree_whether_something_is_wrong(column: dict[str, Any], cells: list[Any]) -> None:
    dictionary: Dictionary = parse_dictionary({"id": "d", "column": [column]})
    assert isinstance(dictionary.column("c"), Column)
    records = Records(pd.DataFrame({"c": pd.Series(cells, dtype=object if not cells else None)}))
    try:
        check_records(records, dictionary, ["c"], "north")
        refused = False
    except DataError:
        refused = True
    found = column_findings(records, dictionary, "c", "north")
    problems = [finding for finding in found if finding.status == "problem"]
    assert bool(problems) == refused
    assert all(finding.code != "E2100" and 0 < finding.rows <= len(cells) for finding in problems)
