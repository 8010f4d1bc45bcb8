"""Missing calls filled with the variant's pooled mean: s_xx and s_xy of a block of variants on shares, counts hidden.

With c people called and a copies among them, a missing call counts a / c. All sums are linear in it: u = Q'g + (a / c)
Q'm for the indicator m of missing calls, and g'g + (a / c)^2 m'm. Everything is multiplied by c, so that nothing is
divided on shares: c u = c Q'g + a Q'm is one inner product. Sums then carry the square of c / 2^L (2^L > people), which
cancels in r^2 and is taken off where the statistics are opened, with c. Weighted squares and rows do as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127, Elements
from mpcstats.protocols import inner_product, sum_of_inputs
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.pooled_test import PooledTest
from mpcstats.stats.association.statistics import Statistics

Ints = NDArray[np.int64]

__all__ = ["count_bits", "imputed_statistics", "sum_fraction"]

_WHOLE = 60
"""Bits of c and of the fraction of sums together: squares of their products fill the field."""

_LEAST_FRACTION = 32


def count_bits(people: int) -> int:
    """L with people < 2^L."""
    return people.bit_length()


def sum_fraction(people: int) -> int:
    """Fraction bits of own sums.

    Raises
    ------
    SpecError
        More than 2^28 people.
    """
    fraction = _WHOLE - count_bits(people)
    if fraction < _LEAST_FRACTION:
        raise SpecError(f"{people:,} people are too many to impute missing genotypes")
    return fraction


async def imputed_statistics(
    session: Session,
    test: PooledTest,
    mine: Elements | None,
    copies: Shared,
    called: Shared | Ints,
    dealers: tuple[int, ...],
) -> Statistics:
    """Statistics times (c / 2^L)^2 and c / 2^L of the variants of a block. Three rounds; reveals nothing.

    Parameters
    ----------
    mine : elements or None
        `own_sums` with `sum_fraction` fraction bits; None without data.
    copies : Shared (V,) in M127
        a.
    called : Shared (V,) in M127, or int64 (V,) where it is public
        c.
    """
    size, scale, weighted = copies.size, count_bits(test.people), test.weights is not None
    fraction, rows = sum_fraction(test.people), test.order + (1 if weighted else 0)
    shape = (2 * rows + 2 if weighted else 2 * rows + 1, size)
    pooled = (await sum_of_inputs(session, M127, mine, dealers, shape, fraction)).with_fraction_bits(0)
    over_g, over_m = pooled[:rows], pooled[rows : 2 * rows]
    gg = pooled[2 * rows].times_int(1 << fraction)
    mm = pooled[2 * rows + 1].times_int(1 << fraction) if weighted else None
    c = called.reshape(1, size) if isinstance(called, Shared) else M127.from_int64(called)
    mixed, square = await _sums(session, test.people, (over_g, over_m, gg, mm), c, copies.reshape(1, size), fraction)
    whole = fraction + scale
    return Statistics(square.with_fraction_bits(2 * whole), mixed[-1].with_fraction_bits(whole), np.ones(size))


async def _sums(
    session: Session,
    people: int,
    pooled: tuple[Shared, Shared, Shared, Shared | None],
    c: Shared | Elements,
    a: Shared,
    fraction: int,
) -> tuple[Shared, Shared]:
    """c u + a v over the rows (rows, V), and c^2 g'g + a^2 m'm less the squares of all rows but the last (V,).

    Without m'm: m'm = (people - c) / people, and the row of the intercept, which is not there either, is a; together
    they are -a^2 c / people.
    """
    over_g, over_m, gg, mm = pooled
    size = a.shape[1]
    if isinstance(c, Shared):
        # with the squares of c and a in the same round
        mixed = local_product(over_g, c) + local_product(over_m, a)
        found = await reshare(session, concatenate([mixed, local_product(c, c), local_product(a, a)]))
        mixed, c_squared, a_squared = found[:-2], found[-2:-1], found[-1:]
    else:
        products = [local_product(over_m, a), *([] if mm is None else [local_product(a, a)])]
        found = await reshare(session, concatenate(products))
        mixed, a_squared = found[: over_g.shape[0]] + over_g.times(c), found[over_g.shape[0] :]
    others = mixed[:-1]
    per_person = -round((1 << 2 * fraction) / people)
    if isinstance(c, Shared):
        rest = c.times_int(per_person) if mm is None else mm.reshape(1, size)
        left, right = [c_squared, a_squared, others], [gg.reshape(1, size), rest, -others]
        return mixed, await inner_product(session, concatenate(left), concatenate(right), axis=0)
    if mm is None:
        left, right = [a, others], [a.times(c).times_int(per_person), -others]
    else:
        left, right = [a_squared, others], [mm.reshape(1, size), -others]
    square = await inner_product(session, concatenate(left), concatenate(right), axis=0)
    return mixed, gg.times(c).times(c) + square
