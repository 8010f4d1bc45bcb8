"""Own work on the next block while the parties compute on this one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

from mpcstats.runtime import Session, local

__all__ = ["Ahead"]

T = TypeVar("T")


class Ahead(Generic[T]):
    """Results of `work(start, stop)` for one block after another; one block is made ahead, in a thread.

    Parameters
    ----------
    work : function (start, stop)
        Must not touch the session; see `runtime.local`.
    """

    def __init__(self, session: Session, work: Callable[[int, int], T]) -> None:
        self._session, self._work = session, work
        self._next: tuple[int, asyncio.Task[T]] | None = None

    async def get(self, start: int, stop: int, last: int) -> T:
        """The result for a block; work on the next one of the same size, up to `last`, begins."""
        if self._next is not None and self._next[0] == start:
            found = await self._next[1]
        else:
            await self.close()
            found = await local(self._session, self._work, start, stop)
        self._next = None
        if stop < last:
            task = asyncio.create_task(local(self._session, self._work, stop, min(last, 2 * stop - start)))
            self._next = stop, task
        return found

    async def close(self) -> None:
        """Forget what was made ahead: the scan is over, or broken off."""
        if self._next is not None:
            _, task = self._next
            self._next = None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
