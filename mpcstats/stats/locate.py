"""Find numbers by comparisons on shares: each opened bit is a function of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mpcstats.protocols import at_least
from mpcstats.runtime import Session, Shared
from mpcstats.stats.disclosure import open_counts

__all__ = ["PROBES", "declare_search", "locate"]

PROBES = 15
"""Comparisons of each search in one step: four bits of its answer."""

Probes = list[list[int]]


def _steps(length: int) -> int:
    steps = 0
    while length > 1:
        length, steps = -(-length // (PROBES + 1)), steps + 1
    return steps


def declare_search(session: Session, name: str, lengths: Sequence[int], why: str) -> None:
    """Enter the bits of `locate` in the manifest."""
    session.openings.declare(name, PROBES * len(lengths) * max(map(_steps, lengths), default=0), why)


async def locate(
    session: Session, lengths: Sequence[int], numbers: Callable[[Probes], Awaitable[Shared]], name: str
) -> list[int]:
    """The first place of each search where a number that grows is 0 or more.

    Parameters
    ----------
    lengths : sequence of int
        Places of each search, 0 to length - 1; the number at the last is never asked for.
    numbers : coroutine function of places (searches, PROBES)
        Shares of the same shape.
    name : str
        Declared by `declare_search`.

    Reveals
    -------
    Whether the answer is at or before each probed place: nothing beside the answer.

    Cost
    ----
    log16 of the longest search, times the rounds of `numbers`, a comparison and an opening; 15 comparisons for each
    search and step. The number of steps depends on the lengths alone.
    """
    low, high = [0] * len(lengths), [length - 1 for length in lengths]
    for _ in range(max(map(_steps, lengths), default=0)):
        probes = [_probes(a, b) for a, b in zip(low, high, strict=True)]
        bits = await open_counts(session, await at_least(session, await numbers(probes), 0), name)
        for k, (places, row) in enumerate(zip(probes, bits.tolist(), strict=True)):
            if low[k] == high[k]:
                continue
            first = row.index(1) if 1 in row else len(row)
            low[k] = places[first - 1] + 1 if first else low[k]
            high[k] = places[first] if first < len(row) else high[k]
    return low


def _probes(low: int, high: int) -> list[int]:
    """Places that cut low..high into parts of nearly equal length; the last place is not among them."""
    count = high - low + 1
    return [max(low, low + count * i // (PROBES + 1) - 1) for i in range(1, PROBES + 1)]
