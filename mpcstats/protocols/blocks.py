"""Large batches in slices: what a protocol keeps between its rounds is many times its input, so memory stays flat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work
from mpcstats.runtime.shared import Shared

__all__ = ["LARGEST", "blocks_work", "in_blocks"]

LARGEST = 1 << 17
"""Elements of a slice: rounds are short beside the work on so many."""


def blocks_work(work: Callable[[Case], Work], c: Case) -> Work:
    """Cost of `in_blocks`: that of the slices, one after the other."""
    whole, rest = divmod(c.size, LARGEST)
    total = work(replace(c, size=LARGEST)) * whole if whole else Work()
    return total + work(replace(c, size=rest)) if rest else total


async def in_blocks(run: Callable[..., Awaitable[Sequence[Shared]]], *arrays: Shared) -> list[Shared]:
    """What `run(*slices)` returns for flat arrays of one size, put together; `run` gives arrays of their size.

    Rounds multiply by the number of slices; all parties cut alike.
    """
    size = arrays[0].size
    if size <= LARGEST:
        return list(await run(*arrays))
    results: list[Shared] = []
    for start in range(0, size, LARGEST):
        span = slice(start, min(size, start + LARGEST))
        parts = await run(*(x[span] for x in arrays))
        if not results:
            results = [replace(part, values=part.field.zeros((size,))) for part in parts]
        for whole, part in zip(results, parts, strict=True):
            whole.values[span] = part.values
    return results
