"""Textbook tests from numbers of people, means and variances of groups, in the clear; as R computes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.stats.p_adjust import p_adjust

__all__ = [
    "Alternative",
    "Groups",
    "anova_table",
    "bartlett",
    "f_tail",
    "cohen_d",
    "one_way",
    "pairwise_t",
    "t_test",
    "t_verdict",
    "tukey",
    "variance_ratio",
    "variance_verdict",
    "welch_anova",
]

Alternative = Literal["two-sided", "less", "greater"]
Floats = NDArray[np.float64]
Values = dict[str, Any]


@dataclass(frozen=True)
class Groups:
    """Groups with two people or more.

    Attributes
    ----------
    names : labels
    people, mean, variance : float64 (groups,)
    """

    names: tuple[str, ...]
    people: Floats
    mean: Floats
    variance: Floats

    @property
    def total(self) -> float:
        """All people."""
        return float(self.people.sum())

    @property
    def within(self) -> tuple[float, float]:
        """Sum of squares within groups, and its degrees of freedom."""
        return float(((self.people - 1) * self.variance).sum()), self.total - len(self.people)

    @property
    def between(self) -> tuple[float, float]:
        """Sum of squares between groups, and its degrees of freedom."""
        centred = self.mean - self.mean[0]  # far from 0, digits would be lost
        grand = (self.people * centred).sum() / self.total
        return float((self.people * (centred - grand) ** 2).sum()), len(self.people) - 1.0


def t_test(groups: Groups, *, equal_variances: bool, mu: float) -> tuple[float, float, float, float]:
    """Estimate, standard error, t and degrees of freedom of one group, or of the first less the second."""
    n, variance = groups.people, groups.variance
    if len(n) == 1:
        estimate, error, df = float(groups.mean[0]), math.sqrt(variance[0] / n[0]), float(n[0] - 1)
    else:
        estimate = float(groups.mean[0] - groups.mean[1])
        if equal_variances:
            square, df = groups.within
            error = math.sqrt(square / df * (1 / n[0] + 1 / n[1]))
        else:
            parts = variance / n
            error = math.sqrt(parts.sum())
            spread = float((parts**2 / (n - 1)).sum())
            df = float(parts.sum() ** 2 / spread) if spread > 0 else math.nan
    return estimate, error, (estimate - mu) / error if error > 0 else math.nan, df


def t_verdict(
    estimate: float, error: float, t: float, df: float, alternative: Alternative, conf_level: float
) -> Values:
    """p and confidence limits; NaN where nothing varies."""
    from scipy.stats import t as student

    if math.isnan(t) or math.isnan(df):
        p = low = high = math.nan
    elif alternative == "two-sided":
        p = 2 * float(student.sf(abs(t), df))
        reach = float(student.isf((1 - conf_level) / 2, df)) * error
        low, high = estimate - reach, estimate + reach
    else:
        reach = float(student.isf(1 - conf_level, df)) * error
        less = alternative == "less"
        p = float(student.cdf(t, df) if less else student.sf(t, df))
        low, high = (-math.inf, estimate + reach) if less else (estimate - reach, math.inf)
    return {
        "estimate": estimate,
        "standard_error": error,
        "lower": low,
        "upper": high,
        "statistic": t,
        "df": df,
        "p_value": p,
    }


def cohen_d(groups: Groups) -> float:
    """Difference of two means in pooled standard deviations."""
    square, df = groups.within
    return float(groups.mean[0] - groups.mean[1]) / math.sqrt(square / df) if square > 0 else math.nan


def f_tail(statistic: float, df1: float, df2: float) -> float:
    """P(F >= statistic)."""
    from scipy.stats import f

    return math.nan if math.isnan(statistic) else float(f.sf(statistic, df1, df2))


def one_way(groups: Groups) -> Values:
    """Analysis of variance with equal variances."""
    between, df1 = groups.between
    within, df2 = groups.within
    statistic = (between / df1) / (within / df2) if within > 0 else math.nan
    return {"statistic": statistic, "df1": df1, "df2": df2, "p_value": f_tail(statistic, df1, df2)}


def anova_table(groups: Groups) -> pd.DataFrame:
    """The table that R prints of a one-way analysis."""
    (between, df1), (within, df2) = groups.between, groups.within
    test = one_way(groups)
    return pd.DataFrame(
        {
            "term": ["groups", "residuals"],
            "df": [df1, df2],
            "sum_of_squares": [between, within],
            "mean_square": [between / df1, within / df2],
            "statistic": [test["statistic"], math.nan],
            "p_value": [test["p_value"], math.nan],
        }
    )


def welch_anova(groups: Groups) -> Values:
    """Analysis of variance without equal variances (Welch 1951; R's oneway.test)."""
    k = len(groups.people)
    if not (groups.variance > 0).all():
        return {"statistic": math.nan, "df1": k - 1.0, "df2": math.nan, "p_value": math.nan}
    weight = groups.people / groups.variance
    share = weight / weight.sum()
    centred = groups.mean - groups.mean[0]
    spread = ((1 - share) ** 2 / (groups.people - 1)).sum() / (k * k - 1)
    grand = (share * centred).sum()
    statistic = float((weight * (centred - grand) ** 2).sum() / ((k - 1) * (1 + 2 * (k - 2) * spread)))
    df2 = float(1 / (3 * spread))
    return {"statistic": statistic, "df1": k - 1.0, "df2": df2, "p_value": f_tail(statistic, k - 1.0, df2)}


def bartlett(groups: Groups) -> Values:
    """Bartlett's test of equal variances."""
    from scipy.stats import chi2

    k, free = len(groups.people), groups.people - 1
    square, df = groups.within
    if not (groups.variance > 0).all():
        return {"statistic": math.nan, "df": k - 1.0, "p_value": math.nan}
    pooled = square / df
    # differences of logarithms: of nearly equal variances nothing is lost
    numerator = -float((free * np.log(groups.variance / pooled)).sum())
    statistic = numerator / (1 + (float((1 / free).sum()) - 1 / df) / (3 * (k - 1)))
    return {"statistic": statistic, "df": k - 1.0, "p_value": float(chi2.sf(statistic, k - 1))}


def variance_ratio(groups: Groups) -> tuple[float, float, float]:
    """F of two variances and its degrees of freedom."""
    one, other = groups.variance
    return float(one / other) if other > 0 else math.nan, float(groups.people[0] - 1), float(groups.people[1] - 1)


def variance_verdict(ratio: float, df1: float, df2: float, alternative: Alternative, conf_level: float) -> Values:
    """p and limits of the ratio of two variances, as R's var.test."""
    from scipy.stats import f

    if math.isnan(ratio):
        p = low = high = math.nan
    elif alternative == "two-sided":
        p = min(2 * float(min(f.cdf(ratio, df1, df2), f.sf(ratio, df1, df2))), 1.0)
        beta = (1 - conf_level) / 2
        low, high = ratio / float(f.isf(beta, df1, df2)), ratio / float(f.ppf(beta, df1, df2))
    elif alternative == "less":
        p, low, high = float(f.cdf(ratio, df1, df2)), 0.0, ratio / float(f.ppf(1 - conf_level, df1, df2))
    else:
        p, low, high = float(f.sf(ratio, df1, df2)), ratio / float(f.isf(1 - conf_level, df1, df2)), math.inf
    return {"estimate": ratio, "lower": low, "upper": high, "statistic": ratio, "df1": df1, "df2": df2, "p_value": p}


def _pairs(groups: Groups) -> list[tuple[int, int]]:
    """(later, earlier) in R's order."""
    return [(h, g) for g, h in itertools.combinations(range(len(groups.people)), 2)]


def tukey(groups: Groups, conf_level: float) -> pd.DataFrame:
    """Tukey's honest significant differences (Tukey-Kramer)."""
    from scipy.stats import studentized_range

    k = len(groups.people)
    square, df = groups.within
    reach = float(studentized_range.ppf(conf_level, k, df)) if square > 0 else math.nan
    rows = []
    for h, g in _pairs(groups):
        difference = float(groups.mean[h] - groups.mean[g])
        error = math.sqrt(square / df / 2 * (1 / groups.people[g] + 1 / groups.people[h]))
        p = float(studentized_range.sf(abs(difference) / error, k, df)) if error > 0 else math.nan
        half = reach * error
        rows.append((groups.names[h], groups.names[g], difference, difference - half, difference + half, min(p, 1.0)))
    return pd.DataFrame(rows, columns=["group", "other", "estimate", "lower", "upper", "p_adjusted"])


def pairwise_t(groups: Groups, adjust: str) -> pd.DataFrame:
    """t tests of every two groups with the variance of all groups (R: pairwise.t.test)."""
    from scipy.stats import t as student

    square, df = groups.within
    rows: list[Sequence[Any]] = []
    for h, g in _pairs(groups):
        difference = float(groups.mean[h] - groups.mean[g])
        error = math.sqrt(square / df * (1 / groups.people[g] + 1 / groups.people[h]))
        t = difference / error if error > 0 else math.nan
        rows.append((groups.names[h], groups.names[g], difference, t, df, 2 * float(student.sf(abs(t), df))))
    table = pd.DataFrame(rows, columns=["group", "other", "estimate", "statistic", "df", "p_value"])
    table["p_adjusted"] = p_adjust(table["p_value"], adjust)
    return table
