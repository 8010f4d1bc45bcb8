"""Reciprocals and logarithms of secret sums over risk sets, whose sizes differ by many powers of two.

A number is brought to [1/2, 1) by the position of its leading one. There a short reciprocal is found by Goldschmidt's
iteration and corrected once by Newton's with all digits. Only numbers of known size are opened under bounded masks,
one batch of short ones; everything wide is cut exactly, under full-range masks.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext

from mpcstats.field import PrimeField
from mpcstats.protocols import floor_shift, multiply
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.normalise import (
    cut,
    leading_one,
    power_factors,
    product_trees,
    public,
    require,
    step,
)
from mpcstats.runtime import Session, Shared, concatenate

__all__ = ["Scaled", "kept_bits", "logarithm", "masks", "reciprocal", "rounded", "scaled"]

_SHORT = 26
"""Bits of the short reciprocal."""

_KEPT = 48
_STEPS = 3
"""Goldschmidt steps: relative error 0.0718^8 = 2^-30 before rounding."""

_START = 2.9282032302755
"""2 (sqrt(12) - 2): with y = _START - 2 c, |1 - c y| <= 0.0718 for c in [1/2, 1]."""


@dataclass(frozen=True)
class Scaled:
    """Numbers s as c 2^-shift, c in [1/2, 1).

    Attributes
    ----------
    factor : Shared
        g = +-2^shift as an integer, 0 where s = 0.
    number : Shared
        c with `kept_bits` bits, cut off below; 1/2 where s = 0.
    shift : Shared
        As an integer: 0 where |s| has `width` bits.
    """

    factor: Shared
    number: Shared
    shift: Shared


def _noise(session: Session) -> int:
    """Bits of what rounding leaves of the short reciprocal, in its last place."""
    return (8 * (len(session.committee.subsets) + 1)).bit_length()


def kept_bits(session: Session, field: PrimeField) -> int:
    """Bits of c."""
    return min(_KEPT, session.headroom(field) - 2 - _noise(session))


def masks(numbers: int) -> int:
    """Bounded masks that `reciprocal` uses."""
    return numbers * (3 + 2 * _STEPS)


async def rounded(session: Session, a: Shared, bits: int) -> Shared:
    """a / 2^bits to the nearest, exactly, for every |a| < p/4; read as integers. About 17 rounds; reveals nothing."""
    if bits <= 0:
        return a.times_int(1 << -bits)
    return await floor_shift(session, a.plus_int(1 << (bits - 1)), bits)


async def scaled(session: Session, s: Shared, width: int) -> Scaled:
    """Bring integers |s| < 2^width to [1/2, 1). Reveals nothing."""
    where = await leading_one(session, s, width)
    field = s.field
    sign = where.nonzero - where.negative.times_int(2)
    (factor,) = await product_trees(
        session, [concatenate([power_factors(where.shift, 1), sign.reshape(1, *sign.shape)])]
    )
    full = await multiply(session, s, factor)
    full = full + (-where.nonzero).plus_int(1).times_int(1 << (width - 1))
    kept = kept_bits(session, field)
    number = await floor_shift(session, full, width - kept) if width > kept else full.times_int(1 << (kept - width))
    powers = field.from_ints([1 << k for k in range(where.shift.shape[0])])
    shift = where.shift.times(field.reshape(powers, (len(powers), *(1,) * len(s.shape)))).sum(0)
    return Scaled(factor, number, shift)


async def reciprocal(session: Session, c: Shared, precision: int) -> Shared:
    """2^precision / c, c as in `Scaled.number`: relative error some 2^-40, `masks` bounded masks. Reveals nothing."""
    field, kept, noise = c.field, kept_bits(session, c.field), _noise(session)
    short = min(_SHORT, (session.headroom(field) - 2) // 2)
    require(short >= noise + 10, session, field, "a reciprocal", 2 * (noise + 10) + 2)
    rough = await cut(session, c, kept - short, kept) if kept > short else c
    y = rough.times_int(-2).plus(public(field, _START, short))
    e = (-local_product(rough, y)).plus_int(1 << (2 * short))
    e = await cut(session, e, short, 2 * short - 3)
    for k in range(_STEPS):
        grown = await step(session, e, [y, e] if k + 1 < _STEPS else [y], short, 2 * short - 1)
        y = y + grown[0]
        e = grown[-1]
    # e = 1 - c y with all digits of c is below 2^noise units of y
    e = (-local_product(c, y)).plus_int(1 << (kept + short))
    e = await cut(session, e, short, kept + noise)
    (grown_last,) = await step(session, y, [e], kept + short - precision, short + 1 + noise + kept - short)
    return y.times_int(1 << (precision - short)) + grown_last


async def logarithm(session: Session, c: Shared) -> Shared:
    """Natural logarithm of c as in `Scaled.number`, exact to some 2^-42 and with `fraction_bits` set.

    Its Chebyshev series on [1/2, 1] converges like 5.83^-k. Reveals nothing, and uses no bounded mask.
    """
    field, bits = c.field, kept_bits(session, c.field) - 2
    x = c.plus_int(-(3 << bits))  # 4 c - 3
    coefficients = _series(bits)
    known = [Shared(field, field.add(field.zeros(x.shape), field.constant(1 << bits)), x.degree), x]
    while len(known) < len(coefficients):
        # T_(i+j) = 2 T_i T_j - T_(i-j)
        top = len(known) - 1
        split = [((k + 1) // 2, k // 2) for k in range(top + 1, min(2 * top, len(coefficients) - 1) + 1)]
        left = concatenate([known[i].reshape(1, *x.shape) for i, _ in split])
        right = concatenate([known[j].reshape(1, *x.shape) for _, j in split])
        doubled = await rounded(session, replace(await multiply(session, left, right), fraction_bits=0), bits - 1)
        known += [doubled[n] - known[i - j] for n, (i, j) in enumerate(split)]
    total = known[0].times_int(coefficients[0])
    for coefficient, polynomial in zip(coefficients[1:], known[1:], strict=True):
        total = total + polynomial.times_int(coefficient)
    return total.with_fraction_bits(bits + _KEPT)


@functools.cache
def _series(bits: int) -> tuple[int, ...]:
    """Coefficients c_k with _KEPT fraction bits: ln((x + 3) / 4) = -ln(8 t) + 2 sum of (-1)^(k+1) t^k / k T_k(x).

    t = 3 - sqrt(8), from ln(1 + 2 t x + t^2). In decimal arithmetic, which rounds alike on every machine: a coefficient
    that differs in its last bit would make the shares of two parties inconsistent.
    """
    with localcontext(Context(prec=40)):
        t = 3 - Decimal(8).sqrt()
        degree = math.ceil((bits + 1) / math.log2(3 + math.sqrt(8)))
        values = [-(8 * t).ln(), *(2 * (-1) ** (k + 1) * t**k / k for k in range(1, degree + 1))]
        return tuple(int((v * 2**_KEPT).to_integral_value()) for v in values)
