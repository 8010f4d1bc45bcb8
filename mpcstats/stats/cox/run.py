"""What all steps of one fit share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort
from mpcstats.stats.cox.event_table import EventTable
from mpcstats.stats.cox.options import CoxOptions
from mpcstats.stats.cox.pooled_model import Pooled
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.disclosure import Ruling

__all__ = ["Run"]

Floats = NDArray[np.float64]


@dataclass
class Run:
    """What all steps of one fit share."""

    session: Session
    plan: CoxPlan
    options: CoxOptions
    own: CoxContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    cohort: Cohort
    z: Floats | None
    table: EventTable | None
    model: BySite | Pooled
    digits: Digits
    withheld: list[str]

    @property
    def ties(self) -> str:
        """The method in force."""
        return self.options.ties if isinstance(self.model, BySite) else self.model.ties
