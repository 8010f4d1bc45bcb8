"""One site's sums at public coefficients: score, information and deviance of each family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from mpcstats.stats.contributions.regression import Family

__all__ = ["OwnRows", "fitted", "likelihood_constants", "own_sums", "totals"]

Floats = NDArray[np.float64]

_LARGEST_PREDICTOR = 40.0
"""Of counts: exp(40) of them. Steps that go further are too long, and are halved."""


@dataclass(frozen=True)
class OwnRows:
    """One site's people on the common scale.

    Attributes
    ----------
    z : float64 (people, coefficients)
        The intercept's column first, if there is one.
    y : float64 (people,)
    offset : float64 (people,)
    """

    z: Floats
    y: Floats
    offset: Floats


def fitted(rows: OwnRows, family: Family, gamma: Floats) -> tuple[Floats, Floats]:
    """Expected outcome and its variance (1 in a linear model)."""
    eta = rows.z @ gamma + rows.offset
    if family == "gaussian":
        return eta, np.ones_like(eta)
    if family == "poisson":
        mean = np.exp(np.clip(eta, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR))
        return mean, mean
    small = np.exp(-np.abs(eta))
    p = np.where(eta >= 0, 1.0, small) / (1 + small)
    return p, small / (1 + small) ** 2


def own_sums(rows: OwnRows, family: Family, gamma: Floats | None, saturated: bool = True) -> Floats:
    """Score, upper triangle of the information, and deviance, one after the other.

    Without coefficients, the sums of R's first step: from fitted values next to the outcome.

    saturated: False leaves the part of a count's deviance out that depends on the outcome alone.
    """
    size = rows.z.shape[1]
    if gamma is None and family != "gaussian":
        residual, weight, deviance = _start(rows, family)
    else:
        gamma = np.zeros(size) if gamma is None else gamma
        mean, weight = fitted(rows, family, gamma)
        residual = rows.y - mean
        deviance = _deviance(rows, family, gamma, mean, saturated)
    information = (rows.z * weight[:, None]).T @ rows.z
    return np.concatenate([rows.z.T @ residual, information[np.triu_indices(size)], [deviance]])


def _start(rows: OwnRows, family: Family) -> tuple[Floats, Floats, float]:
    """Weighted working outcomes and weights at mu = (y + 1/2) / 2, of counts y + 0.1 (R's `mustart`)."""
    if family == "binomial":
        mean = (rows.y + 0.5) / 2
        weight, eta = mean * (1 - mean), np.log(mean / (1 - mean))
    else:
        mean = rows.y + 0.1
        weight, eta = mean, np.log(mean)
    return weight * (eta - rows.offset) + rows.y - mean, weight, 0.0


def _deviance(rows: OwnRows, family: Family, gamma: Floats, mean: Floats, saturated: bool) -> float:
    if family == "gaussian":
        return float(((rows.y - mean) ** 2).sum())
    eta = rows.z @ gamma + rows.offset
    if family == "binomial":
        return float(2 * (np.logaddexp(0, eta) - rows.y * eta).sum())
    own = xlogy(rows.y, rows.y) - rows.y if saturated else np.zeros_like(mean)
    return float(2 * (own - rows.y * eta + mean).sum())


def totals(rows: OwnRows) -> Floats:
    """Sums of y, exp(offset) and y * offset: what the null model of counts needs."""
    return np.array([rows.y.sum(), np.exp(rows.offset).sum(), rows.y @ rows.offset])


def likelihood_constants(rows: OwnRows) -> Floats:
    """Sums of y log y and log y!, which tell how many people have each count where counts are few."""
    return np.array([xlogy(rows.y, rows.y).sum(), gammaln(rows.y + 1).sum()])
