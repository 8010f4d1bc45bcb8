"""The slow twin: a Cox model by loops over event times and people, as the textbooks write it."""

from __future__ import annotations

import numpy as np


def likelihood(
    x: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    stratum: np.ndarray,
    entry: np.ndarray | None,
    beta: np.ndarray,
    ties: str,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, score, information."""
    order = x.shape[1]
    log, score, information = 0.0, np.zeros(order), np.zeros((order, order))
    start = np.full(len(time), -1) if entry is None else entry
    for s in np.unique(stratum):
        for t in np.unique(time[event & (stratum == s)]):
            risk = (stratum == s) & (start < t) & (time >= t)
            failed = risk & event & (time == t)
            for k in range(int(failed.sum())):
                share = k / failed.sum() if ties == "efron" else 0.0
                weight = np.exp(x @ beta) * (risk - share * failed)
                mean = weight @ x / weight.sum()
                square = (x * weight[:, None]).T @ x / weight.sum()
                log -= np.log(weight.sum())
                score -= mean
                information += square - np.outer(mean, mean)
            log += float((x[failed] @ beta).sum())
            score += x[failed].sum(axis=0)
    return log, score, information


def estimate(
    x: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    stratum: np.ndarray,
    entry: np.ndarray | None = None,
    ties: str = "efron",
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Coefficients, their covariance, log-likelihood without covariates and at the estimate."""
    beta = np.zeros(x.shape[1])
    null, score, information = likelihood(x, time, event, stratum, entry, beta, ties)
    for _ in range(20):
        beta = beta + np.linalg.solve(information, score)
        log, score, information = likelihood(x, time, event, stratum, entry, beta, ties)
    assert np.abs(score).max() < 1e-8
    return beta, np.linalg.inv(information), null, log


def pairs(
    score: np.ndarray, time: np.ndarray, event: np.ndarray, stratum: np.ndarray, entry: np.ndarray | None
) -> np.ndarray:
    """Concordant, discordant and tied pairs of each person, in either role: (3, people)."""
    counts = np.zeros((3, len(time)), int)
    start = np.full(len(time), -1) if entry is None else entry
    for i in np.flatnonzero(event):
        later = (time > time[i]) | ((time == time[i]) & ~event)
        for j in np.flatnonzero((stratum == stratum[i]) & later & (start < time[i])):
            kind = 2 if score[i] == score[j] else int(score[i] < score[j])
            counts[kind, [i, j]] += 1
    return counts
