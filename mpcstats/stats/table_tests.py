"""Tests of contingency tables from opened counts, as R computes them.

Every function takes whole numbers of people and gives plain numbers by name; NaN where R gives NaN. Levels of nobody
are left out by the caller (`observed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.stats.tails import chi_square_tail

__all__ = [
    "chi_square",
    "fisher_two_by_two",
    "mantel_haenszel",
    "mcnemar",
    "observed",
    "risk",
    "trend",
]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Numbers = dict[str, Any]

_TIE = 1 + 1e-7
"""R's: tables up to this much likelier than the one seen count as equally likely."""


def observed(counts: Counts) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows and columns that somebody is in."""
    return np.asarray(counts.sum(axis=1) > 0), np.asarray(counts.sum(axis=0) > 0)


def chi_square(counts: Counts) -> tuple[Numbers, dict[str, Floats]]:
    """Pearson's chi-square, for two by two also with Yates' correction, the likelihood ratio G, Cramer's V.

    Returns
    -------
    (numbers, tables)
        tables: expected, residuals (Pearson), standardised residuals, each of the table's shape.

    Notes
    -----
    R's `chisq.test`; Yates takes off the smaller of 1/2 and |observed - expected|.
    """
    table = counts.astype(np.float64)
    total, rows, columns = table.sum(), table.sum(axis=1), table.sum(axis=0)
    degrees = (len(rows) - 1) * (len(columns) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.outer(rows, columns) / total
        residuals = (table - expected) / np.sqrt(expected)
        standardised = residuals / np.sqrt(np.outer(1 - rows / total, 1 - columns / total))
        logs = np.where(table > 0, table * np.log(table / expected), 0.0)
    statistic, g = float((residuals**2).sum()), float(2 * logs.sum())
    small = min(len(rows), len(columns)) - 1
    numbers = {
        "chi_square": statistic if degrees else math.nan,
        "degrees_of_freedom": degrees,
        "p_value": _p(statistic, degrees),
        "g": g if degrees else math.nan,
        "g_p_value": _p(g, degrees),
        "cramers_v": math.sqrt(statistic / (total * small)) if small and total else math.nan,
        "people": int(counts.sum()),
    }
    if table.shape == (2, 2) and degrees:
        taken = min(0.5, float(np.abs(table - expected).min()))
        corrected = float(((np.abs(table - expected) - taken) ** 2 / expected).sum())
        numbers |= {"chi_square_yates": corrected, "p_value_yates": _p(corrected, 1)}
    return numbers, {"expected": expected, "residual": residuals, "standardised_residual": standardised}


def _p(statistic: float, degrees: int) -> float:
    return chi_square_tail(statistic, degrees) if degrees else math.nan


def mcnemar(counts: Counts) -> Numbers:
    """McNemar's test of a square table (Bowker's where it is larger), with and without continuity correction.

    Raises
    ------
    SpecError
        The table is not square.
    """
    size = counts.shape[0]
    if counts.shape != (size, size) or size < 2:
        raise SpecError(f"McNemar's test needs a square table, not one of {counts.shape[0]} x {counts.shape[1]}")
    upper = np.triu_indices(size, 1)
    one, other = counts[upper].astype(np.float64), counts.T[upper].astype(np.float64)
    together = one + other
    degrees = len(one)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = float(((one - other) ** 2 / together).sum())
        taken = 1.0 if size == 2 and (one != other).any() else 0.0
        corrected = float(((np.abs(one - other) - taken) ** 2 / together).sum())
    return {
        "chi_square": plain,
        "degrees_of_freedom": degrees,
        "p_value": _p(plain, degrees),
        "chi_square_corrected": corrected,
        "p_value_corrected": _p(corrected, degrees),
        "discordant": int(together.sum()),
    }


def trend(counts: Counts, scores: Sequence[float]) -> Numbers:
    """Cochran-Armitage test for trend of the proportion in a column, over rows with scores (R's `prop.trend.test`).

    Raises
    ------
    SpecError
        Not two columns, or not one score per row.
    """
    if counts.shape[1] != 2 or len(scores) != counts.shape[0]:
        raise SpecError(
            f"a test for trend needs two columns and a score for each row, not {counts.shape[1]} columns and "
            f"{len(scores)} scores for {counts.shape[0]} rows"
        )
    s, people, cases = np.asarray(scores, np.float64), counts.sum(axis=1).astype(np.float64), counts[:, 0]
    total = people.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        share = cases.sum() / total
        centred = s - (people * s).sum() / total
        variance = share * (1 - share) * (people * centred**2).sum()
        statistic = float(np.float64(((cases - people * share) * centred).sum()) ** 2 / variance)
    return {"chi_square": statistic, "degrees_of_freedom": 1, "p_value": _p(statistic, 1)}


def risk(counts: Counts, level: float) -> Numbers:
    """Odds ratio, risk ratio, risk difference of the first column, first row against second; test of proportions.

    Wald limits, on the log scale for ratios. The test of proportions with and without continuity correction, with its
    limits of the difference, is R's `prop.test`.

    Raises
    ------
    SpecError
        The table is not two by two.
    """
    _two_by_two(counts)
    (a, b), (c, d) = counts.astype(np.float64)
    n1, n2 = a + b, c + d
    z = _quantile(level)
    with np.errstate(divide="ignore", invalid="ignore"):
        p1, p2 = a / n1, c / n2
        odds, ratio = a * d / (b * c), p1 / p2
        odds_error = np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
        ratio_error = np.sqrt(1 / a - 1 / n1 + 1 / c - 1 / n2)
        error = np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2)
        pooled = (a + c) / (n1 + n2)
        variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2)
        statistic = (p1 - p2) ** 2 / variance
        taken = min(0.5, abs(p1 - p2) / (1 / n1 + 1 / n2))
        shift = taken * (1 / n1 + 1 / n2)
        corrected = (abs(p1 - p2) - shift) ** 2 / variance
        numbers = {
            "risk_1": p1,
            "risk_2": p2,
            "odds_ratio": odds,
            "log_odds_ratio_standard_error": odds_error,
            "odds_ratio_lower": odds * np.exp(-z * odds_error),
            "odds_ratio_upper": odds * np.exp(z * odds_error),
            "risk_ratio": ratio,
            "log_risk_ratio_standard_error": ratio_error,
            "risk_ratio_lower": ratio * np.exp(-z * ratio_error),
            "risk_ratio_upper": ratio * np.exp(z * ratio_error),
            "risk_difference": p1 - p2,
            "risk_difference_standard_error": error,
            "risk_difference_lower": p1 - p2 - z * error,
            "risk_difference_upper": p1 - p2 + z * error,
            "chi_square": statistic,
            "p_value": _p(float(statistic), 1),
            "chi_square_corrected": corrected,
            "p_value_corrected": _p(float(corrected), 1),
            "lower_corrected": max(p1 - p2 - z * error - shift, -1.0),
            "upper_corrected": min(p1 - p2 + z * error + shift, 1.0),
        }
    return {name: float(number) for name, number in numbers.items()} | {"degrees_of_freedom": 1}


def mantel_haenszel(counts: Counts, level: float) -> Numbers:
    """Mantel-Haenszel test, common odds ratio, and homogeneity over strata, of counts (strata, 2, 2).

    Strata of fewer than two people say nothing and are left out. Limits of the odds ratio from the variance of Robins,
    Breslow and Greenland (1986), as R's `mantelhaen.test`; homogeneity by Breslow and Day (1980, without Tarone's
    correction) and by Woolf (with 1/2 added to every cell where one is empty).

    Raises
    ------
    SpecError
        The tables are not two by two.
    """
    _two_by_two(counts[0])
    tables = counts[counts.sum(axis=(1, 2)) > 1].astype(np.float64)
    a, b, c, d = tables[:, 0, 0], tables[:, 0, 1], tables[:, 1, 0], tables[:, 1, 1]
    n = a + b + c + d
    first, column = a + b, a + c
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = abs(float((a - first * column / n).sum()))
        variance = float((first * (c + d) * column * (b + d) / (n**2 * (n - 1))).sum())
        plain = np.float64(difference) ** 2 / variance
        taken = 0.5 if difference >= 0.5 else 0.0
        corrected = np.float64(difference - taken) ** 2 / variance
        r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
        odds = r.sum() / s.sum()
        error = np.sqrt(
            (p * r).sum() / (2 * r.sum() ** 2)
            + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
            + (q * s).sum() / (2 * s.sum() ** 2)
        )
    z = _quantile(level)
    return {
        "chi_square": float(plain),
        "degrees_of_freedom": 1,
        "p_value": _p(float(plain), 1),
        "chi_square_corrected": float(corrected),
        "p_value_corrected": _p(float(corrected), 1),
        "common_odds_ratio": float(odds),
        "log_odds_ratio_standard_error": float(error),
        "lower": float(odds * np.exp(-z * error)),
        "upper": float(odds * np.exp(z * error)),
        "strata": len(tables),
    } | _homogeneity(tables, float(odds))


def _homogeneity(tables: Floats, odds: float) -> Numbers:
    a = tables[:, 0, 0]
    first, second, column = tables[:, 0].sum(axis=1), tables[:, 1].sum(axis=1), tables[:, :, 0].sum(axis=1)
    degrees = len(tables) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = _expected(first, second, column, odds)
        parts = np.stack([expected, first - expected, column - expected, second - column + expected])
        breslow_day = float(((a - expected) ** 2 * (1 / parts).sum(axis=0)).sum())
        cells = tables.reshape(len(tables), 4) + (0.5 if (tables == 0).any() else 0.0)
        logs, weights = np.log(cells[:, 0] * cells[:, 3] / (cells[:, 1] * cells[:, 2])), 1 / (1 / cells).sum(axis=1)
        woolf = float((weights * (logs - (weights * logs).sum() / weights.sum()) ** 2).sum())
    return {
        "breslow_day": breslow_day,
        "breslow_day_p_value": _p(breslow_day, degrees),
        "woolf": woolf,
        "woolf_p_value": _p(woolf, degrees),
    }


def _expected(first: Floats, second: Floats, column: Floats, odds: float) -> Floats:
    """First cells with these margins and this odds ratio: a root of a quadratic equation."""
    if math.isclose(odds, 1.0, rel_tol=1e-12):
        return np.asarray(first * column / (first + second))
    linear = odds * (first + column) + second - column
    root = np.sqrt(linear**2 - 4 * (odds - 1) * odds * first * column)
    # the form without cancellation
    return np.asarray(2 * odds * first * column / (linear + root))


# --- Fisher's exact test --------------------------------------------------------------------------------------------


def fisher_two_by_two(counts: Counts, level: float) -> Numbers:
    """Fisher's exact test: two-sided and one-sided p, conditional estimate of the odds ratio with exact limits.

    R's `fisher.test`: the two-sided p adds all tables that are not more likely than the one seen.
    """
    _two_by_two(counts)
    (a, b), (c, d) = (tuple(int(n) for n in row) for row in counts)
    column, first, second = a + c, a + b, c + d
    low, high = max(0, column - second), min(first, column)
    x = np.arange(low, high + 1, dtype=np.float64)
    logs = _log_weights(x, first, second, column)

    def weights(log_odds: float) -> Floats:
        terms = logs + x * log_odds
        found = np.exp(terms - terms.max())
        return np.asarray(found / found.sum())

    def tail(log_odds: float, upper: bool) -> float:
        return float(weights(log_odds)[x >= a if upper else x <= a].sum())

    null = weights(0.0)
    seen = null[a - low]
    alpha = (1 - level) / 2

    def mean(log_odds: float) -> float:
        return float((weights(log_odds) * x).sum())

    estimate = 0.0 if a == low else math.inf if a == high else _solve(lambda t: mean(t) - a)
    return {
        "p_value": min(1.0, float(null[null <= seen * _TIE].sum())) if low < high else 1.0,
        "p_value_less": tail(0.0, upper=False),
        "p_value_greater": tail(0.0, upper=True),
        "odds_ratio": math.nan if low == high else estimate,
        "odds_ratio_lower": 0.0 if a == low else _solve(lambda t: tail(t, upper=True) - alpha),
        "odds_ratio_upper": math.inf if a == high else _solve(lambda t: alpha - tail(t, upper=False)),
    }


def _log_weights(x: Floats, first: int, second: int, column: int) -> Floats:
    from scipy.special import gammaln

    parts = (x, first - x, column - x, second - column + x)
    return np.asarray(-sum(gammaln(part + 1) for part in parts))


def _solve(rising: Callable[[float], float]) -> float:
    """exp of where a rising function of a log odds ratio is zero."""
    from scipy.optimize import brentq

    reach = 1.0
    while rising(-reach) > 0 or rising(reach) < 0:
        reach *= 2
    return float(np.exp(brentq(rising, -reach, reach, xtol=1e-13, rtol=1e-14)))


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _two_by_two(counts: Counts) -> None:
    if counts.shape != (2, 2):
        raise SpecError(f"this test is for tables of 2 x 2, not of {counts.shape[0]} x {counts.shape[1]}")
