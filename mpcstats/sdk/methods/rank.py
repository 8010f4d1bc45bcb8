"""Rank tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, several_values
from mpcstats.sdk.results.rank import KolmogorovSmirnovResult, KruskalResult, MannWhitneyResult, SignedRankResult

__all__ = ["RankMethods"]

Alternative = Literal["two-sided", "greater", "less"]
Mode = Literal["auto", "table", "statistic"]


class RankMethods(Methods):
    """Tests by ranks, with R's digits."""

    def mannwhitney(
        self,
        column: str,
        *,
        by: str,
        groups: Sequence[Any] = (),
        where: str | None = None,
        alternative: Alternative = "two-sided",
        correct: bool = True,
        conf_level: float = 0.95,
        hodges_lehmann: bool = True,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> MannWhitneyResult:
        """Mann-Whitney's test of two groups, as R's wilcox.test(x, y, exact = FALSE).

        Parameters
        ----------
        column : str
            Numbers on a lattice: the data dictionary has their range and resolution.
        by : str
            Column of the groups; the first level is compared with the second.
        groups : sequence, optional
            The two levels, where `by` has more, or in another order.
        correct : bool
            Correction for continuity.
        hodges_lehmann : bool
            Also the median of all differences between the groups, in mode "table".
        mode : {"auto", "table", "statistic"}
            "table" opens sums and gives R's digits; "statistic" keeps them on shares; "auto" as the policies allow.

        Reveals whether both groups are large enough, and their sizes, rounded; in mode "table" rank sums, the sum of
        t^3 over ties, two sums of squared placements and the middle differences between the groups; in mode "statistic"
        z and the area under the curve, rounded.
        """
        return self._ask(
            MannWhitneyResult,
            type="mannwhitney",
            column=column,
            by=by,
            groups=several_values(groups),
            where=where,
            alternative=alternative,
            correct=correct,
            conf_level=conf_level,
            hodges_lehmann=hodges_lehmann,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def kruskal(
        self,
        column: str,
        *,
        by: str,
        groups: Sequence[Any] = (),
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> KruskalResult:
        """Kruskal and Wallis's test of two groups or more, as R's kruskal.test.

        Parameters
        ----------
        column, by, groups, mode
            As in `mannwhitney`, with any number of groups; levels without people do not count.

        Reveals whether all groups are large enough, and their sizes, rounded; in mode "table" rank sums and the sum of
        t^3 over ties, in mode "statistic" H, rounded.
        """
        return self._ask(
            KruskalResult,
            type="kruskal",
            column=column,
            by=by,
            groups=several_values(groups),
            where=where,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def kolmogorov_smirnov(
        self,
        column: str,
        *,
        by: str,
        groups: Sequence[Any] = (),
        where: str | None = None,
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> KolmogorovSmirnovResult:
        """Kolmogorov and Smirnov's test of two groups, as R's ks.test(x, y).

        Parameters
        ----------
        column, by, groups, mode
            As in `mannwhitney`.

        Reveals whether both groups are large enough, and their sizes, rounded; in mode "table" the largest distance of
        the distributions and whether values are tied, in mode "statistic" D and the scaled D, rounded.
        """
        return self._ask(
            KolmogorovSmirnovResult,
            type="kolmogorov-smirnov",
            column=column,
            by=by,
            groups=several_values(groups),
            where=where,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )

    def wilcoxon_signed_rank(
        self,
        x: str,
        y: str | None = None,
        *,
        mu: float = 0.0,
        where: str | None = None,
        alternative: Alternative = "two-sided",
        correct: bool = True,
        ties: Literal["floating", "decimal"] = "floating",
        mode: Mode = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> SignedRankResult:
        """Wilcoxon's signed rank test of x - y, or of x against `mu`, as R's wilcox.test(exact = FALSE).

        Differences of 0 are left out.

        Parameters
        ----------
        mu : float
            Subtracted; a whole multiple of the resolution.
        ties : {"floating", "decimal"}
            "floating" has R's digits: R ranks floating-point differences, and 0.3 - 0.1 and 0.2 differ in the last bit.
            "decimal" takes them for equal.
        mode : {"auto", "table", "statistic"}
            As in `mannwhitney`.

        Reveals whether enough people have a difference, and their number, rounded; in mode "table" negative and
        positive ones, their rank sums and the sum of t^3 over ties, in mode "statistic" z, rounded.
        """
        return self._ask(
            SignedRankResult,
            type="wilcoxon-signed-rank",
            x=x,
            y=y,
            mu=mu,
            where=where,
            alternative=alternative,
            correct=correct,
            ties=ties,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )
