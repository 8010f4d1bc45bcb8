"""Numbers of each column and group: people and moments, and what follows from them in the clear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpcstats.stats.number_coding import Coding

__all__ = ["Cells", "cells_of_sums", "limits_of_means", "mean_limits", "root"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """Released numbers of each column and group, (columns, groups).

    Attributes
    ----------
    people, missing : int64
        0 where they are not shown.
    shown, missing_shown : bool
    total, mean, variance, sd : float64
        NaN where they are not shown or do not exist.
    """

    people: Counts
    shown: NDArray[np.bool_]
    missing: Counts
    missing_shown: NDArray[np.bool_]
    total: Floats
    mean: Floats
    variance: Floats
    sd: Floats


def cells_of_sums(people: Counts, missing: Counts, sums: NDArray[np.object_], codings: Sequence[Coding]) -> Cells:
    """All shown: exact moments of exact sums of u and u^2, rounded once at the end."""
    numbers = np.full((4, *people.shape), np.nan)
    for c, code in enumerate(codings):
        for g, n in enumerate(people[c].tolist()):
            numbers[:, c, g] = _moments(n, int(sums[0, c, g]), int(sums[1, c, g]), code)
    shown = np.ones(people.shape, np.bool_)
    return Cells(people, shown, missing, shown, *numbers)


def _moments(n: int, total: int, square: int, code: Coding) -> tuple[float, float, float, float]:
    """Sum, mean, variance and standard deviation."""
    if n == 0:
        return 0.0, math.nan, math.nan, math.nan
    whole = n * code.center + total * code.unit
    if n == 1:
        return float(whole), float(whole), math.nan, math.nan
    variance = code.unit**2 * Fraction(n * square - total * total, n * (n - 1))
    return float(whole), float(whole / n), float(variance), root(variance)


def root(square: Fraction) -> float:
    """Square root of an exact number of any size."""
    if square == 0:
        return 0.0
    # to 2^120 or so: a root of 60 bits, whatever the number's own size
    shift = (120 - square.numerator.bit_length() + square.denominator.bit_length()) // 2 * 2
    scaled = square * Fraction(2) ** shift
    return math.ldexp(math.isqrt(int(scaled)), -shift // 2)


def limits_of_means(cells: Cells, conf_level: float) -> tuple[Floats, Floats, Floats]:
    """Standard errors of means and their limits by Student's t, as R's `t.test`."""
    n = np.where(cells.people > 0, cells.people, 1).astype(np.float64)
    return cells.sd / np.sqrt(n), *mean_limits(cells.mean, cells.sd, n, conf_level)


def mean_limits(mean: ArrayLike, sd: ArrayLike, people: ArrayLike, conf_level: float) -> tuple[Floats, Floats]:
    """Limits of means by Student's t; NaN with fewer than two people."""
    from scipy.stats import t

    n = np.maximum(np.asarray(people, np.float64), 1)
    reach = t.ppf((1 + conf_level) / 2, np.maximum(n - 1, 1)) * np.asarray(sd, np.float64) / np.sqrt(n)
    return np.asarray(mean - reach, np.float64), np.asarray(mean + reach, np.float64)
