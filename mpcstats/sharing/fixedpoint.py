"""Real numbers as integers modulo p: x is carried as round(x 2^f), negative numbers above p/2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField

__all__ = ["decode", "encode", "headroom_bits"]

_TWO_64 = 2.0**64


def encode(field: PrimeField, x: NDArray[np.float64], fraction_bits: int, integer_bits: int) -> Elements:
    """Round to a multiple of 2^-fraction_bits (half to even at 53 bits of a double).

    Parameters
    ----------
    x : float64, any shape
    integer_bits : int
        The promise |x| < 2^integer_bits, checked here, at the owner of the numbers.

    Raises
    ------
    RangeError
        A number is not finite or breaks the promise, or the format does not fit the field.
    """
    x = np.asarray(x, np.float64)
    if integer_bits + fraction_bits > field.bits - 2:
        raise RangeError(
            f"a format of ({integer_bits}, {fraction_bits}) bits does not fit a field of {field.bits} bits"
        )
    if not np.isfinite(x).all():
        raise RangeError(f"{int((~np.isfinite(x)).sum())} of {x.size} numbers are not finite")
    if x.size and float(np.abs(x).max()) >= 2.0**integer_bits:
        raise RangeError(f"a number is outside the promised range of +-2^{integer_bits}")
    scaled = np.abs(np.ldexp(x, fraction_bits))
    if field.limbs == 1:
        magnitude = np.rint(scaled).astype(np.uint64)
    else:
        # a double has 53 bits: above 2^64 it is an integer already, and split exactly
        high = np.floor(scaled / _TWO_64)
        low = np.rint(scaled - high * _TWO_64)
        carry = low >= _TWO_64
        magnitude = np.stack([np.where(carry, 0.0, low).astype(np.uint64), (high + carry).astype(np.uint64)], axis=-1)
    negative = x < 0
    return np.where(negative if field.limbs == 1 else negative[..., None], field.neg(magnitude), magnitude)


def decode(field: PrimeField, a: Elements, fraction_bits: int) -> NDArray[np.float64]:
    """The numbers, as float64 (correct to one unit in the last place of a double)."""
    negative = field.is_negative(a)
    size = np.where(negative if field.limbs == 1 else negative[..., None], field.neg(a), a)
    if field.limbs == 1:
        plain = size.astype(np.float64)
    else:
        plain = size[..., 1].astype(np.float64) * _TWO_64 + size[..., 0].astype(np.float64)
    return np.ldexp(np.where(negative, -plain, plain), -fraction_bits)


def headroom_bits(field: PrimeField, subsets: int, kappa: int) -> int:
    """The largest k such that a number |z| < 2^(k-1) can be opened under a bounded mask with kappa bits to spare.

    The opened number is below (subsets + 1) 2^k + subsets 2^(k+kappa) and must stay below p.
    """
    k = 0
    while (subsets + 1) * (1 << (k + 1)) + subsets * (1 << (k + 1 + kappa)) < field.modulus:
        k += 1
    return k
