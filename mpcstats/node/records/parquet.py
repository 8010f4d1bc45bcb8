"""A Parquet file as a table whose columns are read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.records.queries import QueryFailed, run_query
from mpcstats.node.records.tables import MAX_ROWS, check_names, unreadable
from mpcstats.study.values import as_text

__all__ = ["ParquetTable", "all_different", "identifies_rows", "is_key", "is_text", "open_parquet", "quoted"]

_PATTERN = frozenset("*?[]{}")


@dataclass(frozen=True, eq=False)
class ParquetTable:
    """A table in a file.

    Attributes
    ----------
    path : Path
    party : str
        Owner, named in errors.
    rows : int
    types : mapping of column name to pyarrow.DataType
        In the file's order.
    text : collection of str
        Columns that are text, whatever the file stores.
    state : tuple
        Of the file when it was opened; another state is another table.
    own_names : mapping of column name to the file's name for it, where that is another
    cells : function (name, cells) -> cells, optional
        What becomes of a column's cells when they are read.
    kept : bool (rows of the file,), optional
        Rows that may be used; default all.
    kept_values : (column of the file, pyarrow.Array), optional
        The same in words: these rows have one of these values there.
    view : str
        What tells this view of the file from others; "" for the file as it is.
    """

    path: Path
    party: str
    rows: int
    types: Mapping[str, Any]
    text: Collection[str]
    state: tuple[int, ...] = field(repr=False)
    own_names: Mapping[str, str] = field(default_factory=dict)
    cells: Callable[[str, pd.Series[Any]], pd.Series[Any]] | None = None
    kept: NDArray[np.bool_] | None = field(default=None, repr=False)
    kept_values: tuple[str, Any] | None = field(default=None, repr=False)
    view: str = ""

    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns.

        Raises
        ------
        DataError
            The file has changed, or cannot be read.
        """
        import pyarrow as pa
        from pyarrow import parquet

        own = [self.own_names.get(name, name) for name in names]
        try:
            with self.path.open("rb") as raw, parquet.ParquetFile(raw) as file:
                self.check_unchanged()
                table = file.read(columns=own, use_pandas_metadata=False).select(own).rename_columns(list(names))
                if self.kept is not None:
                    table = table.filter(pa.array(self.kept))
        except pa.ArrowException:
            raise _unreadable_content(self.path, self.party) from None
        except OSError as error:
            unreadable(self.path, error, self.party)
        frame = table.to_pandas(ignore_metadata=True, date_as_object=False)
        for name in names:
            if self.cells is not None:
                frame[name] = self.cells(name, frame[name])
            if name in self.text:
                frame[name] = as_text(frame[name])
        return frame  # type: ignore[no-any-return]

    @property
    def is_plain(self) -> bool:
        """DuckDB reads path and names as we do: to it, some signs make a pattern, and letter case is no difference."""
        if self.cells is not None or self.own_names or (self.kept is not None and self.kept_values is None):
            return False
        folded = {name.casefold() for name in self.types}
        return len(folded) == len(self.types) and not _PATTERN & set(str(self.path.absolute()))

    @property
    def rows_sql(self) -> str:
        """The table in a query, see `query`."""
        rows = "read_parquet($file, hive_partitioning = false)"
        if self.kept_values is None:
            return rows
        return f"(SELECT * FROM {rows} WHERE {quoted(self.kept_values[0])} IN (SELECT value FROM kept_values))"

    def query(self, sql: str, parameters: Mapping[str, float | str], tables: Mapping[str, Any]) -> dict[str, Any]:
        """Run a query of ours in which `rows_sql` is this table.

        Raises
        ------
        DataError
            It took too much time or memory, or the file has changed.
        QueryFailed
        """
        import pyarrow as pa

        path = self.path.absolute()
        if self.kept_values is not None:
            tables = {**tables, "kept_values": pa.table({"value": self.kept_values[1]})}
        self.check_unchanged()
        found = run_query(sql, {**parameters, "file": str(path)}, tables, path)
        self.check_unchanged()
        return found

    def check_unchanged(self) -> None:
        """Refuse a file that is another than when it was opened."""
        try:
            state = _state(self.path)
        except OSError as error:
            unreadable(self.path, error, self.party)
        if state != self.state:
            problem = f"{self.path.name} was changed while it was in use"
            raise DataError(problem, party=self.party, hint="ask again when the file is complete")


def open_parquet(path: Path, party: str, text: Collection[str] = ()) -> ParquetTable:
    """Read names, types and number of rows of a Parquet file.

    Parameters
    ----------
    text : collection of str
        Columns that become text when they are read.

    Raises
    ------
    DataError
        Unreadable, duplicate column names, or above the limits.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        state = _state(path)
        with path.open("rb") as raw, parquet.ParquetFile(raw) as file:
            schema, rows = file.schema_arrow, int(file.metadata.num_rows)
    except pa.ArrowException:
        raise _unreadable_content(path, party) from None
    except OSError as error:
        unreadable(path, error, party)
    names = list(schema.names)
    check_names(names, path.name, party)
    if rows > MAX_ROWS:
        raise DataError(f"{path.name} has {rows:,} rows; at most {MAX_ROWS:,} are allowed", party=party)
    return ParquetTable(path, party, rows, dict(zip(names, schema.types, strict=True)), text, state)


def quoted(name: str) -> str:
    """A name of the file in SQL."""
    return '"' + name.replace('"', '""') + '"'


def is_text(physical: Any) -> bool:
    """A type of text (pyarrow.DataType)."""
    import pyarrow as pa

    if pa.types.is_dictionary(physical):
        physical = physical.value_type
    return bool(pa.types.is_string(physical) or pa.types.is_large_string(physical))


def is_key(physical: Any) -> bool:
    """Values of this type tell people apart as their text does."""
    import pyarrow as pa

    return bool(is_text(physical) or pa.types.is_integer(physical))


def all_different(hashes: NDArray[np.uint64]) -> bool:
    """No hash is there twice, so no two of what was hashed are equal. Otherwise nothing is known."""
    ordered = np.sort(hashes)
    return not bool((ordered[1:] == ordered[:-1]).any())


def identifies_rows(table: ParquetTable, key: Sequence[str]) -> bool:
    """No value of the key is missing, none is repeated. False may also mean that it could not be found out."""
    if not table.is_plain or not all(is_key(table.types[name]) and "\0" not in name for name in key):
        return False
    names = ", ".join(quoted(name) for name in key)
    missing = " OR ".join(f"{quoted(name)} IS NULL" for name in key)
    try:
        found = table.query(f"SELECT hash({names}) AS hashed, {missing} AS missing FROM {table.rows_sql}", {}, {})
    except QueryFailed:
        return False
    return not found["missing"].any() and all_different(found["hashed"])


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _unreadable_content(path: Path, party: str) -> DataError:
    return DataError(f"{path.name} is not a readable Parquet file", party=party)
