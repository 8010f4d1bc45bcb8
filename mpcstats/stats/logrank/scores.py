"""Observed and expected events of the groups, and the covariance of their difference, from counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.stats.logrank.weights import event_weights

__all__ = ["Scores", "pooled_scores", "stratum_scores"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Scores(NamedTuple):
    """What one stratum, or the sum of several, gives to a test of the log-rank family.

    Attributes
    ----------
    observed, expected : float64 (G,)
        Events, and events expected if all groups had one survival curve, both weighted.
    variance : float64 (G, G)
        Covariance of observed - expected (hypergeometric).
    """

    observed: Floats
    expected: Floats
    variance: Floats

    @property
    def score(self) -> Floats:
        """observed - expected; sums to 0."""
        return self.observed - self.expected


def stratum_scores(events: Counts, at_risk: Counts, weights: str = "logrank", p: float = 0.0, q: float = 0.0) -> Scores:
    """Scores of one stratum.

    Sums over event times of w (d_g - d n_g / n), covariance w^2 d (n - d) / (n - 1) n_g / n (delta_gh - n_h / n). A
    time with one person left has no variance. Every factor stays at most d, so nothing overflows.

    Parameters
    ----------
    events, at_risk : (G, T) integers, 0 <= events <= at_risk
    weights, p, q : see `weights.event_weights`
    """
    if events.ndim != 2 or events.shape != at_risk.shape or bool(np.any(events < 0) or np.any(events > at_risk)):
        raise RangeError(
            f"events {events.shape} and at_risk {at_risk.shape} are no counts of one shape with 0 <= events <= at_risk"
        )
    happened = events.sum(axis=0) > 0
    d_g, n_g = events[:, happened].astype(np.float64), at_risk[:, happened].astype(np.float64)
    d, n = d_g.sum(axis=0), n_g.sum(axis=0)
    w = event_weights(weights, d, n, p, q)
    share = n_g / n
    # one person left has no variance; the maximum keeps 0 / 0 out
    spread = w * w * d * (n - d) / np.maximum(n - 1, 1)
    variance = -(share * spread) @ share.T
    np.fill_diagonal(variance, np.sum(spread * share * ((n - n_g) / n), axis=1))
    return Scores(d_g @ w, share @ (w * d), variance)


def pooled_scores(strata: Sequence[Scores]) -> Scores:
    """Sums over strata: what a stratified test is made of."""
    if not strata:
        raise RangeError("no strata to add")
    observed, expected, variance = (np.sum([getattr(part, name) for part in strata], axis=0) for name in Scores._fields)
    return Scores(observed, expected, variance)
