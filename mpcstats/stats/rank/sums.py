"""Rank sums of groups from histograms on a public lattice of values; counts stay on shares.

With t people at a value and c below it, twice their midrank is 2 c + t + 1: linear in the pooled counts. So twice the
rank sum of a group is an inner product of two shared vectors, and so is the sum of t^3 for ties.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from mpcstats.field import M127, PrimeField
from mpcstats.protocols import deal, multiply
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.contributions.rank import RankContribution, RankPlan

__all__ = ["BLOCK", "FEW_VALUES", "RankSums", "dealt_blocks", "few_cells", "rank_sums", "total_of"]

BLOCK = 1 << 17
"""Cells (values times groups) that are dealt and multiplied at once."""

FEW_VALUES = 5
"""A statistic of a column with so few values nearly tells its table: every cell needs `minimum_count` people."""


@dataclass(frozen=True)
class RankSums:
    """Pooled, in M127.

    Attributes
    ----------
    parts : one Shared (G,) per data party
        People of each group there.
    people : Shared (G,)
    doubled : Shared (G,)
        Twice the sum of the midranks of each group.
    cubes : Shared (1,)
        Sum of t^3 over tied values, t people each; single people count 1.
    squares : Shared (2,) or None
        Of two groups: sum over one's people of the square of twice their placement in the other.
    cells : one Shared per data party, or None
        People of each group at each value, flat, of a lattice of few values.
    """

    parts: list[Shared]
    people: Shared
    doubled: Shared
    cubes: Shared
    squares: Shared | None
    cells: list[Shared] | None


def total_of(parts: list[Shared]) -> Shared:
    """Sum over the parties."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def few_cells(plan: RankPlan, block: list[Shared]) -> list[Shared] | None:
    """The cells of a lattice with few values, flat; no difference is 0."""
    first = 1 if plan.by is None else 0
    if plan.values - first > FEW_VALUES:
        return None
    kept = [part[:, first:] for part in block]
    return [part.reshape(part.size) for part in kept]


async def dealt_blocks(
    session: Session, plan: RankPlan, own: RankContribution | None, dealers: tuple[int, ...], field: PrimeField
) -> AsyncIterator[list[Shared]]:
    """The histograms (G, block) of all data parties, block by block of the lattice."""
    groups = len(plan.groups)
    width = max(1, BLOCK // groups)
    for start in range(0, plan.values, width):
        stop = min(plan.values, start + width)
        mine = None if own is None else field.from_int64(await local(session, own.counts, groups, start, stop))
        dealt = await deal(session, field, mine, dealers, (groups, stop - start))
        yield [dealt[d] for d in dealers]


async def rank_sums(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    *,
    placements: bool = False,
) -> RankSums:
    """Rank sums, sizes and tie term of all groups. Three rounds for each block of the lattice; reveals nothing.

    Parameters
    ----------
    placements : bool
        Also `squares`, for two groups.
    """
    groups, parts, carry, sums = len(plan.groups), None, None, None
    cells = None
    async for block in dealt_blocks(session, plan, own, dealers, M127):
        sizes = [part.sum(1) for part in block]
        counts, cells = total_of(block), few_cells(plan, block)
        if parts is None or carry is None:
            parts, carry = sizes, counts.sum(1).times_int(0)
        else:
            parts = [a + b for a, b in zip(parts, sizes, strict=True)]
        found = await _block_sums(session, counts, carry, placements)
        sums = found if sums is None else sums + found
        carry = carry + counts.sum(1)
    assert parts is not None
    assert sums is not None
    squares = sums[groups + 1 :] if placements else None
    return RankSums(parts, total_of(parts), sums[:groups], sums[groups : groups + 1], squares, cells)


async def _block_sums(session: Session, counts: Shared, carry: Shared, placements: bool) -> Shared:
    """(G + 1,) or (G + 3,): doubled rank sums, cubes, squares of this block; `carry` are the people below it."""
    groups, values = counts.shape
    tied = counts.sum(0)
    below = counts.cumsum(1) - counts + carry.reshape(groups, 1)
    twice = below.sum(0).times_int(2) + tied
    factors = [tied]
    if placements:
        factors = [*(below[g].times_int(2) + counts[g] for g in (1, 0)), tied]
    stacked = concatenate([x.reshape(1, values) for x in factors])
    square = await multiply(session, stacked, stacked)
    products = [
        local_product(counts, twice.plus_int(1).reshape(1, values)).sum(1),
        local_product(square[-1:], tied.reshape(1, values)).sum(1),
    ]
    if placements:
        products.append(local_product(counts, square[:2]).sum(1))
    return await reshare(session, concatenate(products))
