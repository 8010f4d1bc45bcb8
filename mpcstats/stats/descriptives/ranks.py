"""Quantiles as R makes them: which values in their order, and how they are mixed (Hyndman, Fan 1996)."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["TYPES", "Place", "place_of"]

TYPES = {
    1: "inverse of the distribution function",
    2: "as type 1, averaged at steps",
    3: "nearest even rank",
    4: "linear in the distribution function",
    5: "piecewise linear, steps at (k - 0.5) / n",
    6: "k / (n + 1)",
    7: "(k - 1) / (n - 1), R's default",
    8: "(k - 1/3) / (n + 1/3), about median-unbiased",
    9: "(k - 3/8) / (n + 1/4), about unbiased for the normal",
}

_FUZZ = 4 * 2.0**-52  # R's


@dataclass(frozen=True)
class Place:
    """(1 - weight) x[low] + weight x[high], ranks from 1."""

    low: int
    high: int
    weight: float


def place_of(n: int, p: float, kind: int) -> Place:
    """Where the quantile p of n > 0 values lies, by R's rule of this type."""
    if kind == 7:
        index = 1 + (n - 1) * p
        low = math.floor(index)
        weight = index - low
    elif kind <= 3:
        position = n * p - (0.5 if kind == 3 else 0.0)
        low = math.floor(position + _FUZZ)
        above = position > low + _FUZZ
        weight = {1: float(above), 2: (above + 1) / 2, 3: float(abs(position - low) > _FUZZ or low % 2 == 1)}[kind]
    else:
        a, b = {4: (0.0, 1.0), 5: (0.5, 0.5), 6: (0.0, 0.0), 8: (1 / 3, 1 / 3), 9: (3 / 8, 3 / 8)}[kind]
        position = a + p * (n + 1 - a - b)
        low = math.floor(position + _FUZZ)
        weight = position - low
        weight = 0.0 if abs(weight) < _FUZZ else weight
    one, other = (min(max(rank, 1), n) for rank in (low, low + 1))
    if weight == 1:
        return Place(other, other, 0.0)
    return Place(one, one if weight == 0 else other, weight)
