"""Fine-Gray regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, names, plain_value, several_values
from mpcstats.sdk.results.fine_gray import FineGrayResult

__all__ = ["FineGrayMethods"]


class FineGrayMethods(Methods):
    """Regression of the incidence of one of several causes on covariates."""

    def fine_gray(
        self,
        *,
        time: str,
        event: str,
        cause: Sequence[Any] | str | float,
        covariates: Sequence[str] | str,
        factors: Sequence[str] | str = (),
        competing: Sequence[Any] | str | float | None = None,
        censored: Any = None,
        where: str | None = None,
        variant: Literal["crr", "finegray"] = "crr",
        ties: Literal["efron", "breslow"] | None = None,
        by_site: bool = True,
        conf_level: float = 0.95,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> FineGrayResult:
        """Fine-Gray regression: subdistribution hazard ratios of covariates for one of several causes.

        exp(coef) tells how a covariate goes with the cumulative incidence of the cause where other causes compete;
        `cox(event_values=...)` is the cause-specific regression, where competing events are censorings. R: crr of
        cmprsk, finegray of survival. J. P. Fine, R. J. Gray, JASA 94 (1999) 496-509.

        Parameters
        ----------
        time, event : str
            Columns: follow-up in whole multiples of `time_unit`, and how the person left.
        cause : value or values of `event`
            The cause of interest; several values count as one cause.
        competing, censored : optional
            Values of `event`: those that compete with the cause, all others being censorings; or the one that means
            censored (default 0, else the first level) if all others are causes.
        covariates, factors : as `cox`
        variant : {"crr", "finegray"}
            Of R's two implementations; coefficients can differ in the third digit. They count differently who could
            be censored at a time with events, and have different robust standard errors.
        ties : {"efron", "breslow"}, optional
            Default: Breslow of crr, which has no other, and Efron of finegray.
        by_site : bool
            True: every site is a stratum with its own distribution of censorings; sites share sums of scores alone.
            False: one risk set for all sites, on shares, as if the tables were one. Standard errors then need
            policies that allow everything, because they need sums over risk sets at single times.
        conf_level, time_unit, missing : as `kaplan_meier`

        Standard errors, p-values and limits are from the robust variance (`robust_se`): the inverse information
        (`se_coef`) is not the variance of this model.

        Reveals the pooled score and information at the coefficients of each step, two log-likelihoods, the pooled
        middle of the robust variance, and the numbers of people and events; nothing of a single site. With
        by_site=False and if all parties allow the exact curve, also pooled events, competing events and censorings at
        every time; if no rule rounds or hides anything, also the sums over risk sets at every time with events.
        """
        return self._ask(
            FineGrayResult,
            type="fine-gray",
            time=time,
            event=event,
            cause=several_values(cause),
            covariates=names(covariates),
            factors=names(factors),
            competing=several_values(competing),
            censored=plain_value(censored),
            where=where,
            variant=variant,
            ties=ties,
            by_site=by_site,
            conf_level=conf_level,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
