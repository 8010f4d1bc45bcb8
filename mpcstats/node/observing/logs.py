"""A node's log: JSON lines in logs/node.log, and readable lines on the terminal.

Events carry identifiers, codes, names and counts. Whatever could hold records or shares (arrays, tables, bytes) is
withheld by the last processor, whoever logs it. Names that come from other parties cannot begin a line of their own or
steer a terminal: what does not print is escaped.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from mpcstats.node.observing.run_logs import RunLogs

__all__ = ["Log", "ThinOut", "close_log", "open_log", "open_terminal", "where_from", "withhold"]

Log = Any
"""A structlog logger: `log.info("event_name", key=value)`."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LONGEST = 500

# What another party can cause as often as it likes: more lines of one kind and party in a minute are counted only.
_CAUSED = frozenset({"entries_refused", "terms_refused", "run_failed", "reserve", "queued", "stream_refused"})
_MOST_A_MINUTE = 120


class _Sink:
    """Writes an event to file and terminal."""

    def __init__(self, file: TextIO, terminal: TextIO, runs: RunLogs | None) -> None:
        self.file = file
        self.terminal = terminal
        self.runs = runs
        self._lock = threading.Lock()  # events come from several threads

    def write(self, **event: Any) -> None:
        with self._lock:
            self._write(event)

    def _write(self, event: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self.file.flush()
        if self.runs is not None:
            self.runs.write(event)
        rest = {key: value for key, value in event.items() if key not in {"timestamp", "level", "event", "node"}}
        details = " ".join(f"{key}={value}" for key, value in rest.items())
        self.terminal.write(f"{event['timestamp']} {event['level']:<7} {event['node']} {event['event']} {details}\n")
        self.terminal.flush()

    debug = info = warning = error = write


def open_log(path: Path, *, node: str, level: str, terminal: TextIO, runs: RunLogs | None = None) -> Log:
    """Open a node's log; the file is readable by its owner only.

    Parameters
    ----------
    path : Path
        logs/node.log; appended to.
    node : str
        The party's name, in every line.
    level : "debug", "info", "warning" or "error"
    terminal : text stream
        For the readable lines.
    runs : RunLogs, optional
        Logs of single runs.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8")
    return structlog.wrap_logger(
        _Sink(file, terminal, runs),
        processors=[
            ThinOut(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            withhold,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        node=node,
    )


def open_terminal() -> TextIO:
    """A stream of its own to what is standard error now; open it before `watch_stderr` takes descriptor 2.

    The thread that reads the descriptor logs what it finds: a log that wrote to the same descriptor would wait for the
    thread, and the thread for the log, once the pipe between them is full.
    """
    return os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


def close_log(log: Log) -> None:
    """Close the file."""
    log._logger.file.close()


def where_from(error: BaseException) -> list[str]:
    """Where an unexpected error came from, innermost last: files and lines, not its text, which may hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:]]


class ThinOut:
    """Processor: of what other parties cause, so many lines a minute for each party and event; the first of the next
    minute says how many were left out.

    Parameters
    ----------
    most : int
    clock : function, optional
        Seconds.
    """

    def __init__(self, most: int = _MOST_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass an event on, or drop it."""
        name = str(event.get("event"))
        if name not in _CAUSED:
            return event
        key = name, str(event.get("coordinator") or event.get("party"))[:_LONGEST]
        since, number = self._seen.get(key, (self._clock(), 0))
        if self._clock() - since >= 60:
            if number > self._most:
                event["unlogged_before"] = number - self._most
            since, number = self._clock(), 0
        if key not in self._seen and len(self._seen) >= 1000:
            self._seen.clear()
        self._seen[key] = since, number + 1
        if number >= self._most:
            raise structlog.DropEvent
        return event


def withhold(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Processor: keep names, numbers and texts of moderate length; withhold everything else."""
    return {key: _withheld(value) for key, value in event.items()}


def _withheld(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return _printable(value if len(value) <= _LONGEST else value[:_LONGEST] + "...")
    if type(value) in (list, tuple) and len(value) <= 20 and all(type(item) in (str, int) for item in value):
        return [_withheld(item) for item in value]
    return f"<{type(value).__name__} withheld>"


def _printable(text: str) -> str:
    """Line breaks, escape sequences, changes of direction and the like as \\n, \\x1b, \\u202e."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
