"""A run of all parties inside this process: an embedded consortium, or a rehearsal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from mpcstats.errors import MpcStatsError

__all__ = ["first_error", "in_own_thread"]

T = TypeVar("T")


def in_own_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in a thread of its own: notebooks have an event loop already, in which no other one can run."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(work))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="mpcstats-run", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def first_error(ended: Sequence[object]) -> BaseException | None:
    """The error that started it all, not the echo at the other parties; None: there was none."""
    errors = [each for each in ended if isinstance(each, BaseException)]
    if not errors:
        return None
    return next((e for e in errors if not (isinstance(e, MpcStatsError) and "was stopped" in e.message)), errors[0])
