"""Gray's test of equal cumulative incidence between groups, from opened pooled counts: plain float64 arithmetic.

R. J. Gray, A class of K-sample tests for comparing the cumulative incidence of a competing risk, Annals of
Statistics 16 (1988) 1141-1154. The weights of the risk sets are those of `cmprsk::cuminc`, ties included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.lattice import at_risk_counts
from mpcstats.stats.tails import chi_square_tail, log_chi_square_tail

__all__ = ["GrayTest", "gray_test"]

Floats = NDArray[np.float64]


class GrayTest(NamedTuple):
    """What `gray_test` gives.

    Attributes
    ----------
    table : DataFrame
        Columns group (str), records, observed (int64: events of the cause), score (float64: 0 in expectation).
    variance : float64 (G, G)
        Estimated covariance of the scores; rows of groups without people are 0.
    chi_square : float
        NaN where the scores have no spread, e.g. no event of the cause.
    degrees_of_freedom : int
        Groups with people, less one.
    p_value, log_p_value : float
    """

    table: pd.DataFrame
    variance: Floats
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    log_p_value: float


def gray_test(
    events: ArrayLike, censored: ArrayLike, cause: int, *, groups: Sequence[str] | None = None, rho: float = 0.0
) -> GrayTest:
    """Compare the cumulative incidence of one cause between G >= 2 groups.

    Parameters
    ----------
    events : (K, G, T+1), or (S, K, G, T+1) with S strata
        Pooled events per cause, group and lattice time. Groups are compared inside strata; scores and variances add up.
    censored : (G, T+1) or (S, G, T+1)
    cause : int in 0..K-1
        The others compete.
    groups : G names, optional
    rho : float
        Weight (1 - F(t-))^rho of a difference at t, F the incidence in all groups together: 0 weighs all alike.

    Raises
    ------
    SpecError
        No such cause, or a rho that is not finite.
    RangeError
        Shapes that differ, fewer than two groups, negative counts.
    """
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    if d.ndim == 3:
        d, c = d[None], c[None]
    if d.ndim != 4 or c.shape != (d.shape[0], *d.shape[2:]) or d.shape[2] < 2 or min(d.min(), c.min()) < 0:
        raise RangeError(f"Gray's test needs counts of two groups or more, not events {d.shape} and censored {c.shape}")
    if not 0 <= cause < d.shape[1] or not np.isfinite(rho):
        raise SpecError(f"there is no cause number {cause} among {d.shape[1]}, or rho = {rho} is not a number")
    parts = [_moments(d[s], c[s], cause, rho) for s in range(d.shape[0])]
    score = np.sum([part[0] for part in parts], axis=0)
    variance = np.sum([part[1] for part in parts], axis=0)
    records = d.sum(axis=(0, 1, 3)) + c.sum(axis=(0, 2))
    chi_square, freedom = _statistic(score, variance, records > 0)
    table = pd.DataFrame(
        {
            "group": [str(g) for g in (groups if groups is not None else range(d.shape[2]))],
            "records": records,
            "observed": d[:, cause].sum(axis=(0, 2)),
            "score": score,
        }
    )
    known = freedom > 0 and not np.isnan(chi_square)
    p_value = chi_square_tail(chi_square, freedom) if known else (np.nan if freedom else 1.0)
    log_p = log_chi_square_tail(chi_square, freedom) if known else (np.nan if freedom else 0.0)
    return GrayTest(table, variance, chi_square, freedom, p_value, log_p)


def _statistic(score: Floats, variance: Floats, present: NDArray[np.bool_]) -> tuple[float, int]:
    used = np.flatnonzero(present)[:-1]  # scores add up to 0
    if used.size == 0:
        return 0.0, 0
    block = variance[np.ix_(used, used)]
    if not np.all(np.isfinite(block)) or 1 / np.linalg.cond(block, 1) < np.finfo(np.float64).eps:
        return float("nan"), used.size
    return float(score[used] @ np.linalg.solve(block, score[used])), used.size


def _moments(events: NDArray[np.int64], censored: NDArray[np.int64], cause: int, rho: float) -> tuple[Floats, Floats]:
    """Scores (G,) and their covariance (G, G) in one stratum.

    In Gray's notation h_g = n_g / S_g(t-) is the size that the risk set of group g would have without competing events,
    R_g = h_g (1 - F_g(t-)) the subdistribution's risk set. The score compares d_1g with its share R_g / R. Its variance
    sums, over times and groups k, the variance of one increment times the square of its influence: directly
    A_k = w (e_k h_k - h h_k / h.), and through all later times, which depend on S_k and F_k, by the rest of
    C_k(t) = sum of A_k dF / (1 - F(t-)) up to t, times (1 - F) / S_k.
    """
    happened = events.sum(axis=(0, 1)) > 0
    n = at_risk_counts(events.sum(axis=0), censored)[:, happened].astype(np.float64)
    own, other = (
        x[:, happened].astype(np.float64) for x in (events[cause], np.delete(events, cause, axis=0).sum(axis=0))
    )
    count, points = n.shape
    if points == 0:
        return np.zeros(count), np.zeros((count, count))
    here = n > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        after: Floats = np.cumprod(np.where(here, (n - own - other) / n, 1.0), axis=1, dtype=np.float64)  # S_g(t)
        before = np.concatenate([np.ones((count, 1)), after[:, :-1]], axis=1)
        sizes = np.where(here, n / before, 0.0)
        jumps = np.where(here, before * own / n, 0.0)
    start = np.cumsum(jumps, axis=1) - jumps  # F_g(t-)
    size, total = sizes.sum(axis=0), own.sum(axis=0)
    reached = np.cumsum(total / size)  # F(t), all groups together
    left = 1 - reached + total / size  # 1 - F(t-)
    weight = left**rho
    share = sizes * (1 - start)
    score = np.sum(weight * np.where(here, own - total * share / share.sum(axis=0), 0.0), axis=1)
    return score, _covariance(n, own, other, before, after, sizes, total, reached, left, weight)


def _covariance(
    n: Floats,
    own: Floats,
    other: Floats,
    before: Floats,
    after: Floats,
    sizes: Floats,
    total: Floats,
    reached: Floats,
    left: Floats,
    weight: Floats,
) -> Floats:
    size = sizes.sum(axis=0)
    step = np.divide(total, size * left, out=np.zeros_like(total), where=left > 0)
    result = np.zeros((len(n), len(n)))
    for k in range(len(n)):
        direct = -weight * sizes[k] / size * sizes  # A_k, (G, points)
        direct[k] += weight * sizes[k]
        later = np.cumsum(direct * step, axis=1)
        later = later[:, -1:] - later
        alive = after[k] > 0
        ratio = np.divide(1 - reached, after[k], out=np.zeros_like(reached), where=alive)
        # events of the cause: tied ones are counted against the size that the group would have had
        crowd = np.maximum(size * before[k] - 1, np.finfo(np.float64).tiny)
        tie = 1 - np.divide(total - 1, crowd, out=np.zeros_like(total), where=(total > 1) & (n[k] > 0))
        spread = np.divide(tie * before[k] * total, size * n[k], out=np.zeros_like(total), where=n[k] > 0)
        influence = direct + (1 - ratio) * later
        result += (influence * spread) @ influence.T
        # competing events act through S_k only
        tie = np.where(other[k] > 1, 1 - (other[k] - 1) / np.maximum(n[k] - 1, 1), 1.0)
        spread = np.divide(
            tie * before[k] ** 2 * other[k], n[k] ** 2, out=np.zeros_like(total), where=alive & (n[k] > 0)
        )
        influence = ratio * later
        result += (influence * spread) @ influence.T
    return result
