"""One run at a time: a slot, a first-come queue before it, and the end of it all.

A run holds the slot of every party. Coordinators take the slots in roster order, so two runs cannot each hold what
the other waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mpcstats.errors import PeerRefused
from mpcstats.node.settings.limits import Limits, exceeded

__all__ = ["Jobs"]


class Jobs:
    """The slot of one node.

    Parameters
    ----------
    party : str
        Name of this party, for errors.
    most_queued : int, optional
        Runs that may wait for the slot.

    Attributes
    ----------
    current : str
        Identifier of the run that holds the slot; "" when idle.
    queued : int
        Runs that wait for it.
    finished, failed : int
        Runs that ended since the start.
    """

    def __init__(self, party: str, most_queued: int = Limits().queue) -> None:
        self._party = party
        self._most_queued = most_queued
        self._slot = asyncio.Lock()
        self._stopping = False
        self.current = ""
        self.queued = 0
        self.finished = 0
        self.failed = 0

    @property
    def busy(self) -> bool:
        """Whether a run holds the slot."""
        return self._slot.locked()

    def refuse_when_stopping(self) -> None:
        """Raise PeerRefused when `drain` was called."""
        if self._stopping:
            raise PeerRefused("is stopping and takes no new runs", party=self._party)

    @contextlib.asynccontextmanager
    async def slot(self, run: str, queue_seconds: float) -> AsyncIterator[None]:
        """Hold the slot for `run`; waits at most `queue_seconds` for those who came before.

        Raises
        ------
        PeerRefused
            The wait is over, or the node is stopping.
        LimitExceeded
            Too many wait already.
        """
        self.refuse_when_stopping()
        if self.busy and self.queued >= self._most_queued:
            raise exceeded(f"{self.queued} runs wait here already", "queue", self._most_queued, self._party)
        self.queued += 1
        try:
            async with asyncio.timeout(queue_seconds):
                await self._slot.acquire()
        except TimeoutError:
            raise PeerRefused(
                f"busy with another run for more than {queue_seconds:g} s", party=self._party, hint="try again later"
            ) from None
        finally:
            self.queued -= 1
        try:
            self.refuse_when_stopping()
            self.current = run
            yield
        except BaseException:
            self.failed += 1
            raise
        else:
            self.finished += 1
        finally:
            self.current = ""
            self._slot.release()

    async def drain(self, grace_seconds: float) -> bool:
        """Refuse new runs and wait for the current one; True when the slot is free in time."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._slot.acquire()  # for good; runs that queued before are refused on their turn
        except TimeoutError:
            return False
        return True
