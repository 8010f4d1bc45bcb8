"""Log-rank test from opened pooled counts: plain float64 arithmetic with the conventions of R's `survdiff`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaincc, gammaln, xlogy

from mpcstats.errors import RangeError

__all__ = ["LogrankTest", "chi_square_test", "log_chi_square_tail", "logrank_test"]

Floats = NDArray[np.float64]


class LogrankTest(NamedTuple):
    """What `logrank_test` gives.

    Attributes
    ----------
    table : DataFrame
        Columns group (str), records, observed (int64), expected (float64).
    variance : float64 (G, G)
        Covariance of observed - expected (hypergeometric).
    chi_square : float
        NaN when no test exists: no two groups are ever at risk together at an event time.
    degrees_of_freedom : int
        Groups with expected > 0, less one.
    p_value, log_p_value : float
        Upper tail of chi-square and its natural logarithm, which does not underflow.
    """

    table: pd.DataFrame
    variance: Floats
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    log_p_value: float


def logrank_test(events: ArrayLike, at_risk: ArrayLike, groups: Sequence[str] | None = None) -> LogrankTest:
    """Compare G >= 2 survival curves.

    Parameters
    ----------
    events, at_risk : (G, T+1) non-negative integers
        Pooled events at, and people at risk just before, each lattice time. `at_risk[:, 0]` is everybody.
    groups : G names, optional
        "0", "1", ... when not given.

    Raises
    ------
    RangeError
        Fewer than two groups, shapes that differ, negative counts or more events than people at risk.
    """
    d, n = np.asarray(events, dtype=np.int64), np.asarray(at_risk, dtype=np.int64)
    if d.ndim != 2 or d.shape != n.shape or d.shape[0] < 2 or d.shape[1] < 1:
        raise RangeError(f"a log-rank test needs two groups or more in equal shapes, not {d.shape} and {n.shape}")
    if bool(np.any(d < 0) or np.any(d > n)):
        raise RangeError("a log-rank test got negative counts or more events than people at risk")
    expected, variance = _moments(d, n)
    observed = d.sum(axis=1)
    chi_square, freedom, p_value, log_p = chi_square_test(observed.astype(np.float64), expected, variance)
    names = [str(g) for g in (groups if groups is not None else range(d.shape[0]))]
    table = pd.DataFrame({"group": names, "records": n[:, 0], "observed": observed, "expected": expected})
    return LogrankTest(table, variance, chi_square, freedom, p_value, log_p)


def chi_square_test(observed: Floats, expected: Floats, variance: Floats) -> tuple[float, int, float, float]:
    """Chi-square, degrees of freedom, p and log p of observed - expected, as R's survdiff forms them.

    Groups with expected 0 leave the test; of the others the first is redundant and dropped, the rest is solved.
    """
    used = np.flatnonzero(expected > 0)
    freedom = max(used.size - 1, 0)
    if freedom == 0:
        return 0.0, 0, 1.0, 0.0
    difference = (observed - expected)[used[1:]]
    block = variance[np.ix_(used[1:], used[1:])]
    if not np.all(np.isfinite(block)) or 1 / np.linalg.cond(block, 1) < np.finfo(np.float64).eps:
        return float("nan"), freedom, float("nan"), float("nan")
    chi_square = float(difference @ np.linalg.solve(block, difference))
    return chi_square, freedom, float(gammaincc(freedom / 2, chi_square / 2)), log_chi_square_tail(chi_square, freedom)


def log_chi_square_tail(chi_square: float, degrees_of_freedom: int) -> float:
    """Natural logarithm of P(X >= chi_square), also where the probability itself underflows.

    1e-12 relative: from the incomplete gamma function, and far out from its continued fraction
    (Abramowitz and Stegun 6.5.31, evaluated by Lentz's method).
    """
    if chi_square <= 0:
        return 0.0
    a, x = degrees_of_freedom / 2, chi_square / 2
    tail = float(gammaincc(a, x))
    if tail > 1e-280:
        return float(np.log(tail)) if tail < 0.5 else float(np.log1p(-gammainc(degrees_of_freedom / 2, chi_square / 2)))
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


def _moments(events: NDArray[np.int64], at_risk: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Expected events per group and their covariance; every factor stays at most d, so no product overflows."""
    happened = events.sum(axis=0) > 0
    d = events[:, happened].sum(axis=0).astype(np.float64)
    n_g = at_risk[:, happened].astype(np.float64)
    n = n_g.sum(axis=0)
    share = n_g / n
    # one person left has no variance; the maximum keeps 0 / 0 out
    spread = d * (n - d) / np.maximum(n - 1, 1)
    variance = -(share * spread) @ share.T
    np.fill_diagonal(variance, np.sum(spread * share * ((n - n_g) / n), axis=1))
    return share @ d, variance
