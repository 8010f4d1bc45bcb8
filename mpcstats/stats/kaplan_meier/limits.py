"""Confidence limits of a survival curve and the standard error behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from mpcstats.errors import SpecError

__all__ = ["CONFIDENCE_TYPES", "confidence_limits", "greenwood", "log_standard_error", "normal_quantile"]

CONFIDENCE_TYPES = ("log", "log-log", "plain", "logit", "arcsin")

Floats = NDArray[np.float64]


def normal_quantile(conf_level: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    if not 0 < conf_level < 1:
        raise SpecError(f"the confidence level lies between 0 and 1, not at {conf_level}")
    return float(-ndtri((1 - conf_level) / 2))


def greenwood(at_risk: Floats, events: Floats) -> Floats:
    """d / (n (n - d)) per time: steps of the variance of log S. Infinite where all at risk have the event."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0)


def log_standard_error(table: pd.DataFrame) -> Floats:
    """Standard error of log S per row of a curve: R's `fit$std.err`. Infinite once S is 0."""
    n, d = (table[name].to_numpy(dtype=np.float64) for name in ("at_risk", "events"))
    return np.asarray(np.sqrt(np.cumsum(greenwood(n, d))))


def confidence_limits(s: Floats, root: Floats, conf_type: str, conf_level: float) -> tuple[Floats, Floats]:
    """Limits of S from S and the standard error of log S, with R's clipping and NaN."""
    if conf_type not in CONFIDENCE_TYPES:
        raise SpecError(f"no confidence type is called {conf_type!r}; types: {', '.join(CONFIDENCE_TYPES)}")
    z = normal_quantile(conf_level)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        s = np.where(s == 0, np.nan, s)
        if conf_type == "plain":
            half = z * s * root
            return np.maximum(s - half, 0), np.minimum(s + half, 1)
        if conf_type == "log":
            return np.exp(np.log(s) - z * root), np.minimum(np.exp(np.log(s) + z * root), 1)
        s = np.where(s == 1, np.nan, s)
        if conf_type == "log-log":
            hazard = -np.log(s)
            half = z * root / hazard
            return np.exp(-np.exp(np.log(hazard) + half)), np.exp(-np.exp(np.log(hazard) - half))
        if conf_type == "logit":
            logit, half = np.log(s / (1 - s)), z * root / (1 - s)
            return np.asarray(expit(logit - half)), np.asarray(expit(logit + half))
        angle, half = np.arcsin(np.sqrt(s)), 0.5 * z * root * np.sqrt(s / (1 - s))
        return np.sin(np.maximum(angle - half, 0)) ** 2, np.sin(np.minimum(angle + half, np.pi / 2)) ** 2
