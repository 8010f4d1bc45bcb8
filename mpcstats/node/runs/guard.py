"""A run is watched: memory, time and rounds. Over a limit it ends with an error, before the system ends the node."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from mpcstats.node.settings.limits import Limits, check, exceeded

__all__ = ["RunGuard", "memory_limit_mb", "resident_bytes"]

T = TypeVar("T")

_EVERY_SECONDS = 0.25
_SHARE = 0.9
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def memory_limit_mb(limits: Limits) -> float:
    """The memory (10^6 bytes) at which a run is ended: as configured, or nine tenths of machine and container."""
    if limits.memory_mb is not None:
        return limits.memory_mb
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CGROUP:
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return round(min(found) * _SHARE / 1e6)


class RunGuard:
    """Watches one run at one party.

    Parameters
    ----------
    limits : Limits
    party : str
        This party.
    memory : function, optional
        Resident memory now, in bytes.
    """

    def __init__(self, limits: Limits, party: str, memory: Callable[[], int] = resident_bytes) -> None:
        self._limits, self._party, self._memory = limits, party, memory
        self._most_memory = memory_limit_mb(limits)
        self._started = time.monotonic()
        self._session: Any = None

    def observe(self, session: Any) -> None:
        """Count the rounds of a session."""
        self._session = session

    def check(self) -> None:
        """Look once.

        Raises
        ------
        LimitExceeded
        """
        used = self._memory() / 1e6
        if used > self._most_memory:
            what = f"the node takes {used:,.0f} MB of memory during this run"
            raise exceeded(what, "memory_mb", self._most_memory, self._party)
        seconds = time.monotonic() - self._started
        check(self._limits, "run_seconds", seconds, f"the run takes more than {int(seconds):,} s", self._party)
        if self._session is not None:
            rounds = self._session.accounts.rounds
            check(self._limits, "rounds", rounds, f"the run has {rounds:,} rounds and goes on", self._party)

    async def watch(self, work: Awaitable[T], every_seconds: float = _EVERY_SECONDS) -> T:
        """Wait for `work`, and look from time to time; work that is over a limit is cancelled.

        Raises
        ------
        LimitExceeded
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=every_seconds)
                if not task.done():
                    self.check()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
