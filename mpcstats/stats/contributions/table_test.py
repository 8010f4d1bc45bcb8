"""Plan and contribution of tests of contingency tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.contributions.counts import MAX_CELLS

__all__ = ["TESTS", "TableTestContribution", "TableTestPlan"]

TESTS = ("chi-square", "fisher", "mcnemar", "trend", "mantel-haenszel", "risk")


@dataclass(frozen=True)
class TableTestPlan(Plan):
    """A table of two columns, in strata of a third one.

    Attributes
    ----------
    test : str
        One of `TESTS`.
    names : tuple of str
        Columns of rows and columns, and of strata in a Mantel-Haenszel test.
    levels : tuple of tuples
        Of each.
    scores : tuple of float
        Trend: one for each row; () for 1, 2, 3 and so on.
    conf_level : float
    """

    kind: ClassVar[str] = "table-test"
    test: str
    names: tuple[str, ...]
    levels: tuple[tuple[Level, ...], ...]
    scores: tuple[float, ...]
    conf_level: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, strata)."""
        return tuple(len(axis) for axis in self.levels)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        axes = 3 if self.test == "mantel-haenszel" else 2
        sound = self.test in TESTS and len(self.names) == len(self.levels) == axes and 0 < self.conf_level < 1
        return sound and 0 < int(np.prod(self.shape)) <= MAX_CELLS


@dataclass(frozen=True, repr=False, eq=False)
class TableTestContribution(Contribution):
    """People per cell at this site: int64, the plan's shape."""

    counts: NDArray[np.int64]
