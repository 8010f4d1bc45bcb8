"""Square roots and inverse square roots of secret numbers."""

from __future__ import annotations

from dataclasses import dataclass

from mpcstats.errors import RangeError
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.declare import Case
from mpcstats.protocols.normalise import (
    Checked,
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

_START = 2.0293
"""With y = _START - c, |1 - c y^2| <= 0.24 for c in [1/4, 1]."""

_LEAST = 16
"""Precision below which the rounding errors would break the promises of the iteration."""


def root_precision(headroom: int, integer_bits: int, fraction_bits: int) -> int:
    """Fraction bits F of the root of the normalised number, from `session.headroom(field)`."""
    return min(headroom - 2 - _width(integer_bits, fraction_bits), (headroom - 4) // 2)


def _width(integer_bits: int, fraction_bits: int) -> int:
    # width - fraction_bits is even: the scale of the normalised number is a power of four
    return integer_bits + fraction_bits + integer_bits % 2


def _steps(precision: int) -> int:
    """Coupled steps before the last one: 1 - c y^2 = s goes to 3/4 s^2 + s^3/4 from 0.24."""
    s, count = 0.24, 0
    while s * s > 2.0 ** -(precision + 2):
        s, count = 0.75 * s * s + s**3 / 4, count + 1
    return count


@dataclass(frozen=True)
class _Normal:
    """c = a 4^shift in [2^(width-2), 2^width), or 2^(width-2) where a <= 0; scale = 2^shift or 2^(most-shift)."""

    c: Shared
    scale: Shared
    positive: Shared
    negative: Shared


def _normal_work(c: Case, width: int) -> Work:
    factors = shift_bits(width) - 1
    return leading_one_work(c, width) + product_trees_work(c, [factors + 1, factors]) + call("multiply", c)


async def _normal(session: Session, a: Shared, width: int, down: bool) -> _Normal:
    where = await leading_one(session, a, width)
    half = where.shift[1:]  # the lowest bit is dropped: half the shift, rounded down
    positive = where.nonzero - where.negative
    fours = concatenate([power_factors(half, 2), positive.reshape(1, *positive.shape)])
    four, two = await product_trees(session, [fours, power_factors(half, -1 if down else 1)])
    c = await multiply(session, a, four)
    scale = two.times_int(1 << _most(width)) if down else two
    return _Normal(c + (-positive).plus_int(1).times_int(1 << (width - 2)), scale, positive, where.negative)


def _most(width: int) -> int:
    """The largest half shift."""
    return (width - 1) // 2


# --- the iteration -------------------------------------------------------------------------------------------------


def _coupled_work(c: Case, width: int, precision: int) -> Work:
    narrow = step_work(c) if width > precision else Work()
    return narrow + step_work(c) + (step_work(c) + step_work(c, 2)) * _steps(precision)


async def _coupled(session: Session, c: Shared, width: int, precision: int) -> tuple[Shared, Shared]:
    """About (sqrt(c), 1 / sqrt(c)) for c / 2^width in [1/4, 1), as integers with `precision` fraction bits.

    x = c y; both grow by the factor 1 + (1 - x y) / 2 in each step. The square of what is missing is below
    2^-precision: one more step, with the full c, ends it.
    """
    field, F = c.field, precision
    short = await cut(session, c, width - F, width) if width > F else c.times_int(1 << (F - width))
    y = (-short).plus(public(field, _START, F))
    (x,) = await step(session, short, [y], F, 2 * F + 1)
    for _ in range(_steps(F)):
        # 1 - x y is within +-1/4, x and y times half of it within +-1/4
        e = await cut(session, (-local_product(x, y)).plus_int(1 << (2 * F)), F, 2 * F - 2)
        more_x, more_y = await step(session, e, [x, y], F + 1, 2 * F - 1)
        x, y = x + more_x, y + more_y
    return x, y


# --- square root ---------------------------------------------------------------------------------------------------


def square_root_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `square_root` at this kappa."""
    width = _width(integer_bits, fraction_bits)
    F = root_precision(headroom_bits(c.field, len(c.committee.subsets), kappa), integer_bits, fraction_bits)
    return _normal_work(c, width) + _coupled_work(c, width, F) + step_work(c) * 3 + call("multiply", c)


@declared(
    lambda c: square_root_work(c, *DECLARED_FORMAT, DECLARED_KAPPA),
    source="normalise as Catrina, Saxena 2010; Goldschmidt's coupled iteration (Markstein 2004), one Heron step",
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
    About 2 log2(n) + log2(width) + 25 rounds, 14 bounded masks per element (`square_root_work`). The declared cost is
    that of `DECLARED_FORMAT` at kappa = `DECLARED_KAPPA`.
    """
    width, F, out = _format(session, a, integer_bits, fraction_bits)
    field = a.field
    drop = F + _most(width) - (width - a.fraction_bits) // 2 - out
    require(drop > 0, session, field, f"a root with {out} fraction bits", session.headroom(field) + 1 - drop)
    normal = await _normal(session, a.with_fraction_bits(0), width, down=True)
    x, y = await _coupled(session, normal.c, width, F)
    # x + (c - x^2) y / 2, with all bits of c
    fine = max(width, 2 * F)
    square = local_product(x, x).times_int(1 << (fine - 2 * F))
    rest = await cut(session, normal.c.times_int(1 << (fine - width)) - square, fine - F, fine - 2)
    (more,) = await step(session, rest, [y], F + 1, 2 * F - 1)
    (value,) = await step(session, normal.scale, [x + more], drop, F + _most(width) + 1)
    value = await multiply(session, value, normal.positive)
    return Checked(value.with_fraction_bits(out), normal.negative)


# --- inverse square root -------------------------------------------------------------------------------------------


def inverse_square_root_work(c: Case, integer_bits: int, fraction_bits: int, kappa: int) -> Work:
    """Cost of `inverse_square_root` at this kappa."""
    width = _width(integer_bits, fraction_bits)
    F = root_precision(headroom_bits(c.field, len(c.committee.subsets), kappa), integer_bits, fraction_bits)
    return _normal_work(c, width) + _coupled_work(c, width, F) + step_work(c) * 4 + call("multiply", c)


@declared(
    lambda c: inverse_square_root_work(c, *DECLARED_FORMAT, DECLARED_KAPPA),
    source="normalise as Catrina, Saxena 2010; Goldschmidt's coupled iteration (Markstein 2004), one Newton step",
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
    width, F, out = _format(session, a, integer_bits, fraction_bits)
    field = a.field
    drop = F + (width - a.fraction_bits) // 2 - out
    require(drop > 0, session, field, f"an inverse root with {out} fraction bits", session.headroom(field) + 1 - drop)
    normal = await _normal(session, a.with_fraction_bits(0), width, down=False)
    _, y = await _coupled(session, normal.c, width, F)
    # y + y (1 - c y^2) / 2, with all bits of c
    (square,) = await step(session, y, [y], F, 2 * F + 3)
    rest = (-local_product(normal.c, square)).plus_int(1 << (width + F))
    (more,) = await step(session, await cut(session, rest, width, width + F - 2), [y], F + 1, 2 * F - 1)
    (value,) = await step(session, normal.scale, [y + more], drop, F + _most(width) + 2)
    value = await multiply(session, value, normal.positive)
    return Checked(value.with_fraction_bits(out), (-normal.positive).plus_int(1))


def _format(session: Session, a: Shared, integer_bits: int, fraction_bits: int | None) -> tuple[int, int, int]:
    """Width of the normalised number, precision of its root, fraction bits of the result."""
    out = a.fraction_bits if fraction_bits is None else fraction_bits
    width = _width(integer_bits, a.fraction_bits)
    if min(integer_bits, a.fraction_bits, out) < 0 or not 2 <= width < a.field.bits:
        raise RangeError(f"({integer_bits}, {a.fraction_bits}) is not a format of numbers in {a.field}")
    F = root_precision(session.headroom(a.field), integer_bits, a.fraction_bits)
    least = max(_LEAST, out - 1)
    what = f"a root of numbers of ({integer_bits}, {a.fraction_bits}) bits, to {out} fraction bits,"
    require(least <= F, session, a.field, what, max(width + least + 2, 2 * least + 4))
    return width, F, out
