"""Results of tests on means and variances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number, p_phrase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "AnovaResult", "MeanTestResult", "TTestResult", "VarianceTestResult"]


class MeanTestResult(Result):
    """`table` has one row: statistic, degrees of freedom, p_value; of one or two groups the estimate with limits."""

    @property
    def statistic(self) -> float:
        """t, F, or Bartlett's K squared; NaN where nothing varies."""
        return self._number("statistic")

    @property
    def p_value(self) -> float:
        """p."""
        return self._number("p_value")

    @property
    def degrees_of_freedom(self) -> tuple[float, ...]:
        """One number (t, chi-square), or two (F)."""
        return tuple(self._number(name) for name in ("df", "df1", "df2") if name in self.table.columns)

    @property
    def groups(self) -> pd.DataFrame:
        """group, n, missing, mean, sd, variance."""
        return self.outcome.tables["groups"].copy()

    def notes(self) -> list[str]:
        """The test in one line, as R says it."""
        name = {"ttest": "t", "anova": "F"}.get(self.outcome.analysis, "K-squared" if "df" in self.table else "F")
        df = " and ".join(f"{value:.5g}" for value in self.degrees_of_freedom)
        return [
            f"{self.outcome.values.get('test')}: {name} = {self.statistic:.5g}, df = {df}, p {p_phrase(self.p_value)}"
        ]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Means of the groups with 95% limits."""
        from mpcstats.sdk.plots.descriptives import plot_means
        from mpcstats.stats.descriptives.cells import mean_limits

        table = self.groups.rename(columns={"group": "variable"})
        lower, upper = mean_limits(table["mean"], table["sd"], table["n"], 0.95)
        return plot_means(table.assign(lower=lower, upper=upper), ax=ax)

    def _number(self, name: str) -> float:
        return number(self.table[name].iloc[0]) if name in self.table.columns else math.nan

    def _table(self, name: str, request: str) -> pd.DataFrame:
        if name not in self.outcome.tables:
            raise SpecError(f"this result has no table {name!r}", hint=request)
        return self.outcome.tables[name].copy()


class TTestResult(MeanTestResult):
    """t test; estimate, standard_error, lower, upper, statistic, df, p_value, cohen_d."""

    analysis = "ttest"
    title = "t test"

    @property
    def estimate(self) -> float:
        """Mean, difference of means, or mean difference."""
        return self._number("estimate")

    @property
    def confidence_limits(self) -> tuple[float, float]:
        """Of the estimate."""
        return self._number("lower"), self._number("upper")


class AnovaResult(MeanTestResult):
    """Analysis of variance; statistic, df1, df2, p_value."""

    analysis = "anova"
    title = "Analysis of variance"

    @property
    def tukey(self) -> pd.DataFrame:
        """group, other, estimate (group less other), lower, upper, p_adjusted."""
        return self._table("tukey", "anova(..., tukey=True)")

    @property
    def pairwise(self) -> pd.DataFrame:
        """group, other, estimate, statistic, df, p_value, p_adjusted."""
        return self._table("pairwise", 'anova(..., pairwise="holm")')


class VarianceTestResult(MeanTestResult):
    """Test of equal variances; statistic, degrees of freedom, p_value, of two groups the ratio with limits."""

    analysis = "variance-test"
    title = "Test of equal variances"


RESULTS: tuple[type[Any], ...] = (TTestResult, AnovaResult, VarianceTestResult)
