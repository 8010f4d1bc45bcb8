"""Large tables that wait in a file: written block by block, read when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["StoredTable", "TableWriter", "Tables", "from_arrow", "to_arrow"]

_PIECE = 1 << 20


@dataclass(frozen=True)
class StoredTable:
    """A table in an Arrow stream.

    Attributes
    ----------
    path : Path
    rows : int
    dtypes : tuple of str
        Of the columns, as pandas names them.
    """

    path: Path
    rows: int
    dtypes: tuple[str, ...]

    def load(self) -> pd.DataFrame:
        """All of it, in memory."""
        return from_arrow(self.path.read_bytes(), list(self.dtypes))

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self.path.stat().st_size

    def pieces(self) -> Iterator[bytes]:
        """The stream in pieces of at most 1 MiB."""
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


class Tables(dict[str, pd.DataFrame]):
    """Tables by name; stored ones are read when they are looked at, and then kept."""

    def __getitem__(self, name: str) -> pd.DataFrame:
        found: object = super().__getitem__(name)
        if isinstance(found, StoredTable):
            self[name] = found.load()
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """See dict."""
        return self[name] if name in self else default  # noqa: SIM401 - dict.get would not read the file

    def values(self) -> Any:
        """See dict."""
        return [self[name] for name in self]

    def items(self) -> Any:
        """See dict."""
        return [(name, self[name]) for name in self]

    def discard(self) -> None:
        """Delete the files of tables that nobody has looked at."""
        for name in self:
            if (found := self.stored(name)) is not None:
                found.path.unlink(missing_ok=True)

    def stored(self, name: str) -> StoredTable | None:
        """The file of a table that nobody has looked at."""
        found: object = super().__getitem__(name)
        return found if isinstance(found, StoredTable) else None


class TableWriter:
    """Rows in the order in which they come.

    Parameters
    ----------
    path : Path, optional
        None: in memory. All columns of text must be text throughout.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._frames: list[pd.DataFrame] = []
        self._writer: Any = None
        self._rows = 0
        self._dtypes: tuple[str, ...] = ()

    def append(self, frame: pd.DataFrame) -> None:
        """Add rows; all frames have the same columns."""
        if self._path is None:
            self._frames.append(frame)
            return
        import pyarrow as pa

        table = _arrow_table(frame)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pa.ipc.new_stream(self._path, table.schema)
            self._dtypes = tuple(str(kind) for kind in frame.dtypes)
        self._writer.write_table(table)
        self._rows += len(frame)

    def finish(self) -> pd.DataFrame | StoredTable:
        """The table; at least one frame was added."""
        if self._path is None:
            return pd.concat(self._frames, ignore_index=True)
        self._writer.close()
        return StoredTable(self._path, self._rows, self._dtypes)


def to_arrow(table: pd.DataFrame) -> bytes | None:
    """An Arrow stream; None for a table whose columns mix types, such as groups named by numbers and texts."""
    import pyarrow as pa

    texts = (name for name in table.columns if table[name].dtype == object)
    if any(not all(type(value) is str for value in table[name]) for name in texts):
        return None
    sink = pa.BufferOutputStream()
    batch = _arrow_table(table)
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_table(batch)
    return bytes(sink.getvalue())


def from_arrow(data: bytes | memoryview, dtypes: list[str]) -> pd.DataFrame:
    """What `to_arrow` or a `TableWriter` wrote."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        batch = reader.read_all()
    batch.validate(full=True)  # offsets and indices of foreign bytes may point anywhere
    columns = {}
    for name, column, kind in zip(batch.column_names, batch.columns, dtypes, strict=True):
        if kind == "object":
            columns[name] = column.to_pandas().astype(object)
        else:
            columns[name] = pd.array(column.to_pylist(), dtype=kind) if column.null_count else column.to_pandas()
    return pd.DataFrame(columns).astype(dict(zip(batch.column_names, dtypes, strict=True)))


def _arrow_table(frame: pd.DataFrame) -> Any:
    import pyarrow as pa

    columns = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype == object:
            columns.append(pa.array(column, pa.string()).dictionary_encode())
        else:
            columns.append(pa.array(column, from_pandas=column.dtype.kind not in "fc"))
    return pa.table(columns, names=[str(name) for name in frame.columns])
