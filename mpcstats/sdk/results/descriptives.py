"""Results of descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "DescribeResult"]


class DescribeResult(Result):
    """A row per variable and group: n and missing (Int64, <NA> where suppressed), sum, mean, variance, sd,
    standard_error, lower and upper limit of the mean, skewness, kurtosis, mad, and a column per
    quantile (`quantile_0.5`)."""

    analysis = "describe"
    title = "Descriptive statistics"

    @property
    def by(self) -> list[str]:
        """Columns of the groups."""
        return [str(name) for name in self.outcome.values.get("by", [])]

    @property
    def histogram(self) -> pd.DataFrame:
        """variable, groups, from, to, count (Int64, <NA> where hidden).

        Raises
        ------
        SpecError
            None was asked for.
        """
        if "histogram" not in self.outcome.tables:
            raise SpecError("this description has no histogram", hint="describe(..., breaks=[0, 10, 20])")
        return self.outcome.tables["histogram"].copy()

    def readable(self) -> pd.DataFrame:
        """Without the sum, the variance and the standard error; "suppressed" where there is no number of people."""
        table = self.table.drop(columns=["sum", "variance", "standard_error"])
        for name in ("n", "missing"):
            table[name] = ["suppressed" if pd.isna(n) else f"{int(n):,}" for n in table[name]]
        return table

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Histograms, or means with their limits where there are none."""
        from mpcstats.sdk.plots.descriptives import plot_histogram, plot_means

        if "histogram" in self.outcome.tables:
            return plot_histogram(self.histogram, by=self.by, ax=ax)
        return plot_means(self.table, by=self.by, ax=ax)

    def figures(self) -> dict[str, Figure]:
        """One figure."""
        figure = self.plot()
        return {"plot": figure}  # type: ignore[dict-item]


RESULTS = (DescribeResult,)
