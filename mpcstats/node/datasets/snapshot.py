"""A query's rows, frozen into a Parquet file: every study of a data set reads the same rows until the next snapshot.

Databases: `sqlite:///FILE`, `duckdb:///FILE`, `postgresql://user@host/name` (extra: postgres). All are read only. The
password is never part of the address: it comes from MPCSTATS_DATABASE_PASSWORD, or from a file that nobody else may
read, or from where PostgreSQL's own client finds it.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mpcstats.errors import ConfigurationError, DataError, DeadlineExceeded
from mpcstats.node.datasets.files import read_secret, replaced
from mpcstats.node.records.tables import MAX_ROWS, check_names

__all__ = ["PASSWORD_VARIABLE", "QUERY_SECONDS", "Snapshot", "parse_url", "snapshot_of", "take_snapshot"]

PASSWORD_VARIABLE = "MPCSTATS_DATABASE_PASSWORD"  # noqa: S105
QUERY_SECONDS = 3600.0
"""How long a query may take."""

_CONNECT_SECONDS = 15
_BATCH = 50_000
_METADATA = b"mpcstats.snapshot"


@dataclass(frozen=True)
class Snapshot:
    """Where the rows of a table come from.

    Attributes
    ----------
    source : str
        The database's address, without password.
    query : str
        SHA-256 of the query (hex).
    extracted : str
        When, UTC.
    rows : int
    """

    source: str
    query: str
    extracted: str
    rows: int


def parse_url(text: str) -> URL:
    """Check the address of a database.

    Raises
    ------
    ConfigurationError
        Another kind of database, or a password in the address.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername not in _READERS:
        raise ConfigurationError(
            "the address of a database starts with sqlite:///, duckdb:/// or postgresql://",
            hint="for another database, export a CSV or Parquet file and use --csv or --parquet",
        )
    if url.password is not None or any("password" in key.casefold() for key in url.query):
        raise ConfigurationError(
            "the database's address has a password in it, where others can see it",
            hint=f"leave it out, and use {PASSWORD_VARIABLE} or --password-file FILE",
        )
    if url.drivername != "postgresql" and not url.database:
        raise ConfigurationError(f"the address names no file, such as {url.drivername}:////data/cohort.db")
    return url


def take_snapshot(
    address: str,
    query: Path,
    target: Path,
    party: str,
    environment: Mapping[str, str],
    password_file: Path | None = None,
    seconds: float = QUERY_SECONDS,
) -> Snapshot:
    """Write a query's rows into the Parquet file `target` (mode 0600), whole or not at all.

    Parameters
    ----------
    address : str
    query : Path
        A file with one SELECT.
    party : str
        For errors.
    environment : mapping
        May have the password.

    Raises
    ------
    ConfigurationError
        Address, password file or query file.
    DataError
        The database refuses the query, or a column holds what a table cannot. Never with a record's value.
    DeadlineExceeded
        It takes too long.
    """
    from pyarrow import parquet

    url = parse_url(address)
    try:
        sql = query.read_text(encoding="utf-8").strip().rstrip(";")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {query}: {type(error).__name__}") from None
    password = environment.get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = read_secret(password_file)
    extracted = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    table = _READERS[url.drivername](url, sql, password, party, seconds)
    shown = url.render_as_string(hide_password=True)
    snapshot = Snapshot(shown, hashlib.sha256(sql.encode()).hexdigest(), extracted, table.num_rows)
    about = json.dumps({"source": shown, "query_sha256": snapshot.query, "extracted": extracted})
    table = table.replace_schema_metadata({_METADATA: about.encode()})
    with replaced(target) as fresh:
        parquet.write_table(table, fresh)
    return snapshot


def snapshot_of(path: Path) -> Snapshot | None:
    """What a Parquet file says about its origin; None where it says nothing."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        found = parquet.read_metadata(path)
        plain = json.loads((found.metadata or {})[_METADATA])
        return Snapshot(plain["source"], plain["query_sha256"], plain["extracted"], int(found.num_rows))
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
        return None


def _sqlite(url: URL, sql: str, _password: str | None, party: str, seconds: float) -> Any:
    import sqlite3

    path = Path(url.database or "").absolute()
    _require_file(path, party)
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=_CONNECT_SECONDS, check_same_thread=False)
        with contextlib.closing(connection), _within(seconds, connection.interrupt) as late:
            try:
                return _from_cursor(connection.execute(sql), party)
            except (sqlite3.Error, sqlite3.Warning) as error:
                # these speak of the query and its tables, the others may quote a cell
                about_query = (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.Warning)
                raise _refused(error, isinstance(error, about_query), late, party, seconds) from None
    except sqlite3.Error as error:
        raise DataError(f"{path.name} is not a readable SQLite database", party=party) from error


def _postgresql(url: URL, sql: str, password: str | None, party: str, seconds: float) -> Any:
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "PostgreSQL's client is not installed", hint='pip install "mpcstats[postgres]"'
        ) from None

    own = {} if password is None else {"password": password}
    limits = f"-c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)}"
    try:
        connection = psycopg.connect(
            url.render_as_string(),
            connect_timeout=_CONNECT_SECONDS,
            options=limits,
            **own,  # type: ignore[arg-type]
        )
    except psycopg.Error as error:
        raise DataError(
            f"the database cannot be opened: {str(error).strip().splitlines()[0]}",
            party=party,
            hint="check the address",
        ) from None
    with contextlib.closing(connection):
        try:
            # a cursor of the server: the rows come in batches
            with connection.cursor(name="mpcstats") as cursor:
                cursor.execute(sql.encode())
                return _from_cursor(cursor, party)
        except psycopg.errors.QueryCanceled as error:
            raise _refused(error, False, [True], party, seconds) from None
        except psycopg.Error as error:
            # a class 42 (syntax, names, rights) speaks of the query, class 22 quotes cells
            about_query = (error.sqlstate or "").startswith(("42", "25", "0A"))
            raise _refused(error, about_query, [], party, seconds) from None


def _duckdb(url: URL, sql: str, _password: str | None, party: str, seconds: float) -> Any:
    import duckdb

    path = Path(url.database or "").absolute()
    _require_file(path, party)
    about_query = (duckdb.ParserException, duckdb.CatalogException, duckdb.BinderException, duckdb.SyntaxException)
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error:
        raise DataError(
            f"{path.name} is not a readable DuckDB database, or another program writes it", party=party
        ) from None
    with contextlib.closing(connection), _within(seconds, connection.interrupt) as late:
        try:
            rows = connection.sql(sql)
            if rows is None:
                raise DataError("the query gives no rows", party=party, hint="write one SELECT")
            return _plain(rows.to_arrow_table(), party)
        except duckdb.Error as error:
            raise _refused(error, isinstance(error, about_query), late, party, seconds) from None


_READERS: dict[str, Callable[[URL, str, str | None, str, float], Any]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "duckdb": _duckdb,
}


def _require_file(path: Path, party: str) -> None:
    if not path.is_file():
        raise DataError(f"there is no database {path}", party=party, hint="check the address")


@contextlib.contextmanager
def _within(seconds: float, interrupt: Callable[[], None]) -> Iterator[list[bool]]:
    """Interrupt a query after some time; the list is not empty then."""
    late: list[bool] = []

    def stop() -> None:
        late.append(True)
        interrupt()

    clock = threading.Timer(seconds, stop)
    clock.daemon = True
    clock.start()
    try:
        yield late
    finally:
        clock.cancel()


def _refused(
    error: Exception, about_query: bool, late: Sequence[bool], party: str, seconds: float
) -> DataError | DeadlineExceeded:
    """The words of a database only where they are about the query: others may hold a record's value."""
    if late:
        return DeadlineExceeded(f"the query took longer than {seconds:g} s", party=party)
    words = str(error).strip().splitlines()[0][:300] if about_query and str(error).strip() else ""
    what = words or f"{type(error).__name__}; its words are not shown, they may hold a record's value"
    return DataError(
        f"the database refuses the query: {what}", party=party, hint="try the query in the database itself"
    )


def _from_cursor(cursor: Any, party: str) -> Any:
    """All rows of a database cursor (pyarrow.Table)."""
    import pyarrow as pa

    parts: list[Any] = []
    names: list[str] = []
    rows = 0
    while batch := cursor.fetchmany(_BATCH):
        names = names or _names(cursor, party)
        rows += len(batch)
        _check_rows(rows, party)
        columns = [_array(names[place], cells, party) for place, cells in enumerate(zip(*batch, strict=True))]
        parts.append(pa.table(columns, names=names))
    if not parts:
        names = _names(cursor, party)
        return pa.table({name: pa.array([], pa.string()) for name in names})
    return _plain(_joined(parts, party), party)


def _names(cursor: Any, party: str) -> list[str]:
    if cursor.description is None:
        raise DataError("the query gives no rows", party=party, hint="write one SELECT")
    names = [str(column[0]) for column in cursor.description]
    check_names(names, "the query", party)
    return names


def _check_rows(rows: int, party: str) -> None:
    if rows > MAX_ROWS:
        raise DataError(f"the query gives more than {MAX_ROWS:,} rows", party=party)


def _joined(parts: list[Any], party: str) -> Any:
    """Batches as one table: whole numbers become decimal ones where another batch has those."""
    import pyarrow as pa

    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException:
        odd = [
            field.name
            for place, field in enumerate(parts[0].schema)
            if len({part.schema.field(place).type for part in parts} - {pa.null()}) > 1
        ]
        raise _mixed(", ".join(map(repr, odd)), party) from None


def _array(name: str, cells: Sequence[Any], party: str) -> Any:
    import pyarrow as pa

    plain = [_cell(cell) for cell in cells] if any(isinstance(cell, Decimal | uuid.UUID) for cell in cells) else cells
    try:
        return pa.array(plain)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _mixed(repr(name), party) from None


def _cell(cell: Any) -> Any:
    return float(cell) if isinstance(cell, Decimal) else str(cell) if isinstance(cell, uuid.UUID) else cell


def _mixed(names: str, party: str) -> DataError:
    return DataError(
        f"the query's column {names} holds values of several kinds, or of one that a table cannot hold",
        party=party,
        hint="CAST it in the query",
    )


def _plain(table: Any, party: str) -> Any:
    """The table with numbers, text, truth values and dates alone."""
    import pyarrow as pa

    check_names(list(table.column_names), "the query", party)
    _check_rows(table.num_rows, party)
    columns = []
    for field, cells in zip(table.schema, table.columns, strict=True):
        kind = _plain_type(field.type)
        if kind is None:
            raise _mixed(repr(field.name), party)
        columns.append(cells if kind == field.type else cells.cast(kind))
    return pa.table(columns, names=table.column_names)


def _plain_type(physical: Any) -> Any:
    """The type that a column is stored with; None where there is none."""
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_dictionary(physical):
        return _plain_type(physical.value_type)
    if kinds.is_decimal(physical):
        return pa.float64()
    if kinds.is_null(physical):
        return pa.float64()
    fine = (
        kinds.is_integer(physical)
        or kinds.is_float32(physical)
        or kinds.is_float64(physical)
        or kinds.is_boolean(physical)
        or kinds.is_string(physical)
        or kinds.is_large_string(physical)
        or kinds.is_date(physical)
        or kinds.is_timestamp(physical)
    )
    return physical if fine else None
