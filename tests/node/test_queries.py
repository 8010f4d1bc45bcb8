"""Filters in DuckDB select what the slow twin selects; queries are shut off from everything but their tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError, SpecError
from mpcstats.node.records import queries
from mpcstats.node.records.queries import QueryFailed, run_query, select_rows
from mpcstats.study.filter_sql import SqlColumn, compile_filter
from mpcstats.study.filters import evaluate_filter, parse_filter
from tests.study.filter_cases import Row, Term, conditions, frame_of, rows


def selected(text: str, frame: pd.DataFrame) -> list[int]:
    """Rows by DuckDB, after a look whether the slow twin selects the same."""
    expression = parse_filter(text)
    found = select_rows(expression, frame)
    assert found.dtype == np.bool_
    assert found.tolist() == evaluate_filter(expression, frame).tolist()
    return np.flatnonzero(found).tolist()


@pytest.fixture(autouse=True)
def _no_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("DuckDB was given up")

    monkeypatch.setattr(queries, "evaluate_filter", fail)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(conditions, rows)
def test_duckdb_selects_what_the_slow_twin_selects(condition: Term, table: Sequence[Row]) -> None:
    expected = [number for number, row in enumerate(table) if condition[2](row) is True]
    assert selected(condition[0], frame_of(table)) == expected


floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 2.0**53, 2.0**53 + 2, 0.1, 0.2, 0.30000000000000004]),
    st.none(),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.fixed_dictionaries({"x": floats, "y": floats, "z": floats}), min_size=1, max_size=6),
    st.sampled_from(
        [
            "x + y == z",
            "x * y / z > x - y",
            "x / y / z == x / (y * z)",
            "x / (y / (z / x)) is missing",
            "x * y * 0 == 0",
            "(x + y) - y == x or x * 10 * 10 / 10 / 10 != x",
            "1 / x == -1 / -x",
            "x in (y, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
            "0 * -1 * x in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)",
            "x - 0.1 - 0.2 == y or x == 0.30000000000000004",
            "x * 1 == x + 0 and x / 1 == x - 0",
            "x - y < 1e-300 * z",
            "-(-x) == x and +x == x",
            "x >= 9007199254740993 or x + 1 == x",
            "x * 0 == y * 0",
            "1e308 * 10 * x is missing and 1 / (1e308 * 10) is missing",
        ]
    ),
)
def test_arithmetic_is_float64_to_the_last_bit(table: Sequence[dict[str, float | None]], text: str) -> None:
    selected(text, pd.DataFrame(table, columns=["x", "y", "z"], dtype=np.float64))


texts = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=4), st.sampled_from(["", "a", "A", "é", "é"])
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.fixed_dictionaries({"s": st.one_of(st.none(), texts), "t": texts}), min_size=1, max_size=6), texts)
def test_texts_are_compared_exactly(table: Sequence[dict[str, str | None]], text: str) -> None:
    frame = pd.DataFrame({name: pd.Series([row[name] for row in table], dtype=object) for name in ("s", "t")})
    selected("s == t", frame)
    if "\n" not in text and "\0" not in text:
        written = "'" + text.replace("'", "''") + "'"
        found = selected(f"s == {written} or t in ({written}, 'x') and not s != t", frame)
        assert set(found) >= {number for number, row in enumerate(table) if row["s"] == text}


def test_examples_of_every_type() -> None:
    frame = frame_of(
        [
            {"n": 1.0, "x": -0.0, "s": "it's", "t": "a", "b": True, "d": -1.0, "e": 0.0},
            {"n": None, "x": None, "s": None, "t": "a", "b": None, "d": None, "e": 18262.0},
            {"n": 3.0, "x": 2.0, "s": "a", "t": "a", "b": False, "d": 11016.0, "e": 11016.0},
        ]
    )
    assert selected("s == 'it''s' and x == 0 and b", frame) == [0]
    assert selected("not b or b is missing", frame) == [1, 2]
    assert selected("n / x > 1 or n / x is missing", frame) == [0, 1, 2]
    assert selected("year(d) == 2000 and month(e) == 2 and d - e == 0", frame) == [2]
    assert selected("d < '1970-01-01' and month(d) == 12", frame) == [0]
    assert selected("year(d + 1e300) is missing", frame) == [0, 1, 2]
    assert selected("1 == 1", frame) == [0, 1, 2]
    assert selected("1 == 2 or n != n", frame) == []
    assert selected("n > 1", frame.iloc[:0]) == []


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(["x == 1"] * 600),
        "x in (" + ",".join(map(str, range(1900))) + ")",
        " + ".join(["x"] * 900) + " > 900",
        " / ".join(["x"] * 900) + " < 1",
        " - ".join(["(x * y)"] * 300) + " > 1",
        "x / (" * 35 + "y" + ")" * 35 + " > 0",
        "(" * 15 + "x" + " + y) / (x - 3) * 2" * 15 + " > 0",
        "not (" * 19 + "x > 1" + ")" * 19,
        " <= ".join(["x"] * 700),
        "-" * 38 + "x > 0",
    ],
)
def test_the_largest_filters_are_answered_at_once(text: str) -> None:
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"x": draw.integers(-2, 3, 50) * 1.0, "y": draw.normal(size=50)})
    selected(text, frame)


def test_many_rows_keep_their_places() -> None:
    draw = np.random.default_rng(5)
    frame = pd.DataFrame({"x": draw.normal(size=300_000), "s": draw.choice(["a", "b", None], 300_000)})
    assert len(selected("x > 0.5 and s == 'a'", frame))


def test_no_text_of_a_filter_gets_into_the_sql() -> None:
    evil = "'; DROP TABLE t; --"
    columns = {'x"; DROP TABLE t; --': SqlColumn("c0", "text"), "n": SqlColumn("c1", "number")}
    text = f"`x\"; DROP TABLE t; --` == '{evil.replace(chr(39), chr(39) * 2)}' and n + 1234567 > 7654321"
    query = compile_filter(parse_filter(text), columns)
    written = query.over("t")
    for part in ("DROP", "--", ";", "'", '"', "1234567", "7654321"):
        assert part not in written
    assert list(query.parameters.values()) == [evil, 1234567.0, 7654321.0]


def test_names_of_columns_are_of_no_account() -> None:
    evil = 'x"; DROP TABLE t; --'
    frame = pd.DataFrame({evil: [1.0, 2.0], "R": [1.0, 5.0], "selected": [0.0, 1.0], "C0": [3.0, 3.0], "select": 1.0})
    assert selected(f"`{evil}` + R > 3 and selected == 1 and C0 == 3 and select == 1", frame) == [1]


def test_types_that_do_not_go_together_are_refused() -> None:
    frame = pd.DataFrame({"x": [1.0], "s": ["a"]})
    for text, complaint in (
        ("zz > 1", "no column 'zz'"),
        ("s > 1", "compared with text"),
        ("s + 1 > 1", "arithmetic needs numbers"),
        ("year(s) > 1", "needs a date"),
        ("x in ('a')", "compared with text"),
    ):
        with pytest.raises(SpecError, match=complaint):
            select_rows(parse_filter(text), frame)


def test_text_that_is_none_goes_to_the_slow_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "evaluate_filter", evaluate_filter)
    frame = pd.DataFrame({"s": pd.Series(["\ud800", "a"], dtype=object)})
    assert select_rows(parse_filter("s == 'a'"), frame).tolist() == [False, True]


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM glob('{folder}/*')",
        "COPY t TO '{folder}/out.csv'",
        "ATTACH '{folder}/out.db'",
        "EXPORT DATABASE '{folder}/out'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET allowed_paths = ['{other}']",
        "SET memory_limit = '100GB'",
        "SET temp_directory = '{folder}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM a_frame_of_this_module",
        "SELECT getenv('HOME')",
    ],
)
def test_queries_reach_nothing_else(tmp_path: Path, sql: str, with_file: bool) -> None:
    other, own = tmp_path / "other.csv", tmp_path / "own.parquet"
    other.write_text("a\n1\n")
    pd.DataFrame({"a": [1]}).to_parquet(own)
    table = pa.table({"a": [1]})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(QueryFailed):
        run_query(sql.format(other=other, folder=tmp_path), {}, {"t": table}, own if with_file else None)
    assert sorted(tmp_path.iterdir()) == before
    if with_file:
        assert run_query("SELECT a FROM read_parquet($f)", {"f": str(own)}, {}, own)["a"].tolist() == [1]
    assert run_query("SELECT a FROM t", {}, {"t": table})["a"].tolist() == [1]


a_frame_of_this_module = pd.DataFrame({"a": [1]})


def test_tables_of_one_query_are_unknown_to_the_next() -> None:
    run_query("SELECT a FROM mine", {}, {"mine": pa.table({"a": [1]})})
    with pytest.raises(QueryFailed):
        run_query("SELECT a FROM mine", {}, {})


def test_a_query_stops_at_its_limit_of_time() -> None:
    endless = "SELECT sum(a.range * b.range) AS s FROM range(1000000) a, range(1000000) b"
    with pytest.raises(DataError, match=r"took longer than 0\.1 s"):
        run_query(endless, {}, {}, seconds=0.1)


def test_a_query_stops_at_its_limit_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(queries, "MEMORY_LIMIT", "50MB")
    with pytest.raises(DataError, match="needs more than 50MB of memory"):  # a file: a database of its own
        run_query("SELECT list(range) AS s FROM range(30000000)", {}, {}, tmp_path / "none.parquet")
