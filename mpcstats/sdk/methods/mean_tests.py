"""Tests on means and variances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpcstats.sdk.methods.base import Methods, plain_value
from mpcstats.sdk.results.mean_tests import AnovaResult, TTestResult, VarianceTestResult

__all__ = ["MeanTestMethods"]


class MeanTestMethods(Methods):
    """Tests on means and variances of groups."""

    def ttest(
        self,
        column: str,
        by: str | None = None,
        *,
        paired: str | None = None,
        groups: Sequence[Any] = (),
        equal_variances: bool = False,
        mu: float = 0.0,
        alternative: str = "two-sided",
        conf_level: float = 0.95,
        where: str | None = None,
        mode: str = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> TTestResult:
        """t test of two groups (Welch's, or Student's with `equal_variances`), of pairs, or of one mean.

        Parameters
        ----------
        by : name
            Column of the groups; the first level less the second. `groups` picks two of several levels.
        paired : name
            Column that is subtracted, person by person.
        mu : float
            Mean, or difference, under the hypothesis.
        mode : {"auto", "table", "statistic"}

        Reveals, in the mode table, people, missing values, means and variances of the groups.
        """
        return self._ask(
            TTestResult,
            type="ttest",
            column=column,
            by=by,
            paired=paired,
            groups=tuple(map(plain_value, groups)),
            equal_variances=equal_variances,
            mu=mu,
            alternative=alternative,
            conf_level=conf_level,
            where=where,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def paired_ttest(self, x: str, y: str, **options: Any) -> TTestResult:
        """t test of x - y, person by person: `ttest(x, paired=y)`."""
        return self.ttest(x, paired=y, **options)

    def anova(
        self,
        column: str,
        by: str,
        *,
        groups: Sequence[Any] = (),
        equal_variances: bool = True,
        tukey: bool = False,
        pairwise: str | None = None,
        conf_level: float = 0.95,
        where: str | None = None,
        mode: str = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> AnovaResult:
        """One-way analysis of variance; without `equal_variances` Welch's.

        Parameters
        ----------
        tukey : bool
            Also Tukey's differences of every two groups, with limits.
        pairwise : str
            Also t tests of every two groups: "holm", "hochberg", "hommel", "bonferroni", "BH", "BY" or "none".

        Reveals what `ttest` does.
        """
        return self._ask(
            AnovaResult,
            type="anova",
            column=column,
            by=by,
            groups=tuple(map(plain_value, groups)),
            equal_variances=equal_variances,
            tukey=tukey,
            pairwise=pairwise,
            conf_level=conf_level,
            where=where,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def variance_test(
        self,
        column: str,
        by: str,
        *,
        method: str = "f",
        center: str = "median",
        groups: Sequence[Any] = (),
        alternative: str = "two-sided",
        conf_level: float = 0.95,
        where: str | None = None,
        mode: str = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> VarianceTestResult:
        """Test of equal variances: "f" (two groups), "bartlett" or "levene".

        Reveals what `ttest` does; Levene's test also the groups' medians (or means), and people, sums and sums of
        squares of distances from them.
        """
        return self._ask(
            VarianceTestResult,
            type="variance-test",
            column=column,
            by=by,
            method=method,
            center=center,
            groups=tuple(map(plain_value, groups)),
            alternative=alternative,
            conf_level=conf_level,
            where=where,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def bartlett(self, column: str, by: str, **options: Any) -> VarianceTestResult:
        """Bartlett's test of equal variances: `variance_test(method="bartlett")`."""
        return self.variance_test(column, by, method="bartlett", **options)

    def levene(self, column: str, by: str, *, center: str = "median", **options: Any) -> VarianceTestResult:
        """Levene's test of equal variances, around medians (Brown, Forsythe) or means."""
        return self.variance_test(column, by, method="levene", center=center, **options)
