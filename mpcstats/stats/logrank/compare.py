"""Tests from tables of counts: k groups, stratified, trend, pairwise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.logrank.scores import Scores, pooled_scores, stratum_scores
from mpcstats.stats.logrank.verdict import LogrankTest, logrank_from_scores
from mpcstats.stats.p_adjust import p_adjust
from mpcstats.stats.tails import log_normal_two_sided, normal_two_sided

__all__ = ["PAIRWISE_COLUMNS", "TrendTest", "logrank_test", "pairwise_tests", "trend_from_scores", "trend_test"]

PAIRWISE_COLUMNS = (
    "group_1",
    "group_2",
    "chi_square",
    "degrees_of_freedom",
    "p_value",
    "log_p_value",
    "p_adjusted",
    "log_p_adjusted",
)

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class TrendTest(NamedTuple):
    """A test for trend over ordered groups.

    Attributes
    ----------
    trend_scores : float64 (G,)
        The numbers given to the groups; a test does not change when they are shifted or scaled.
    z : float
        Positive when groups with higher numbers have more events than expected.
    chi_square, degrees_of_freedom, p_value, log_p_value : z squared, 1, two-sided
        NaN when no test exists.
    """

    trend_scores: Floats
    z: float
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    log_p_value: float


def logrank_test(
    events: ArrayLike,
    at_risk: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    weights: str = "logrank",
    p: float = 0.0,
    q: float = 0.0,
    records: ArrayLike | None = None,
    strata: Sequence[str] | None = None,
) -> LogrankTest:
    """Compare G >= 2 survival curves.

    Parameters
    ----------
    events, at_risk : (G, T+1) non-negative integers, or (S, G, T+1) for a stratified test
        Pooled events at, and people at risk just before, each lattice time (`lattice.at_risk_counts`).
    groups : G names, optional
        "0", "1", ... when not given.
    weights : one of `weights.WEIGHTS`
        They are formed within each stratum.
    p, q : float
        Of weights "fleming-harrington".
    records : (G,) or (S, G), optional
        People; `at_risk[..., 0]`, which is everybody, when not given: give them where entry may be late.
    strata : S names, optional
        "0", "1", ... when not given.

    Raises
    ------
    SpecError
        No such weights.
    RangeError
        Fewer than two groups, shapes that differ, negative counts or more events than people at risk.
    """
    d, n = _checked(events, at_risk)
    people = n[..., 0] if records is None else np.asarray(records, dtype=np.int64)
    if people.shape != d.shape[:-1]:
        raise RangeError(f"records {people.shape} do not fit events {d.shape}")
    stratified = d.ndim == 3
    parts = [stratum_scores(d_s, n_s, weights, p, q) for d_s, n_s in zip(*_by_stratum(d, n), strict=True)]
    total = pooled_scores(parts)
    whole = weights == "logrank"
    test = logrank_from_scores(
        total.score,
        total.variance,
        groups=groups,
        records=people.reshape(-1, d.shape[-2]).sum(axis=0),
        observed=np.rint(total.observed).astype(np.int64) if whole else total.observed,
        expected=total.expected,
    )
    if not stratified:
        return test
    names = [str(name) for name in (strata if strata is not None else range(len(parts)))]
    return test._replace(strata=_strata_table(parts, names, test.table["group"].tolist(), people, whole))


def trend_test(
    events: ArrayLike,
    at_risk: ArrayLike,
    trend_scores: ArrayLike | None = None,
    *,
    weights: str = "logrank",
    p: float = 0.0,
    q: float = 0.0,
) -> TrendTest:
    """Test for trend over the groups in their order (Klein and Moeschberger 2003, 7.4); parameters as `logrank_test`.

    `trend_scores` are G numbers, 1, 2, ... when not given.
    """
    d, n = _checked(events, at_risk)
    total = pooled_scores(
        [stratum_scores(d_s, n_s, weights, p, q) for d_s, n_s in zip(*_by_stratum(d, n), strict=True)]
    )
    return trend_from_scores(total.score, total.variance, trend_scores)


def trend_from_scores(
    score: ArrayLike, variance: ArrayLike, trend_scores: ArrayLike | None = None, *, resolution: float = 0.0
) -> TrendTest:
    """The test for trend from scores and covariance, as `verdict.logrank_from_scores` takes them.

    z = c'U / sqrt(c'Vc) with c the trend scores less their mean.
    """
    u, v = np.asarray(score, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    c = np.arange(1.0, u.size + 1) if trend_scores is None else np.asarray(trend_scores, dtype=np.float64)
    if u.ndim != 1 or v.shape != (u.size, u.size) or c.shape != u.shape:
        raise RangeError(f"scores {u.shape}, covariance {v.shape} and trend scores {c.shape} do not fit")
    if not np.all(np.isfinite(c)) or np.ptp(c) == 0:
        raise SpecError(f"a trend needs finite scores that differ between groups, not {c.tolist()}")
    centred = (c - c.mean()) / np.ptp(c)
    spread = float(centred @ v @ centred)
    # cancellation leaves traces of what is 0 in exact arithmetic
    floor = max(resolution * u.size**2, 1e-13 * float(np.abs(v).max(initial=0)))
    z = float(centred @ u) / np.sqrt(spread) if spread > floor else float("nan")
    return TrendTest(c, float(z), float(z * z), 1, float(normal_two_sided(z)), float(log_normal_two_sided(z)))


def pairwise_tests(
    events: ArrayLike,
    at_risk: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    adjust: str = "holm",
    weights: str = "logrank",
    p: float = 0.0,
    q: float = 0.0,
) -> pd.DataFrame:
    """A test of every two groups, from these two alone, with p-values adjusted for the number of tests.

    Parameters as `logrank_test`; `adjust` is a method of `p_adjust`.

    Returns
    -------
    DataFrame
        Columns `PAIRWISE_COLUMNS`, a row per pair. A pair for which no test exists has NaN and is not counted.
    """
    d, n = _checked(events, at_risk)
    names = [str(name) for name in (groups if groups is not None else range(d.shape[-2]))]
    rows = []
    for first, second in combinations(range(d.shape[-2]), 2):
        pair = [first, second]
        test = logrank_test(d[..., pair, :], n[..., pair, :], [names[g] for g in pair], weights=weights, p=p, q=q)
        exists = test.degrees_of_freedom > 0
        numbers = (test.chi_square, test.p_value, test.log_p_value) if exists else (np.nan,) * 3
        rows.append((*(names[g] for g in pair), numbers[0], test.degrees_of_freedom, *numbers[1:]))
    table = pd.DataFrame(rows, columns=list(PAIRWISE_COLUMNS[:6]))
    table["p_adjusted"] = p_adjust(table["p_value"], adjust)
    table["log_p_adjusted"] = p_adjust(table["log_p_value"], adjust, log=True)
    return table


def _checked(events: ArrayLike, at_risk: ArrayLike) -> tuple[Counts, Counts]:
    d, n = np.asarray(events, dtype=np.int64), np.asarray(at_risk, dtype=np.int64)
    if d.ndim not in {2, 3} or d.shape != n.shape or d.shape[-2] < 2 or d.size == 0:
        raise RangeError(f"a log-rank test needs two groups or more in equal shapes, not {d.shape} and {n.shape}")
    if bool(np.any(d < 0) or np.any(d > n)):
        raise RangeError("a log-rank test got negative counts or more events than people at risk")
    return d, n


def _by_stratum(d: Counts, n: Counts) -> tuple[Counts, Counts]:
    return d.reshape(-1, *d.shape[-2:]), n.reshape(-1, *n.shape[-2:])


def _strata_table(
    parts: Sequence[Scores], strata: Sequence[str], groups: Sequence[str], people: Counts, whole: bool
) -> pd.DataFrame:
    if len(strata) != len(parts):
        raise RangeError(f"{len(strata)} names for {len(parts)} strata")
    observed = np.concatenate([part.observed for part in parts])
    return pd.DataFrame(
        {
            "stratum": np.repeat(np.array(strata, dtype=object), len(groups)),
            "group": np.tile(np.array(groups, dtype=object), len(parts)),
            "records": people.ravel(),
            "observed": np.rint(observed).astype(np.int64) if whole else observed,
            "expected": np.concatenate([part.expected for part in parts]),
        }
    )
