"""Inverse square root, logarithm and exponential of a few secret numbers in fixed point.

Numbers are scaled to a known interval by the position of their leading one, or by their integer part; there a Newton
iteration or a Chebyshev series runs with g = `precision(session.headroom(field))` fraction bits, more than the numbers
themselves have. C is the number of subsets, binomial(m, t). MPyC 0.11 has no such functions; for one number they cost
about 40 rounds here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mpcstats.field import PrimeField
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.compare import bit_decompose
from mpcstats.protocols.normalise import (
    Checked,
    cut,
    leading_one,
    power_factors,
    product_trees,
    public,
    require,
    step,
)
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = ["exponential", "inverse_root", "logarithm", "precision"]

_LINE = (1.787727, 0.809987)
"""y = 1.787727 - 0.809987 m is 1 / sqrt(m) up to a factor within 1 +- 0.0223 on [1/2, 1]."""

_ROOT_STEPS = 3
"""Newton steps from there: relative error 7.5e-4, 8.4e-7, 1.1e-12 = 2^-39.7."""

_LEAST = 12


def precision(headroom: int) -> int:
    """Fraction bits g inside these functions."""
    return min(40, (headroom - 4) // 2)


# --- inverse square root -------------------------------------------------------------------------------------------


async def inverse_root(session: Session, a: Shared, integer_bits: int) -> Checked:
    """1 / sqrt(a), and 0 where a <= 0. Reveals nothing.

    Parameters
    ----------
    a : Shared, any shape
        f fraction bits, a < 2^integer_bits.

    Returns
    -------
    Checked
        value: f fraction bits, error below 3 (C + 1) 2^-g / sqrt(a) + (C + 1)/2 2^-f. undefined: [a <= 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.

    Notes
    -----
    Newton's iteration y (3 - m y^2) / 2 on the number scaled to m in [1/2, 1). About 45 rounds, at
    most 13 bounded masks per element.
    """
    field, f, g = a.field, a.fraction_bits, precision(session.headroom(a.field))
    even = integer_bits + integer_bits % 2  # half of the scale's exponent must be whole
    drop = g - f + even // 2
    _check(session, field, g, f, even)
    m, where, positive = await _normalised(session, a, even + f, g)
    y = await _root(session, m, g)
    # shift = 2 q + odd: 1 / sqrt(a) = 1 / sqrt(m) * sqrt(2)^odd * 2^q * 2^-(even / 2)
    odd, (half,) = where[0], await product_trees(session, [power_factors(where[1:], 1)])
    (grown,) = await step(session, odd, [y.times(public(field, math.sqrt(2) - 1, g))], g, 2 * g + 1)
    (value,) = await step(session, half, [y + grown], drop, g + 2 + (even + f) // 2)
    value = await multiply(session, value, positive)
    return Checked(value.with_fraction_bits(f), _not(positive))


async def _root(session: Session, m: Shared, g: int) -> Shared:
    field = m.field
    start = m.times(public(field, _LINE[1], g))
    y = (-await cut(session, start, g, 2 * g)).plus(public(field, _LINE[0], g))
    for _ in range(_ROOT_STEPS):
        (square,) = await step(session, y, [y], g, 2 * g + 2)
        (product,) = await step(session, square, [m], g, 2 * g + 1)
        (y,) = await step(session, y, [(-product).plus_int(3 << g)], g + 1, 2 * g + 3)
    return y


# --- logarithm -----------------------------------------------------------------------------------------------------


async def logarithm(session: Session, a: Shared, integer_bits: int) -> Checked:
    """Natural logarithm, and 0 where a <= 0. Reveals nothing.

    Parameters
    ----------
    a : Shared, any shape
        f fraction bits, a < 2^integer_bits.

    Returns
    -------
    Checked
        value: f fraction bits, error below 4 (C + 1) 2^-g + (integer_bits + f) 2^-g + (C + 1)/2 2^-f.
        undefined: [a <= 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.

    Notes
    -----
    ln(m) by its Chebyshev series on [1/2, 1], which converges like 5.83^-k, plus a multiple of ln(2).
    """
    field, f, g = a.field, a.fraction_bits, precision(session.headroom(a.field))
    width = integer_bits + f
    _check(session, field, g, f, integer_bits)
    m, shift, positive = await _normalised(session, a, width, g)
    mantissa = await _series(session, m.times_int(4).plus_int(-(3 << g)), _log_series(g), g)
    powers = field.from_ints([1 << k for k in range(shift.shape[0])])
    count = shift.times(field.reshape(powers, (shift.shape[0], *(1,) * len(a.shape)))).sum(0)
    exponent = (-count).plus_int(integer_bits)
    total = mantissa + exponent.times(public(field, math.log(2), g))
    value = await cut(session, total, g - f, g + width.bit_length() + 1) if g > f else total
    value = await multiply(session, value, positive)
    return Checked(value.with_fraction_bits(f), _not(positive))


@functools.cache
def _log_series(g: int) -> tuple[float, ...]:
    degree = math.ceil((g + 1) / math.log2(3 + math.sqrt(8)))
    return _interpolated(lambda x: np.log((x + 3) / 4), degree)


# --- exponential ---------------------------------------------------------------------------------------------------


async def exponential(session: Session, a: Shared, integer_bits: int) -> Shared:
    """exp(a). Reveals nothing.

    Parameters
    ----------
    a : Shared, any shape
        f fraction bits, |a| < 2^integer_bits.

    Returns
    -------
    Shared
        f fraction bits, error below exp(a) (2^integer_bits + 3 (C + 1)) 2^-g + (C + 1)/2 2^-f, with g from
        `exponential_precision`.

    Raises
    ------
    RangeError
        Less than 12 bits of relative precision at the session's kappa (M127, m = 3: integer_bits up to 3 at
        kappa = 64, 4 at kappa = 40). Nothing was sent.

    Notes
    -----
    exp(a) = 2^(n + r) with n whole and r in [0, 1); n from its bits, 2^r by its Chebyshev series.
    """
    field, f = a.field, a.fraction_bits
    headroom = session.headroom(field)
    offset = math.ceil((1 << integer_bits) / math.log(2)) + 1
    g = exponential_precision(headroom, integer_bits)
    require(
        g >= max(_LEAST, f - offset + 1), session, field, f"exp of {integer_bits} integer bits", 2 * offset + _LEAST + 2
    )
    needed = integer_bits + f + g + 2
    require(needed <= headroom and f > 0, session, field, f"exp of ({integer_bits}, {f}) bits", needed)
    scaled = a.with_fraction_bits(0).times(public(field, 1 / math.log(2), g))
    exponent = (await cut(session, scaled, f, integer_bits + f + g + 1)).plus_int(offset << g)
    bits = await bit_decompose(session, exponent, g, g + (2 * offset).bit_length())
    powers = field.from_ints([1 << k for k in range(bits.shape[0])])
    whole = bits.times(field.reshape(powers, (bits.shape[0], *(1,) * len(a.shape)))).sum(0)
    rest = exponent - whole.times_int(1 << g)
    root = await _series(session, rest.times_int(2).plus_int(-(1 << g)), _exp_series(g), g)
    (power,) = await product_trees(session, [power_factors(bits, 1)])
    (value,) = await step(session, power, [root], g + offset - f, g + 1 + 2 * offset)
    return value.with_fraction_bits(f)


def exponential_precision(headroom: int, integer_bits: int) -> int:
    """Fraction bits g inside `exponential`."""
    offset = math.ceil((1 << integer_bits) / math.log(2)) + 1
    return min(precision(headroom), headroom - 2 - 2 * offset)


@functools.cache
def _exp_series(g: int) -> tuple[float, ...]:
    # Taylor would need about as many terms: the series falls like (ln 2 / 4)^k / k!
    degree = next(k for k in range(2, 40) if (math.log(2) / 4) ** (k + 1) / math.factorial(k + 1) * 4 < 2.0 ** -(g + 1))
    return _interpolated(lambda x: np.exp2((x + 1) / 2), degree)


def _interpolated(function: Callable[[Any], Any], degree: int) -> tuple[float, ...]:
    return tuple(float(c) for c in np.polynomial.chebyshev.chebinterpolate(function, degree))


# --- common parts --------------------------------------------------------------------------------------------------


def _check(session: Session, field: PrimeField, g: int, f: int, integer_bits: int) -> None:
    width = integer_bits + f
    needed = max(2 * f + 4, width + 2, g + 3 + width // 2, 2 * _LEAST + 4)
    fits = needed <= session.headroom(field) and g >= f > 0 and width < field.bits - 2
    require(fits, session, field, f"a number of ({integer_bits}, {f}) bits", needed)


async def _normalised(session: Session, a: Shared, width: int, g: int) -> tuple[Shared, Shared, Shared]:
    """(m, bits of the shift, [a > 0]): m = |a| 2^shift / 2^width in [1/2, 1) with g fraction bits; 1/2 where a <= 0."""
    number = a.with_fraction_bits(0)
    where = await leading_one(session, number, width)
    positive = where.nonzero - where.negative
    factors = power_factors(where.shift, 1)
    (scale,) = await product_trees(session, [concatenate([factors, positive.reshape(1, *positive.shape)])])
    # numbers that are not positive would leave the range that the masks hide
    c = await multiply(session, number, scale) + _not(positive).times_int(1 << (width - 1))
    if width > g:
        return await cut(session, c, width - g, width + 1), where.shift, positive
    return c.times_int(1 << (g - width)), where.shift, positive


def _not(bit: Shared) -> Shared:
    return (-bit).plus_int(1)


async def _series(session: Session, x: Shared, coefficients: tuple[float, ...], g: int) -> Shared:
    """Sum of c_k T_k(x) for |x| <= 1 with g fraction bits; log2(degree) + 1 rounds.

    T_(i+j) = 2 T_i T_j - T_(i-j): all new polynomials of a level in one round.
    """
    field, degree = x.field, len(coefficients) - 1
    one = Shared(field, field.add(field.zeros(x.shape), field.constant(1 << g)), x.degree)
    known = [one, x]
    while len(known) <= degree:
        top = len(known) - 1
        pairs = [((k + 1) // 2, k // 2) for k in range(top + 1, min(2 * top, degree) + 1)]
        left = concatenate([known[i].reshape(1, *x.shape) for i, _ in pairs])
        right = concatenate([known[j].reshape(1, *x.shape) for _, j in pairs])
        product = replace(local_product(left, right), fraction_bits=0)
        done = await cut(session, product, g - 1, 2 * g + 1)
        known += [done[n] - known[i - j] for n, (i, j) in enumerate(pairs)]
    total = known[0].times(public(field, coefficients[0], g))
    for c, polynomial in zip(coefficients[1:], known[1:], strict=True):
        total = total + polynomial.times(public(field, c, g))
    return await cut(session, total, g, 2 * g + 2)
