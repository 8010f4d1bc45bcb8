"""Plan and contribution of survival analyses on a lattice of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["MAX_HORIZON", "MAX_SURVIVAL_CELLS", "SurvivalContribution", "SurvivalPlan"]

MAX_HORIZON = 200_000
MAX_SURVIVAL_CELLS = 2_000_000


@dataclass(frozen=True)
class SurvivalPlan(Plan):
    """Groups, and the lattice of times 0, 1, ..., horizon (multiples of `unit`)."""

    kind: ClassVar[str] = "survival"
    by: str | None
    groups: tuple[Level, ...]
    horizon: int
    unit: float
    event: str
    event_values: tuple[Level, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(groups, horizon + 1)."""
        return (max(1, len(self.groups)), self.horizon + 1)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return self.horizon >= 0 and self.unit > 0 and math.prod(self.shape) <= MAX_SURVIVAL_CELLS


@dataclass(frozen=True, repr=False, eq=False)
class SurvivalContribution(Contribution):
    """Events and censorings per group and lattice time at this site: int64, the plan's shape."""

    events: NDArray[np.int64]
    censored: NDArray[np.int64]
