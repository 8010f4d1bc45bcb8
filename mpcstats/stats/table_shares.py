"""Statistics of contingency tables from pooled counts that nobody sees: mantissas and exponents on shares.

Counts are below 2^29 in all. Every function takes shared counts in M127 and reveals nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from mpcstats.field import M127
from mpcstats.protocols import at_least, bit_compose, floor_shift, is_negative, multiply
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.bounded_ratios import RATIO_FRACTION, bounded_ratios, scale_up
from mpcstats.stats.disclosure import COUNT_BITS, all_of
from mpcstats.stats.scaled import Scaled, quotient

__all__ = ["SCORE_BITS", "chi_square", "levels", "mantel_haenszel", "mcnemar", "trend", "whole_scores"]

WIDTH = 122
"""Bits of numerators and denominators."""

SCORE_BITS = 30
"""Scores of a trend are whole numbers below this, exactly, or rounded to 2^-30 of their range."""

_CUT = 24
"""Bits that a sum of ratios has behind those that are exact."""


async def levels(session: Session, cells: Shared) -> Shared:
    """Rows and columns that somebody is in, (2,)."""
    rows = cells.shape[0]
    some = await at_least(session, concatenate([cells.sum(1), cells.sum(0)]), 1)
    return concatenate([some[:rows].sum(0).reshape(1), some[rows:].sum(0).reshape(1)])


# --- chi-square ----------------------------------------------------------------------------------------------------


async def chi_square(session: Session, cells: Shared) -> Scaled:
    """Pearson's chi-square (1,); of two by two also with Yates' correction, (2,).

    Two by two: n (a d - b c)^2 over the product of the margins, one quotient. Larger tables: the sum of
    (o n - R C)^2 / (n R C), in which nothing cancels; rows and columns of nobody add nothing.
    """
    return await (_two_by_two if cells.shape == (2, 2) else _pearson)(session, cells)


async def _pearson(session: Session, cells: Shared) -> Scaled:
    rows, columns, n = cells.sum(1), cells.sum(0), cells.sum(1).sum(0).reshape(1)
    height, breadth = cells.shape
    margins = await multiply(session, rows.reshape(height, 1), columns.reshape(1, breadth))
    both = await multiply(session, concatenate([cells, margins]), n)
    difference, under = (both[:height] - margins).reshape(cells.size), both[height:].reshape(cells.size)
    square = await multiply(session, difference, difference)
    return await _sum_of_ratios(session, square, under, 3 * COUNT_BITS, n)


async def _sum_of_ratios(session: Session, over: Shared, under: Shared, width: int, n: Shared) -> Scaled:
    """Sum of over / under, each at most n."""
    up, shift = await scale_up(session, n)
    total = (await bounded_ratios(session, over, under, width, up)).sum(0).reshape(1)
    mantissa = await floor_shift(session, total, _CUT)
    exponent = (-bit_compose(shift)).plus_int(_CUT - RATIO_FRACTION)
    return Scaled(mantissa, exponent, _ones(n))


async def _two_by_two(session: Session, cells: Shared) -> Scaled:
    n, flat = cells.sum(1).sum(0).reshape(1), cells.reshape(4)
    a, b, c, d = (flat[k : k + 1] for k in range(4))
    parts = [local_product(a, d) - local_product(b, c), local_product(a + b, c + d), local_product(a + c, b + d)]
    products = await reshare(session, concatenate(parts))
    twice = await _size(session, products[:1].times_int(2))
    # Yates takes off 1/2, or |observed - expected| where this is smaller
    corrected = await _positive_part(session, twice - n)
    top = concatenate([twice, corrected])
    under = [concatenate([products[k : k + 1], products[k : k + 1]]) for k in (1, 2)]
    found = await quotient(session, [top, top, concatenate([n, n])], under, WIDTH)
    return Scaled(found.mantissa, found.exponent.plus_int(-2), found.exists)


async def _size(session: Session, x: Shared) -> Shared:
    return x - (await multiply(session, x, await is_negative(session, x))).times_int(2)


async def _positive_part(session: Session, x: Shared) -> Shared:
    return x - await multiply(session, x, await is_negative(session, x))


# --- trend, pairs --------------------------------------------------------------------------------------------------


def whole_scores(scores: Sequence[float]) -> list[int]:
    """Whole numbers below 2^SCORE_BITS with the distances of the scores, up to a factor.

    As written in decimals, where they fit; else rounded.
    """
    exact = [Fraction(repr(float(score))) for score in scores]
    distances = [score - min(exact) for score in exact]
    common = math.lcm(*(distance.denominator for distance in distances))
    whole = [int(distance * common) for distance in distances]
    unit = math.gcd(*whole) or 1
    whole = [number // unit for number in whole]
    if max(whole) < 1 << SCORE_BITS:
        return whole
    return [round(Fraction(number * ((1 << SCORE_BITS) - 1), max(whole))) for number in whole]


async def trend(session: Session, cells: Shared, scores: Sequence[float]) -> Scaled:
    """Cochran and Armitage's chi-square for (k, 2) cells, (1,): n T^2 / (X (n - X) V).

    X people are in the first column, T = n sum x s - X sum r s and V = n sum r s^2 - (sum r s)^2, with x of the r
    people of a row in the first column.
    """
    weights = M127.from_int64(np.array(whole_scores(scores), np.int64))
    rows, cases = cells.sum(1), cells[:, 0]
    n, x = rows.sum(0).reshape(1), cases.sum(0).reshape(1)
    once = rows.times(weights)
    first, second, with_cases = (part.sum(0).reshape(1) for part in (once, once.times(weights), cases.times(weights)))
    parts = [
        local_product(n, with_cases) - local_product(x, first),
        local_product(x, n - x),
        local_product(n, second) - local_product(first, first),
    ]
    products = await reshare(session, concatenate(parts))
    t, spread, variance = (products[k : k + 1] for k in range(3))
    return await quotient(session, [t, t, n], [spread, variance], WIDTH)


async def mcnemar(session: Session, cells: Shared) -> Scaled:
    """McNemar's chi-square, without and with continuity correction, (2,); Bowker's of a larger square table, (1,)."""
    size = cells.shape[0]
    upper = np.triu_indices(size, 1)
    one, other = cells[upper], cells[upper[1], upper[0]]
    difference, together = one - other, one + other
    if size == 2:
        distance = await _size(session, difference)
        corrected = distance - await at_least(session, distance, 1)
        top = concatenate([distance, corrected])
        return await quotient(session, [top, top], [concatenate([together, together])], WIDTH)
    square = await multiply(session, difference, difference)
    found = await _sum_of_ratios(session, square, together, COUNT_BITS, together.sum(0).reshape(1))
    # R: NaN where a pair of cells has nobody
    exists = (await all_of(session, await at_least(session, together, 1))).reshape(1)
    return Scaled(found.mantissa, found.exponent, exists)


# --- strata --------------------------------------------------------------------------------------------------------


_HALF = (1 << (RATIO_FRACTION - 1)) - (1 << (RATIO_FRACTION - 20))
"""1/2 as a sum of rounded quotients reaches it."""

_SHARE = 45
"""Fraction bits of mean shares of concordant people."""


async def mantel_haenszel(session: Session, cells: Shared) -> Scaled:
    """Mantel and Haenszel's chi-square without and with correction, common odds ratio, variance of its logarithm, (4,).

    Parameters
    ----------
    cells : Shared (2, 2, strata)
        Strata of fewer than two people add nothing.

    Notes
    -----
    With R = a d / n, S = b c / n, P = (a + d) / n in each stratum, and p = sum P R / sum R + sum P S / sum S, the
    variance of Robins, Breslow and Greenland is p / (2 sum R) + (2 - p) / (2 sum S).
    """
    up, shift = await scale_up(session, cells.sum(0).sum(0).sum(0).reshape(1))
    terms, under = await _terms(session, cells)
    sums = (await bounded_ratios(session, terms, under, 3 * COUNT_BITS, up)).sum(1)
    excess, r, s, variance = (sums[k : k + 1] for k in range(4))
    distance = await _size(session, excess)
    reached = (-await is_negative(session, distance - up.times_int(_HALF))).plus_int(1)
    half = await multiply(session, reached, up)
    corrected = await _size(session, distance - half.times_int(1 << (RATIO_FRACTION - 1)))
    scale = bit_compose(shift).plus_int(RATIO_FRACTION)
    unit = up.times_int(1 << RATIO_FRACTION)  # so that all three come out with one scale
    found = await quotient(
        session,
        [concatenate([distance, corrected, r]), concatenate([distance, corrected, unit])],
        [concatenate([variance, variance, s])],
        WIDTH,
    )
    log_variance = await _log_variance(session, sums[1:3], sums[4:], shift)
    mantissa, exists = (
        concatenate([getattr(part, name) for part in (found, log_variance)]) for name in ("mantissa", "exists")
    )
    return Scaled(mantissa, concatenate([found.exponent - scale, log_variance.exponent]), exists)


async def _terms(session: Session, cells: Shared) -> tuple[Shared, Shared]:
    """Numerators (6, strata) over n^2 (n - 1): of a - E(a), R, S, Var(a), P R, P S."""
    strata = cells.shape[2]
    a, b, c, d = cells[0, 0], cells[0, 1], cells[1, 0], cells[1, 1]
    n = a + b + c + d
    less = n.plus_int(-1)
    pairs = ((a, d), (b, c), (a + b, c + d), (a + c, b + d), (n, less), (a + d, less))
    made = [local_product(x, y).reshape(1, strata) for x, y in pairs]
    products = await reshare(session, concatenate(made))
    ad, bc, rows, columns, ordered, alike = (products[k] for k in range(6))
    again = ((ad, ordered), (bc, ordered), (rows, columns), (ad, alike), (bc, alike), (n, ordered))
    done = await reshare(session, concatenate([local_product(x, y).reshape(1, strata) for x, y in again]))
    terms = concatenate([done[:1] - done[1:2], done[:5]])
    return terms, done[5]


async def _log_variance(session: Session, sums: Shared, weighted: Shared, shift: Shared) -> Scaled:
    """Of (sum R, sum S) and (sum P R, sum P S), all with the scale of the ratios."""
    share = (await bounded_ratios(session, weighted, sums, RATIO_FRACTION + COUNT_BITS + 1)).sum(0).reshape(1)
    parts = await floor_shift(session, concatenate([sums, share]), RATIO_FRACTION - _SHARE)
    r, s, p = (parts[k : k + 1] for k in range(3))
    top = await reshare(session, local_product(s, p) + local_product(r, (-p).plus_int(2 << _SHARE)))
    found = await quotient(session, [top], [r, s], WIDTH)
    return Scaled(found.mantissa, (found.exponent + bit_compose(shift)).plus_int(-1), found.exists)


def _ones(like: Shared) -> Shared:
    return like.times_int(0).plus_int(1)
