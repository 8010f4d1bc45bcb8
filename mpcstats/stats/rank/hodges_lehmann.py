"""The Hodges-Lehmann estimate: the median of all differences between two groups, by bisection on shares."""

from __future__ import annotations

from mpcstats.field import M61, Elements
from mpcstats.protocols import at_least, multiply
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.rank import RankContribution, RankPlan
from mpcstats.stats.disclosure import open_counts
from mpcstats.stats.rank.sums import dealt_blocks, total_of

__all__ = ["hodges_lehmann"]

_BITS = "bisection of differences"


async def hodges_lehmann(
    session: Session, plan: RankPlan, own: RankContribution | None, dealers: tuple[int, ...]
) -> float:
    """Median of the differences of every value of the first group and every one of the second; nobody's group is empty.

    Reveals
    -------
    The two middle differences (they are one if their number is odd): every opened bit says whether one of them is at
    most some number, and follows from them.

    Cost
    ----
    log2(2 values) steps, each of two inner products as long as the lattice and one comparison of two numbers. With c
    differences of at most v among n: the lower middle is the least v with 2 c >= n, the upper one with 2 c >= n + 1.
    """
    parts = [total_of(block) async for block in dealt_blocks(session, plan, own, dealers, M61)]
    counts = concatenate(parts, axis=1)
    first, second = counts[0], counts[1]
    up_to = second.cumsum(0)
    people = concatenate([first.sum(0).reshape(1), second.sum(0).reshape(1)])
    pairs = await multiply(session, people[:1], people[1:])
    session.openings.declare(_BITS, 2 * (2 * plan.values).bit_length(), "two bits a step: below the middle or not")
    low, high = [1 - plan.values] * 2, [plan.values - 1] * 2
    while low != high:
        middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
        sums = [_at_most(first, up_to, people, v) for v in middle]
        found = await reshare(session, concatenate(sums))
        excess = found.times_int(2) - concatenate([pairs, pairs.plus_int(1)])
        bits = await open_counts(session, await at_least(session, excess, 0), _BITS)
        for k in (0, 1):
            if low[k] < high[k]:
                low[k], high[k] = (low[k], middle[k]) if bits[k] else (middle[k] + 1, high[k])
    return _value(sum(low), plan.step) / 2


def _at_most(first: Shared, up_to: Shared, people: Shared, v: int) -> Shared:
    """Pairs whose difference is at most v, (1,), of degree 2 t: for u of the first group, those at u - v or above."""
    size = first.size
    below: Elements = M61.zeros((size,))
    # those of the second group at u - v - 1 or below
    start = v + 1
    if start >= 0:
        below[min(start, size) :] = up_to.values[: max(size - start, 0)]
    else:
        moved = up_to.values[min(-start, size) :]
        below[: len(moved)] = moved
        below[len(moved) :] = up_to.values[-1]
    above = -(Shared(up_to.field, below, up_to.degree) - people[1])
    return local_product(first, above).sum(0).reshape(1)


def _value(steps: int, step: float) -> float:
    """steps * step, as the decimal number: 3 * 0.1 is 0.3."""
    per_one = round(1 / step)
    return steps / per_one if step < 1 and abs(per_one * step - 1) < 1e-12 else steps * step
