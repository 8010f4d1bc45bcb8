"""Results of rank tests."""

from __future__ import annotations

import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number, p_phrase

__all__ = ["RESULTS", "KolmogorovSmirnovResult", "KruskalResult", "MannWhitneyResult", "SignedRankResult"]


class _RankResult(Result):
    """A rank test; `table` has one row."""

    @property
    def groups(self) -> pd.DataFrame:
        """Group and n (rounded under disclosure control); rank_sum and mean_rank where they are opened."""
        return self.outcome.tables["groups"]

    @property
    def p_value(self) -> float:
        """p of the test."""
        return number(self.table["p_value"].iloc[0])

    def _value(self, name: str) -> float:
        return number(self.table[name].iloc[0]) if name in self.table else number(None)


class MannWhitneyResult(_RankResult):
    """Mann-Whitney's test; columns u, auc (with standard error and limits), z, p_value and more, see `summary`."""

    analysis = "mannwhitney"
    title = "Mann-Whitney test (Wilcoxon rank sum test)"
    shown = ("variable", "u", "auc", "auc_lower", "auc_upper", "hodges_lehmann", "z", "p_value", "p_value_exact")

    @property
    def auc(self) -> float:
        """Probability that a value of the first group is larger, ties counted half."""
        return self._value("auc")

    def notes(self) -> list[str]:
        """The test in words."""
        first, second = self.groups["group"].tolist()
        return [f"{first} against {second}: z = {self._value('z'):.4g}, p {p_phrase(self.p_value)}"]


class KruskalResult(_RankResult):
    """Kruskal and Wallis's test; columns statistic (H), degrees_of_freedom, p_value, log_p_value."""

    analysis = "kruskal"
    title = "Kruskal-Wallis test"
    shown = ("variable", "statistic", "degrees_of_freedom", "p_value")

    @property
    def statistic(self) -> float:
        """H."""
        return self._value("statistic")

    def notes(self) -> list[str]:
        """The test in words."""
        degrees = int(self.table["degrees_of_freedom"].iloc[0])
        return [f"H = {self.statistic:.4g} on {degrees} df, p {p_phrase(self.p_value)}"]


class KolmogorovSmirnovResult(_RankResult):
    """Kolmogorov and Smirnov's test; columns d, p_value, p_value_r (as R sums it) and, without ties, p_value_exact."""

    analysis = "kolmogorov-smirnov"
    title = "Kolmogorov-Smirnov test of two groups"

    @property
    def statistic(self) -> float:
        """D."""
        return self._value("d")

    def notes(self) -> list[str]:
        """The test in words."""
        return [f"D = {self.statistic:.4g}, p {p_phrase(self.p_value)}"]


class SignedRankResult(_RankResult):
    """Wilcoxon's signed rank test; columns v (where sums are opened), z, p_value and more."""

    analysis = "wilcoxon-signed-rank"
    title = "Wilcoxon signed rank test"
    shown = ("variable", "v", "z", "p_value")

    def notes(self) -> list[str]:
        """The test in words."""
        return [f"z = {self._value('z'):.4g}, p {p_phrase(self.p_value)}"]


RESULTS = (MannWhitneyResult, KruskalResult, KolmogorovSmirnovResult, SignedRankResult)
