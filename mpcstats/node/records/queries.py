"""DuckDB at a site: queries of ours over the site's own tables, shut off from everything else.

The SQL is written by us: names are numbers, values are parameters. DuckDB reads no file but the one that is named,
loads no extension, sees no variable of this process, writes nothing to disk and stops at limits of time and memory;
its configuration is locked before a query runs. Its messages can hold a record's value and go no further than here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.study.filter_rows import evaluate_filter, type_in_frame
from mpcstats.study.filter_sql import SqlColumn, compile_filter
from mpcstats.study.filters import Expression, filter_columns
from mpcstats.study.values import as_days, as_numbers

if TYPE_CHECKING:
    import duckdb

__all__ = ["MEMORY_LIMIT", "SECONDS", "QueryFailed", "run_query", "select_rows"]

SECONDS = 600.0
MEMORY_LIMIT = "4GB"


class QueryFailed(Exception):
    """DuckDB could not answer; why is not said, because its words may be a record's."""


def select_rows(expression: Expression, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (bool, one per row) for which a filter is true; unknown rows are not selected.

    Parameters
    ----------
    expression : Expression
        Fits the dictionary.
    frame : DataFrame
        Columns as `check_records` makes them.

    Raises
    ------
    SpecError
        A column does not exist in the frame, or numbers are compared with text.
    DataError
        The query took too much time or memory.
    """
    import pyarrow as pa

    columns = {
        name: SqlColumn(f"c{number}", type_in_frame(frame, name))
        for number, name in enumerate(filter_columns(expression))
    }
    query = compile_filter(expression, columns)
    try:
        cells = {column.name: _arrow(frame[name], column) for name, column in columns.items()}
        table = pa.table({"r": pa.array(np.arange(len(frame))), **cells})
        found = run_query(f"SELECT r, selected FROM {query.over('t')}", query.parameters, {"t": table})  # noqa: S608
    except (QueryFailed, UnicodeEncodeError):  # text that is none, a lone surrogate
        return evaluate_filter(expression, frame)
    chosen = np.zeros(len(frame), dtype=np.bool_)
    chosen[found["r"]] = found["selected"]
    return chosen


def run_query(
    sql: str,
    parameters: Mapping[str, float | str],
    tables: Mapping[str, Any],
    file: Path | None = None,
    seconds: float = SECONDS,
) -> dict[str, NDArray[Any]]:
    """Run one query.

    Parameters
    ----------
    sql : str
        Written by us.
    parameters : mapping
        Values of $name.
    tables : mapping of name to pyarrow.Table
    file : Path, optional
        The one file that the query may read.

    Returns
    -------
    dict of column name to array

    Raises
    ------
    DataError
        Too much time or memory.
    QueryFailed
        Anything else that DuckDB does not like, an overflow or an unreadable file.
    """
    import duckdb

    with _connection(file) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        clock = threading.Timer(seconds, _stop, [connection])
        clock.daemon = True
        clock.start()
        try:
            # a dict without parameters is an error where the query has none
            found = connection.execute(sql, dict(parameters) or None).fetchnumpy()
            return {name: np.asarray(cells) for name, cells in found.items()}
        except duckdb.InterruptException:
            problem = f"a query over the table took longer than {seconds:g} s"
        except duckdb.OutOfMemoryException:
            problem = f"a query over the table needs more than {MEMORY_LIMIT} of memory"
        except duckdb.Error:
            raise QueryFailed from None
        finally:
            clock.cancel()
    raise DataError(problem, hint="ask for fewer cells, or offer a smaller table")


def _stop(connection: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    with contextlib.suppress(duckdb.Error):  # it may have been closed this moment
        connection.interrupt()


@contextlib.contextmanager
def _connection(file: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    # opening a database takes longer than most queries
    connection = _shared_database(os.getpid()).cursor() if file is None else _database(file)
    try:
        yield connection
    finally:
        connection.close()


@functools.cache
def _shared_database(_process: int) -> duckdb.DuckDBPyConnection:
    return _database(None)


def _database(file: Path | None) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": "",
        },
    )
    # statistics of Parquet files leave NaN out, and DuckDB (2.0) concludes from them that there is none
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    if file is not None:
        connection.execute("SET allowed_paths = [$path]", {"path": str(file)})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _arrow(series: pd.Series[Any], column: SqlColumn) -> Any:
    import pyarrow as pa

    if column.type == "text":
        return pa.array(series.to_numpy(dtype=object), pa.string(), from_pandas=True)
    numbers = as_days(series)[0] if column.type == "date" else as_numbers(series)
    return pa.array(numbers, pa.float64(), from_pandas=True)
