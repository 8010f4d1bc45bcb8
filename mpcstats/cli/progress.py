"""What a run tells while it goes on: lines, and a bar with rate and time left where it counts something."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["counted", "progress_lines"]

_COUNTED = re.compile(r"([\d,]+) of ([\d,]+) ([\w ]+)")

_SECONDS = 5.0
"""Between two lines about the same count, where there is no terminal."""


def counted(text: str) -> tuple[int, int, str] | None:
    """(done, all, of what) of "1,000 of 20,000 variants"; None for other sentences."""
    found = _COUNTED.fullmatch(text)
    if found is None:
        return None
    return int(found[1].replace(",", "")), int(found[2].replace(",", "")), found[3]


@contextmanager
def progress_lines() -> Iterator[Callable[[str], None]]:
    """What to call with each sentence of a run: a bar on a terminal, lines elsewhere; all of it on stderr."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)


class _Rate:
    """How many a second, from the first count on; what an earlier run did is no work of this one."""

    def __init__(self) -> None:
        self._what = ""
        self._from = (0.0, 0)

    def __call__(self, done: int, what: str) -> float | None:
        now = time.monotonic()
        if what != self._what:
            self._what, self._from = what, (now, done)
            return None
        started, before = self._from
        return (done - before) / (now - started) if now > started and done > before else None


class _Bar:
    def __init__(self, progress: Any) -> None:
        self._progress, self._rate = progress, _Rate()
        self._tasks: dict[str, Any] = {}

    def __call__(self, text: str) -> None:
        found = counted(text)
        if found is None:
            self._progress.console.print(f"  {text}", markup=False, highlight=False)
            return
        done, total, what = found
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, rate="")
        rate = self._rate(done, what)
        told = "" if rate is None else f"{rate:,.0f} a second"
        self._progress.update(self._tasks[what], completed=done, rate=told)


class _Lines:
    def __init__(self) -> None:
        self._rate = _Rate()
        self._last = (float("-inf"), "")

    def __call__(self, text: str) -> None:
        found = counted(text)
        if found is None:
            typer.echo(f"  {text}", err=True)
            return
        done, total, what = found
        rate, now = self._rate(done, what), time.monotonic()
        when, last = self._last
        if done < total and what == last and now - when < _SECONDS:
            return
        self._last = (now, what)
        left = (
            "" if rate is None or done >= total else f", {rate:,.0f} a second, {_duration((total - done) / rate)} left"
        )
        typer.echo(f"  {text}{left}", err=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
