"""Rows of a database frozen into a file: types, secrets, deadlines, and nothing half written."""

from __future__ import annotations

import datetime
import sqlite3
import stat
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pyarrow import parquet

from mpcstats.errors import ConfigurationError, DataError, DeadlineExceeded, MpcStatsError
from mpcstats.node.datasets import snapshot
from mpcstats.node.datasets.snapshot import PASSWORD_VARIABLE, parse_url, snapshot_of, take_snapshot

ROWS = [("a", 1, 1.5, "2020-01-01"), ("b", None, 2.0, "2020-02-01"), ("c", 3, None, None)]
SECRET = "Zyklotron"


@pytest.fixture
def lite(tmp_path: Path) -> str:
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id TEXT, n INTEGER, x REAL, day TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", ROWS)
    connection.close()
    return f"sqlite:///{path}"


def take(url: str, sql: str, folder: Path, **options: Any) -> pd.DataFrame:
    (folder / "q.sql").write_text(sql)
    target = folder / "snap" / "t.parquet"
    take_snapshot(url, folder / "q.sql", target, "north", options.pop("environment", {}), **options)
    return pd.read_parquet(target)


def test_sqlite(lite: str, tmp_path: Path) -> None:
    frame = take(lite, "SELECT * FROM t ORDER BY id;", tmp_path)
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["n"].tolist()[::2] == [1, 3]
    assert frame["x"].isna().tolist() == [False, False, True]
    target = tmp_path / "snap" / "t.parquet"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found = snapshot_of(target)
    assert found is not None
    assert (found.source, found.rows) == (lite, 3)
    taken = datetime.datetime.fromisoformat(found.extracted)
    assert abs((datetime.datetime.now(datetime.UTC) - taken).total_seconds()) < 60
    assert [path.name for path in target.parent.iterdir()] == ["t.parquet"]


def test_batches_are_joined(lite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = take(lite, "SELECT * FROM t ORDER BY id", tmp_path)
    monkeypatch.setattr(snapshot, "_BATCH", 1)
    pd.testing.assert_frame_equal(take(lite, "SELECT * FROM t ORDER BY id", tmp_path), whole)
    sql = "SELECT 1 AS v UNION ALL SELECT 2.5"
    assert take(lite, sql, tmp_path)["v"].tolist() == [1.0, 2.5]
    with pytest.raises(DataError, match=r"column 'v' holds values of several kinds"):
        take(lite, "SELECT 1 AS v UNION ALL SELECT 'Zyklotron'", tmp_path)


def test_a_query_without_rows_gives_an_empty_table(lite: str, tmp_path: Path) -> None:
    frame = take(lite, "SELECT * FROM t WHERE n > 99", tmp_path)
    assert (len(frame), list(frame)) == (0, ["id", "n", "x", "day"])


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT * FROM missing", "no such table"),
        ("SELEC", "syntax error"),
        ("DELETE FROM t", "readonly"),
        ("INSERT INTO t VALUES ('z', 1, 1, '')", "readonly"),
        ("PRAGMA user_version = 3", "readonly"),
        ("SELECT n AS a, x AS a FROM t", "same name"),
        ("SELECT 1 AS v UNION ALL SELECT 'Zyklotron'", "several kinds"),
        ("SELECT x'00ff' AS v", "one that a table cannot hold"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "gives no rows"),
    ],
)
def test_what_sqlite_refuses(lite: str, sql: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        take(lite, sql, tmp_path)
    assert SECRET not in str(caught.value)
    assert not list((tmp_path / "snap").glob("*"))


def test_the_last_snapshot_stays_when_the_next_fails(lite: str, tmp_path: Path) -> None:
    before = take(lite, "SELECT * FROM t", tmp_path)
    with pytest.raises(DataError):
        take(lite, "SELECT * FROM gone", tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "snap" / "t.parquet"), before)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_query_has_a_deadline(kind: str, lite: str, tmp_path: Path) -> None:
    url = lite
    if kind == "duckdb":
        duckdb.connect(str(tmp_path / "d.duckdb")).close()
        url = f"duckdb:///{tmp_path / 'd.duckdb'}"
    sql = "WITH RECURSIVE r(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM r) SELECT max(v) FROM r"
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.3 s"):
        take(url, sql, tmp_path, seconds=0.3)


def test_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "d.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('low', 'high')")
        connection.execute(
            "CREATE TABLE t AS SELECT 'a' AS id, 2::HUGEINT AS big, 1.25::DECIMAL(9, 2) AS money, "
            "DATE '2020-01-01' AS day, 'low'::mood AS mood, true AS yes, uuid() AS u"
        )
    url = f"duckdb:///{path}"
    columns = "id, big, money, day, mood, yes"
    frame = take(url, f"SELECT {columns} FROM t", tmp_path)
    assert frame.iloc[0].drop("day").tolist() == ["a", 2.0, 1.25, "low", True]
    assert pd.Timestamp(frame["day"][0]) == pd.Timestamp("2020-01-01")
    for sql, problem in (
        ("SELECT [1, 2] AS v", "CAST it in the query"),
        ("SELECT nothing FROM t", "nothing"),
        (f"SELECT '{SECRET}'::INTEGER AS v", "not shown"),
        ("CREATE TABLE u AS SELECT 1", "not shown|read-only"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            take(url, sql, tmp_path)
        assert SECRET not in str(caught.value)
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(DataError, match="not a readable DuckDB database"):
        take(f"duckdb:///{tmp_path / 'text.duckdb'}", "SELECT 1", tmp_path)


def test_postgresql(postgres_url: str, tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id uuid, n bigint, x numeric, day date, note text)")
        connection.execute(
            "INSERT INTO t SELECT gen_random_uuid(), i, i / 10.0, DATE '2020-01-01' + i::int, '100%' "
            "FROM generate_series(1, 500) AS s(i)"
        )
    frame = take(postgres_url, "SELECT * FROM t WHERE note LIKE '100%' ORDER BY n", tmp_path)
    assert frame["n"].tolist() == list(range(1, 501))
    assert frame["x"].tolist()[:3] == [0.1, 0.2, 0.3]
    assert len(frame["id"][0]) == 36
    for sql, problem in (
        ("SELECT gone FROM t", 'column "gone" does not exist'),
        (f"SELECT '{SECRET}'::int", "not shown"),
        ("DELETE FROM t", "refuses the query"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            take(postgres_url, sql, tmp_path)
        assert SECRET not in str(caught.value)
    with pytest.raises(DeadlineExceeded):
        take(postgres_url, "SELECT pg_sleep(20)", tmp_path, seconds=0.3)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://me:hunter2@db/x", "has a password in it"),
        ("postgresql://me@db/x?password=hunter2", "has a password in it"),
        ("mysql://db/x", "starts with"),
        ("nonsense", "starts with"),
        ("sqlite://", "names no file"),
    ],
)
def test_addresses_that_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)


def test_the_password_goes_to_the_client_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    seen: list[dict[str, Any]] = []

    def connect(address: str, **options: Any) -> None:
        seen.append({"address": address, **options})
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", connect)
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    url = "postgresql://reader@db.example/cohort"
    secret.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        take(url, "SELECT 1", tmp_path, password_file=secret)
    secret.chmod(0o600)
    for options in ({"password_file": secret}, {"environment": {PASSWORD_VARIABLE: "hunter2"}}, {}):
        with pytest.raises(MpcStatsError, match="connection refused") as caught:
            take(url, "SELECT 1", tmp_path, **options)
        assert "hunter2" not in str(caught.value)
    assert [call.get("password") for call in seen] == ["hunter2", "hunter2", None]
    assert all(call["address"] == url and call["connect_timeout"] for call in seen)


def test_files_that_are_not_there(tmp_path: Path, lite: str) -> None:
    with pytest.raises(DataError, match="there is no database"):
        take(f"sqlite:///{tmp_path / 'gone.db'}", "SELECT 1", tmp_path)
    assert not (tmp_path / "gone.db").exists()
    with pytest.raises(ConfigurationError, match="cannot read"):
        take_snapshot(lite, tmp_path / "gone.sql", tmp_path / "t.parquet", "north", {})
    (tmp_path / "text.db").write_text("no database at all, but some text that is long enough" * 30)
    with pytest.raises(DataError):
        take(f"sqlite:///{tmp_path / 'text.db'}", "SELECT * FROM t", tmp_path)
    assert snapshot_of(tmp_path / "text.db") is None
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    assert snapshot_of(tmp_path / "other.parquet") is None
    assert parquet.read_metadata(tmp_path / "other.parquet").num_rows == 1
