"""Missing calls filled with the variant's pooled mean: s_xx and s_xy of a block of variants on shares, counts hidden.

With c people called and a copies among them, a missing call counts a / c. All sums are linear in it: u = Q'g + (a / c)
Q'm for the indicator m of missing calls, and g'g + (a / c)^2 m'm. Everything is multiplied by c, so that nothing is
divided on shares: c u = c Q'g + a Q'm is one inner product. Sums then carry the square of c / 2^L (2^L > people), which
cancels in r^2 and is taken off where the statistics are opened, with c.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127
from mpcstats.protocols import inner_product, sum_of_inputs
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.association.null_model import NullModel
from mpcstats.stats.association.own import own_sums
from mpcstats.stats.association.statistics import Statistics

Ints = NDArray[np.int64]

__all__ = ["count_bits", "imputed_statistics"]

_WHOLE = 60
"""Bits of c and of the fraction of sums together: squares of their products fill the field."""

_LEAST_FRACTION = 32


def count_bits(people: int) -> int:
    """L with people < 2^L."""
    return people.bit_length()


async def imputed_statistics(
    session: Session,
    model: NullModel,
    calls: NDArray[np.int8] | None,
    copies: Shared,
    called: Shared | Ints,
    dealers: tuple[int, ...],
) -> Statistics:
    """Statistics times (c / 2^L)^2 and c / 2^L of the variants of a block. Three rounds; reveals nothing.

    Parameters
    ----------
    copies : Shared (V,) in M127
        a.
    called : Shared (V,) in M127, or int64 (V,) where it is public
        c.

    Raises
    ------
    SpecError
        More than 2^28 people.
    """
    size, scale = copies.size, count_bits(model.people)
    fraction, others = _WHOLE - scale, model.order - 1
    if fraction < _LEAST_FRACTION:
        raise SpecError(f"{model.people:,} people are too many to impute missing genotypes")
    mine = None if calls is None else await local(session, own_sums, model, calls, fraction)
    pooled = await sum_of_inputs(session, M127, mine, dealers, (2 * others + 3, size), fraction)
    pooled = pooled.with_fraction_bits(0)
    over_g, over_m, gg = pooled[: others + 1], pooled[others + 1 : -1], pooled[-1].times_int(1 << fraction)
    # the intercept's column: c u = a; with m'm = (people - c) / people, all terms in a are -a^2 c / people
    per_person = -round((1 << 2 * fraction) / model.people)
    line = copies.reshape(1, size)
    if isinstance(called, Shared):
        c = called.reshape(1, size)
        mixed = local_product(over_g, c) + local_product(over_m, line)
        # with the squares of c and a in the same round
        found = await reshare(session, concatenate([mixed, local_product(c, c), local_product(line, line)]))
        mixed, powers = found[: others + 1], found[others + 1 :]
        left = concatenate([powers, mixed[:others]])
        right = concatenate([gg.reshape(1, size), c.times_int(per_person), -mixed[:others]])
        square = await inner_product(session, left, right, axis=0)
    else:
        public = M127.from_int64(called)
        mixed = await reshare(session, local_product(over_m, line)) + over_g.times(public)
        left = concatenate([line, mixed[:others]])
        right = concatenate([line.times(public).times_int(per_person), -mixed[:others]])
        square = gg.times(public).times(public) + await inner_product(session, left, right, axis=0)
    whole = fraction + scale
    return Statistics(square.with_fraction_bits(2 * whole), mixed[others].with_fraction_bits(whole), np.ones(size))
