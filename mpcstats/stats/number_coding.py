"""A column's numbers as whole numbers, by the data dictionary alone: offset and unit are public.

Moments: u = (x - center) / unit is small where x lies in its range, so sums of u and u^2 are exact integers, and
nothing cancels however far the range is from 0. Quantiles: the values in their order, by whole-numbered keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coding", "DoubleKeys", "Keys", "LatticeKeys", "coding", "lattice_keys", "rounded_keys"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coding:
    """u = (x - center) / unit, rounded to the nearest whole number; |u| < 2^bits.

    Attributes
    ----------
    center, unit : Fraction
    bits : int
    """

    center: Fraction
    unit: Fraction
    bits: int

    def encode(self, values: Floats) -> Ints:
        """Whole numbers of values within the range."""
        unit, center = float(self.unit), self.center / self.unit
        if self.unit.numerator == 1 and self.unit.denominator & (self.unit.denominator - 1):
            scaled = values * float(self.unit.denominator)  # 0.1: dividing by the double would be off by a bit
            return (np.rint(scaled) - float(center)).astype(np.int64)
        if center.denominator == 1 and abs(center) < 2**52:
            return (np.rint(values / unit) - float(center)).astype(np.int64)
        return np.rint((values - float(self.center)) / unit).astype(np.int64)


def coding(low: float, high: float, step: float | None, most_bits: int) -> Coding:
    """The finest coding of a range with |u| < 2^most_bits.

    Parameters
    ----------
    step : float or None
        All values are whole multiples of it: u is then exact where the range holds less than 2^(most_bits + 1) of them.
    """
    half = max((Fraction(high) - Fraction(low)) / 2, Fraction(abs(high) + abs(low)) / 2**50)
    if step is not None:
        unit = Fraction(str(step))
        while half / unit + 1 >= 2**most_bits:
            unit *= 2
    else:
        unit = Fraction(2) ** (math.ceil(math.log2(half)) - most_bits + 1 if half else 0)
    center = round((Fraction(low) + Fraction(high)) / 2 / unit) * unit
    return Coding(center, unit, math.ceil(half / unit + 2).bit_length())


# --- order ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LatticeKeys:
    """Whole multiples of a step: key k stands for first + k step, each the double nearest to the decimal number."""

    first: Fraction
    step: Fraction
    count: int

    def encode(self, values: Floats) -> Ints:
        """The key nearest to each value."""
        return np.clip(np.rint((values - float(self.first)) / float(self.step)), 0, self.count - 1).astype(np.int64)

    def value(self, key: int) -> float:
        """The number that a key stands for."""
        return float(self.first + key * self.step)


@dataclass(frozen=True)
class DoubleKeys:
    """All doubles of a range in their order."""

    low: float
    high: float

    @property
    def count(self) -> int:
        """Doubles in the range."""
        return _rank(self.high) - _rank(self.low) + 1

    def encode(self, values: Floats) -> Ints:
        """Keys of values within the range, less 2^63 - 1 at most: the range's middle is key 0 of what is returned."""
        # + 0.0: minus zero is zero
        bits = (np.asarray(values, np.float64) + 0.0).view(np.int64)
        return np.where(bits >= 0, bits, np.iinfo(np.int64).min - bits)

    def value(self, key: int) -> float:
        """The double of a key counted from the low end."""
        rank = key + _rank(self.low)
        bits = rank if rank >= 0 else -(1 << 63) - rank
        return float(np.array(bits, np.int64).view(np.float64))


Keys = LatticeKeys | DoubleKeys


def _rank(value: float) -> int:
    return int(DoubleKeys(0.0, 0.0).encode(np.array([value]))[0])


def lattice_keys(low: float, high: float, step: float) -> LatticeKeys:
    """All whole multiples of a step in a range."""
    unit = Fraction(str(step))
    first, last = (
        math.ceil(Fraction(low) / unit - Fraction(1, 10**6)),
        math.floor(Fraction(high) / unit + Fraction(1, 10**6)),
    )
    return LatticeKeys(first * unit, unit, max(last - first + 1, 1))


def rounded_keys(low: float, high: float, step: float | None, most: int) -> LatticeKeys:
    """At most `most` values, evenly over a range; all of the lattice where these are few enough."""
    if step is None:
        width = Fraction(high) - Fraction(low)
        return LatticeKeys(Fraction(low), (width or Fraction(1)) / (most - 1), most if width else 1)
    fine = lattice_keys(low, high, step)
    every = -(-fine.count // (most - 1)) if fine.count > most else 1
    return LatticeKeys(fine.first, fine.step * every, -(-(fine.count - 1) // every) + 1)
