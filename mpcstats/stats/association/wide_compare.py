"""Tests against a threshold without a division, for numbers that are wider than the field."""

from __future__ import annotations

from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols import floor_shift, is_negative, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.thresholds import chi_square_threshold

__all__ = ["beyond_threshold", "threshold_bits"]

_THRESHOLD_BITS = 11
"""Chi-square at the smallest p, 1e-300, is below 2^11."""

_LEAST, _MOST = 20, 30


def threshold_bits(size_bits: int) -> int:
    """Fraction bits to which a threshold is rounded; all else is exact."""
    direct = _direct(size_bits)
    return direct if direct >= _LEAST else _MOST


def _direct(size_bits: int) -> int:
    # n D^2 has 5 size_bits + 1 bits, P has 4 size_bits
    return min(_MOST, M127.bits - 2 - (5 * size_bits + 1), M127.bits - 2 - 4 * size_bits - _THRESHOLD_BITS)


async def beyond_threshold(
    session: Session,
    n: Shared,
    square: Shared,
    product: Shared,
    p: float,
    size_bits: int,
    into: PrimeField = M61,
) -> Shared:
    """1 where n D^2 / P is more than the chi-square (1 df) with tail p, else 0 (also where P = 0): in the field `into`.

    Exact for every cohort below 2^29 people but for the threshold, which is rounded to a multiple of 2^-20 or finer.
    Reveals nothing.

    Parameters
    ----------
    n : Shared (V,) in M127
        Below 2^(size_bits + 1).
    square, product : Shared (V,) in M127
        D^2 and P, below 2^(4 size_bits).

    Notes
    -----
    Up to 2^20 people n D^2 fits the field: one product and one comparison. Beyond, D^2 and P are cut into two halves,
    and the carry of the lower halves is added to the upper ones: three exact shifts more.
    """
    bits = threshold_bits(size_bits)
    tau = chi_square_threshold(p, 1, bits)
    if _direct(size_bits) >= _LEAST:
        return await is_negative(session, product.times_int(tau) - await _scaled(session, n, square, bits), into)
    half = 2 * size_bits
    both = _rows([square, product])
    high = await floor_shift(session, both, half)
    parts = concatenate([_rows([high]), _rows([both - high.times_int(1 << half)])])  # (2 halves, 2 numbers, V)
    weighted = await _scaled(session, n, parts[:, 0], bits)
    difference = parts[:, 1].times_int(tau) - weighted
    return await is_negative(session, difference[0] + await floor_shift(session, difference[1], half), into)


async def _scaled(session: Session, n: Shared, x: Shared, bits: int) -> Shared:
    return (await multiply(session, x, n)).times_int(1 << bits)


def _rows(parts: list[Shared]) -> Shared:
    return concatenate([part.reshape(1, *part.shape) for part in parts])
