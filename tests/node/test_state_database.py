"""The state of a node in SQLite and PostgreSQL: migrations, transactions, errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mpcstats.errors import ConfigurationError
from mpcstats.node.state import schedule_tables  # noqa: F401
from mpcstats.node.state.database import Database
from mpcstats.node.state.tables import Base, RunRow


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'state.db'}"
    return str(request.getfixturevalue("postgres_url"))


def _run(name: str) -> RunRow:
    return RunRow(run=name * 32, study="b" * 64, state="running", changed="2026-11-22T10:00:00Z")


def test_the_migrations_make_the_tables_of_the_models(url: str) -> None:
    from sqlalchemy import inspect

    database = Database(url, "westbay")
    inspector = inspect(database.engine)
    for table in Base.metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}, table.name
    database.close()


def test_what_is_written_is_there_after_a_restart_and_all_or_nothing(url: str) -> None:
    first = Database(url, "westbay")
    with first.transaction() as session:
        session.add(_run("aa"))
    with pytest.raises(ConfigurationError, match=r"UNIQUE|unique"), first.transaction() as session:
        session.add_all([_run("cc"), _run("aa")])
    first.close()
    again = Database(url, "westbay")
    with again.transaction() as session:
        assert session.get(RunRow, "aa" * 32).detail == "{}"
        assert session.get(RunRow, "cc" * 32) is None
    again.close()


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'new' / 'state.db'}", "westbay").close()
    assert (tmp_path / "new" / "state.db").stat().st_mode & 0o077 == 0


def test_threads_share_the_memory_of_one_database() -> None:
    from concurrent.futures import ThreadPoolExecutor

    database = Database.in_memory("westbay")
    with database.transaction() as session:
        session.add(_run("aa"))

    def read() -> bool:
        with database.transaction() as session:
            return session.get(RunRow, "aa" * 32) is not None

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read).result(10)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "no database URL"),
        ("mysql://host/x", "not supported"),
        ("sqlite:////dev/null/x/state.db", "opened"),
    ],
)
def test_a_database_that_cannot_be_used(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Database(url, "westbay")


def test_a_file_that_is_no_database_and_one_of_a_later_version(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database, " * 100)
    with pytest.raises(ConfigurationError, match="not a database"):
        Database(f"sqlite:///{broken}", "westbay")
    later = tmp_path / "later.db"
    Database(f"sqlite:///{later}", "westbay").close()
    with sqlite3.connect(later) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationError, match="another version"):
        Database(f"sqlite:///{later}", "westbay")
