"""Competing risks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, names, plain_value, several_values
from mpcstats.sdk.results.competing_risks import CumulativeIncidenceResult, GrayResult
from mpcstats.study.analyses.survival import ConfidenceType

__all__ = ["CompetingRisksMethods"]


class CompetingRisksMethods(Methods):
    """Several kinds of events of which a person has one at most."""

    def cumulative_incidence(
        self,
        *,
        time: str,
        event: str,
        by: str | None = None,
        causes: Sequence[Any] | str | float | None = None,
        censored: Any = None,
        where: str | None = None,
        entry: str | None = None,
        conf_type: ConfidenceType = "log",
        conf_level: float = 0.95,
        variance: Literal["aalen", "gray"] = "aalen",
        rho: float = 0.0,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> CumulativeIncidenceResult:
        """Cumulative incidence of each cause (Aalen-Johansen) in the groups of `by`, and Gray's test between them.

        Parameters
        ----------
        time, event : str
            Columns: follow-up in whole multiples of `time_unit`, and how the person left.
        causes, censored : optional
            Values of `event`: those that are causes, each by itself, or the one that means censored (default 0, else
            the first level) if all others are causes.
        entry : str, optional
            Column with the time at which people come under observation.
        conf_type, conf_level, time_unit, missing : as `kaplan_meier`
        variance : {"aalen", "gray"}
            Standard errors of R's survfit, or those of cuminc in R's cmprsk.
        rho : float
            Power of the weights in Gray's test.

        Reveals the pooled numbers of each way to leave at every time if all parties allow the exact curve; otherwise
        rounded cumulative numbers on a grid, up to where few are at risk, and no test.
        """
        return self._ask(
            CumulativeIncidenceResult,
            type="cumulative-incidence",
            time=time,
            event=event,
            by=by,
            causes=several_values(causes),
            censored=plain_value(censored),
            where=where,
            entry=entry,
            conf_type=conf_type,
            conf_level=conf_level,
            variance=variance,
            rho=rho,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )

    def gray(
        self,
        *,
        time: str,
        event: str,
        by: str,
        strata: Sequence[str] | str = (),
        causes: Sequence[Any] | str | float | None = None,
        censored: Any = None,
        where: str | None = None,
        rho: float = 0.0,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> GrayResult:
        """Gray's test of each cause between the groups of `by`, stratified by `strata` (R: cuminc of cmprsk).

        Parameters are those of `cumulative_incidence`. Reveals the pooled numbers of each way to leave at every time,
        where all parties allow it; otherwise the test is refused before anything is shared.
        """
        return self._ask(
            GrayResult,
            type="gray",
            time=time,
            event=event,
            by=by,
            strata=names(strata),
            causes=several_values(causes),
            censored=plain_value(censored),
            where=where,
            rho=rho,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
