"""Counting a Parquet file as it is read gives what counting it in memory gives, and refuses what that refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.records import cells, parquet, scan
from mpcstats.node.records import source as datasource
from mpcstats.node.records.cells import cell_counts
from mpcstats.node.records.parquet import ParquetTable
from mpcstats.node.records.source import Dataset, Records, load
from mpcstats.study.dictionary import Dictionary, parse_dictionary
from tests.study.filter_cases import DICTIONARY as CASES
from tests.study.filter_cases import Row, Term, conditions, frame_of, rows

COLUMNS: list[dict[str, Any]] = [
    {"name": "pid", "type": "category"},
    {"name": "age", "type": "integer", "range": [0, 120]},
    {"name": "big", "type": "integer"},
    {"name": "bmi", "type": "decimal", "range": [10, 80]},
    {"name": "free", "type": "decimal"},
    {"name": "half", "type": "decimal", "resolution": 0.5},
    {"name": "sex", "type": "category", "levels": ["F", "M", ""]},
    {"name": "code", "type": "category", "levels": ["0", "1", "2"]},
    {"name": "grade", "type": "integer", "levels": [0, 1, 2]},
    {"name": "dead", "type": "boolean"},
    {"name": "seen", "type": "date", "range": ["1960-01-01", "2029-12-31"]},
    {"name": "any", "type": "date"},
    {"name": "full", "type": "integer", "missing": "refused"},
]
BY_ROW = parse_dictionary({"id": "d", "column": COLUMNS})
BY_PERSON = parse_dictionary({"id": "d", "column": COLUMNS, "unit_of_count": "pid"})


def both(path: Path, dictionary: Dictionary, where: str | None, by: Sequence[str]) -> np.ndarray:
    """Counts by one pass over the file, after a look whether the way through memory says the same."""
    levels = [dictionary.column(name).levels or () for name in by]
    records = load(path, "lakeside", dictionary)
    assert isinstance(records.source, ParquetTable)
    found = scan.scan_cells(records.source, dictionary, where, by, levels)
    assert found is not None
    counts, report = cells._from_memory(records, dictionary, where, by, levels, "lakeside")
    assert found[0].tolist() == counts.tolist()
    assert found[0].dtype == np.int64
    assert str(found[1]) == str(report)
    assert found[1] == report
    return found[0]


@pytest.mark.long
@settings(max_examples=40, deadline=None, derandomize=True)
@given(conditions, rows, st.sampled_from([(), ("s",), ("b", "ph.ecog", "t")]))
def test_filters_select_the_same_rows_of_a_file(
    tmp_path_factory: pytest.TempPathFactory, condition: Term, table: Sequence[Row], by: Sequence[str]
) -> None:
    path = tmp_path_factory.mktemp("scan") / "t.parquet"
    frame = frame_of(table).astype({"s": "string", "t": "string"})
    frame.assign(**{"ph.ecog": np.arange(len(table)) % 4}).to_parquet(path)
    found = both(path, CASES, f"({condition[0]}) or n > 9", by)
    if not by:
        assert found == sum(condition[2](row) is True for row in table)


def table_of(draw: np.random.Generator, size: int) -> pa.Table:
    """Every type that a pass over the file treats, in turn."""

    def some(values: Any, kind: Any) -> pa.Array:
        return pa.array(values, mask=draw.random(size) < 0.15).cast(kind)

    def pick(kinds: Sequence[Any]) -> Any:
        return kinds[draw.integers(len(kinds))]

    texts, days = (
        [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())],
        draw.integers(-3000, 20_000, size),
    )
    numbers = [pa.int8(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64()]
    moments = [pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ms"), pa.timestamp("s")]
    date = pa.array(days.astype("int32"), pa.int32()).cast(pa.date32())
    sex = np.array(["F", "M", ""])[draw.integers(0, 3, size)]
    return pa.table(
        {
            "pid": pa.array(draw.integers(0, max(size // 2, 1), size)).cast(pick([pa.string(), pa.int32()])),
            "age": some(draw.integers(0, 121, size), pick(numbers)),
            "big": some(draw.choice([-(2**53), -1, 0, 2**53], size), pa.int64()),
            "bmi": some(draw.integers(40, 320, size) / 4.0, pick(numbers[-2:])),
            "free": some(draw.choice([np.nan, -0.0, 0.0, 1e308, 0.1], size), pa.float64()),
            "half": some(draw.integers(-9, 9, size) / 2.0, pa.float64()),
            "sex": some(sex, pa.string()).cast(pick(texts)),
            "code": some(draw.integers(0, 3, size), pick([pa.int16(), pa.uint8()])).cast(
                pick([pa.int16(), pa.string()])
            ),
            "grade": some(draw.integers(0, 3, size), pick(numbers)),
            "dead": some(draw.integers(0, 2, size), pick([pa.bool_(), pa.int8(), pa.float64()])),
            "seen": some(date, pick(moments)),
            "any": some(date, pick(moments)),
            "full": pa.array(draw.integers(0, 9, size)),
        }
    )


FILTERS = [
    None,
    "age >= 65 and sex == 'F'",
    "bmi / (age - 40) > 1 or bmi / (age - 40) is missing",
    "year(seen) >= 1975 and seen - any < 5000 or any in ('1970-01-01', seen)",
    "dead and not grade in (0, 2) or code != '1' and full between 2 and 7",
    "free / free == 1 or free in (0, 0.1, half) or big > 9007199254740990",
    "age / (free / (half / (bmi / (age - half)))) > 0 and sex is not missing",
]


@pytest.mark.parametrize("dictionary", [BY_ROW, BY_PERSON], ids=["rows", "people"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 6))])
def test_every_type_of_the_file_counts_as_in_memory(tmp_path: Path, seed: int, dictionary: Dictionary) -> None:
    draw, path = np.random.default_rng(seed), tmp_path / "t.parquet"
    pq.write_table(table_of(draw, [300, 300, 300, 37, 1, 0][seed]), path, row_group_size=100)
    for number, where in enumerate(FILTERS):
        by = [("sex",), (), ("dead", "grade"), ("code", "sex", "dead"), ("grade",), ("sex", "grade"), ("code",)][number]
        if where or by or dictionary is BY_PERSON:
            both(path, dictionary, where, by)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_what_is_not_a_number_is_missing_whatever_the_file_says_of_it(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "t.parquet"  # its statistics are 1 to 2 and no cell without value
    pq.write_table(pa.table({"free": pa.array([1.0, np.nan, 2.0], kind), "sex": ["F", "F", "F"]}), path)
    for where, count in (
        ("free is missing", 1),
        ("free > 0 or free <= 0", 2),
        ("free > 100", 0),
        ("not free > 100", 2),
        ("free / 2 is missing", 1),
    ):
        assert both(path, BY_ROW, where, ["sex"]).tolist() == [count, 0, 0]


def test_people_of_several_rows_count_once_per_cell(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {"pid": ["p", "p", "p", "q", "q", "r"], "sex": ["F", "F", "M", "F", None, None], "age": range(6)}
    )
    frame.to_parquet(path)
    assert both(path, BY_PERSON, None, ["sex"]).tolist() == [2, 1, 0]
    assert both(path, BY_PERSON, "age > 0", ["sex"]).tolist() == [2, 1, 0]
    assert both(path, BY_PERSON, "age > 2 or age == 0", []) == 3
    assert both(path, BY_ROW, None, ["sex"]).tolist() == [3, 1, 0]
    frame.iloc[[0, 3, 5]].to_parquet(path)
    assert both(path, BY_PERSON, None, ["sex"]).tolist() == [2, 0, 0]


def test_the_order_of_levels_is_that_of_the_axis(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"sex": ["F", "F", "M", None], "grade": [2, 1, 1, 0]}).to_parquet(path)
    records = load(path, "a", BY_ROW)
    found, report = cell_counts(records, BY_ROW, None, ["grade", "sex"], [(2, 1), ("M", "F")], "a")
    assert found.tolist() == [[0, 1], [1, 1]]
    assert (report.rows, report.selected, report.used) == (4, 4, 3)


CANARY, NUMBER = "CANARY", 864213579


@pytest.mark.parametrize(
    ("name", "bad", "complaint"),
    [
        ("age", pa.array([1, NUMBER, 3]), "column 'age' (integer): 1 rows are outside the range 0 to 120"),
        ("age", pa.array([1.5, 2.0, None]), "1 rows are no whole numbers"),
        ("age", pa.array([np.inf, 2.0, np.nan]), "1 rows are infinite"),
        ("age", pa.array([CANARY, "2", None]), "1 rows hold text instead of a number"),
        ("age", pa.array([True, None, None]), "1 rows hold true or false instead of a number"),
        ("big", pa.array([2**53 + 1, -(2**53) - 1, 0]), "2 rows are larger than 2^53"),
        ("big", pa.array([2.0**60, 1.0, None]), "1 rows are larger than 2^53"),
        ("free", pa.array([-np.inf, np.inf, 0.0], pa.float32()), "2 rows are infinite"),
        ("half", pa.array([0.5, 0.75, NUMBER + 0.1]), "2 rows are no whole multiples of 0.5"),
        ("sex", pa.array(["F", CANARY, "f"]), "column 'sex' (category): 2 rows are none of the levels"),
        ("sex", pa.array([NUMBER, None, None]), "1 rows are none of the levels"),
        ("code", pa.array([0, NUMBER, None]), "1 rows are none of the levels"),
        ("grade", pa.array([0, 3, None]), "1 rows are none of the levels"),
        ("dead", pa.array([0, 1, NUMBER]), "1 rows are none of the levels"),
        ("seen", pa.array([-5000, 0, 40_000], pa.int32()).cast(pa.date32()), "2 rows are outside the range 1960-01-01"),
        ("any", pa.array([0, 1, 86_400_000_000], pa.timestamp("us")), "1 rows hold a time of day or a time zone"),
        ("any", pa.array([0, 1, 86_400_000_000_000], pa.timestamp("ns")), "1 rows hold a time of day or a time zone"),
        ("any", pa.array([0, None, None], pa.timestamp("us", "UTC")), "1 rows hold a time of day or a time zone"),
        (
            "any",
            pa.array([2**31 - 1, 0, -(10**6)], pa.int32()).cast(pa.date32()),
            "2 rows hold a time of day or a time",
        ),
        ("any", pa.array([CANARY, "2020-01-01", None]), "1 rows hold no date"),
        ("full", pa.array([1, None, None]), "2 rows have no value, which the dictionary does not allow"),
        ("full", pa.array([1.0, np.nan, 2.0]), "1 rows have no value, which the dictionary does not allow"),
    ],
)
@pytest.mark.parametrize("where", ["{} is missing", "pid == 'nobody' and {} is not missing"])
def test_what_the_dictionary_does_not_allow_is_refused(
    tmp_path: Path, name: str, bad: pa.Array, complaint: str, where: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"pid": ["a", "b", "c"], name: bad}), path)
    with pytest.raises(DataError) as caught:
        cell_counts(load(path, "lakeside", BY_ROW), BY_ROW, where.format(name), [], [], "lakeside")
    assert complaint in str(caught.value)
    assert caught.value.party == "lakeside"
    assert CANARY not in str(caught.value)
    assert str(NUMBER) not in str(caught.value)


def test_a_row_without_a_person_is_refused_whoever_is_selected(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"pid": ["a", None, "b"], "age": [1, 2, 3]}).to_parquet(path)
    for where in (None, "age == 1"):
        with pytest.raises(DataError, match="1 rows have no person in column 'pid'"):
            cell_counts(load(path, "a", BY_PERSON), BY_PERSON, where, [], [], "a")
    pd.DataFrame({"age": [1, 2, 3], "Sex": ["F", "F", "M"]}).to_parquet(path)
    with pytest.raises(DataError, match="no column 'pid', which identifies people"):
        cell_counts(load(path, "a", BY_PERSON), BY_PERSON, None, [], [], "a")
    with pytest.raises(DataError, match="no column 'sex'") as caught:
        cell_counts(load(path, "a", BY_ROW), BY_ROW, None, ["sex"], [("F",)], "a")
    assert caught.value.hint == "is it the column 'Sex'?"


@pytest.mark.parametrize(
    ("column", "file"),
    [
        (pa.array([1.0, 2.0, None]), "t.parquet"),
        (pa.array([1, 2, 1], pa.decimal128(5, 2)), "t.parquet"),
        (pa.array([1, 2, None]), "a*b[0]?.parquet"),
    ],
)
def test_what_a_pass_does_not_treat_is_counted_in_memory(tmp_path: Path, column: pa.Array, file: str) -> None:
    pq.write_table(pa.table({"code": column, "sex": ["F", "F", "M"]}), tmp_path / file)
    pq.write_table(pa.table({"code": ["0"] * 9, "sex": ["M"] * 9}), tmp_path / "ab0c.parquet")
    records = load(tmp_path / file, "a", BY_ROW)
    assert isinstance(records.source, ParquetTable)
    assert scan.scan_cells(records.source, BY_ROW, None, ["code"], [("0", "1", "2")]) is None
    dictionary = parse_dictionary({"id": "d", "column": [{"name": "code", "type": "integer", "levels": [1, 2]}]})
    counts, _ = cell_counts(load(tmp_path / file, "a"), dictionary, "code > 0", ["code"], [(1, 2)], "a")
    assert counts.sum() == len(column) - column.null_count


def test_names_that_differ_in_case_alone_are_counted_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"Age": [1, 1, 1], "age": [1, 2, 3]}).to_parquet(path)
    assert cell_counts(load(path, "a"), BY_ROW, "age > 1", [], [], "a")[0] == 2


def test_a_name_is_a_name(tmp_path: Path) -> None:
    evil, folder = 'x" FROM t; DROP TABLE t; --', tmp_path / "sex=F"  # no column comes from the folder
    folder.mkdir()
    pd.DataFrame({evil: [1, 2, 3], "select": ["a", "b", "a"]}).to_parquet(folder / "t's.parquet")
    columns = [{"name": evil, "type": "integer"}, {"name": "select", "type": "category", "levels": ["a", "b'; --"]}]
    dictionary = parse_dictionary(
        {"id": "d", "column": [*columns, {"name": "sex", "type": "category", "levels": ["F"]}]}
    )
    pd.DataFrame({evil: [1, 2, 3], "select": ["a", "b'; --", "a"]}).to_parquet(folder / "t's.parquet")
    assert both(folder / "t's.parquet", dictionary, f"`{evil}` > 1 or select == 'b''; --'", ["select"]).tolist() == [
        1,
        1,
    ]
    with pytest.raises(DataError, match="no column 'sex'"):
        cell_counts(load(folder / "t's.parquet", "a"), dictionary, None, ["sex"], [("F",)], "a")


def test_many_levels_and_long_filters(tmp_path: Path) -> None:
    draw, path = np.random.default_rng(1), tmp_path / "t.parquet"
    levels = [f"level {number}" for number in range(900)]
    dictionary = parse_dictionary(
        {
            "id": "d",
            "unit_of_count": "pid",
            "column": [
                {"name": "pid", "type": "category"},
                {"name": "a", "type": "category", "levels": levels},
                {"name": "b", "type": "integer", "levels": list(range(50))},
                {"name": "x", "type": "decimal"},
            ],
        }
    )
    size = 20_000
    frame = pd.DataFrame({"a": draw.choice(levels, size), "b": draw.integers(0, 50, size), "x": draw.normal(size=size)})
    frame.assign(pid=draw.integers(0, 5000, size).astype(str)).to_parquet(path)
    assert both(path, dictionary, None, ["a", "b"]).shape == (900, 50)
    both(path, dictionary, "x / (" * 30 + "x - b" + ")" * 30 + " > 0", ["b"])
    both(path, dictionary, " or ".join(f"a == 'level {number}'" for number in range(300)), ["b"])


def test_ids_are_checked_by_a_pass_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"pid": [3, 1, 2], "FID": ["a", "a", "b"], "IID": ["1", "2", "1"]}).to_parquet(path)
    read: list[Sequence[str]] = []
    monkeypatch.setattr(ParquetTable, "read", lambda self, names: read.append(names))
    load(Dataset(path, id="pid"), "a")
    assert not read
    records = load(Dataset(path), "a")
    assert isinstance(records.source, ParquetTable)
    assert parquet.identifies_rows(records.source, ["FID", "IID"])
    assert not parquet.identifies_rows(records.source, ["FID"])
    assert not parquet.identifies_rows(records.source, ["IID"])


def test_a_file_that_changes_between_opening_and_counting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"age": [1, 2]}).to_parquet(path)
    records = load(path, "lakeside", BY_ROW)
    pd.DataFrame({"age": [1, 2, NUMBER]}).to_parquet(path)
    with pytest.raises(DataError, match="was changed while it was in use"):
        cell_counts(records, BY_ROW, "age > 1", [], [], "lakeside")


def test_equal_hashes_are_looked_at_more_closely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"pid": ["a", "b"], "age": [1, 2]}).to_parquet(path)
    for module in (parquet, scan):
        monkeypatch.setattr(module, "all_different", lambda hashes: False)
    assert both(path, BY_PERSON, "age > 0", []) == 2
    assert isinstance(load(Dataset(path, id="pid"), "a"), Records)
    assert datasource.identifies_rows(load(path, "a").source, ["pid"]) is False
