"""Reciprocals and quotients of secret numbers."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import PrimeField
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.bits import stack
from mpcstats.protocols.blocks import blocks_work, in_blocks
from mpcstats.protocols.compare import is_negative
from mpcstats.protocols.declare import Case
from mpcstats.protocols.exact import floor_shift, floor_shift_work
from mpcstats.protocols.newton import RECIPROCAL, Plan, inverse, inverse_work, plan, scaled, scaled_work
from mpcstats.protocols.normalise import (
    Checked,
    complement,
    cut_product,
    cut_work,
    leading_bits,
    leading_bits_work,
    require,
    to_bit,
)
from mpcstats.protocols.powers import Power, exponent_bits, powers, powers_work
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared
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

_LEAST = 16
"""Least precision of a reciprocal."""


# --- the normalised reciprocal --------------------------------------------------------------------------------------


def _inverted_work(c: Case, way: Plan) -> Work:
    return (
        leading_bits_work(c, way.width) + powers_work(c, signs=2, wanted=2) + scaled_work(c, way) + inverse_work(c, way)
    )


async def _inverted(session: Session, b: Shared, way: Plan) -> tuple[Shared, Shared, Shared]:
    """(y, g, [b != 0]) for a flat b: g = +-2^shift with c = b g in [1/2, 1] and y near 1/c; where b = 0 as if b = 1."""
    where = await leading_bits(session, b, way.width)
    signs = stack(where.negative, where.zero)
    g, sign = await powers(session, b.field, where.shift, signs, [Power(1, 0), Power(0, 1)])
    zero = to_bit(sign)
    c = await scaled(session, b + zero, g, way)
    return await inverse(session, c, way), g, complement(zero)


# --- reciprocal ----------------------------------------------------------------------------------------------------


def reciprocal_precision(headroom: int, width: int) -> int:
    """Fraction bits F of the normalised reciprocal of numbers of `width` bits, from `session.headroom(field)`."""
    return min(headroom - 2 - width, headroom // 2)


def _way(session: Session, field: PrimeField, width: int, precision: int, what: str) -> Plan:
    exponent_bits(field)
    way = plan(RECIPROCAL, session.headroom(field), width, precision, len(session.committee.subsets))
    require(way is not None, session, field, what, session.headroom(field) + 1)
    assert way
    return way


def _planned(c: Case, headroom: int, width: int, precision: int) -> Plan:
    way = plan(RECIPROCAL, headroom, width, precision, len(c.committee.subsets))
    if way is None:
        raise RangeError(f"no headroom for a reciprocal of {width} bits: {headroom} bits are too few")
    return way


def reciprocal_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `reciprocal` at this kappa."""
    width, headroom = integer_bits + fraction_bits, headroom_bits(c.field, len(c.committee.subsets), kappa)
    way = _planned(c, headroom, width, reciprocal_precision(headroom, width))
    return blocks_work(lambda part: _inverted_work(part, way) + cut_work(part) + call("multiply", part), c)


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
    About 2 log2(width) + 20 rounds for each 2^17 elements, 7 to 9 bounded masks per element (`reciprocal_work`). The
    declared cost is that of `DECLARED_FORMAT` at kappa = `DECLARED_KAPPA`.
    """
    field, width = a.field, integer_bits + a.fraction_bits
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    headroom = session.headroom(field)
    F = reciprocal_precision(headroom, width)
    _refuse(session, field, integer_bits, a.fraction_bits, out, F, width + max(_LEAST, out - 1) + 2)
    drop = F + width - a.fraction_bits - out
    require(drop > 0, session, field, f"a reciprocal with {out} fraction bits", headroom + 1 - drop)
    way = _way(session, field, width, F, f"division by numbers of {width} bits")

    async def run(part: Shared) -> tuple[Shared, Shared]:
        y, g, nonzero = await _inverted(session, part, way)
        value = await cut_product(session, g, y, drop, width + F + 1)
        return await multiply(session, value, nonzero), complement(nonzero)  # what rounding left at a = 0 goes

    value, undefined = await in_blocks(run, a.with_fraction_bits(0).reshape(a.size))
    return Checked(value.with_fraction_bits(out).reshape(*a.shape), undefined.reshape(*a.shape))


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
class _Quotient:
    """Formats of one division: the way to 1/c with F = `precision` fraction bits, and the fraction bits of a g."""

    way: Plan
    precision: int
    scaled: int
    """Of the exact product."""
    kept: int
    top: int
    """Integer bits of the quotient."""


def quotient_precision(headroom: int, width: int, quotient_bits: int) -> int:
    """Fraction bits F of the normalised reciprocal in a division."""
    return min(headroom - 2 - width, (headroom - 2 - quotient_bits) // 2, headroom // 2)


def _kept(headroom: int, scaled: int, quotient_bits: int, precision: int) -> int:
    return min(scaled, headroom - 2 - quotient_bits - precision)


def _quotient_work(c: Case, form: _Quotient) -> Work:
    narrow = cut_work(c) if form.kept < form.scaled else call("multiply", c)
    return call("multiply", c) + narrow + cut_work(c) + call("multiply", c)


def divide_work(
    c: Case, integer_bits: int, a_fraction_bits: int, b_fraction_bits: int, quotient_bits: int, kappa: int
) -> Work:
    """Cost of `divide` at this kappa, for operands of the shape of the result."""
    headroom, width = headroom_bits(c.field, len(c.committee.subsets), kappa), integer_bits + b_fraction_bits
    F = quotient_precision(headroom, width, quotient_bits)
    way, exact = _planned(c, headroom, width, F), width + a_fraction_bits - b_fraction_bits
    form = _Quotient(way, F, exact, _kept(headroom, exact, quotient_bits, F), quotient_bits)
    return blocks_work(lambda part: _inverted_work(part, way), c) + blocks_work(
        lambda part: _quotient_work(part, form), c
    )


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
    With g = +-2^shift and c = b g in [1/2, 1]: a / b = (a g) (1/c). Cost: `divide_work`.
    """
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    top = integer_bits if quotient_bits is None else quotient_bits
    width, headroom = integer_bits + b.fraction_bits, session.headroom(a.field)
    F, exact = quotient_precision(headroom, width, top), width + a.fraction_bits - b.fraction_bits
    kept = _kept(headroom, exact, top, F)
    needed = max(width + max(_LEAST, out - 1) + 2, top + 2 * out, top + exact + 1)
    _refuse(session, a.field, integer_bits, b.fraction_bits, out, F, needed)
    enough = kept >= min(out - 1, exact) and top + exact + 1 <= headroom
    require(enough and exact > 0, session, a.field, f"a quotient of ({top}, {out}) bits", needed)
    drop = kept + F - out
    require(drop > 0, session, a.field, f"a quotient of {out} fraction bits", headroom + 1 - drop)
    way = _way(session, a.field, width, F, f"division by numbers of {width} bits")
    form = _Quotient(way, F, exact, kept, top)
    y, g, nonzero = await in_blocks(lambda part: _inverted(session, part, way), b.with_fraction_bits(0).reshape(b.size))

    async def run(a: Shared, y: Shared, g: Shared, nonzero: Shared) -> tuple[Shared]:
        value = await _quotient(session, a, y, g, nonzero, form, drop)
        return (await multiply(session, value, nonzero),)

    shape = np.broadcast_shapes(a.shape, b.shape)
    parts = [_flat(a.with_fraction_bits(0), shape), *(_flat(x.reshape(*b.shape), shape) for x in (y, g, nonzero))]
    (value,) = await in_blocks(run, *parts)
    return Checked(value.with_fraction_bits(out).reshape(*shape), complement(nonzero).reshape(*b.shape))


def _flat(x: Shared, shape: tuple[int, ...]) -> Shared:
    """Broadcast to a shape and flat."""
    if x.shape != shape:
        x = replace(x, values=np.broadcast_to(x.values, x.field._words_shape(shape)))
    return x.reshape(x.size)


async def _quotient(
    session: Session, a: Shared, y: Shared, g: Shared, nonzero: Shared, form: _Quotient, drop: int
) -> Shared:
    """(a g) y / 2^drop: with a / b = (a g) (1/c). Where b = 0 the number a is not bounded by a promise: g = 0."""
    g = await multiply(session, g, nonzero)
    if form.kept < form.scaled:
        scaled = await cut_product(session, a, g, form.scaled - form.kept, form.top + form.scaled)
    else:
        scaled = await multiply(session, a, g)
    return await cut_product(session, scaled, y, drop, form.top + form.kept + form.precision + 1)


# --- whole quotients -----------------------------------------------------------------------------------------------


@functools.cache
def _whole(subsets: int, bits: int) -> tuple[_Quotient, int, int]:
    """Formats in which a quotient of `bits` bits comes out with an error below 1/2, its fraction bits, the headroom.

    They do not depend on kappa.
    """
    fraction = (subsets + 1).bit_length() + 2
    F = max(_LEAST, bits + (subsets + 2).bit_length() + 3)
    kept = min(bits, fraction)
    needed = max(bits + F + 2, 2 * F, bits + kept + F + 2, 2 * bits + 1)
    for headroom in itertools.count(needed):
        if way := plan(RECIPROCAL, headroom, bits, F, subsets):
            return _Quotient(way, F, bits, kept, bits), fraction, headroom
    raise AssertionError


def floor_quotient_work(c: Case, bits: int) -> Work:
    """Cost of `floor_quotient`, for operands of the shape of the result. It does not depend on kappa."""
    form, fraction, _ = _whole(len(c.committee.subsets), bits)

    def work(part: Case) -> Work:
        ending = floor_shift_work(part, fraction) + call("multiply", part) + call("is_negative", part)
        return _quotient_work(part, form) + ending

    return blocks_work(lambda part: _inverted_work(part, form.way), c) + blocks_work(work, c)


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
    field, headroom = a.field, session.headroom(a.field)
    form, fraction, needed = _whole(len(session.committee.subsets), bits) if bits > 0 else (None, 0, headroom + 1)
    require(form is not None and needed <= headroom, session, field, f"division of integers of {bits} bits", needed)
    assert form
    exponent_bits(field)
    drop = form.kept + form.precision - fraction
    y, g, nonzero = await in_blocks(lambda part: _inverted(session, part, form.way), b.reshape(b.size))

    async def run(a: Shared, b: Shared, y: Shared, g: Shared, nonzero: Shared) -> tuple[Shared]:
        rough = await _quotient(session, a, y, g, nonzero, form, drop)
        high = await floor_shift(session, rough.plus_int(1 << (fraction - 1)), fraction)
        below = await is_negative(session, a - await multiply(session, high, b))
        return (await multiply(session, high - below, nonzero),)

    shape = np.broadcast_shapes(a.shape, b.shape)
    parts = [_flat(a, shape), *(_flat(x.reshape(*b.shape), shape) for x in (b, y, g, nonzero))]
    (value,) = await in_blocks(run, *parts)
    return Checked(value.reshape(*shape), complement(nonzero).reshape(*b.shape))
