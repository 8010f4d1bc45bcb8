"""Reciprocals and square roots to twice the digits that bounded masks alone allow.

A bounded mask leaves room for numbers of some 56 to 85 bits, so an iteration with truncations ends at half of that. One
more step needs no truncation: with y = (1 + e) / c the residual 1 - c y and the product y (2 - c y) are exact modulo
2^127 - 1, and only the result is cut, by the exact shift that works on the full range. What is left is e^2. C is the
number of subsets, binomial(m, t).
"""

from __future__ import annotations

from dataclasses import dataclass

from mpcstats.errors import RangeError
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.declare import Case
from mpcstats.protocols.exact import floor_shift, floor_shift_work
from mpcstats.protocols.normalise import (
    Leading,
    cut,
    leading_one,
    leading_one_work,
    power_factors,
    product_trees,
    product_trees_work,
    public,
    require,
    shift_bits,
    step,
    step_work,
)
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate
from mpcstats.sharing.fixedpoint import headroom_bits

__all__ = [
    "DECLARED_KAPPA",
    "DECLARED_WIDTH",
    "FineReciprocal",
    "fine_inverse",
    "fine_inverse_work",
    "fine_precision",
    "fine_reciprocal",
    "fine_reciprocal_work",
    "fine_square_root",
    "fine_square_root_work",
]

DECLARED_WIDTH = 29
"""Bits of the integers in the declared costs."""

DECLARED_KAPPA = 64
"""Statistical security of one mask in the declared costs."""

_HALF = (2.9282032302755, 2, 3)
"""y = a - b c with |1 - c y| <= 0.0718 on [1/2, 1], and the steps after which 0.0718^8 = 2^-30 is left."""

_QUARTER = (3.842, 3, 4)
"""|1 - c y| <= 0.230 on [1/4, 1]; 0.230^16 = 2^-33."""

_ROOT_START = 2.0293
"""With y = _ROOT_START - c, |1 - c y^2| <= 0.24 for c in [1/4, 1]."""

_ROOT_STEPS = 4
"""s = 1 - x y goes to 3/4 s^2 + s^3/4: 0.24, 0.047, 0.0017, 2.1e-6, 2^-38."""

_MOST, _LEAST = 28, 16


def fine_precision(headroom: int) -> int:
    """Fraction bits F of the iteration, from `session.headroom(field)`."""
    return min(_MOST, (headroom - 2) // 2)


# --- 1 / c for c near 1 --------------------------------------------------------------------------------------------


def fine_inverse_work(c: Case, width: int, precision: int, quarter: bool, kappa: int) -> Work:
    """Cost of `fine_inverse` at this kappa."""
    F = fine_precision(headroom_bits(c.field, len(c.committee.subsets), kappa))
    _, _, steps = _QUARTER if quarter else _HALF
    cuts = call("truncate", c)
    narrow = cuts if width > F else Work()
    polish = call("multiply", c) * 2 + floor_shift_work(c, width + 2 * F - precision)
    return narrow + cuts + step_work(c) + step_work(c, 2) * (steps - 1) + polish


async def fine_inverse(session: Session, c: Shared, width: int, precision: int, quarter: bool = False) -> Shared:
    """2^precision / (c / 2^width) as integers, for integers c in [2^(width-1), 2^width), or from 2^(width-2) on.

    Relative error below ((C + 3) 2^(3-F))^2 + 2^-precision, F = `fine_precision(session.headroom(field))`. Reveals
    nothing.

    Parameters
    ----------
    quarter : bool
        c / 2^width may be anywhere in [1/4, 1).

    Raises
    ------
    RangeError
        No headroom at the session's kappa. Nothing was sent.
    """
    F, field = _format(session, c, width), c.field
    start, slope, steps = _QUARTER if quarter else _HALF
    short = await cut(session, c, width - F, width) if width > F else c.times_int(1 << (F - width))
    y = short.times_int(-slope).plus(public(field, start, F))
    # Goldschmidt 1964: y (1 + e)(1 + e^2)(1 + e^4)..., |e| < 1/4 and y < 4.3
    e = await cut(session, (-local_product(short, y)).plus_int(1 << (2 * F)), F, 2 * F - 1)
    for k in range(steps):
        if k + 1 < steps:
            grown, e = await step(session, e, [y, e], F, 2 * F)
        else:
            (grown,) = await step(session, e, [y], F, 2 * F)
        y = y + grown
    one = 1 << (width + F)
    residual = (-(await multiply(session, c, y))).plus_int(one)
    y = await multiply(session, y, residual.plus_int(one))
    return await floor_shift(session, y, width + 2 * F - precision)


def _format(session: Session, a: Shared, width: int) -> int:
    headroom = session.headroom(a.field)
    F = fine_precision(headroom)
    require(F >= _LEAST and width < headroom, session, a.field, f"a fine inverse of {width} bits", width + 1)
    if a.fraction_bits or width + 2 * F + 3 >= a.field.bits:
        raise RangeError(f"fine inverses are of integers, not of {a!r} with {width} bits")
    return F


# --- reciprocal ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FineReciprocal:
    """1 / a = factor * inverse / 2^(width + precision), as a product that need not be rounded.

    Attributes
    ----------
    factor : Shared
        +-2^shift with a * factor = normal in [2^(width-1), 2^width); 0 where a = 0.
    normal : Shared
        2^(width-1) where a = 0.
    inverse : Shared
        2^(width + precision) / normal.
    nonzero : Shared
        1 where a is not 0, else 0.
    """

    factor: Shared
    normal: Shared
    inverse: Shared
    nonzero: Shared


def fine_reciprocal_work(c: Case, width: int, precision: int, kappa: int) -> Work:
    """Cost of `fine_reciprocal` at this kappa."""
    return (
        leading_one_work(c, width)
        + product_trees_work(c, [shift_bits(width) + 1])
        + call("multiply", c)
        + fine_inverse_work(c, width, precision, False, kappa)
    )


@declared(
    lambda c: fine_reciprocal_work(c, DECLARED_WIDTH, 60, DECLARED_KAPPA),
    source="normalise as Catrina, Saxena 2010; Goldschmidt 1964; one exact Newton step",
)
async def fine_reciprocal(session: Session, a: Shared, width: int, precision: int = 60) -> FineReciprocal:
    """1 / a for integers |a| < 2^width, any shape, with the error of `fine_inverse`. Reveals nothing.

    About 50 rounds and 7 bounded masks per element (`fine_reciprocal_work`).
    """
    _format(session, a, width)
    where = await leading_one(session, a, width)
    signed = where.nonzero - where.negative.times_int(2)
    (factor,) = await product_trees(session, [_append(power_factors(where.shift, 1), signed)])
    normal = await multiply(session, a, factor) + _not(where.nonzero).times_int(1 << (width - 1))
    inverse = await fine_inverse(session, normal, width, precision)
    return FineReciprocal(factor, normal, inverse, where.nonzero)


# --- square root ---------------------------------------------------------------------------------------------------


def fine_square_root_work(c: Case, width: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `fine_square_root` at this kappa."""
    F = fine_precision(headroom_bits(c.field, len(c.committee.subsets), kappa))
    factors = shift_bits(width) - 1
    cuts = call("truncate", c)
    narrow = cuts if width > F else Work()
    iteration = step_work(c) + (cuts + step_work(c, 2)) * _ROOT_STEPS
    polish = call("multiply", c) * 3 + floor_shift_work(c, max(2 * F, width) + F - fraction_bits)
    return (
        leading_one_work(c, width)
        + product_trees_work(c, [factors + 1, factors])
        + call("multiply", c, 2 * c.size)
        + narrow
        + iteration
        + polish
    )


@declared(
    lambda c: fine_square_root_work(c, DECLARED_WIDTH + 1, 35, DECLARED_KAPPA),
    source="Goldschmidt's coupled iteration (Markstein 2004); one exact Heron step",
)
async def fine_square_root(session: Session, a: Shared, width: int, fraction_bits: int) -> Shared:
    """sqrt(a) with `fraction_bits` fraction bits for integers 0 <= a < 2^width, 0 for a < 0. Reveals nothing.

    Parameters
    ----------
    width : int
        Even, at least 4.

    Returns
    -------
    Shared
        Relative error below ((C + 3) 2^(3-F))^2, F = `fine_precision(session.headroom(field))`, and one unit in the
        last place. Exactly 0 for 0.

    Raises
    ------
    RangeError
        No headroom at the session's kappa, or an odd `width`. Nothing was sent.
    """
    F, field = _format(session, a, width), a.field
    if width % 2 or width < 4 or not 0 <= fraction_bits <= 3 * F:
        raise RangeError(f"a fine root is of an even number of bits from 4 on, not of {width} ({fraction_bits} behind)")
    where = await leading_one(session, a, width)
    c, down = await _even(session, a, width, where)
    short = await cut(session, c, width - F, width) if width > F else c.times_int(1 << (F - width))
    y = (-short).plus(public(field, _ROOT_START, F))
    (x,) = await step(session, short, [y], F, 2 * F + 1)
    for _ in range(_ROOT_STEPS):
        e = await cut(session, (-local_product(x, y)).plus_int(1 << (2 * F)), F, 2 * F - 1)
        more_x, more_y = await step(session, e, [x, y], F + 1, 2 * F)
        x, y = x + more_x, y + more_y
    # x + (c - x^2) y / 2 with 3 F + 1 fraction bits
    fine = max(2 * F, width)
    square = (await multiply(session, x, x)).times_int(1 << (fine - 2 * F))
    rest = c.times_int(1 << (fine - width)) - square
    root = x.times_int(1 << (fine + 1)) + await multiply(session, rest, y)
    # down = 2^(width/2 - 1 - half), and the root is to be divided by 2^half
    return await floor_shift(session, await multiply(session, root, down), fine + F - fraction_bits)


async def _even(session: Session, a: Shared, width: int, where: Leading) -> tuple[Shared, Shared]:
    """c = a 4^half in [2^(width-2), 2^width) and 2^(width/2 - 1 - half); 2^(width-2) and 0 for a <= 0."""
    half, positive = where.shift[1:], where.nonzero - where.negative
    fours = _append(power_factors(half, 2), positive)
    four, two = await product_trees(session, [fours, power_factors(half, -1)])
    both = await multiply(session, concatenate([_row(a), _row(two)]), concatenate([_row(four), _row(positive)]))
    return both[0] + _not(positive).times_int(1 << (width - 2)), both[1].times_int(1 << (width // 2 - 1))


def _row(x: Shared) -> Shared:
    return x.reshape(1, *x.shape)


def _append(factors: Shared, last: Shared) -> Shared:
    return concatenate([factors, _row(last)])


def _not(bit: Shared) -> Shared:
    return (-bit).plus_int(1)
