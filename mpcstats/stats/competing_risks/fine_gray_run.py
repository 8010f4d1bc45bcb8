"""What the parts of a Fine-Gray regression need of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session
from mpcstats.stats.competing_risks.options import FineGrayOptions
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort
from mpcstats.stats.cox.pooled_model import Pooled
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.disclosure import Ruling

__all__ = ["Run"]


@dataclass
class Run:
    """One run at one party, as far as it is known when the iteration starts.

    Attributes
    ----------
    exits : int64 (3, T+1) or None
        Opened events, competing events and censorings by time, pooled.
    withheld : list of str
        Filled while the results are made.
    """

    session: Session
    plan: FineGrayPlan
    options: FineGrayOptions
    own: FineGrayContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    cohort: Cohort
    digits: Digits
    model: BySite | Pooled
    exits: NDArray[np.int64] | None
    withheld: list[str] = field(default_factory=list)

    @property
    def ties(self) -> str:
        """The method in force."""
        return self.options.used_ties if isinstance(self.model, BySite) else self.model.ties
