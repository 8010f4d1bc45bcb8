"""A Parquet file as a table whose columns are read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mpcstats.errors import DataError
from mpcstats.node.tables import MAX_ROWS, check_names, unreadable
from mpcstats.study.values import as_text

__all__ = ["ParquetTable", "open_parquet"]


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
    """

    path: Path
    party: str
    rows: int
    types: Mapping[str, Any]
    text: Collection[str]
    state: tuple[int, ...] = field(repr=False)

    def read(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns.

        Raises
        ------
        DataError
            The file has changed, or cannot be read.
        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with self.path.open("rb") as raw, parquet.ParquetFile(raw) as file:
                self.check_unchanged()
                table = file.read(columns=list(names), use_pandas_metadata=False).select(list(names))
        except pa.ArrowException:
            raise _unreadable_content(self.path, self.party) from None
        except OSError as error:
            unreadable(self.path, error, self.party)
        frame = table.to_pandas(ignore_metadata=True, date_as_object=False)
        for name in names:
            if name in self.text:
                frame[name] = as_text(frame[name])
        return frame  # type: ignore[no-any-return]

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


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _unreadable_content(path: Path, party: str) -> DataError:
    return DataError(f"{path.name} is not a readable Parquet file", party=party)
