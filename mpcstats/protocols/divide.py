"""Reciprocals and quotients of secret numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mpcstats.errors import RangeError
from mpcstats.field import PrimeField
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.compare import is_negative
from mpcstats.protocols.declare import Case
from mpcstats.protocols.exact import floor_shift, floor_shift_work
from mpcstats.protocols.normalise import (
    Checked,
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
    "DECLARED_FORMAT",
    "DECLARED_INTEGER_BITS",
    "DECLARED_KAPPA",
    "divide",
    "divide_work",
    "floor_quotient",
    "floor_quotient_work",
    "quotient_precision",
    "reciprocal",
    "reciprocal_precision",
    "reciprocal_work",
]

DECLARED_FORMAT = (15, 32)
"""Integer and fraction bits in the declared costs: a format that fits M127 with 3 to 9 parties."""

DECLARED_KAPPA = 40
"""Statistical security of one mask in the declared costs."""

DECLARED_INTEGER_BITS = 24
"""Width of the integers in the declared cost of `floor_quotient`."""

_START = 2.9282032302755
"""2 (sqrt(12) - 2): with y = _START - 2 c, |1 - c y| <= 0.0718 for c in [1/2, 1]."""

_LEAST = 16
"""Precision below which the rounding errors would break the promises of the iteration."""


def _steps(precision: int) -> int:
    """Products (1 + e)(1 + e^2)... after which one Newton step ends at the precision: 0.0718 = 2^-3.8."""
    count = 2
    while 3.8 * 2 ** (count + 1) < precision + 1:
        count += 1
    return count


# --- 1 / c for c in [1/2, 1) ---------------------------------------------------------------------------------------


def _inverse_work(c: Case, width: int, precision: int) -> Work:
    steps = _steps(precision)
    narrow = step_work(c) if width > precision else Work()
    return narrow + step_work(c) + step_work(c, 2) * (steps - 1) + step_work(c) * 3


async def _inverse(session: Session, c: Shared, width: int, precision: int) -> Shared:
    """2^precision / c for c / 2^width in [1/2, 1), as integers; relative error below (C + 2) 2^-precision.

    Goldschmidt 1964: y (1 + e)(1 + e^2)(1 + e^4)... with e = 1 - c y, whose two products share a round; then one
    Newton step with the full c, which corrects all rounding errors before it.
    """
    field, F = c.field, precision
    short = await cut(session, c, width - F, width) if width > F else c.times_int(1 << (F - width))
    y = short.times_int(-2).plus(public(field, _START, F))
    e = await _residual(session, short, y, F, F)
    for k in range(_steps(F)):
        # |e| < 1/8 and y < 2.1: products stay below 2^(2 F - 1)
        if k + 1 < _steps(F):
            grown, e = await step(session, e, [y, e], F, 2 * F - 1)
        else:
            (grown,) = await step(session, e, [y], F, 2 * F - 1)
        y = y + grown
    e = await _residual(session, c, y, width, F)
    (grown,) = await step(session, e, [y], F, 2 * F - 1)
    return y + grown


async def _residual(session: Session, c: Shared, y: Shared, width: int, precision: int) -> Shared:
    """1 - c y, |.| < 1/8, in one round: the product keeps its degree until it is truncated."""
    z = (-local_product(c, y)).plus_int(1 << (width + precision))
    return await cut(session, z, width, width + precision - 3)


# --- normalisation -------------------------------------------------------------------------------------------------


def _scaled_work(c: Case, width: int) -> Work:
    return leading_one_work(c, width) + product_trees_work(c, [shift_bits(width) + 1]) + call("multiply", c)


async def _scaled(session: Session, b: Shared, width: int) -> tuple[Shared, Shared, Leading]:
    """(c, g, where): g = +-2^shift with c = b g in [2^(width-1), 2^width); g = 0 and c = 2^(width-1) where b = 0."""
    where = await leading_one(session, b, width)
    factors = power_factors(where.shift, 1)
    signed = where.nonzero - where.negative.times_int(2)
    (g,) = await product_trees(session, [_append(factors, signed)])
    c = await multiply(session, b, g)
    return c + _is_zero(where).times_int(1 << (width - 1)), g, where


def _append(factors: Shared, last: Shared) -> Shared:
    return concatenate([factors, last.reshape(1, *last.shape)])


def _is_zero(where: Leading) -> Shared:
    return (-where.nonzero).plus_int(1)


# --- reciprocal ----------------------------------------------------------------------------------------------------


def reciprocal_precision(headroom: int, width: int) -> int:
    """Fraction bits F of the normalised reciprocal of numbers of `width` bits, from `session.headroom(field)`."""
    return min(headroom - 2 - width, headroom // 2)


def reciprocal_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `reciprocal` at this kappa."""
    width = integer_bits + fraction_bits
    F = reciprocal_precision(headroom_bits(c.field, len(c.committee.subsets), kappa), width)
    return _scaled_work(c, width) + _inverse_work(c, width, F) + step_work(c) + call("multiply", c)


@declared(
    lambda c: reciprocal_work(c, *DECLARED_FORMAT, DECLARED_KAPPA),
    source="Catrina, Saxena 2010, Protocol 3.4 (normalise, Goldschmidt), with one Newton step at the end",
)
async def reciprocal(session: Session, a: Shared, integer_bits: int = 20, fraction_bits: int | None = None) -> Checked:
    """1 / a, and 0 where a = 0. Reveals nothing.

    Parameters
    ----------
    a : Shared, any shape
        |a| < 2^integer_bits; integers when a has no fraction bits.
    integer_bits : int
        In M127 with three parties (20, 32) fits at kappa = 40, (12, 24) at kappa = 64.
    fraction_bits : int, optional
        Of the result; those of a when left out.

    Returns
    -------
    Checked
        value: error below |1/a| (C + 2) 2^-F + (C + 1)/2 2^-fraction_bits, C = number of subsets,
        F = `reciprocal_precision(session.headroom(field), integer_bits + a.fraction_bits)`, and
        |value| <= 2^a.fraction_bits. undefined: [a = 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.

    Notes
    -----
    About 2 log2(n) + log2(width) + 20 rounds, 7 to 10 bounded masks per element (`reciprocal_work`). The declared
    cost is that of `DECLARED_FORMAT` at kappa = `DECLARED_KAPPA`.
    """
    field, width = a.field, integer_bits + a.fraction_bits
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    headroom = session.headroom(field)
    F = reciprocal_precision(headroom, width)
    _refuse(session, field, integer_bits, a.fraction_bits, out, F, width + max(_LEAST, out - 1) + 2)
    drop = F + width - a.fraction_bits - out
    require(drop > 0, session, field, f"a reciprocal with {out} fraction bits", headroom + 1 - drop)
    c, g, where = await _scaled(session, a.with_fraction_bits(0), width)
    y = await _inverse(session, c, width, F)
    (value,) = await step(session, g, [y], drop, width + F + 1)
    value = await multiply(session, value, where.nonzero)  # what rounding left at a = 0 goes
    return Checked(value.with_fraction_bits(out), _is_zero(where))


def _refuse(
    session: Session, field: PrimeField, integer_bits: int, fraction_bits: int, out: int, precision: int, needed: int
) -> None:
    width = integer_bits + fraction_bits
    if min(fraction_bits, out) < 0 or not 1 <= width < field.bits:
        raise RangeError(f"({integer_bits}, {fraction_bits}) is not a format of numbers in {field}")
    what = f"division by numbers of ({integer_bits}, {fraction_bits}) bits, to {out} fraction bits,"
    require(precision >= max(_LEAST, out - 1), session, field, what, needed)


# --- division ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """Formats of one division: F of 1/c, `kept` fraction bits of a g."""

    width: int
    precision: int
    scaled: int  # fraction bits of the exact a g
    kept: int


def quotient_precision(headroom: int, width: int, quotient_bits: int) -> int:
    """Fraction bits F of the normalised reciprocal in a division."""
    return min(headroom - 2 - width, (headroom - 2 - quotient_bits) // 2, headroom // 2)


def _plan(headroom: int, width: int, quotient_bits: int, more: int) -> _Plan:
    F = quotient_precision(headroom, width, quotient_bits)
    scaled = width + more
    return _Plan(width, F, scaled, min(scaled, headroom - 2 - quotient_bits - F))


def _quotient_work(c: Case, plan: _Plan) -> Work:
    narrow = step_work(c) if plan.kept < plan.scaled else call("multiply", c)
    return (
        _scaled_work(c, plan.width)
        + _inverse_work(c, plan.width, plan.precision)
        + narrow
        + step_work(c)
        + call("multiply", c)
    )


def divide_work(
    c: Case, integer_bits: int, a_fraction_bits: int, b_fraction_bits: int, quotient_bits: int, kappa: int
) -> Work:
    """Cost of `divide` at this kappa, for operands of the shape of the result."""
    headroom = headroom_bits(c.field, len(c.committee.subsets), kappa)
    width = integer_bits + b_fraction_bits
    return _quotient_work(c, _plan(headroom, width, quotient_bits, a_fraction_bits - b_fraction_bits))


@declared(
    lambda c: divide_work(c, *DECLARED_FORMAT, DECLARED_FORMAT[1], DECLARED_FORMAT[0], DECLARED_KAPPA),
    source="Catrina, Saxena 2010, Protocol 3.4",
)
async def divide(
    session: Session,
    a: Shared,
    b: Shared,
    integer_bits: int = 20,
    quotient_bits: int | None = None,
    fraction_bits: int | None = None,
) -> Checked:
    """a / b for numbers or integers, broadcasting, and 0 where b = 0. Reveals nothing.

    Parameters
    ----------
    a, b : Shared
        Any fraction bits, also different ones; `undefined` has the shape of b.
    integer_bits : int
        |b| < 2^integer_bits.
    quotient_bits : int, optional
        |a / b| < 2^quotient_bits wherever b is not 0: a promise, as secrets cannot be checked. integer_bits when left
        out.
    fraction_bits : int, optional
        Of the quotient; those of a when left out.

    Returns
    -------
    Checked
        value: error below |a/b| (C + 2) 2^-F + (C + 1) 2^-K + (C + 1)/2 2^-fraction_bits with
        F = `quotient_precision(headroom, integer_bits + b.fraction_bits, quotient_bits)` and
        K = headroom - 2 - quotient_bits - F; it does not grow for small b. undefined: [b = 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.

    Notes
    -----
    With g = +-2^shift and c = b g in [1/2, 1): a / b = (a g) (1/c). Cost: `divide_work`.
    """
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    top = integer_bits if quotient_bits is None else quotient_bits
    width, headroom = integer_bits + b.fraction_bits, session.headroom(a.field)
    plan = _plan(headroom, width, top, a.fraction_bits - b.fraction_bits)
    needed = max(width + max(_LEAST, out - 1) + 2, top + 2 * out, top + plan.scaled + 1)
    _refuse(session, a.field, integer_bits, b.fraction_bits, out, plan.precision, needed)
    enough = plan.kept >= min(out - 1, plan.scaled) and top + plan.scaled + 1 <= headroom
    require(enough and plan.scaled > 0, session, a.field, f"a quotient of ({top}, {out}) bits", needed)
    drop = plan.kept + plan.precision - out
    require(drop > 0, session, a.field, f"a quotient of {out} fraction bits", headroom + 1 - drop)
    value, where = await _quotient(session, a.with_fraction_bits(0), b.with_fraction_bits(0), plan, top, drop)
    value = await multiply(session, value, where.nonzero)
    return Checked(value.with_fraction_bits(out), _is_zero(where))


async def _quotient(session: Session, a: Shared, b: Shared, plan: _Plan, top: int, drop: int) -> tuple[Shared, Leading]:
    c, g, where = await _scaled(session, b, plan.width)
    y = await _inverse(session, c, plan.width, plan.precision)
    product = local_product(a, g)
    if plan.kept < plan.scaled:
        scaled = await cut(session, product, plan.scaled - plan.kept, top + plan.scaled)
    else:
        scaled = await multiply(session, a, g)
    z = replace(local_product(scaled, y), fraction_bits=0)
    return await cut(session, z, drop, top + plan.kept + plan.precision + 1), where


# --- whole quotients -----------------------------------------------------------------------------------------------


def _whole_plan(subsets: int, bits: int) -> tuple[_Plan, int]:
    """Formats in which a quotient of `bits` bits comes out with an error below 1/2, and its fraction bits."""
    fraction = (subsets + 1).bit_length() + 2
    F = max(_LEAST, bits + (subsets + 2).bit_length() + 3)
    return _Plan(bits, F, bits, min(bits, fraction)), fraction


def floor_quotient_work(c: Case, bits: int) -> Work:
    """Cost of `floor_quotient`, for operands of the shape of the result. It does not depend on kappa."""
    plan, fraction = _whole_plan(len(c.committee.subsets), bits)
    return _quotient_work(c, plan) + floor_shift_work(c, fraction) + call("multiply", c) + call("is_negative", c)


@declared(
    lambda c: floor_quotient_work(c, DECLARED_INTEGER_BITS),
    source="approximate quotient, exact floor, one correction by the sign of the remainder",
)
async def floor_quotient(session: Session, a: Shared, b: Shared, bits: int = DECLARED_INTEGER_BITS) -> Checked:
    """floor(a / b) for integers 0 <= a, b < 2^bits, broadcasting: exact; 0 where b = 0. Reveals nothing.

    Raises
    ------
    RangeError
        No headroom for integers of this width at the session's kappa (M127, m = 3: 36 bits at kappa = 40). Nothing
        was sent.

    Notes
    -----
    An approximate quotient q' with |q' - a/b| < 1/2 gives floor(q' + 1/2), which is floor(a/b) or one more; the sign
    of a - b floor(q' + 1/2) tells which. Cost: `floor_quotient_work`.
    """
    if a.fraction_bits or b.fraction_bits:
        raise RangeError("whole quotients are of integers; use divide for numbers with fraction bits")
    field = a.field
    plan, fraction = _whole_plan(len(session.committee.subsets), bits)
    needed = max(bits + plan.precision + 2, 2 * plan.precision, bits + plan.kept + plan.precision + 2, 2 * bits + 1)
    fits = bits > 0 and needed <= session.headroom(field)
    require(fits, session, field, f"division of integers of {bits} bits", needed)
    drop = plan.kept + plan.precision - fraction
    rough, where = await _quotient(session, a, b, plan, bits, drop)
    high = await floor_shift(session, rough.plus_int(1 << (fraction - 1)), fraction)
    below = await is_negative(session, a - await multiply(session, high, b))
    return Checked(await multiply(session, high - below, where.nonzero), _is_zero(where))
