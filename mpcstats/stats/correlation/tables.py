"""Correlations from opened sums, as R's cor.test. Sums are exact integers, so only the last step rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from scipy.special import betainc, ndtri

from mpcstats.stats.tails import normal_two_sided

__all__ = ["Found", "TieSums", "kendall", "of_square", "pearson_sums", "signed_square", "student_p"]


@dataclass(frozen=True)
class Found:
    """A coefficient and its test.

    Attributes
    ----------
    estimate, statistic, p_value, lower, upper : float
        NaN where they do not exist; Kendall's tau and Spearman's rho have no limits, as in R.
    """

    estimate: float
    statistic: float
    p_value: float
    lower: float = math.nan
    upper: float = math.nan


def signed_square(covariation: int, first: int, second: int) -> Fraction | None:
    """sign * c^2 / (v w); None where one does not vary."""
    if first <= 0 or second <= 0:
        return None
    square = Fraction(covariation * covariation, first * second)
    return square if covariation >= 0 else -square


def pearson_sums(sums: Sequence[int]) -> tuple[int, int, int]:
    """n^2 times covariance and variances (with n as divisor), from n and sums of x, y, x^2, y^2, x y."""
    n, x, y, xx, yy, xy = sums
    return n * xy - x * y, n * xx - x * x, n * yy - y * y


def student_p(t_square: float, degrees: float) -> float:
    """P(|T| >= t)."""
    if math.isnan(t_square) or degrees <= 0:
        return math.nan
    return 0.0 if math.isinf(t_square) else float(betainc(degrees / 2, 0.5, degrees / (degrees + t_square)))


def of_square(square: Fraction | float | None, n: int, conf_level: float | None) -> Found:
    """Coefficient, t and p (Student, n - 2 degrees of freedom) from its square with its sign.

    Parameters
    ----------
    conf_level : float, optional
        Also limits, by Fisher's transform.
    """
    if square is None or math.isnan(square):
        return Found(math.nan, math.nan, math.nan)
    sign = 1.0 if square >= 0 else -1.0
    size: Fraction | float = min(Fraction(1), abs(square)) if isinstance(square, Fraction) else min(1.0, abs(square))
    estimate = sign * math.sqrt(size)
    if n < 3:
        return Found(estimate, math.nan, math.nan)
    rest = 1 - size
    t_square = float(size * (n - 2) / rest) if rest else math.inf
    lower = upper = math.nan
    if conf_level is not None and n > 3:
        half = float(ndtri(0.5 + conf_level / 2)) / math.sqrt(n - 3)
        center = math.atanh(estimate) if rest else math.copysign(math.inf, estimate)
        lower, upper = math.tanh(center - half), math.tanh(center + half)
    return Found(estimate, sign * math.sqrt(t_square), student_p(t_square, n - 2), lower, upper)


@dataclass(frozen=True)
class TieSums:
    """Of one column: sums of t^2 and t^3 over its values, t people each."""

    squares: int
    cubes: int


def kendall(score: int, n: int, x: TieSums, y: TieSums) -> Found:
    """tau-b and z, p as R's cor.test(exact = FALSE); score = concordant less discordant pairs."""
    pairs = n * (n - 1)
    # n (n-1) less the sum of t (t-1)
    free = [pairs - (ties.squares - n) for ties in (x, y)]
    square = signed_square(2 * score, *free)
    if square is None:
        return Found(math.nan, math.nan, math.nan)
    estimate = math.copysign(math.sqrt(abs(square)), square)
    variance = Fraction(pairs * (2 * n + 5))
    twos, threes = [], []
    for ties in (x, y):
        two = ties.squares - n  # sum of t (t-1)
        three = ties.cubes - 3 * ties.squares + 2 * n  # sum of t (t-1) (t-2)
        variance -= 2 * three + 9 * two  # t (t-1) (2t+5)
        twos.append(two)
        threes.append(three)
    variance = variance / 18 + Fraction(twos[0] * twos[1], 2 * pairs)
    if n > 2:
        variance += Fraction(threes[0] * threes[1], 9 * pairs * (n - 2))
    if variance <= 0:
        return Found(estimate, math.nan, math.nan)
    z = math.copysign(math.sqrt(Fraction(score * score) / variance), score) if score else 0.0
    return Found(estimate, z, float(normal_two_sided(z)))
