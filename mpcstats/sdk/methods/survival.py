"""Survival analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, names, plain_value, several_values
from mpcstats.sdk.results.survival import KaplanMeierResult, LogrankResult
from mpcstats.study.analyses.survival import AdjustMethod, ConfidenceType

__all__ = ["SurvivalMethods"]


class SurvivalMethods(Methods):
    """Survival curves and tests between them."""

    def kaplan_meier(
        self,
        *,
        time: str,
        event: str,
        by: str | None = None,
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        strata: Sequence[str] | str = (),
        entry: str | None = None,
        conf_type: ConfidenceType = "log",
        conf_level: float = 0.95,
        quantiles: Sequence[float] | float = (),
        quantile_rule: Literal["R", "lifelines"] = "R",
        times: Sequence[float] | float = (),
        tau: float | Literal["common", "shortest"] | None = None,
        reference: Any = None,
        hazard: Literal["nelson-aalen", "fleming-harrington"] | None = None,
        life_table: float | None = None,
        grid: float | None = None,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> KaplanMeierResult:
        """Kaplan-Meier curves of the groups of `by`, with confidence limits and medians.

        Parameters
        ----------
        time, event : str
            Columns: follow-up in whole multiples of `time_unit`, and whether the event happened. Times of 0 are kept,
            as R keeps them.
        event_values : value or sequence of values, optional
            Values of `event` that are events; default 1 of 0/1, true, or 2 of 1/2, as in R.
        strata : names of columns
            A curve for each group in each combination of their levels.
        entry : str, optional
            Column with the time at which people come under observation (left truncation): at risk at t are those with
            entry < t <= time. A row with entry >= time is an error at its owner.
        conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
        quantiles : shares of people, optional
            Table "quantiles": the times by which they had the event. `quantile_rule` holds for medians too.
        times : optional
            Table "at_times": number at risk, events and survival at these times.
        tau : float, "common" or "shortest", optional
            Tables "restricted_means" (mean survival time up to tau, or up to the last time of all curves, or up to the
            earliest end of a curve) and "contrasts" (difference and ratio to the group `reference`, default the first).
        hazard : {"nelson-aalen", "fleming-harrington"}, optional
            Table "hazard": cumulative hazard.
        life_table : float, optional
            Table "life_table": actuarial estimates on intervals of this width; needs exact counts, and no late entry.
        grid : float, optional
            Width of a public grid on which everything is counted: less is opened and sent.
        missing : {"refuse", "drop"}
            Tables with rows without time, event or entry: an error at their owner (whatever `where` selects: a refusal
            must not tell about the selected), or such rows are left out as R does, and with them those whose entry does
            not come before their time.

        Reveals the pooled numbers of events and censorings (and entries) at every time if all parties allow the exact
        curve; otherwise rounded cumulative numbers on a grid, up to where few are at risk. What is read off the curves
        opens nothing more.
        """
        return self._ask(
            KaplanMeierResult,
            type="kaplan-meier",
            time=time,
            event=event,
            by=by,
            event_values=several_values(event_values),
            where=where,
            strata=names(strata),
            entry=entry,
            conf_type=conf_type,
            conf_level=conf_level,
            quantiles=several_values(quantiles),
            quantile_rule=quantile_rule,
            times=several_values(times),
            tau=tau,
            reference=plain_value(reference),
            hazard=hazard,
            life_table=life_table,
            grid=grid,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )

    def logrank(
        self,
        *,
        time: str,
        event: str,
        by: str,
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        strata: Sequence[str] | str = (),
        entry: str | None = None,
        weights: str = "logrank",
        p: float = 0.0,
        q: float = 0.0,
        trend: bool = False,
        trend_scores: Sequence[float] = (),
        pairwise: AdjustMethod | None = None,
        mode: Literal["auto", "table", "statistic"] = "auto",
        expected: bool = False,
        grid: float | None = None,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> LogrankResult:
        """Log-rank test between the groups of `by` (R's survdiff with rho = 0), or another of its family.

        Parameters
        ----------
        time, event, event_values, entry, grid, time_unit, missing : as `kaplan_meier`
        strata : names of columns
            A stratified test: observed, expected and variance are summed over the combinations of their levels.
        weights : str
            "logrank", "wilcoxon" (also "gehan-breslow"), "tarone-ware", "peto-peto-R" (survdiff with rho = 1),
            "peto-peto-lifelines", or "fleming-harrington" with `p` and `q`: S(t-)^p (1 - S(t-))^q.
        trend : bool
            Also a test for trend over the groups in their order, with scores 1, 2, ...; `trend_scores` are other ones.
            In mode "statistic" they are whole numbers, and the result has no z: its sign stays closed.
        pairwise : method of R's p.adjust, optional
            Also a test of every two groups; "holm" is right for any dependence.
        mode : {"auto", "table", "statistic"}
            "table" opens the pooled counts and gives R's digits; "statistic" keeps them on shares and opens chi-square
            alone; "auto" is "table" where all parties allow the exact curve.
        expected : bool
            In mode "statistic", open observed and expected events too, where all parties let exact counts out.

        Reveals, in mode "table", the pooled numbers of events and censorings (and entries) at every time of groups that
        are large enough; in mode "statistic" whether every group is large enough, and if so chi-square, rounded, and
        its degrees of freedom.
        """
        return self._ask(
            LogrankResult,
            type="logrank",
            time=time,
            event=event,
            by=by,
            event_values=several_values(event_values),
            where=where,
            strata=names(strata),
            entry=entry,
            weights=weights,
            p=p,
            q=q,
            trend=trend,
            trend_scores=several_values(trend_scores),
            pairwise=pairwise,
            mode=mode,
            expected=expected,
            grid=grid,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
