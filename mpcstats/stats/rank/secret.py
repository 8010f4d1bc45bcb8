"""Rank tests on shares: only the statistic leaves."""

from __future__ import annotations

from mpcstats.protocols import bit_compose, floor_shift, inner_product, multiply, sign
from mpcstats.protocols.fine import fine_reciprocal
from mpcstats.protocols.normalise import leading_one, power_factors, product_trees
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import COUNT_BITS
from mpcstats.stats.rank.sums import RankSums
from mpcstats.stats.rank.tables import Alternative
from mpcstats.stats.scaled import Scaled, quotient

__all__ = ["WIDTH", "area", "corrected_on_shares", "rank_chi_square", "rank_excess", "signed_rank_chi_square"]

WIDTH = 122
"""Bits of sums: those below are of fewer than 2^29 people."""

_FRACTION = 30
_INVERSE = 60


async def corrected_on_shares(
    session: Session, excess: Shared, unit: int, alternative: Alternative, correct: bool
) -> tuple[Shared, Shared]:
    """The excess (1,) of one group with R's correction for continuity, and its sign."""
    if correct and alternative == "two-sided":
        excess = excess - (await sign(session, excess)).times_int(unit)
    elif correct:
        excess = excess.plus_int(-unit if alternative == "greater" else unit)
    return excess, await sign(session, excess)


async def rank_excess(session: Session, sums: RankSums) -> Shared:
    """Twice the rank sums less their expectations n_g (n + 1): (G,)."""
    n = sums.people.sum(0).reshape(1)
    return sums.doubled - await multiply(session, sums.people, n.plus_int(1))


async def _spread(session: Session, n: Shared, cubes: Shared) -> tuple[Shared, Shared]:
    """n^3 less the sum of t^3, and n^2."""
    square = await multiply(session, n, n)
    return await multiply(session, square, n) - cubes, square


async def rank_chi_square(session: Session, sums: RankSums, excess: Shared, sign_of: Shared | None = None) -> Scaled:
    """H of Kruskal and Wallis, (1,): 3 (n - 1) (sum of excess^2 / n_g) / (n^3 - sum of t^3); z^2 of two groups.

    Parameters
    ----------
    excess : Shared (G,)
        Also corrected for continuity.
    sign_of : Shared (1,), optional
        Factor of the result.

    Notes
    -----
    People are scaled by the power of two that brings their total to 2^29, so that excess / n_g keeps 59 bits below the
    largest rank; groups without people add nothing. Reveals nothing.
    """
    n = sums.people.sum(0).reshape(1)
    spread, _ = await _spread(session, n, sums.cubes)
    where = await leading_one(session, n, COUNT_BITS)
    (up,) = await product_trees(session, [power_factors(where.shift, 1)])
    groups = sums.people.size
    both = await multiply(session, concatenate([sums.people, excess]), up)
    scaled = await multiply(session, both[groups:], up)
    inverse = await fine_reciprocal(session, both[:groups], COUNT_BITS, _INVERSE)
    rate = await multiply(session, scaled, inverse.factor)
    rate = await floor_shift(session, await multiply(session, rate, inverse.inverse), COUNT_BITS + _INVERSE - _FRACTION)
    total = (await inner_product(session, scaled, rate, 0)).reshape(1)
    found = await quotient(session, [total, n.plus_int(-1).times_int(3)], [spread], WIDTH, sign_of)
    # the total has 2^_FRACTION as a factor, and that of the scale three times
    shift = bit_compose(where.shift).times_int(3).plus_int(_FRACTION)
    return Scaled(found.mantissa, found.exponent - shift, found.exists)


async def signed_rank_chi_square(session: Session, n: Shared, cubes: Shared, excess: Shared, sign_of: Shared) -> Scaled:
    """sign * z^2 of signed ranks, all of shape (1,)."""
    square = await multiply(session, n, n.plus_int(1))
    spread = (await multiply(session, square, n.times_int(2).plus_int(1))).times_int(2) - (cubes - n)
    return await quotient(session, [excess, excess.times_int(3)], [spread], WIDTH, sign_of)


async def area(session: Session, sums: RankSums) -> Scaled:
    """U / (n_1 n_2) of the first of two groups."""
    first, second = sums.people[:1], sums.people[1:]
    doubled_u = sums.doubled[:1] - await multiply(session, first, first.plus_int(1))
    return await quotient(session, [doubled_u], [first, second.times_int(2)], WIDTH)
