"""Descriptions where counts are exact: pooled sums are opened, moments follow in the clear."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, local, open_declared
from mpcstats.stats.contributions.values import ValuesContribution, ValuesPlan
from mpcstats.stats.descriptives.cells import Cells, cells_of_sums
from mpcstats.stats.descriptives.quantiles import Search, quantiles_of_ranks
from mpcstats.stats.number_coding import Coding, DoubleKeys, Keys, coding, lattice_keys

__all__ = ["exact_cells", "exact_codings", "exact_keys", "median_deviations", "shape_of_cells"]

CODING_BITS = 46
"""u^2 of 2^29 people stays below 2^126."""

_SUMS, _SHAPE = "people and sums of numbers", "sums of third and fourth powers"
_LARGEST_BITS = 125
_LEAST_FRACTION = 30

Floats = NDArray[np.float64]


def exact_codings(plan: ValuesPlan) -> list[Coding]:
    """The coding of each column."""
    return [coding(low, high, plan.step(c), CODING_BITS) for c, (low, high) in enumerate(plan.ranges)]


def exact_keys(plan: ValuesPlan) -> list[Keys]:
    """All values that each column can have: multiples of its step, or all doubles of its range."""
    found: list[Keys] = []
    for c, (low, high) in enumerate(plan.ranges):
        step = plan.step(c)
        found.append(DoubleKeys(low, high) if step is None else lattice_keys(low, high, step))
    return found


async def exact_cells(
    session: Session, plan: ValuesPlan, own: ValuesContribution | None, dealers: tuple[int, ...]
) -> Cells:
    """Open people, missing values, sums and sums of squares of each column and group."""
    codings = exact_codings(plan)
    shape = (4, *plan.shape)
    session.openings.declare(_SUMS, math.prod(shape), "people, missing values, sums and sums of squares per group")
    mine = None
    if own is not None:
        sums = await local(session, own.sums, codings)
        mine = M127.from_ints(np.concatenate([np.stack([own.people(), own.missing()]).astype(object), sums]))
    pooled = await sum_of_inputs(session, M127, mine, dealers, shape)
    opened = M127.to_signed(await open_declared(session, pooled, _SUMS))
    people, missing = opened[0].astype(np.int64), opened[1].astype(np.int64)
    return cells_of_sums(people, missing, opened[2:], codings)


async def shape_of_cells(
    session: Session, plan: ValuesPlan, own: ValuesContribution | None, cells: Cells, dealers: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Skewness m3 / m2^1.5 and kurtosis m4 / m2^2 - 3, with moments over n; NaN where nobody differs.

    In a second round, around the opened means and in units of the opened standard deviations: nothing cancels.
    """
    session.openings.declare(_SHAPE, 2 * cells.people.size, "around the mean, in standard deviations, per group")
    scales, bits = _scales(plan, cells)
    mine = None
    if own is not None:
        mine = M127.from_ints(_encode(await local(session, own.standardised, cells.mean, scales, (3, 4)), bits))
    pooled = await sum_of_inputs(session, M127, mine, dealers, (2, *cells.people.shape))
    opened = M127.to_signed(await open_declared(session, pooled, _SHAPE))
    n = np.where(cells.people > 0, cells.people, 1).astype(np.float64)
    third, fourth = _decode(opened, bits).astype(np.float64) / n
    known = scales > 0
    second = np.where(known, (n - 1) / n, 1)  # in squares of the standard deviation over n - 1
    skewness, kurtosis = third / second**1.5, fourth / second**2 - 3
    return np.where(known, skewness, np.nan), np.where(known, kurtosis, np.nan)


_encode = np.frompyfunc(lambda number, bits: round(Fraction(number) * 2**bits), 2, 1)
_decode = np.frompyfunc(lambda whole, bits: float(Fraction(int(whole), 2**bits)), 2, 1)


def _scales(plan: ValuesPlan, cells: Cells) -> tuple[Floats, NDArray[np.object_]]:
    """Units of standardised values, 0 where there are none, and fraction bits with which their powers fit the field."""
    scales = np.where(cells.sd > 0, cells.sd, 0.0)  # NaN, too
    bits = np.zeros(scales.shape, dtype=object)
    for (c, g), scale in np.ndenumerate(scales):
        if scale == 0:
            continue
        low, high = plan.ranges[c]
        farthest = max(high - cells.mean[c, g], cells.mean[c, g] - low) / scale
        reach = math.ceil(math.log2(max(farthest, 1))) + 1
        # the sum of z^2 is below n, so the sum of z^4 is below n 4^reach
        bits[c, g] = min(_LARGEST_BITS - int(cells.people[c, g]).bit_length() - 2 * reach, 80)
        if bits[c, g] < _LEAST_FRACTION:
            scales[c, g], bits[c, g] = 0.0, 0
    return scales, bits


async def median_deviations(
    session: Session,
    plan: ValuesPlan,
    own: ValuesContribution | None,
    cells: Cells,
    medians: Floats,
    dealers: tuple[int, ...],
) -> Floats:
    """Medians of distances from the opened medians times 1.4826, as R's `mad`."""
    keys: list[Keys] = [DoubleKeys(0.0, (high - low) * (1 + 2.0**-50)) for low, high in plan.ranges]
    mine = None
    if own is not None:
        distances = own.distances(np.where(cells.people > 0, medians, 0.0))
        mine = [[keys[c].encode(cell) for cell in row] for c, row in enumerate(distances)]
    found = await quantiles_of_ranks(session, Search(keys, mine), cells.people, (0.5,), 7, dealers)
    return np.asarray(1.4826 * found[0], np.float64)
