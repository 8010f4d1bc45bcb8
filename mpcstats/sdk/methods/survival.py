"""Survival analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, several_values
from mpcstats.sdk.results.survival import KaplanMeierResult, LogrankResult
from mpcstats.study.analyses.survival import ConfidenceType

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
        conf_type: ConfidenceType = "log",
        conf_level: float = 0.95,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> KaplanMeierResult:
        """Kaplan-Meier curves of the groups of `by`, with confidence limits and medians.

        Parameters
        ----------
        time, event : str
            Columns: follow-up in whole multiples of `time_unit`, and whether the event happened.
        event_values : value or sequence of values, optional
            Values of `event` that are events; default 1 of 0/1, true, or 2 of 1/2, as in R.
        conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
        missing : {"refuse", "drop"}
            Tables with rows without time or event: an error at their owner (whatever `where` selects: a refusal must
            not tell about the selected), or such rows are left out as R does.

        Reveals the pooled numbers of events and censorings at every time if all parties allow the exact curve;
        otherwise rounded cumulative numbers on a grid, up to where few are at risk.
        """
        return self._ask(
            KaplanMeierResult,
            type="kaplan-meier",
            time=time,
            event=event,
            by=by,
            event_values=several_values(event_values),
            where=where,
            conf_type=conf_type,
            conf_level=conf_level,
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
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> LogrankResult:
        """Log-rank test between the groups of `by` (R's survdiff with rho = 0). Parameters as `kaplan_meier`.

        Reveals the pooled numbers of events and censorings at every time; refused where the exact curve is.
        """
        return self._ask(
            LogrankResult,
            type="logrank",
            time=time,
            event=event,
            by=by,
            event_values=several_values(event_values),
            where=where,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
