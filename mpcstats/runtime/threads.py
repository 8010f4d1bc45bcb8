"""Long local computing in the middle of a run: in a thread, with signs of life to the other parties."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mpcstats.errors import DeadlineExceeded
from mpcstats.runtime.session import Session

__all__ = ["local"]

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_SECONDS = 12 * 3600.0


async def local(session: Session, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Compute `function(*args, **kwargs)` on this party's own data, and wait for it.

    It runs in a thread: the event loop goes on, so this node still answers, and the other parties hear that this one
    computes instead of losing patience. Costs no round and reveals nothing but its duration, which the time of the
    next message shows anyway. One call for a block of work (a genotype block, an iteration), not for a row.

    Parameters
    ----------
    function
        May use NumPy, files and a contribution's methods; must not touch the session, which belongs to the event
        loop. Data that it changes must not be used elsewhere meanwhile.

    Raises
    ------
    DeadlineExceeded
        It took longer than twelve hours.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS) as limit:
            with session.channel.working():
                return await asyncio.to_thread(function, *args, **kwargs)
    except TimeoutError:
        if not limit.expired():
            raise  # the function's own, from a file
        raise DeadlineExceeded(
            f"computed on its own data for more than {_LONGEST_SECONDS / 3600:g} h", party=session.name(session.index)
        ) from None
