"""What can be asked of a Cox regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mpcstats.errors import SpecError

__all__ = ["TRANSFORMS", "CoxOptions", "Transform"]

Transform = Literal["km", "rank", "identity", "log"]
TRANSFORMS: tuple[Transform, ...] = ("km", "rank", "identity", "log")


@dataclass(frozen=True)
class CoxOptions:
    """What is asked.

    Attributes
    ----------
    ties : "efron" or "breslow"
    by_site : bool
        Every site is a stratum of its own: sites share sums of scores only, nothing per time. False pools the risk
        sets of all sites, on shares.
    conf_level : float
    transforms : tuple of str
        Time transforms of the proportional-hazards test, in R's names; () for no test.
    concordance, baseline, robust : bool
        Robust standard errors exist for `by_site`, the baseline hazard without it.
    """

    ties: Literal["efron", "breslow"] = "efron"
    by_site: bool = True
    conf_level: float = 0.95
    transforms: tuple[Transform, ...] = ("km",)
    concordance: bool = True
    baseline: bool = True
    robust: bool = False

    def __post_init__(self) -> None:
        if self.ties not in ("efron", "breslow"):
            raise SpecError(f"no way of treating ties is called {self.ties!r}; use 'efron' or 'breslow'")
        unknown = set(self.transforms) - set(TRANSFORMS)
        if unknown:
            raise SpecError(f"no transform of time is called {sorted(unknown)[0]!r}; use {', '.join(TRANSFORMS)}")
        if not 0 < self.conf_level < 1:
            raise SpecError(f"a confidence level lies between 0 and 1, not at {self.conf_level:g}")
