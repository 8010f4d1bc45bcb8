"""Correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.correlation import CorrelationResult

__all__ = ["CorrelationMethods"]


class CorrelationMethods(Methods):
    """Coefficients of pairs of columns."""

    def correlation(
        self,
        x: Sequence[str] | str,
        y: Sequence[str] | str = (),
        *,
        method: Literal["pearson", "spearman", "kendall"] = "pearson",
        adjust: Literal["holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "none"] = "holm",
        where: str | None = None,
        conf_level: float = 0.95,
        mode: Literal["auto", "table", "statistic"] = "auto",
        dataset: str = "main",
        policy: str | None = None,
    ) -> CorrelationResult:
        """Correlate x with y, or several columns with each other, as R's cor.test(exact = FALSE).

        Parameters
        ----------
        x, y : str or sequence of str
            Each column of x with each of y; without y, each of x with each other. Numbers or booleans. Every pair is
            computed from the people who have both values.
        method : {"pearson", "spearman", "kendall"}
            On shares, Spearman and Kendall (tau-b) need a coarse resolution of the columns in the data dictionary.
        adjust : str
            Of the p-values of several pairs.
        mode : {"auto", "table", "statistic"}
            "table" opens sums over people and gives R's digits; "statistic" keeps them on shares; "auto" as the
            policies allow.

        Reveals whether all pairs have enough people, and their numbers, rounded; in mode "table" sums of x, y, x^2, y^2
        and x y, or for ranks the people at each value of both columns and one sum over people; in mode "statistic"
        squared coefficients with their signs, Pearson's covariances and Kendall's z, rounded.
        """
        return self._ask(
            CorrelationResult,
            type="correlation",
            x=names(x),
            y=names(y),
            method=method,
            adjust=adjust,
            where=where,
            conf_level=conf_level,
            mode=mode,
            dataset=dataset,
            policy=policy,
        )
