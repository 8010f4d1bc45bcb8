"""What can be asked of a Fine-Gray regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mpcstats.errors import SpecError
from mpcstats.stats.competing_risks.censoring import CENSORING_RULES, CensoringRule

__all__ = ["FineGrayOptions"]

Ties = Literal["efron", "breslow"]


@dataclass(frozen=True)
class FineGrayOptions:
    """What is asked.

    Attributes
    ----------
    variant : "crr" or "finegray"
        R's two implementations. They differ in who could be censored at a time with events (see
        `censoring_survival`), in ties ("crr": Breslow; "finegray": as in `coxph`), and in the robust variance (see
        `robust`).
    ties : "efron" or "breslow", optional
        Of "finegray"; Efron by default.
    by_site : bool
        Every site is a stratum of its own with its own distribution of censorings; nothing is compared between sites.
        False pools the risk sets, on shares; the distribution of censorings is then pooled where the rules let the
        exact table out, else each site's own.
    conf_level : float
    """

    variant: CensoringRule = "crr"
    ties: Ties | None = None
    by_site: bool = True
    conf_level: float = 0.95

    def __post_init__(self) -> None:
        if self.variant not in CENSORING_RULES:
            raise SpecError(f"no variant of Fine-Gray is called {self.variant!r}; use {' or '.join(CENSORING_RULES)}")
        if self.ties not in (None, "efron", "breslow") or (self.variant == "crr" and self.ties == "efron"):
            raise SpecError(f"ties = {self.ties!r} does not exist in the variant {self.variant!r}")
        if not 0 < self.conf_level < 1:
            raise SpecError(f"a confidence level lies between 0 and 1, not at {self.conf_level:g}")

    @property
    def used_ties(self) -> Ties:
        """The method asked for, or the variant's own."""
        return self.ties or ("breslow" if self.variant == "crr" else "efron")
