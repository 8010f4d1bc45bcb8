"""Fine-Gray regression over sites: covariates' effect on the cumulative incidence of one cause.

The proportional hazards are those of the subdistribution, whose risk sets keep people after a competing event,
weighted by the distribution of the time to censoring. Given that distribution the sums over risk sets are each
site's own, and the model is fitted as a Cox model is: with a stratum for every site (each with its own distribution
of censorings; nothing is compared between sites), or with risk sets pooled on shares. J. P. Fine, R. J. Gray, JASA
94 (1999) 496-509.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.runtime import Session, local
from mpcstats.stats.competing_risks.exits import censoring_of, open_exits, own_exits
from mpcstats.stats.competing_risks.fine_gray_run import Run
from mpcstats.stats.competing_risks.fine_gray_wording import conventions_of, values_of
from mpcstats.stats.competing_risks.options import FineGrayOptions
from mpcstats.stats.competing_risks.sandwich import sandwich
from mpcstats.stats.competing_risks.weighted import OwnFineGray, WeightedRisk
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort
from mpcstats.stats.cox.event_table import EventTable
from mpcstats.stats.cox.joint import plan_kappa as cox_kappa
from mpcstats.stats.cox.maximum import maximum, rounding_lines, standardised
from mpcstats.stats.cox.newton import EVALUATIONS, Fit, inverse
from mpcstats.stats.cox.options import CoxOptions
from mpcstats.stats.cox.pooled_model import Pooled, pooled_model
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.cox.sites import Cells
from mpcstats.stats.cox.tests_of_fit import coefficient_table, model_tests
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_fine_gray", "plan_kappa"]

Floats = NDArray[np.float64]


def plan_kappa(plan: FineGrayPlan, options: FineGrayOptions, floor: int = 40) -> int:
    """Bits of one bounded mask such that a run keeps `floor` bits in total; see `cox.plan_kappa`."""
    return cox_kappa(plan, CoxOptions(ties=options.used_ties, by_site=options.by_site), floor)


async def joint_fine_gray(
    session: Session,
    plan: FineGrayPlan,
    own: FineGrayContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: FineGrayOptions,
) -> Outcome:
    """Fit a Fine-Gray model to the people of all sites.

    Tables: "coefficients" (robust_se is from the variant's sandwich, and z, p and limits with it; se_coef is from the
    inverse information, which is not right for this model), "tests" and "covariance" (the sandwich).

    Reveals
    -------
    What `joint_cox` reveals of a fit: people and events (threshold, rounding), rough means and sizes of variances,
    pooled score and information at every coefficient vector, two log-likelihoods. With risk sets pooled and
    `exact_curve`: events, competing events and censorings at every time. There, if all rules are open: also the sums
    over risk sets at the final coefficients, per time, for the robust variance. The middle of the sandwich, pooled.

    Raises
    ------
    DataError
        This site's records do not fit the plan.
    DisclosureRefused
        Too few people, events or competing events.
    SpecError
        No events, constant or collinear columns (named), strata or late entry.
    """
    if plan.strata or plan.entry is not None:
        raise SpecError("a Fine-Gray regression has no strata of the data, and nobody in it enters late")
    cohort, z = await standardised(session, plan, own, dealers, ruling)
    run = await _prepare(session, plan, own, dealers, ruling, options, cohort, z)
    fit = await maximum(session, run.model, plan, cohort, run.digits)
    return await _finish(run, fit)


async def _prepare(
    session: Session,
    plan: FineGrayPlan,
    own: FineGrayContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: FineGrayOptions,
    cohort: Cohort,
    z: Floats | None,
) -> Run:
    half = plan.order * (plan.order + 1) // 2
    opened = session.openings
    opened.declare("scores", plan.order * EVALUATIONS, "pooled, at the coefficients of each step")
    opened.declare("informations", half * (EVALUATIONS + 1), "pooled, at the coefficients of each step")
    opened.declare("log-likelihoods", 2, "pooled, without covariates and at the end")
    digits = Digits.of(ruling.rules, cohort.event_bits)
    ties, variant = options.used_ties, options.variant
    model: BySite | Pooled
    if options.by_site:
        site = None
        if own is not None and z is not None:
            censoring = censoring_of(own_exits(plan, own), variant)
            site = await local(session, OwnFineGray, z, own.time, own.event, own.rival, censoring, ties, variant)
        model = BySite(session, site, dealers, plan.order, digits)
        return Run(session, plan, options, own, dealers, ruling, cohort, digits, model, None)
    exits = await open_exits(session, plan, own, dealers, ruling)
    pooled = None if exits is None else censoring_of(exits, variant)
    table = None if exits is None else EventTable(exits[:1], None, None)

    def site_risk(cells: Cells) -> WeightedRisk:
        assert own is not None
        assert z is not None
        censoring = censoring_of(own_exits(plan, own), variant) if pooled is None else pooled
        return WeightedRisk(z, own.time, own.event, own.rival, censoring, cells)

    model = await pooled_model(session, plan, cohort, z, own, dealers, table, ties, digits, site_risk)
    return Run(session, plan, options, own, dealers, ruling, cohort, digits, model, exits)


async def _finish(run: Run, fit: Fit) -> Outcome:
    plan, options, model = run.plan, run.options, run.model
    information = await model.information(fit.beta)
    logs = await model.log_likelihoods([np.zeros(plan.order), fit.beta])
    covariance = inverse(information)
    middle = None if fit.monotone else await sandwich(run, fit.beta)
    # the inverse information is not the variance: without the sandwich there are no p-values
    robust = covariance @ (np.full_like(covariance, np.nan) if middle is None else middle) @ covariance
    # from z to the columns' own units
    unit = 1 / (np.array(plan.half_widths) * run.cohort.spread)
    coef, scale = fit.beta * unit, np.outer(unit, unit)
    for k in fit.monotone:
        coef[k] = math.copysign(math.inf, fit.beta[k])
    finite = np.where(np.isin(np.arange(plan.order), fit.monotone), math.nan, 1.0)
    scale = scale * np.outer(finite, finite)
    tables = {
        "coefficients": coefficient_table(
            plan.covariates, coef, covariance * scale, options.conf_level, robust * scale
        ),
        "tests": model_tests(
            2 * float(logs[1] - logs[0]),
            float(fit.beta @ information @ fit.beta),
            float(fit.score @ inverse(fit.information) @ fit.score),
            plan.order,
            None if middle is None else float(fit.beta @ inverse(robust) @ fit.beta),
        ),
        "covariance": pd.DataFrame(robust * scale, columns=list(plan.covariates)),
    }
    tables["covariance"].insert(0, "term", list(plan.covariates))
    at_limit = isinstance(model, Pooled) and await model.beyond_limit(fit.beta)
    conventions = conventions_of(run, fit, at_limit, middle is not None)
    withheld = [*run.withheld, *rounding_lines(run.ruling)]
    return Outcome("fine-gray", tables, values_of(run, fit, logs, at_limit), conventions, withheld)
