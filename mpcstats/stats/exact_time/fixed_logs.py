"""Logarithms of public fractions as integers: the same at all parties, whatever their processors and libraries.

A public factor that differs in its last bit between two parties is multiplied by their shares, which are random: the
result would be garbage. Division and square roots of doubles are the same everywhere, logarithms are not.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

__all__ = ["fixed_log", "fixed_square"]

_GUARD = 24


def fixed_log(numerator: int, denominator: int, bits: int) -> int:
    """ln(numerator / denominator) * 2^bits, within one unit; both are positive.

    ln x = 2 artanh((x - 1) / (x + 1)) for x in [2/3, 4/3], and powers of two.
    """
    exponent = numerator.bit_length() - denominator.bit_length()
    p, q = (numerator, denominator << exponent) if exponent > 0 else (numerator << -exponent, denominator)
    if 3 * p > 4 * q:
        q, exponent = 2 * q, exponent + 1
    if 3 * p < 2 * q:
        p, exponent = 2 * p, exponent - 1
    total = exponent * _log_two(bits) + 2 * _artanh(p - q, p + q, bits + _GUARD)
    return (total + (1 << (_GUARD - 1))) >> _GUARD


@cache
def _log_two(bits: int) -> int:
    return 2 * _artanh(1, 3, bits + _GUARD)


def _artanh(numerator: int, denominator: int, bits: int) -> int:
    """artanh of a fraction within +-1/3, times 2^bits; a few units off at most."""
    if numerator < 0:
        return -_artanh(-numerator, denominator, bits)
    y = (numerator << bits) // denominator
    square, total, term, k = (y * y) >> bits, 0, y, 1
    while term:
        total += term // k
        term, k = (term * square) >> bits, k + 2
    return total


def fixed_square(number: float, bits: int) -> int:
    """number^2 * 2^bits, from ten decimals of the number: quantiles of distributions agree so far everywhere."""
    return round(Fraction(f"{number:.10f}") ** 2 * (1 << bits))
