"""The digest of a released result: of its content, not of a file's layout, so that all parties have the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.stats.outcome import Outcome, plain_value
from mpcstats.stats.stored_table import StoredTable

__all__ = ["outcome_digest"]

_DOMAIN = b"mpcstats/v1/outcome\0"


def outcome_digest(outcome: Outcome) -> bytes:
    """SHA-256 over analysis, values, conventions, what was withheld, and every cell of every table (32 bytes).

    How it was run is not in it. Numbers count to the last bit; missing numbers are all alike, and so are whole numbers
    of different width. Large tables that wait in a file are read block by block.
    """
    state = hashlib.sha256(_DOMAIN)
    head = {
        "analysis": outcome.analysis,
        "values": plain_value(outcome.values),
        "conventions": outcome.conventions,
        "withheld": outcome.withheld,
        "tables": list(outcome.tables),
    }
    _add(state, _json(head))
    for name in outcome.tables:
        stored = outcome.stored(name)
        columns: dict[str, Any] = {}
        rows = 0
        for frame in [outcome.tables[name]] if stored is None else _blocks(stored):
            rows += len(frame)
            for column in frame.columns:
                columns.setdefault(str(column), hashlib.sha256()).update(_cells(frame[column]))
        _add(state, _json({"rows": rows, "columns": list(columns)}))
        for column in columns.values():
            state.update(column.digest())
    return state.digest()


def _cells(column: pd.Series[Any]) -> bytes:
    """A column's values; the same however the column is cut into pieces."""
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    if kind in "iub":
        return column.to_numpy().astype("<i8").tobytes()
    if kind == "f":
        numbers = column.to_numpy().astype("<f8")
        return np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes()
    return b"".join(_framed(_json(plain_value(value))) for value in column.tolist())


def _blocks(stored: StoredTable) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    with pa.OSFile(str(stored.path)) as file, pa.ipc.open_stream(file) as reader:
        for batch in reader:
            yield pd.DataFrame(
                {
                    name: pd.Series(column.to_pylist(), dtype=kind)
                    if kind == "object" or column.null_count
                    else column.to_pandas().astype(kind)
                    for name, column, kind in zip(batch.schema.names, batch.columns, stored.dtypes, strict=True)
                }
            )


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


def _add(state: Any, data: bytes) -> None:
    state.update(_framed(data))
