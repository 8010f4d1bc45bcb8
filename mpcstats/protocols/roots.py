"""Square roots and inverse square roots of secret numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mpcstats.errors import RangeError
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.bits import stack
from mpcstats.protocols.blocks import blocks_work, in_blocks
from mpcstats.protocols.declare import Case
from mpcstats.protocols.newton import INVERSE_ROOT, Plan, inverse, inverse_work, plan, scaled, scaled_work
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
    "DECLARED_KAPPA",
    "inverse_square_root",
    "inverse_square_root_work",
    "root_precision",
    "square_root",
    "square_root_work",
]

DECLARED_FORMAT = (15, 32)
"""Integer and fraction bits in the declared costs: a format that fits M127 with 3 to 9 parties."""

DECLARED_KAPPA = 40
"""Statistical security of one mask in the declared costs."""

_LEAST = 16
"""Least precision of a root."""


def root_precision(headroom: int, integer_bits: int, fraction_bits: int) -> int:
    """Fraction bits F of the root of the normalised number, from `session.headroom(field)`."""
    return min(headroom - 2 - _width(integer_bits, fraction_bits), (headroom - 4) // 2)


def _width(integer_bits: int, fraction_bits: int) -> int:
    # width - fraction_bits is even: the scale of the normalised number is a power of four
    return integer_bits + fraction_bits + integer_bits % 2


def _most(width: int) -> int:
    """The largest half shift."""
    return (width - 1) // 2


# --- the normalised root --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """Formats of one root: the way to 1/sqrt(c), its fraction bits, and those of the result."""

    way: Plan
    precision: int
    out: int


@dataclass(frozen=True)
class _Normal:
    """c = |a| 4^shift in [1/4, 1], y near 1/sqrt(c), scale = 2^shift or 2^-shift; where a = 0 as if a = 1."""

    c: Shared
    y: Shared
    scale: Shared
    zero: Shared
    positive: Shared


def _normal_work(c: Case, way: Plan) -> Work:
    return (
        leading_bits_work(c, way.width) + powers_work(c, signs=3, wanted=4) + scaled_work(c, way) + inverse_work(c, way)
    )


async def _normal(session: Session, a: Shared, way: Plan, up: bool) -> _Normal:
    where = await leading_bits(session, a, way.width)
    half = where.shift.planes(slice(1, None))  # half the shift, rounded down
    # a number that is not positive is zero or negative, never both
    signs = stack(where.negative, where.zero, where.zero ^ where.negative)
    wanted = [Power(2, 0), Power(1 if up else -1), Power(0, 1), Power(0, 2)]
    four, scale, zero_sign, other_sign = await powers(session, a.field, half, signs, wanted)
    zero = to_bit(zero_sign)
    c = await scaled(session, a + zero, four, way)
    y = await inverse(session, c, way)
    return _Normal(c, y, scale, zero, complement(to_bit(other_sign)))


# --- square root ---------------------------------------------------------------------------------------------------


def square_root_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `square_root` at this kappa."""
    way = _planned(c, integer_bits, fraction_bits, kappa)
    return blocks_work(lambda part: _normal_work(part, way) + cut_work(part) * 2 + call("multiply", part), c)


@declared(
    lambda c: square_root_work(c, *DECLARED_FORMAT, DECLARED_KAPPA),
    source="c / sqrt(c), as inverse_square_root",
)
async def square_root(session: Session, a: Shared, integer_bits: int = 20, fraction_bits: int | None = None) -> Checked:
    """sqrt(a), and 0 where a <= 0. Reveals nothing.

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
        value: error below sqrt(a) 2 (C + 2) 2^-F + (C + 1)/2 2^-fraction_bits, C = number of subsets,
        F = `root_precision(session.headroom(field), integer_bits, a.fraction_bits)`; undefined: [a < 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.

    Notes
    -----
    About 2 log2(width) + 25 rounds for each 2^17 elements, 8 to 10 bounded masks per element (`square_root_work`). The
    declared cost is that of `DECLARED_FORMAT` at kappa = `DECLARED_KAPPA`.
    """
    form = _format(session, a, integer_bits, fraction_bits)
    F, way, most = form.precision, form.way, _most(form.way.width)
    drop = F + most - (way.width - a.fraction_bits) // 2 - form.out
    what = f"a root with {form.out} fraction bits"
    require(drop > 0, session, a.field, what, session.headroom(a.field) + 1 - drop)

    async def run(part: Shared) -> tuple[Shared, Shared]:
        normal = await _normal(session, part, way, up=False)
        x = await cut_product(session, normal.c, normal.y, way.short, way.short + F + 1)
        value = await cut_product(session, normal.scale.times_int(1 << most), x, drop, F + most + 1)
        undefined = complement(normal.zero) - normal.positive
        return await multiply(session, value, normal.positive), undefined

    return await _checked(run, a, form)


async def _checked(run: Callable[[Shared], Awaitable[tuple[Shared, Shared]]], a: Shared, form: _Form) -> Checked:
    value, undefined = await in_blocks(run, a.with_fraction_bits(0).reshape(a.size))
    return Checked(value.with_fraction_bits(form.out).reshape(*a.shape), undefined.reshape(*a.shape))


# --- inverse square root -------------------------------------------------------------------------------------------


def inverse_square_root_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `inverse_square_root` at this kappa."""
    way = _planned(c, integer_bits, fraction_bits, kappa)
    return blocks_work(lambda part: _normal_work(part, way) + cut_work(part) + call("multiply", part), c)


@declared(
    lambda c: inverse_square_root_work(c, *DECLARED_FORMAT, DECLARED_KAPPA),
    source="normalise as Catrina, Saxena 2010; quintic start, then the series of 1/sqrt(1 - e)",
)
async def inverse_square_root(
    session: Session, a: Shared, integer_bits: int = 20, fraction_bits: int | None = None
) -> Checked:
    """1 / sqrt(a), and 0 where a <= 0. Reveals nothing.

    Parameters as for `square_root`; one round and one mask more.

    Returns
    -------
    Checked
        value: error below (C + 2) 2^-F / sqrt(a) + (C + 1)/2 2^-fraction_bits, C = number of subsets,
        F = `root_precision(session.headroom(field), integer_bits, a.fraction_bits)`; undefined: [a <= 0].

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.
    """
    form = _format(session, a, integer_bits, fraction_bits)
    F, way, most = form.precision, form.way, _most(form.way.width)
    drop = F + (way.width - a.fraction_bits) // 2 - form.out
    what = f"an inverse root with {form.out} fraction bits"
    require(drop > 0, session, a.field, what, session.headroom(a.field) + 1 - drop)

    async def run(part: Shared) -> tuple[Shared, Shared]:
        normal = await _normal(session, part, way, up=True)
        value = await cut_product(session, normal.scale, normal.y, drop, F + most + 2)
        return await multiply(session, value, normal.positive), complement(normal.positive)

    return await _checked(run, a, form)


def _planned(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Plan:
    headroom, width = headroom_bits(c.field, len(c.committee.subsets), kappa), _width(integer_bits, fraction_bits)
    F = root_precision(headroom, integer_bits, fraction_bits)
    way = plan(INVERSE_ROOT, headroom, width, F, len(c.committee.subsets))
    if way is None:
        raise RangeError(f"no headroom for a root of {width} bits: {headroom} bits are too few")
    return way


def _format(session: Session, a: Shared, integer_bits: int, fraction_bits: int | None) -> _Form:
    field, headroom = a.field, session.headroom(a.field)
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    width = _width(integer_bits, a.fraction_bits)
    if min(integer_bits, a.fraction_bits, out) < 0 or not 2 <= width < field.bits:
        raise RangeError(f"({integer_bits}, {a.fraction_bits}) is not a format of numbers in {field}")
    F = root_precision(headroom, integer_bits, a.fraction_bits)
    least = max(_LEAST, out - 1)
    what = f"a root of numbers of ({integer_bits}, {a.fraction_bits}) bits, to {out} fraction bits,"
    require(least <= F, session, field, what, max(width + least + 2, 2 * least + 4))
    exponent_bits(field)
    way = plan(INVERSE_ROOT, headroom, width, F, len(session.committee.subsets))
    require(way is not None, session, field, what, headroom + 1)
    assert way
    return _Form(way, F, out)
