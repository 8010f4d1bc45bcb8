"""What can be asked of a regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RegressionOptions", "Robust"]

Robust = Literal["HC0", "HC1", "HC3"]


@dataclass(frozen=True)
class RegressionOptions:
    """What is asked.

    Attributes
    ----------
    conf_level : float
    robust : "HC0", "HC1", "HC3" or None
        Standard errors that hold where variances are unequal.
    site_indicators : bool
        A column for every site but the first.
    accuracy : bool
        Also how well the probabilities of a logistic model predict.
    """

    conf_level: float = 0.95
    robust: Robust | None = None
    site_indicators: bool = False
    accuracy: bool = False
