"""Plan and contribution of survival analyses on a lattice of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["MAX_HORIZON", "MAX_SURVIVAL_CELLS", "SurvivalContribution", "SurvivalPlan"]

MAX_HORIZON = 200_000
MAX_SURVIVAL_CELLS = 2_000_000


@dataclass(frozen=True)
class SurvivalPlan(Plan):
    """Groups, strata, and the lattice of times 0, 1, ..., horizon (multiples of `unit`), or a coarser public grid."""

    kind: ClassVar[str] = "survival"
    by: str | None
    groups: tuple[Level, ...]
    horizon: int
    unit: float
    event: str
    event_values: tuple[Level, ...]
    strata: tuple[str, ...] = ()
    """Columns; a stratum is a combination of their levels."""
    strata_levels: tuple[tuple[Level, ...], ...] = ()
    entry: str | None = None
    """Column of the time at which a person comes under observation."""
    grid: float | None = None
    """Width of the intervals on which counts are shared, in units of the time column; None: every lattice time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(groups, times), with strata (strata, groups, times)."""
        cells = (max(1, len(self.groups)), self.points)
        return (self.strata_count, *cells) if self.strata else cells

    @property
    def points(self) -> int:
        """Shared times: horizon + 1, or the intervals of the grid and the time 0."""
        if self.grid is None:
            return self.horizon + 1
        return max(1, math.ceil(self.horizon / (self.grid / self.unit) * (1 - 1e-12))) + 1

    @property
    def step(self) -> float:
        """Distance of shared times, in units of the time column."""
        return self.unit if self.grid is None else self.grid

    @property
    def strata_count(self) -> int:
        """Combinations of levels of the strata; 1 without strata."""
        return math.prod(len(levels) for levels in self.strata_levels)

    @property
    def curves(self) -> int:
        """Strata times groups."""
        return self.strata_count * max(1, len(self.groups))

    @property
    def group_names(self) -> list[str]:
        """Levels of `by` as text; "all" without groups."""
        return [str(level) for level in self.groups] or ["all"]

    @property
    def stratum_names(self) -> list[str] | None:
        """The level of a single column; "a=1, b=2" of several; None without strata."""
        if not self.strata:
            return None
        if len(self.strata) == 1:
            return [str(level) for level in self.strata_levels[0]]
        return [
            ", ".join(f"{name}={level}" for name, level in zip(self.strata, levels, strict=True))
            for levels in product(*self.strata_levels)
        ]

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return (
            0 <= self.horizon <= MAX_HORIZON
            and self.unit > 0
            and (self.grid is None or self.unit <= self.grid < math.inf)
            and len(self.strata) == len(self.strata_levels)
            and 0 < math.prod(self.shape) <= MAX_SURVIVAL_CELLS
        )


@dataclass(frozen=True, repr=False, eq=False)
class SurvivalContribution(Contribution):
    """Events, censorings, and with late entry entries, per stratum, group and time at this site.

    int64, the plan's shape; everybody leaves once, and enters once before that.
    """

    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    entered: NDArray[np.int64] | None = None
