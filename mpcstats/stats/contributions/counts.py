"""Plan and contribution of counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["MAX_CELLS", "CountContribution", "CountPlan"]

MAX_CELLS = 100_000


@dataclass(frozen=True)
class CountPlan(Plan):
    """Cells of a count: one axis per column of `by`, one position per level."""

    kind: ClassVar[str] = "count"
    by: tuple[str, ...]
    levels: tuple[tuple[Level, ...], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels per axis; () for a single count."""
        return tuple(len(axis) for axis in self.levels)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return len(self.by) == len(self.levels) and 0 < math.prod(self.shape) <= MAX_CELLS


@dataclass(frozen=True, repr=False, eq=False)
class CountContribution(Contribution):
    """People per cell at this site: int64, the plan's shape."""

    counts: NDArray[np.int64]
