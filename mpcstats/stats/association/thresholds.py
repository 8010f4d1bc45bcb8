"""The chi-square that belongs to a p-value, as an integer that is the same at every party.

A comparison on shares multiplies by it: a factor that differs in its last bit between two parties would make their
shares garbage. So it is made with decimal arithmetic, which is the same on every machine.
"""

from __future__ import annotations

import decimal
import functools
import math
from decimal import Decimal

from scipy.special import ndtri

from mpcstats.errors import RangeError

__all__ = ["SMALLEST_P", "chi_square_threshold"]

SMALLEST_P = 1e-300


@functools.cache
def chi_square_threshold(p: float, degrees: int, fraction_bits: int) -> int:
    """Chi-square with upper tail p on 1 or 2 degrees of freedom, times 2^fraction_bits, rounded.

    Raises
    ------
    RangeError
        p is not within 1e-300 to 1, or there are other degrees of freedom.
    """
    if not SMALLEST_P <= p <= 1 or degrees not in {1, 2}:
        raise RangeError(f"a threshold needs p within {SMALLEST_P:g} to 1 and 1 or 2 degrees of freedom")
    with decimal.localcontext() as context:
        # digits beyond those that 1 - erf loses
        context.prec = 40 + max(0, round(-math.log10(p)))
        tail = Decimal(repr(float(p)))
        value = -2 * tail.ln() if degrees == 2 else _one_degree(tail, p)
        return int((value * (1 << fraction_bits)).to_integral_value(decimal.ROUND_HALF_EVEN))


def _one_degree(tail: Decimal, p: float) -> Decimal:
    """z^2 with 2 (1 - Phi(z)) = tail, by Newton's method from the double."""
    z = Decimal(repr(max(0.0, -float(ndtri(p / 2)))))
    for _ in range(4):
        density = (-z * z / 2).exp() * (2 / _pi()).sqrt()
        z += (1 - _erf(z) - tail) / density
    return max(Decimal(0), z) ** 2


def _erf(z: Decimal) -> Decimal:
    """Probability within +-z of a standard normal: sqrt(2 / pi) exp(-z^2 / 2) (z + z^3 / 3 + z^5 / (3 5) + ...)."""
    term, total, k = z, Decimal(0), 1
    while total + term != total:
        total += term
        k += 2
        term *= z * z / k
    return total * (-z * z / 2).exp() * (2 / _pi()).sqrt()


@functools.cache
def _pi_digits(digits: int) -> Decimal:
    """Machin 1706: 16 arctan(1/5) - 4 arctan(1/239)."""
    one: int = 10 ** (digits + 10)

    def arctan(inverse: int) -> int:
        power = total = one // inverse
        k, sign = 1, 1
        while power:
            power //= inverse * inverse
            k, sign = k + 2, -sign
            total += sign * (power // k)
        return total

    return Decimal(4 * (4 * arctan(5) - arctan(239))).scaleb(-digits - 10)


def _pi() -> Decimal:
    return +_pi_digits(decimal.getcontext().prec)
