"""Cox regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, names, several_values
from mpcstats.sdk.results.cox import CoxResult

__all__ = ["CoxMethods"]


class CoxMethods(Methods):
    """Regression of survival on covariates."""

    def cox(
        self,
        *,
        time: str,
        event: str,
        covariates: Sequence[str] | str,
        factors: Sequence[str] | str = (),
        strata: Sequence[str] | str = (),
        entry: str | None = None,
        ties: Literal["efron", "breslow"] = "efron",
        by_site: bool = True,
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        conf_level: float = 0.95,
        transforms: Sequence[Literal["km", "rank", "identity", "log"]] | str = ("km",),
        concordance: bool = True,
        baseline: bool = True,
        robust: bool = False,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> CoxResult:
        """Cox proportional hazards regression of the people of all sites.

        Parameters
        ----------
        time, event, event_values, entry, time_unit, missing : as `kaplan_meier`
        covariates : names of columns
            Numbers as they are; a category, or a column named in `factors`, as 0/1 columns for each level but the
            first. People who lack one are left out (complete cases).
        strata : names of columns
            A baseline hazard for each combination of their levels.
        ties : {"efron", "breslow"}
            Efron is R's default. Where risk sets are pooled and the numbers of tied events stay hidden, many ties are
            treated as Breslow does; the result says so.
        by_site : bool
            True: every site is a stratum too; sites share sums of scores alone, and nothing is computed per time.
            False: one baseline hazard for all sites, as if the tables were one; sums over risk sets stay on shares.
        transforms : any of "km", "rank", "identity", "log"
            Of time, in the test of proportional hazards (R's cox.zph); () for none.
        concordance, baseline, robust : bool
            Also the concordance; the baseline hazard (with by_site=False, and
            exact_curve in the policies); robust standard errors (with by_site=True).

        Reveals the pooled score and information at the coefficients of each step, log-likelihoods, and the numbers of
        people and events; never a sum over a risk set, nor anything of a single site.
        """
        return self._ask(
            CoxResult,
            type="cox",
            time=time,
            event=event,
            covariates=names(covariates),
            factors=names(factors),
            strata=names(strata),
            entry=entry,
            ties=ties,
            by_site=by_site,
            event_values=several_values(event_values),
            where=where,
            conf_level=conf_level,
            transforms=names(transforms),
            concordance=concordance,
            baseline=baseline,
            robust=robust,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
