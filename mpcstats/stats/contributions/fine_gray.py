"""Plan and contribution of Fine-Gray regression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan

__all__ = ["FineGrayContribution", "FineGrayPlan"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FineGrayPlan(CoxPlan):
    """Covariates and lattice of times as in Cox regression; `event_values` are the cause of interest.

    There are no strata of the data, and nobody enters late.
    """

    kind: ClassVar[str] = "fine-gray"
    competing_values: tuple[Level, ...] = ()
    """Values of the event column that are competing events. All others are censorings."""

    @property
    def further_groups(self) -> tuple[str, ...]:
        """People with a competing event. Without any, the model is a Cox model: what the two differ by is theirs."""
        return ("competing events",) if self.competing_values else ()

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        both = set(map(repr, self.competing_values)) & set(map(repr, self.event_values))
        return super().within_limits() and not self.strata and self.entry is None and not both


@dataclass(frozen=True, repr=False, eq=False)
class FineGrayContribution(CoxContribution):
    """The people of one site.

    Attributes
    ----------
    rival : bool (people,)
        Who had a competing event.
    """

    rival: NDArray[np.bool_] = field(kw_only=True)

    def further_counts(self, plan: CoxPlan) -> list[int]:
        """See `CoxContribution.further_counts`."""
        return [int(self.rival.sum())] * len(plan.further_groups)

    def scaled(self, plan: CoxPlan) -> Floats:
        """See `CoxContribution.scaled`."""
        if len(self.rival) != len(self.time) or bool(np.any(self.rival & self.event)):
            raise DataError("competing events do not fit the events: everybody has one of them at most")
        return super().scaled(plan)
