"""The distribution of the time to censoring: it weighs people who had a competing event in a Fine-Gray regression."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError

__all__ = ["CENSORING_RULES", "CensoringRule", "censoring_survival"]

CensoringRule = Literal["crr", "finegray"]
CENSORING_RULES: tuple[CensoringRule, ...] = ("crr", "finegray")

Floats = NDArray[np.float64]


def censoring_survival(events: ArrayLike, censored: ArrayLike, at_risk: ArrayLike, rule: CensoringRule) -> Floats:
    """G(t-): the probability of not being censored before each lattice time, by the product-limit estimate.

    Parameters
    ----------
    events : (..., T+1)
        Events of all causes together.
    censored, at_risk : (..., T+1)
        Censorings at, and people at risk just before, each lattice time.
    rule : {"crr", "finegray"}
        Who could be censored at t. "crr" (R's cmprsk): all at risk, those with an event at t too. "finegray" (R's
        survival): events come first, so only those without. Where events and censorings share times the coefficients
        differ in the third digit.

    Returns
    -------
    (..., T+1) float64
        1 at the first time. Positive as long as anybody is at risk.
    """
    d, c, n = (np.asarray(x, dtype=np.float64) for x in (events, censored, at_risk))
    if rule not in CENSORING_RULES:
        raise SpecError(
            f"no rule for the censoring distribution is called {rule!r}; rules: {', '.join(CENSORING_RULES)}"
        )
    if not d.shape == c.shape == n.shape or bool(np.any(d + c > n)):
        raise RangeError(
            "the censoring distribution got counts of different shapes, or more people leave than are at risk"
        )
    exposed = n if rule == "crr" else n - d
    after = np.cumprod(np.where(c > 0, (exposed - c) / np.maximum(exposed, 1), 1.0), axis=-1)
    return np.concatenate([np.ones_like(after[..., :1]), after[..., :-1]], axis=-1)
