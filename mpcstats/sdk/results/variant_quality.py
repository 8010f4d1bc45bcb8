"""Results of quality control of variants and of contingency tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import pairs, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "ContingencyResult", "VariantQualityResult"]

PLINK_NAMES = {"genotypic": "GENO", "trend": "TREND", "allelic": "ALLELIC", "dominant": "DOM", "recessive": "REC"}
_PLOTTED = ("TREND", "ALLELIC", "GENO", "DOM", "REC")


class VariantQualityResult(Result):
    """Quality control: `table` has the counts of variants that pass (PLINK 2 names), or where counts stay closed all
    variants with PASS."""

    analysis = "variant-quality"
    title = "Quality control of variants"

    @property
    def passed(self) -> int:
        """Variants that pass all filters."""
        return int(self.outcome.values["variants_that_pass"])

    @property
    def hardy(self) -> pd.DataFrame | None:
        """Hardy-Weinberg equilibrium, as PLINK `--hardy`; None where counts stay closed."""
        return self.outcome.tables.get("hardy")

    def variants(self) -> list[str]:
        """IDs of the variants that pass."""
        table = self.table
        return [str(name) for name in (table.loc[table["PASS"], "ID"] if "PASS" in table else table["ID"])]

    def readable(self) -> pd.DataFrame:
        """The first rows."""
        return self.table.head(20)

    def notes(self) -> list[str]:
        """See `Result.notes`."""
        return [f"{self.passed:,} of {int(self.outcome.values['variants']):,} variants pass."]


class ContingencyResult(Result):
    """Contingency tests; `table` has a row per variant and test, in the columns of PLINK 1.9 `--model`."""

    analysis = "contingency"
    title = "Cases and controls"

    @property
    def allelic(self) -> pd.DataFrame | None:
        """The allelic test with odds ratio and interval, as PLINK `--assoc --ci`; None if it was not asked for."""
        return self.outcome.tables.get("allelic")

    @property
    def genomic_control_lambda(self) -> float | None:
        """Median chi-square of the trend (or else the allelic) test over its expectation; None for hits."""
        found = self.outcome.values.get("lambda_gc")
        return None if found is None else float(found)

    def top(self, count: int = 10) -> pd.DataFrame:
        """The rows with the smallest p."""
        return self.table.nlargest(count, "LOG10_P")

    def of(self, test: str) -> pd.DataFrame:
        """The rows of one test, by PLINK's name (GENO, TREND, ALLELIC, DOM, REC) or the request's.

        Raises
        ------
        SpecError
            It was not asked for.
        """
        rows = self.table[self.table["TEST"] == PLINK_NAMES.get(test, test)]
        if rows.empty and PLINK_NAMES.get(test, test) not in self._tests():
            raise SpecError(f"there is no test {test!r} in this result; tests: {', '.join(self._tests()) or 'none'}")
        return rows.reset_index(drop=True)

    def readable(self) -> pd.DataFrame:
        """The rows with the smallest p."""
        return self.top(20)

    def plot(self, ax: Axes | None = None, *, test: str | None = None) -> Figure | Axes:
        """Manhattan plot and QQ plot of one test (the first there is of trend, allelic, and the others); of hits, and
        into given axes, the Manhattan plot alone."""
        from mpcstats.sdk.plots.association import plot_association, plot_manhattan

        first = next((name for name in _PLOTTED if name in self._tests()), "TREND")
        chosen = PLINK_NAMES.get(test or first, test or first)
        rows = self.of(chosen)
        lam = self.genomic_control_lambda
        if ax is not None or lam is None:
            return plot_manhattan(rows, ax=ax, title=chosen)
        return plot_association(rows, genomic_control_lambda=lam if chosen == first else None, title=chosen)

    def figures(self) -> dict[str, Figure]:
        """See `Result.figures`; none where there is no p."""
        return {"plot": cast("Figure", self.plot())} if self.table["LOG10_P"].notna().any() else {}

    def _tests(self) -> list[str]:
        return [str(name) for name in self.table["TEST"].unique() if name != "."]

    def _lines(self) -> list[str]:
        values = self.outcome.values
        rows = [(name.replace("_", " "), f"{int(values[name]):,}") for name in ("cases", "controls")]
        rows += [("variants", f"{int(values['variants']):,}"), ("released", f"{int(values['variants_released']):,}")]
        if self.genomic_control_lambda is not None:
            rows.append(("lambda", f"{self.genomic_control_lambda:.4f}"))
        return [*pairs(rows), "", "Smallest p", *print_table(self.readable()).splitlines()]


RESULTS = (VariantQualityResult, ContingencyResult)
