"""Products and quotients of secret integers that may be very large or very small: mantissa and exponent on shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.protocols import bit_compose, floor_shift, multiply
from mpcstats.protocols.fine import fine_inverse
from mpcstats.protocols.normalise import leading_one, power_factors, product_trees
from mpcstats.runtime import Session, Shared, concatenate, open_declared

__all__ = ["SCALED_BITS", "Scaled", "quotient", "release_scaled"]

SCALED_BITS = 48
"""Bits of a mantissa."""

_WIDTH = 2 * SCALED_BITS + 10
"""Mantissas of quotients are below 2^_WIDTH in size."""


@dataclass(frozen=True)
class Scaled:
    """mantissa * 2^exponent for each of several numbers.

    Attributes
    ----------
    mantissa : Shared (k,)
        Integers below 2^_WIDTH in size, not normalised.
    exponent : Shared (k,)
    exists : Shared (k,)
        1, or 0 where a number would have been divided by 0.
    """

    mantissa: Shared
    exponent: Shared
    exists: Shared


@dataclass(frozen=True)
class _Normal:
    """|x| = mantissa * 2^exponent, mantissa in [2^(SCALED_BITS-1), 2^SCALED_BITS), 0 for x = 0."""

    mantissa: Shared
    exponent: Shared
    nonzero: Shared


async def quotient(
    session: Session, over: Sequence[Shared], under: Sequence[Shared], width: int, sign: Shared | None = None
) -> Scaled:
    """|over[0]| |over[1]| ... / (|under[0]| ...) for shared integers of any size, elementwise.

    Parameters
    ----------
    over, under : one to three, one or two Shared (k,)
        Integers below 2^width in size; M127.
    width : int
        At least SCALED_BITS, at most 125.
    sign : Shared (k,), optional
        -1, 0 or 1: a factor.

    Notes
    -----
    Relative error below 2^(5 - SCALED_BITS) and that of `fine_inverse` (about 2^-44 with three parties). About 150
    rounds and 10 bounded masks for each number. Reveals nothing.
    """
    size = over[0].size
    found = await _normalised(session, concatenate([x.with_fraction_bits(0) for x in (*over, *under)]), width)
    parts = [
        _Normal(found.mantissa[at], found.exponent[at], found.nonzero[at])
        for at in (slice(k * size, (k + 1) * size) for k in range(len(over) + len(under)))
    ]
    top, bottom = parts[: len(over)], parts[len(over) :]
    above, above_exponent = await _product(session, top)
    exists = bottom[0].nonzero
    for part in bottom[1:]:
        exists = await multiply(session, exists, part.nonzero)
    # nobody divides by 0
    safe = [
        _Normal(
            part.mantissa + (-part.nonzero).plus_int(1).times_int(1 << (SCALED_BITS - 1)), part.exponent, part.nonzero
        )
        for part in bottom
    ]
    below, below_exponent = await _product(session, safe)
    # one factor is in [1/4, 1/2) of 2^(SCALED_BITS + 1), a product of two in [1/4, 1)
    inverse = await fine_inverse(session, below, SCALED_BITS + 1, SCALED_BITS + 1, quarter=True)
    mantissa = await multiply(session, await multiply(session, above, inverse), exists)
    if sign is not None:
        mantissa = await multiply(session, mantissa, sign)
    exponent = above_exponent - below_exponent
    return Scaled(mantissa, exponent.plus_int(-2 * (SCALED_BITS + 1)), exists)


async def _normalised(session: Session, x: Shared, width: int) -> _Normal:
    where = await leading_one(session, x, width)
    (factor,) = await product_trees(session, [power_factors(where.shift, 1)])
    signed = await multiply(session, factor, where.negative.times_int(-2).plus_int(1))
    full = await multiply(session, x, signed)
    mantissa = await floor_shift(session, full, width - SCALED_BITS)
    exponent = (-bit_compose(where.shift)).plus_int(width - SCALED_BITS)
    return _Normal(mantissa, exponent, where.nonzero)


async def _product(session: Session, parts: Sequence[_Normal]) -> tuple[Shared, Shared]:
    """Mantissa in [2^(SCALED_BITS-1), 2^(SCALED_BITS+1)), or from half of it on for three factors; exponent."""
    mantissa, exponent = parts[0].mantissa, parts[0].exponent
    for k, part in enumerate(parts[1:]):
        drop = SCALED_BITS - 1 + (k > 0)
        mantissa = await floor_shift(session, await multiply(session, mantissa, part.mantissa), drop)
        exponent = (exponent + part.exponent).plus_int(drop)
    return mantissa, exponent


async def release_scaled(session: Session, numbers: Scaled, name: str, significant_bits: int) -> NDArray[np.float64]:
    """Open numbers rounded to so many significant bits, NaN where they do not exist.

    Declared for 3 k values under `name`: a mantissa, an exponent and whether the number exists; nothing else is opened.
    The caller vouches that the rules allow it.
    """
    where = await leading_one(session, numbers.mantissa, _WIDTH)
    (factor,) = await product_trees(session, [power_factors(where.shift, 1)])
    full = await multiply(session, numbers.mantissa, factor)
    drop = _WIDTH - significant_bits
    mantissa = await floor_shift(session, full.plus_int(1 << (drop - 1)), drop)
    exponent = await multiply(session, (numbers.exponent - bit_compose(where.shift)).plus_int(drop), where.nonzero)
    size = mantissa.size
    opened = await open_declared(session, concatenate([mantissa, exponent, numbers.exists]), name)
    plain = [int(value) for value in numbers.mantissa.field.to_signed(opened)]
    return np.array([math.ldexp(plain[k], plain[size + k]) if plain[2 * size + k] else math.nan for k in range(size)])
