"""Rank sums of people whose values have too many places for a lattice: records are shared and merged.

Every party sorts its people by value and fills up with empty rows at the end. In the merged list equal values are
neighbours. People below a run of equal values, and up to its end, are carried along the run by a scan of the maps
x -> same x + new, so that nothing is opened but how many rows every party shares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127
from mpcstats.protocols import amax, deal, equal_zero, merge, multiply
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.stats.contributions.rank import RankContribution, RankPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.rank.release import release_sizes, sums_are_let_out
from mpcstats.stats.rank.sums import RankSums, total_of

__all__ = ["MOST_ROWS", "MergedRuns", "merged_runs", "row_sums"]

MOST_ROWS = 20_000
"""Rows of the merged list, empty ones together with those of people."""

_FEWEST = 16
_ROWS = "rows of the largest table"


@dataclass(frozen=True)
class MergedRuns:
    """The merged list, in M127.

    Attributes
    ----------
    parts, people
        As in `RankSums`.
    group : Shared (G, rows)
        1 where the row's person is in the group.
    below, up_to : Shared (C, rows)
        People below the row's value, and up to it: of each group, or of all (C = 1).
    """

    parts: list[Shared]
    people: Shared
    group: Shared
    below: Shared
    up_to: Shared


async def merged_runs(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    by_group: bool,
) -> tuple[MergedRuns, NDArray[np.int64]]:
    """Merge the records of all parties, after their groups were found large enough; also the released sizes.

    Reveals
    -------
    What `release_sizes` opens. Where the rules let exact sums out also the people of the largest table, made up to a
    power of two; else every party shares as many rows as there may be people in all.

    Raises
    ------
    SpecError
        More than `MOST_ROWS` rows.

    Notes
    -----
    rows/2 log2(rows) comparisons for each doubling of the parties, then 2 (C + 1) rows log2(rows) products.
    """
    groups = len(plan.groups)
    mine = None if own is None else M127.from_int64(np.bincount(own.group, minlength=groups).astype(np.int64))
    dealt = await deal(session, M127, mine, dealers, (groups,))
    parts = [dealt[d] for d in dealers]
    sizes = await release_sizes(session, parts, ruling)
    rows = await _row_count(session, own, dealers, ruling, sizes)
    if rows * len(dealers) > MOST_ROWS:
        raise SpecError(
            f"{plan.column!r} has {plan.values:,} possible values in steps of {plan.step:g}, too many for a lattice, "
            f"and {rows * len(dealers):,} rows are too many to be merged: at most {MOST_ROWS:,}",
            hint="agree on a coarser resolution of the column in the dictionary",
        )
    table = None if own is None else M127.from_int64(_table(plan, own, rows))
    lists = await deal(session, M127, table, dealers, (rows, 1 + groups))
    merged = await merge(session, [lists[d] for d in dealers])
    session.progress("records merged on shares")
    group = _turned(merged[:, 1:])
    counted = group if by_group else group.sum(0).reshape(1, merged.shape[0])
    below, up_to = await _runs(session, merged[:, 0], counted)
    return MergedRuns(parts, total_of(parts), group, below, up_to), sizes


async def _row_count(
    session: Session, own: RankContribution | None, dealers: tuple[int, ...], ruling: Ruling, sizes: NDArray[np.int64]
) -> int:
    if not sums_are_let_out(ruling):
        return int(sizes.sum()) + sizes.size * (ruling.rules.rounding_base // 2)
    mine = None
    if own is not None:
        mine = M127.from_int64(np.array([max(_FEWEST, 1 << max(0, own.place.size - 1).bit_length())]))
    dealt = await deal(session, M127, mine, dealers, (1,))
    largest = await amax(session, concatenate([dealt[d] for d in dealers]))
    session.openings.declare(_ROWS, 1, "rows that every party shares: people, made up to a power of two")
    return int(M127.to_signed(await open_declared(session, largest.reshape(1), _ROWS))[0])


def _table(plan: RankPlan, own: RankContribution, rows: int) -> NDArray[np.int64]:
    order = np.argsort(own.place, kind="stable")
    table = np.zeros((rows, 1 + len(plan.groups)), np.int64)
    table[:, 0] = plan.values
    table[: order.size, 0] = own.place[order]
    table[np.arange(order.size), 1 + own.group[order]] = 1
    return table


async def _runs(session: Session, keys: Shared, counted: Shared) -> tuple[Shared, Shared]:
    """People below the run of equal keys to which a row belongs, and up to its end, (C, rows)."""
    same = await equal_zero(session, keys[1:] - keys[:-1])
    none = same[:1].times_int(0)
    up_to = counted.cumsum(1)
    start = await _carried(session, concatenate([none, same]), up_to - counted)
    end = await _carried(session, concatenate([none, _backward(same)]), _backward(up_to))
    return start, _backward(end)


async def _carried(session: Session, same: Shared, values: Shared) -> Shared:
    """Along each run (same = 1: as the row before) the value of its first row. 1 + log2(rows) rounds."""
    rows = values.shape[1]
    fresh = await multiply(session, (-same).plus_int(1).reshape(1, rows), values)
    state, step = concatenate([same.reshape(1, rows), fresh]), 1
    while step < rows:
        moved = await multiply(session, state[:1, step:], state[:, :-step])
        later = concatenate([moved[:1], state[1:, step:] + moved[1:]])
        state, step = concatenate([state[:, :step], later], axis=1), 2 * step
    return state[1:]


def _backward(x: Shared) -> Shared:
    """The last axis (of one or two) from the end."""
    flipped = x.values[::-1] if len(x.shape) == 1 else x.values[:, ::-1]
    return replace(x, values=np.ascontiguousarray(flipped))


def _turned(x: Shared) -> Shared:
    return replace(x, values=np.ascontiguousarray(np.swapaxes(x.values, 0, 1)))


async def row_sums(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    placements: bool,
) -> tuple[RankSums, NDArray[np.int64]]:
    """`rank_sums` of merged records, and the released sizes; reveals what `merged_runs` does."""
    runs, sizes = await merged_runs(session, plan, own, dealers, ruling, by_group=placements)
    rows = runs.group.shape[1]
    below, up_to = runs.below.sum(0), runs.up_to.sum(0)
    tied = up_to - below
    factors = [tied, *([(runs.below + runs.up_to)[g] for g in (1, 0)] if placements else [])]
    stacked = concatenate([x.reshape(1, rows) for x in factors])
    square = await multiply(session, stacked, stacked)
    twice = (below + up_to).plus_int(1).reshape(1, rows)
    anybody = runs.group.sum(0)
    products = [local_product(runs.group, twice).sum(1), local_product(square[:1], anybody.reshape(1, rows)).sum(1)]
    if placements:
        products.append(local_product(runs.group, square[1:]).sum(1))
    sums, groups = await reshare(session, concatenate(products)), len(plan.groups)
    squares = sums[groups + 1 :] if placements else None
    return RankSums(runs.parts, runs.people, sums[:groups], sums[groups : groups + 1], squares, None), sizes
