"""Results of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "CountResult"]


class CountResult(Result):
    """A joint count; `table` has the columns of the breakdown, count (Int64, <NA> where suppressed) and status."""

    analysis = "count"
    title = "Joint count of people"

    @property
    def value(self) -> int | None:
        """The count when there is one cell only; None when it is suppressed.

        Raises
        ------
        SpecError
            The count has a breakdown: read `table`.
        """
        if len(self.table) != 1:
            raise SpecError(f"this count has {len(self.table)} cells", hint="read .table, or count without `by`")
        count = self.table["count"].iloc[0]
        return None if pd.isna(count) else int(count)

    @property
    def suppressed(self) -> int:
        """Number of suppressed cells."""
        return int((self.table["status"] == "suppressed").sum())

    @property
    def by(self) -> list[str]:
        """Columns of the breakdown."""
        return [str(name) for name in self.table.columns if name not in {"count", "status"}]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Bars, suppressed cells hatched."""
        from mpcstats.sdk.plots.counts import plot_counts

        return plot_counts(self.table, by=self.by, minimum_count=int(self._rule("minimum_count")[0] or 0), ax=ax)

    def readable(self) -> pd.DataFrame:
        """The count column says "suppressed" where there is no number."""
        table = self.table.drop(columns="status")
        table["count"] = ["suppressed" if pd.isna(n) else f"{int(n):,}" for n in self.table["count"]]
        return table


RESULTS = (CountResult,)
