"""Weights of event times in the log-rank family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError

__all__ = ["WEIGHTS", "WEIGHT_ALIASES", "check_weights", "event_weights", "weights_named", "weights_text"]

WEIGHTS = ("logrank", "wilcoxon", "tarone-ware", "peto-peto-R", "peto-peto-lifelines", "fleming-harrington")
WEIGHT_ALIASES = {
    "log-rank": "logrank",
    "mantel-haenszel": "logrank",
    "gehan": "wilcoxon",
    "gehan-breslow": "wilcoxon",
    "gehan-wilcoxon": "wilcoxon",
    "breslow": "wilcoxon",
    "peto-R": "peto-peto-R",
    "peto-lifelines": "peto-peto-lifelines",
}
"""Other names of the same weights."""
_TEXTS = {
    "logrank": "log-rank (Mantel-Haenszel), weight 1 (R: survdiff, rho = 0)",
    "wilcoxon": "Gehan-Breslow generalised Wilcoxon, weight at_risk (lifelines: wilcoxon)",
    "tarone-ware": "Tarone-Ware, weight sqrt(at_risk)",
    "peto-peto-R": "Peto-Peto as in R (survdiff, rho = 1): weight S(t-), pooled Kaplan-Meier estimate just before t",
    "peto-peto-lifelines": (
        "Peto-Peto as in lifelines (peto): weight product of 1 - events / (at_risk + 1) up to and including t"
    ),
}

Floats = NDArray[np.float64]


def event_weights(weights: str, events: Floats, at_risk: Floats, p: float = 0.0, q: float = 0.0) -> Floats:
    """Weights of the event times of one stratum.

    Parameters
    ----------
    weights : one of `WEIGHTS`
        "fleming-harrington": S(t-)^p (1 - S(t-))^q, S the pooled Kaplan-Meier estimate just before t; (1, 0) is
        "peto-peto-R", (0, 0) the log-rank test. `weights_text` says what the others are.
    events, at_risk : (T,)
        Totals over groups at increasing times, all with events.
    p, q : not negative; read for "fleming-harrington" alone

    References
    ----------
    Fleming and Harrington 1991, 7.1-7.3; Klein and Moeschberger 2003, 7.3.
    """
    check_weights(weights, p, q)
    if weights == "logrank":
        return np.ones_like(at_risk)
    if weights == "wilcoxon":
        return at_risk.copy()
    if weights == "tarone-ware":
        return np.sqrt(at_risk)
    if weights == "peto-peto-lifelines":
        return np.asarray(np.cumprod((at_risk + 1 - events) / (at_risk + 1)))
    before = np.append(1.0, np.cumprod((at_risk - events) / at_risk))[:-1]
    if weights == "peto-peto-R":
        return before
    return np.asarray(before**p * (1 - before) ** q)


def check_weights(weights: str, p: float = 0.0, q: float = 0.0) -> None:
    """Raise SpecError for weights that do not exist."""
    if weights in {"peto", "peto-peto"}:
        raise SpecError(
            f"{weights!r} names different weights in R and lifelines: say peto-peto-R or peto-peto-lifelines"
        )
    if weights not in WEIGHTS:
        raise SpecError(f"no weights are called {weights!r}; there are: {', '.join(WEIGHTS)}")
    if weights == "fleming-harrington" and not (0 <= p < np.inf and 0 <= q < np.inf):
        raise SpecError(f"Fleming-Harrington weights need p and q of 0 or more, not {p} and {q}")


def weights_named(name: str) -> str:
    """The name in `WEIGHTS` of weights that may be called otherwise, or raise SpecError."""
    weights = WEIGHT_ALIASES.get(name, name)
    check_weights(weights)
    return weights


def weights_text(weights: str, p: float = 0.0, q: float = 0.0) -> str:
    """The test in words, for a result's conventions."""
    check_weights(weights, p, q)
    if weights == "fleming-harrington":
        return f"Fleming-Harrington, weight S(t-)^{p:g} (1 - S(t-))^{q:g}, S the pooled Kaplan-Meier estimate"
    return _TEXTS[weights]
