"""Survival analysis of times that stay hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, several_values
from mpcstats.sdk.results.exact_time import ExactTimeResult

__all__ = ["ExactTimeMethods"]


class ExactTimeMethods(Methods):
    """Survival with times that nobody sees."""

    def exact_time(
        self,
        *,
        time: str,
        event: str,
        rows: int,
        by: str | None = None,
        times: Sequence[float] | float = (),
        medians: bool = True,
        logrank: bool = True,
        weights: Literal["logrank", "wilcoxon", "tarone-ware"] = "logrank",
        trend: bool = False,
        trend_scores: Sequence[float] = (),
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        conf_level: float = 0.95,
        time_unit: float = 1e-6,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> ExactTimeResult:
        """Kaplan-Meier estimates, medians and log-rank test of continuous times, without a table of them.

        Records are shared one by one and merged on shares: no lattice of times is counted, and no time at which
        somebody left is opened but medians and their limits. For studies of up to some thousand people:
        `kaplan_meier` and `logrank` count on a lattice, take seconds for millions, and do more.

        Parameters
        ----------
        time, event, event_values, missing : as `kaplan_meier`
        rows : int
            Room for the rows of the largest table, whatever `where` selects; public. Made up to 16, 24, 32, 48, 64, 96
            and so on: each party shares so many rows for each group, those without a person empty. A site with a larger
            table refuses. All parties and groups together: at most 20,000.
        by : str, optional
            Column of the groups.
        times : up to 24 whole multiples of `time_unit`, optional
            Table "landmarks": survival at these times, with limits of type "log".
        medians : bool
            Table "medians", by R's quantile rule.
        logrank, weights, trend, trend_scores
            A test between the groups of `by`; `weights` "wilcoxon" is Gehan-Breslow. Others need a lattice.
        time_unit : float
            Resolution: times are whole multiples of it, up to 2^36.

        Reveals, if all parties allow the exact curve, people per group, survival with its variance at `times`, and the
        medians with their limits; otherwise what `kaplan_meier` reveals: rounded cumulative numbers on a grid. Of the
        test what `logrank` reveals in mode "statistic".
        """
        return self._ask(
            ExactTimeResult,
            type="exact-time",
            time=time,
            event=event,
            rows=rows,
            by=by,
            times=several_values(times),
            medians=medians,
            logrank=logrank,
            weights=weights,
            trend=trend,
            trend_scores=several_values(trend_scores),
            event_values=several_values(event_values),
            where=where,
            conf_level=conf_level,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
