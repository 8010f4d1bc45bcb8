"""Weighted log-rank tests in the clear, one event time after the other: what tests on shares are compared with."""

from __future__ import annotations

import math

import numpy as np


def in_the_clear(
    events: np.ndarray, at_risk: np.ndarray, weights: str = "logrank", p: float = 0.0, q: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Score and covariance, one event time after the other."""
    groups = events.shape[1]
    u, v = np.zeros(groups), np.zeros((groups, groups))
    for d_s, n_s in zip(events, at_risk, strict=True):
        curve = tilde = 1.0
        for j in range(d_s.shape[1]):
            d, n = float(d_s[:, j].sum()), float(n_s[:, j].sum())
            if not d:
                continue
            tilde *= (n + 1 - d) / (n + 1)
            w = {
                "logrank": 1.0,
                "wilcoxon": n,
                "tarone-ware": math.sqrt(n),
                "peto-peto-R": curve,
                "peto-peto-lifelines": tilde,
                "fleming-harrington": curve**p * (1 - curve) ** q,
            }[weights]
            share = n_s[:, j] / n
            u += w * (d_s[:, j] - d * share)
            if n > 1:
                v += w * w * d * (n - d) / (n - 1) * (np.diag(share) - np.outer(share, share))
            curve *= (n - d) / n
    return u, v
