"""Outcomes as bytes: JSON, with large tables as Arrow streams behind it, which take a tenth of the time and memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mpcstats.errors import FrameRejected
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.stored_table import StoredTable, from_arrow, to_arrow

__all__ = ["outcome_from_bytes", "outcome_pieces"]

_MAGIC = b"mpcstats outcome 1\n"
_LARGE = 2000
"""Rows from which a table is worth a stream of its own."""

_PIECE = 1 << 20


def outcome_pieces(outcome: Outcome) -> Iterator[bytes]:
    """Serialise into pieces of at most 1 MiB; doubles survive to the last bit, stored tables are never in memory."""
    streams: dict[str, bytes | StoredTable] = {}
    large, small = [], {}
    for name in outcome.tables:
        stream, dtypes = _stream(outcome, name)
        if stream is None:
            small[name] = outcome.tables[name]
            continue
        streams[name] = stream
        size = stream.size if isinstance(stream, StoredTable) else len(stream)
        large.append({"name": name, "bytes": size, "dtypes": dtypes})
    rest = Outcome(outcome.analysis, small, outcome.values, outcome.conventions, outcome.withheld, outcome.run)
    head = json.dumps({"order": list(outcome.tables), "large": large, "rest": rest.to_json()}).encode()
    yield from _cut(b"".join([_MAGIC, len(head).to_bytes(8, "little"), head]))
    for stream in streams.values():
        yield from (stream.pieces() if isinstance(stream, StoredTable) else _cut(stream))


def _stream(outcome: Outcome, name: str) -> tuple[bytes | StoredTable | None, list[str]]:
    stored = outcome.stored(name)
    if stored is not None:
        return stored, list(stored.dtypes)
    table = outcome.tables[name]
    stream = to_arrow(table) if len(table) >= _LARGE else None
    return stream, [str(kind) for kind in table.dtypes]


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


def outcome_from_bytes(data: bytes | bytearray) -> Outcome:
    """Parse what `outcome_pieces` wrote.

    Raises
    ------
    FrameRejected
        Something else.
    """
    try:
        return _parsed(memoryview(data))
    except FrameRejected:
        raise
    except Exception as error:  # Arrow, pandas and json each have many of their own
        raise FrameRejected(f"the outcome cannot be read ({type(error).__name__})") from None


def _parsed(view: memoryview) -> Outcome:
    at = len(_MAGIC) + 8
    if bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise FrameRejected("the outcome is not in a form that this version reads")
    end = at + int.from_bytes(view[len(_MAGIC) : at], "little")
    head: dict[str, Any] = json.loads(bytes(view[at:end]))
    rest = Outcome.from_json(head["rest"])
    tables = dict(rest.tables)
    for entry in head["large"]:
        tables[entry["name"]] = from_arrow(view[end : end + entry["bytes"]], entry["dtypes"])
        end += entry["bytes"]
    if end != len(view):
        raise FrameRejected("the outcome has another length than it says")
    ordered = {name: tables[name] for name in head["order"]}
    return Outcome(rest.analysis, ordered, rest.values, rest.conventions, rest.withheld, rest.run)
