"""Results of quality control of variants and of contingency tests."""

from __future__ import annotations

import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import pairs, print_table

__all__ = ["RESULTS", "ContingencyResult", "VariantQualityResult"]


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
        return self.table.nlargest(count, "LOG10_P") if "LOG10_P" in self.table else self.table.head(0)

    def readable(self) -> pd.DataFrame:
        """The rows with the smallest p."""
        return self.top(20)

    def _lines(self) -> list[str]:
        values = self.outcome.values
        rows = [(name.replace("_", " "), f"{int(values[name]):,}") for name in ("cases", "controls")]
        rows += [("variants", f"{int(values['variants']):,}"), ("released", f"{int(values['variants_released']):,}")]
        if self.genomic_control_lambda is not None:
            rows.append(("lambda", f"{self.genomic_control_lambda:.4f}"))
        return [*pairs(rows), "", "Smallest p", *print_table(self.readable()).splitlines()]


RESULTS = (VariantQualityResult, ContingencyResult)
