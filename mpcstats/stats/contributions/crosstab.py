"""Plan and contribution of cross-tabulations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.contributions.counts import MAX_CELLS

__all__ = ["MARGINS", "CrosstabContribution", "CrosstabPlan"]

MARGINS = ("released", "pooled", "none")


@dataclass(frozen=True)
class CrosstabPlan(Plan):
    """Cells of a table of two columns.

    Attributes
    ----------
    rows, columns : str
        Column names of the data set.
    row_levels, column_levels : tuple
    margins : str
        One of `MARGINS`.
    """

    kind: ClassVar[str] = "crosstab"
    rows: str
    columns: str
    row_levels: tuple[Level, ...]
    column_levels: tuple[Level, ...]
    margins: str

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.row_levels), len(self.column_levels)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        rows, columns = self.shape
        return 0 < rows * columns <= MAX_CELLS and self.margins in MARGINS


@dataclass(frozen=True, repr=False, eq=False)
class CrosstabContribution(Contribution):
    """People per cell at this site: int64, (rows, columns)."""

    counts: NDArray[np.int64]
