"""Descriptive statistics."""

from __future__ import annotations

from collections.abc import Sequence

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.descriptives import DescribeResult

__all__ = ["DescriptiveMethods"]


class DescriptiveMethods(Methods):
    """Descriptions of numeric columns."""

    def describe(
        self,
        columns: Sequence[str] | str,
        by: Sequence[str] | str = (),
        *,
        where: str | None = None,
        quantiles: Sequence[float] = (0.25, 0.5, 0.75),
        quantile_type: int = 7,
        conf_level: float = 0.95,
        shape: bool = True,
        mad: bool = False,
        breaks: Sequence[float] = (),
        dataset: str = "main",
        policy: str | None = None,
    ) -> DescribeResult:
        """People, missing values, moments, quantiles and histograms of numeric columns, in groups.

        Parameters
        ----------
        columns : names
            Integer, decimal (with a range in the dictionary) or boolean.
        by : names
            Columns of the groups.
        quantiles : numbers between 0 and 1
            0 and 1 are refused: the smallest and the largest value are those of single people.
        quantile_type : int
            1 to 9, as R's `quantile`; 1 where counts are rounded.
        shape, mad : bool
            Skewness and kurtosis; the median absolute deviation. Where counts are exact.
        breaks : ascending numbers
            Bounds of a histogram; bins [from, to), the last one with its end.

        Reveals, where counts are exact, people, sums and sums of squares and the quantiles asked for. Else of groups
        with enough people rounded numbers: ADR 0015.
        """
        return self._ask(
            DescribeResult,
            type="describe",
            columns=names(columns),
            by=names(by),
            where=where,
            quantiles=tuple(map(float, quantiles)),
            quantile_type=quantile_type,
            conf_level=conf_level,
            shape=shape,
            mad=mad,
            breaks=tuple(map(float, breaks)),
            dataset=dataset,
            policy=policy,
        )
