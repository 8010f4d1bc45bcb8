"""Rank tests from opened sizes, rank sums and tie terms, as R computes them. Sums are exact integers.

A rank sum enters as its excess: twice the sum of midranks less its expectation, n_g (n + 1), an integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from mpcstats.stats.tails import log_chi_square_tail, log_normal_two_sided, normal_two_sided

__all__ = [
    "Alternative",
    "auc_interval",
    "chi_square_values",
    "corrected",
    "exact_p",
    "kruskal_statistic",
    "normal_values",
    "signed_rank_z",
    "two_group_z",
]

Alternative = Literal["two-sided", "greater", "less"]


def corrected(excess: int, unit: int, alternative: Alternative) -> int:
    """R's correction for continuity: `unit` is 1/2 of the statistic in the units of the excess."""
    sign = {"greater": 1, "less": -1, "two-sided": (excess > 0) - (excess < 0)}[alternative]
    return excess - sign * unit


def two_group_z(excess: int, people: Sequence[int], cubes: int) -> float:
    """z of the rank sum of the first of two groups; `cubes` is the sum of t^3. NaN where all values are tied."""
    first, second = people
    n = first + second
    spread = n**3 - cubes  # n^3 - n less the sum of t^3 - t
    if not first * second * spread:
        return math.nan
    square = Fraction(3 * excess * excess * n * (n - 1), first * second * spread)
    return math.copysign(math.sqrt(square), excess) if excess else 0.0


def signed_rank_z(excess: int, people: int, cubes: int) -> float:
    """z of the sum of positive ranks; excess = 2 (its double less that of the negative ones)."""
    spread = 2 * people * (people + 1) * (2 * people + 1) - (cubes - people)
    if spread <= 0:
        return math.nan
    return math.copysign(math.sqrt(Fraction(3 * excess * excess, spread)), excess) if excess else 0.0


def kruskal_statistic(excess: Sequence[int], people: Sequence[int], cubes: int) -> float:
    """H with R's correction for ties; groups without people do not count. NaN where all values are tied."""
    n = sum(people)
    if not n**3 - cubes:
        return math.nan
    squares = sum((Fraction(e * e, size) for e, size in zip(excess, people, strict=True) if size), Fraction(0))
    return float(3 * (n - 1) * squares / (n**3 - cubes))


def normal_values(z: float, alternative: Alternative, prefix: str = "") -> dict[str, float]:
    """z, p and log p."""
    if alternative == "two-sided":
        p, log_p = float(normal_two_sided(z)), float(log_normal_two_sided(z))
    else:
        tail = -z if alternative == "greater" else z
        p, log_p = float(ndtr(tail)), float(log_ndtr(tail))
    return {f"z{prefix}": z, f"p_value{prefix}": p, f"log_p_value{prefix}": log_p}


def chi_square_values(statistic: float, degrees: int) -> dict[str, float | int]:
    """Degrees of freedom, p and log p."""
    log_p = log_chi_square_tail(statistic, degrees) if degrees else math.nan
    return {"degrees_of_freedom": degrees, "p_value": math.exp(log_p), "log_p_value": log_p}


def auc_interval(
    doubled_u: int, people: Sequence[int], squares: Sequence[int], conf_level: float
) -> tuple[float, float, float, float]:
    """Area under the curve, standard error and limits (DeLong, DeLong, Clarke-Pearson 1988), cut to [0, 1].

    Parameters
    ----------
    doubled_u : int
        Twice U of the first group.
    squares : two ints
        `RankSums.squares`.
    """
    first, second = people
    if not first * second:
        return (math.nan,) * 4
    auc = Fraction(doubled_u, 2 * first * second)
    if min(people) < 2:
        return float(auc), math.nan, math.nan, math.nan
    variance = Fraction(0)
    for square, own, other, mean in ((squares[0], first, second, auc), (squares[1], second, first, 1 - auc)):
        variance += (Fraction(square, 4 * other * other) - own * mean * mean) / (own * (own - 1))
    error = math.sqrt(variance)
    half = float(ndtri(0.5 + conf_level / 2)) * error
    return float(auc), error, max(0.0, float(auc) - half), min(1.0, float(auc) + half)


def exact_p(u: int, people: Sequence[int], alternative: Alternative) -> float:
    """Exact p of U without ties: the number of arrangements with each U is a coefficient of a Gaussian binomial.

    As R: twice the smaller tail, at most 1.
    """
    first, second = people
    ways = np.zeros(first * second + 1)
    ways[0] = 1.0
    for k in range(1, first + 1):  # times (1 - x^(second + k)) / (1 - x^k), cut behind the last power
        shift = second + k
        ways[shift:] = ways[shift:] - ways[:-shift] if shift < ways.size else ways[shift:]
        for start in range(k):
            ways[start::k] = np.cumsum(ways[start::k])
    ways /= ways.sum()
    at_most, at_least = float(ways[: u + 1].sum()), float(ways[u:].sum())
    if alternative == "two-sided":
        return min(1.0, 2 * min(at_most, at_least))
    return at_least if alternative == "greater" else at_most
