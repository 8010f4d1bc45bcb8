"""The log of each run that began here: logs/runs/RUN.log, JSON lines, a bounded number of files of a bounded size.

What is said about a run before it begins is kept aside: a party that only asks makes no files.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["RunLogs", "list_run_logs", "read_run_log"]

_RUN = re.compile(r"[0-9a-f]{32}")
_BEGINS = "session"
_ASIDE_RUNS, _ASIDE_LINES = 32, 64
_AGE_SECONDS = 90 * 24 * 3600


class RunLogs:
    """Writes them.

    Parameters
    ----------
    folder : Path
    most_files : int
    most_bytes : int
        Of one file; later events are not written.
    """

    def __init__(self, folder: Path, most_files: int, most_bytes: int) -> None:
        self._folder, self._most_files, self._most_bytes = folder, most_files, most_bytes
        self._aside: dict[str, list[str]] = {}

    def write(self, event: Mapping[str, Any]) -> None:
        """Write an event down if it belongs to a run. A full disk does not end a run: the node's log has the event."""
        run = event.get("run")
        if not isinstance(run, str) or _RUN.fullmatch(run) is None:
            return
        line = json.dumps(event, ensure_ascii=False) + "\n"
        path = self._folder / f"{run}.log"
        if path.exists():
            self._append(path, line)
            return
        lines = self._aside.setdefault(run, [])
        if len(lines) < _ASIDE_LINES:
            lines.append(line)
        if event.get("event") == _BEGINS:
            self._make_room()
            self._append(path, "".join(self._aside.pop(run)))
        while len(self._aside) > _ASIDE_RUNS:
            del self._aside[next(iter(self._aside))]

    def _append(self, path: Path, text: str) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                if file.tell() + len(text.encode()) <= self._most_bytes:
                    file.write(text)
        except OSError:
            return

    def _make_room(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = sorted(((path.stat().st_mtime, path) for path in self._folder.glob("*.log")), reverse=True)
        for number, (changed, path) in enumerate(files, start=1):
            if number >= self._most_files or time.time() - changed > _AGE_SECONDS:
                path.unlink(missing_ok=True)


def list_run_logs(folder: Path) -> list[dict[str, Any]]:
    """The runs with a log, newest first: run, began, analysis, last (event), coordinator."""
    files = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    found = []
    for path in files:
        events = _events(path)
        if events:
            analysis = next((event["analysis"] for event in events if "analysis" in event), "")
            last = events[-1]
            ended = last["event"] + (f" {last['code']}" if "code" in last else "")
            began, coordinator = events[0].get("timestamp", ""), events[0].get("coordinator", "")
            found.append(
                {"run": path.stem, "began": began, "analysis": analysis, "last": ended, "coordinator": coordinator}
            )
    return found


def read_run_log(folder: Path, run: str) -> list[dict[str, Any]]:
    """The events of the run whose id begins with `run`; [] where there is no such one, or several."""
    found = [path for path in folder.glob("*.log") if path.stem.startswith(run.lower())]
    return _events(found[0]) if len(found) == 1 else []


def _events(path: Path) -> list[dict[str, Any]]:
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue  # the last line of a node that was killed
    return events
