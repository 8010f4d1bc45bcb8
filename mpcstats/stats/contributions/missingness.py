"""Plan and contribution of a table of missing values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["MAX_MISSING_CELLS", "MissingnessContribution", "MissingnessPlan"]

MAX_MISSING_CELLS = 100_000
"""Columns (and two more) times groups."""


@dataclass(frozen=True)
class MissingnessPlan(Plan):
    """Columns of any type, and the groups of other columns."""

    kind: ClassVar[str] = "missingness"
    columns: tuple[str, ...]
    by: tuple[str, ...] = ()
    levels: tuple[tuple[Level, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(columns + 2, groups): people without a value of each column, of any of them, and all people."""
        return len(self.columns) + 2, math.prod(len(axis) for axis in self.levels)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return len(self.by) == len(self.levels) and 0 < math.prod(self.shape) <= MAX_MISSING_CELLS


@dataclass(frozen=True, repr=False, eq=False)
class MissingnessContribution(Contribution):
    """People at this site: int64, the plan's shape."""

    counts: NDArray[np.int64]
