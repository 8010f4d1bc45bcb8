"""An event loop without a clock, sockets or threads: it runs what can run, and stops.

MPyC's protocols are asyncio tasks that wait for messages. Their tasks live in a loop of their own, which is turned by
hand: one `turn` runs everything until all tasks wait for messages of other parties. A turn happens inside one callback
of the surrounding event loop, so turns of several parties in one process never interleave.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, NoReturn

from mpcstats.errors import ProtocolError

__all__ = ["HandTurnedLoop"]

_STEPS = 5_000_000
"""A turn with more callbacks than this is a program that spins."""


class HandTurnedLoop(asyncio.AbstractEventLoop):
    """Runs callbacks, futures and tasks; has no timers and no input or output."""

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._closed = False
        self.failure: BaseException | None = None
        """The first exception of a task that nobody else will see."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this the running loop of the thread."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(outer)

    async def turn(self) -> None:
        """Run until nothing is ready or a task has failed.

        Raises
        ------
        ProtocolError
            The program spins instead of waiting for a message.
        """
        outer = asyncio.get_running_loop()
        done: asyncio.Future[None] = outer.create_future()
        # in a callback, not in a task: tasks of two loops cannot be nested on all versions of Python
        outer.call_soon(self._turn, done)
        await done

    def _turn(self, done: asyncio.Future[None]) -> None:
        try:
            with self.running():
                for _ in range(_STEPS):
                    if not self._ready or self.failure is not None:
                        break
                    handle = self._ready.popleft()
                    if not handle.cancelled():
                        handle._run()
                else:
                    raise ProtocolError("a program under MPyC spins without sending or receiving anything")
        except Exception as error:
            self.failure = self.failure or error
        if not done.done():
            done.set_result(None)

    # --- what tasks and futures ask of their loop ---------------------------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """See `asyncio.loop.call_soon`."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """See `asyncio.loop.create_future`."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        """See `asyncio.loop.create_task`."""
        return asyncio.Task(coro, loop=self, **options)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the first failure."""
        error = context.get("exception")
        if error is not None and not self._closed and self.failure is None:
            self.failure = error

    def set_exception_handler(self, handler: object) -> None:
        """MPyC's own handler is not used."""

    def get_debug(self) -> bool:
        """See `asyncio.loop.get_debug`."""
        return False

    def time(self) -> float:
        """See `asyncio.loop.time`."""
        return time.monotonic()

    def is_running(self) -> bool:
        """See `asyncio.loop.is_running`."""
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        """See `asyncio.loop.is_closed`."""
        return self._closed

    def stop(self) -> None:
        """MPyC stops its loop when a task fails; the failure is kept and raised by the bridge."""

    def close(self) -> None:
        """Drop everything that has not run, and end the tasks that still wait."""
        self._closed = True
        tasks = asyncio.all_tasks(self)  # before their last references are dropped
        self._ready.clear()
        for task in tasks:
            coroutine: Any = task.get_coro()
            # MPyC wraps the coroutine of a protocol in one that keeps its program counter
            inner = coroutine.cr_frame and coroutine.cr_frame.f_locals.get("awaitable")
            coroutine.close()
            if hasattr(inner, "coro"):
                inner.coro.close()

    def call_later(self, *_: Any, **__: Any) -> NoReturn:  # type: ignore[override]
        """There is no clock."""
        raise ProtocolError("a program under MPyC cannot wait for time to pass, only for messages")

    call_at = call_later  # type: ignore[assignment]
