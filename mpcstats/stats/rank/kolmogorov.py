"""The test of Kolmogorov and Smirnov for two groups: the largest distance of their distributions, on shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import kolmogorov

from mpcstats.field import M61, M127
from mpcstats.protocols import amax, maximum
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.stats.contributions.rank import RankContribution, RankPlan
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.rank.release import Mode, declare_sizes, mode_of, release_sizes
from mpcstats.stats.rank.rows import merged_runs
from mpcstats.stats.rank.sums import dealt_blocks, few_cells, total_of
from mpcstats.stats.scaled import quotient, release_scaled

__all__ = ["exact_smirnov", "joint_kolmogorov_smirnov", "r_smirnov"]

_DISTANCE, _STATISTIC = "largest distance", "statistic"
_WIDTH = 60
_EXACT_BELOW = 10_000
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class _Groups:
    """Pooled people up to each value (2, values) and in all (2,); sum of t^2 (1,); people (2,) at each data party."""

    up_to: Shared
    people: Shared
    squares: Shared
    parts: list[Shared]
    cells: list[Shared] | None


async def joint_kolmogorov_smirnov(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    mode: Mode,
) -> Outcome:
    """Kolmogorov and Smirnov's test of two groups, two-sided, as R's ks.test.

    Returns
    -------
    Outcome
        Table test, one row: d, p_value (limit distribution), p_value_r (the same as R sums it, which stops at terms
        below 1e-6: off by up to 1e-4), and in mode "table" p_value_exact without ties where n1 n2 < 10,000 (NaN else).

    Reveals
    -------
    Whether both groups are large enough, also without any one party; then their sizes, rounded. Mode "table": the
    largest n2 A - n1 B in size, A and B people up to a value, and whether values are tied (sum of t^2). Mode
    "statistic": D, and D^2 n1 n2 / (n1 + n2), rounded (`number_bits`).

    Cost
    ----
    One product and two comparisons for each value of the lattice, in a tree, in blocks.
    """
    how = mode_of(mode, ruling)
    declare_sizes(session, 2)
    if plan.by_records:
        groups, released = await _merged(session, plan, own, dealers, ruling)
    else:
        groups = await _pooled(session, plan, own, dealers, how == "table")
        released = await release_sizes(session, groups.parts, ruling, groups.cells)
    sizes = [int(n) for n in released]
    session.progress("distributions pooled on shares; comparing")
    largest = await _largest(session, groups)
    if not all(sizes):
        values = dict.fromkeys(("d", "p_value", "p_value_r"), math.nan)
    elif how == "table":
        session.openings.declare(_DISTANCE, 2, "largest n2 A - n1 B in size; sum of t^2 for ties")
        both = await open_declared(session, concatenate([largest, groups.squares]), _DISTANCE)
        distance, square = (int(x) for x in largest.field.to_signed(both))
        values = _clear(distance, sizes, tied=square != sum(sizes))
    else:
        values = await _secret(session, largest, groups.people, ruling)
    return _outcome(plan, values, sizes, how, ruling)


async def _pooled(
    session: Session, plan: RankPlan, own: RankContribution | None, dealers: tuple[int, ...], exact: bool
) -> _Groups:
    blocks, parts, cells = [], None, None
    async for block in dealt_blocks(session, plan, own, dealers, M61 if exact else M127):
        sizes = [part.sum(1) for part in block]
        parts = sizes if parts is None else [a + b for a, b in zip(parts, sizes, strict=True)]
        blocks.append(total_of(block))
        cells = few_cells(plan, block)
    assert parts is not None
    counts = concatenate(blocks, axis=1)
    tied = counts.sum(0)
    squares = await reshare(session, local_product(tied, tied).sum(0).reshape(1))
    return _Groups(counts.cumsum(1), total_of(parts), squares, parts, cells)


async def _merged(
    session: Session, plan: RankPlan, own: RankContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> tuple[_Groups, NDArray[np.int64]]:
    runs, sizes = await merged_runs(session, plan, own, dealers, ruling, by_group=True)
    tied = (runs.up_to - runs.below).sum(0)
    squares = await reshare(session, local_product(tied, runs.group.sum(0)).sum(0).reshape(1))
    return _Groups(runs.up_to, runs.people, squares, runs.parts, None), sizes


async def _largest(session: Session, groups: _Groups) -> Shared:
    """max |n2 A - n1 B|, (1,)."""
    below = groups.up_to
    first, second = groups.people[:1], groups.people[1:]
    best, width = None, 1 << 17
    for start in range(0, below.shape[1], width):
        block = below[:, start : start + width]
        distance = await reshare(session, local_product(block[0], second) - local_product(block[1], first))
        found = (await amax(session, concatenate([distance, -distance]))).reshape(1)
        best = found if best is None else await maximum(session, best, found)
    assert best is not None
    return best


def _clear(distance: int, sizes: Sequence[int], tied: bool) -> dict[str, float]:
    product = sizes[0] * sizes[1]
    scaled = distance / math.sqrt(product * sum(sizes))
    exact = math.nan if tied or product >= _EXACT_BELOW else exact_smirnov(distance, sizes)
    return {
        "d": distance / product,
        "p_value": float(kolmogorov(scaled)),
        "p_value_r": r_smirnov(scaled),
        "p_value_exact": exact,
    }


async def _secret(session: Session, largest: Shared, people: Shared, ruling: Ruling) -> dict[str, float]:
    first, second = people[:1], people[1:]
    both = await reshare(session, local_product(first, second))
    opened = []
    for name, number in (
        (_DISTANCE, await quotient(session, [largest], [both], _WIDTH)),
        (_STATISTIC, await quotient(session, [largest, largest], [both, first + second], _WIDTH)),
    ):
        session.openings.declare(name, 3, "rounded: mantissa and exponent; whether it exists")
        opened.append(float((await release_scaled(session, number, name, number_bits(ruling.rules)))[0]))
    scaled = math.sqrt(opened[1])
    return {"d": opened[0], "p_value": float(kolmogorov(scaled)), "p_value_r": r_smirnov(scaled)}


def r_smirnov(scaled: float) -> float:
    """Tail of the limit distribution as R's ks.test(exact = FALSE) sums it."""
    if scaled <= 0:
        return 1.0
    if scaled < 1:
        power, factor = -(math.pi**2) / (8 * scaled * scaled), math.log(scaled)
        terms = range(1, int(math.sqrt(2 - math.log(_TOLERANCE))), 2)
        return 1 - sum(math.exp(k * k * power - factor) for k in terms) * math.sqrt(2 * math.pi)
    power, sign, k, old, new = -2 * scaled * scaled, -1.0, 1, 0.0, 1.0
    while abs(old - new) > _TOLERANCE:
        old, new = new, new + 2 * sign * math.exp(power * k * k)
        sign, k = -sign, k + 1
    return 1 - new


def exact_smirnov(distance: int, sizes: Sequence[int]) -> float:
    """P(max |n2 A - n1 B| >= distance) without ties: one less the paths that stay nearer to the diagonal."""
    first, second = sizes
    paths = np.array([1.0 if j * first < distance else 0.0 for j in range(second + 1)])
    for i in range(1, first + 1):
        # as probabilities: each row is divided by what the number of all paths grows by
        weight = i / (i + second)
        left = 0.0
        for j in range(second + 1):
            inside = abs(i * second - j * first) < distance
            left = paths[j] * weight + left if inside else 0.0
            paths[j] = left
    return float(min(1.0, max(0.0, 1 - paths[second])))


def _outcome(plan: RankPlan, values: dict[str, float], sizes: list[int], mode: str, ruling: Ruling) -> Outcome:
    bits = number_bits(ruling.rules)
    conventions = {
        "test": "largest distance of the distributions; two-sided; limit distribution",
        "p_value_r": "R stops its sum at terms below 1e-6 and is off by up to 1e-4; p_value is not",
        "values": f"in steps of {plan.step:g}",
        "missing": f"complete cases on {plan.column} and {plan.by}",
        "released": "sizes and the largest distance"
        if mode == "table"
        else f"the statistic alone, rounded to {bits} significant bits; distributions stayed on shares",
    }
    withheld = ["where the distance is largest: it stays on shares"]
    if ruling.rules.rounding_base > 1:
        withheld.append(f"group sizes are rounded to multiples ({ruling.cite('rounding_base')})")
    test = pd.DataFrame({"variable": [plan.column], **{name: [value] for name, value in values.items()}})
    groups = pd.DataFrame({"group": plan.group_names, "n": pd.array(sizes, dtype="Int64")})
    notes = {"by": plan.by, "mode": mode}
    return Outcome("kolmogorov-smirnov", {"test": test, "groups": groups}, notes, conventions, withheld)
