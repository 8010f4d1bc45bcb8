"""Tail probabilities and their logarithms, which do not underflow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, gammainc, gammaincc, gammaln, log_ndtr, ndtr, xlogy

__all__ = ["chi_square_tail", "log_chi_square_tail", "log_normal_two_sided", "normal_two_sided"]

Floats = NDArray[np.float64]


def chi_square_tail(chi_square: float, degrees_of_freedom: int) -> float:
    """P(X >= chi_square); 0 below the smallest double, NaN stays NaN."""
    return float(gammaincc(degrees_of_freedom / 2, chi_square / 2))


def log_chi_square_tail(chi_square: float, degrees_of_freedom: int) -> float:
    """Natural logarithm of P(X >= chi_square), also where the probability itself underflows.

    1e-12 relative: from the incomplete gamma function, and far out from its continued fraction
    (Abramowitz and Stegun 6.5.31, evaluated by Lentz's method).
    """
    if np.isnan(chi_square):
        return float("nan")
    if chi_square <= 0:
        return 0.0
    if np.isinf(chi_square):
        return -float("inf")
    a, x = degrees_of_freedom / 2, chi_square / 2
    tail = float(gammaincc(a, x))
    if tail > 1e-280:
        return float(np.log(tail)) if tail < 0.5 else float(np.log1p(-gammainc(a, x)))
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    h = d
    for i in range(1, 10_000):
        term = -i * (i - a)
        b += 2
        d = 1 / (term * d + b)
        c = b + term / c
        h *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return float(-x + xlogy(a, x) - gammaln(a) + np.log(h))


def normal_two_sided(z: ArrayLike) -> Floats:
    """P(|Z| >= |z|) of the standard normal distribution."""
    return np.asarray(2 * ndtr(-np.abs(np.asarray(z, dtype=np.float64))))


def log_normal_two_sided(z: ArrayLike) -> Floats:
    """Natural logarithm of P(|Z| >= |z|)."""
    distance = np.abs(np.asarray(z, dtype=np.float64))
    near = np.log1p(-erf(np.minimum(distance, 1) / np.sqrt(2)))
    return np.asarray(np.where(distance < 1, near, np.log(2) + log_ndtr(-distance)))
