"""Results of tests of contingency tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "TableTestResult"]

_TITLES = {
    "chi-square": "Chi-square test",
    "fisher": "Fisher's exact test",
    "mcnemar": "McNemar's test",
    "trend": "Cochran-Armitage test for trend",
    "mantel-haenszel": "Mantel-Haenszel test",
    "risk": "Odds ratio, risk ratio and risk difference",
}


class TableTestResult(Result):
    """A test of a joint table.

    `table` has the numbers by name (statistic, value), `cells` the counts, where they were opened.
    """

    analysis = "table-test"
    title = "Test of a joint table"

    @property
    def cells(self) -> pd.DataFrame:
        """The pooled counts; after `chi_square` also expected counts and residuals.

        Raises
        ------
        SpecError
            They stayed on shares.
        """
        if "cells" not in self.outcome.tables:
            raise SpecError("counts of cells stayed on shares: only the statistic was opened (mode statistic)")
        return self.outcome.tables["cells"]

    def __getitem__(self, name: str) -> float:
        """A number of the test, e.g. result["p_value"].

        Raises
        ------
        SpecError
            The test has no such number.
        """
        numbers = dict(zip(self.table["statistic"], self.table["value"], strict=True))
        if name not in numbers:
            raise SpecError(f"this test has no {name!r}", hint=f"it has {', '.join(numbers)}")
        return float(numbers[name])

    @property
    def p_value(self) -> float:
        """Two-sided p-value, without continuity correction."""
        return self["p_value"]

    def notes(self) -> list[str]:
        """Which test of what."""
        values: dict[str, Any] = self.outcome.values
        return [f"{_TITLES[str(values['test'])]}: {values['rows']} by {values['columns']}."]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Heat map of the counts, summed over strata; refused where they stayed on shares."""
        from mpcstats.sdk.plots.crosstab import plot_crosstab

        rows, columns = str(self.outcome.values["rows"]), str(self.outcome.values["columns"])
        wide = self.cells.pivot_table(index=rows, columns=columns, values="count", aggfunc="sum", sort=False)
        status = pd.DataFrame("released", index=wide.index, columns=wide.columns)
        return plot_crosstab(wide.astype("Int64"), status, rows=rows, columns=columns, ax=ax)

    def figures(self) -> dict[str, Figure]:
        """See `Result.figures`."""
        return super().figures() if "cells" in self.outcome.tables else {}


RESULTS = (TableTestResult,)
