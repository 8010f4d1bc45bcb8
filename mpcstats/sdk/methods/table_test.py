"""Tests of contingency tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mpcstats.sdk.methods.base import Methods
from mpcstats.sdk.results.table_test import TableTestResult

__all__ = ["TableTestMethods"]

Mode = Literal["auto", "table", "statistic"]


class TableTestMethods(Methods):
    """Tests of tables of two columns.

    `mode` of chi_square, mcnemar, trend_test and mantel_haenszel: "table" opens the exact pooled counts and gives R's
    digits; "statistic" keeps them on shares and opens chi-square alone (with a threshold, also whether every cell has
    enough people; without, how many rows and columns have people); "auto" as the policies allow. fisher and risk open
    the table, and are refused where counts leave rounded. No test is computed where a cell is hidden.
    """

    def chi_square(
        self,
        rows: str,
        columns: str,
        *,
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """Pearson's chi-square (with Yates' correction, too, for two by two), G and Cramer's V; expected counts and
        residuals."""
        return self.table_test("chi-square", rows, columns, where=where, mode=mode, dataset=dataset, policy=policy)

    def fisher(
        self,
        rows: str,
        columns: str,
        *,
        conf_level: float = 0.95,
        where: str | None = None,
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """Fisher's exact test; for two by two also one-sided, and the conditional odds ratio with limits."""
        return self.table_test(
            "fisher", rows, columns, where=where, conf_level=conf_level, dataset=dataset, policy=policy
        )

    def mcnemar(
        self,
        rows: str,
        columns: str,
        *,
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """McNemar's test of two columns with the same levels, in the same order; with and without correction."""
        return self.table_test("mcnemar", rows, columns, where=where, mode=mode, dataset=dataset, policy=policy)

    def trend_test(
        self,
        rows: str,
        columns: str,
        *,
        scores: Sequence[float] = (),
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """Cochran-Armitage test: a trend over `rows` of the proportions of the two levels of `columns`."""
        return self.table_test(
            "trend",
            rows,
            columns,
            where=where,
            scores=scores,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def mantel_haenszel(
        self,
        rows: str,
        columns: str,
        strata: str,
        *,
        conf_level: float = 0.95,
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """Mantel-Haenszel test of two-by-two tables in strata, common odds ratio with limits, homogeneity."""
        return self.table_test(
            "mantel-haenszel",
            rows,
            columns,
            where=where,
            mode=mode,
            conf_level=conf_level,
            strata=strata,
            dataset=dataset,
            policy=policy,
        )

    def risk(
        self,
        rows: str,
        columns: str,
        *,
        conf_level: float = 0.95,
        where: str | None = None,
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """Odds ratio, risk ratio and risk difference with limits: of the first level of `columns`, in the first level
        of `rows` against the second; and the test that the proportions are equal."""
        return self.table_test(
            "risk", rows, columns, where=where, conf_level=conf_level, dataset=dataset, policy=policy
        )

    def table_test(
        self,
        test: Literal["chi-square", "fisher", "mcnemar", "trend", "mantel-haenszel", "risk"],
        rows: str,
        columns: str,
        *,
        strata: str | None = None,
        where: str | None = None,
        scores: Sequence[float] = (),
        conf_level: float = 0.95,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableTestResult:
        """The test of this name: what the other methods here ask for.

        Reveals the exact table (mode "table"), or the statistic alone and whether every cell has enough people.
        """
        return self._ask(
            TableTestResult,
            type="table-test",
            test=test,
            rows=rows,
            columns=columns,
            strata=strata,
            where=where,
            scores=tuple(scores),
            conf_level=conf_level,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )
