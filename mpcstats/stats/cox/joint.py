"""Cox proportional hazards over sites.

With a stratum for every site (the default) nothing is compared between sites: each forms score and information of its
own risk sets, and the sums over sites are opened. Otherwise the risk sets are pooled: sites share weighted sums of
their people at risk at every time, which stay on shares for good; quotients, scores and informations are formed there.

Coefficients are public in every step, as are pooled score and information at them. Cox 1972; Efron 1977; Breslow 1974.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.runtime import Session
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort
from mpcstats.stats.cox.event_table import open_events
from mpcstats.stats.cox.extras import baseline, concordance, hazards_proportional, robust_covariance
from mpcstats.stats.cox.maximum import maximum, rounding_lines, standardised
from mpcstats.stats.cox.newton import EVALUATIONS, Fit, inverse
from mpcstats.stats.cox.options import CoxOptions
from mpcstats.stats.cox.pooled_model import HIDDEN_TIES, Pooled, masked_openings, pooled_model
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.cox.run import Run
from mpcstats.stats.cox.tests_of_fit import coefficient_table, model_tests
from mpcstats.stats.cox.wording import conventions_of, values_of
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_cox", "plan_kappa"]

Floats = NDArray[np.float64]

_EVENTS = 1 << 15
"""Tied events counted one by one that the width of masks is planned for."""


def plan_kappa(plan: CoxPlan, options: CoxOptions, floor: int = 40) -> int:
    """Bits of one bounded mask such that a run keeps `floor` bits in total."""
    if options.by_site:
        return floor
    rows = plan.strata_count * (plan.horizon + 1)
    if options.ties == "efron":
        rows = max(rows * HIDDEN_TIES, _EVENTS)
    return floor + max(1, math.ceil(math.log2(masked_openings(rows, plan.order))))


async def joint_cox(
    session: Session,
    plan: CoxPlan,
    own: CoxContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: CoxOptions,
) -> Outcome:
    """Fit a Cox model to the people of all sites.

    Parameters
    ----------
    own : CoxContribution or None
        This party's people; None when it is not a dealer.

    Reveals
    -------
    People and events (threshold, rounding); rough means and sizes of variances; pooled score and information at every
    coefficient vector of the iteration; two log-likelihoods; scores and informations of the proportional-hazards test;
    numbers of concordant pairs; with `exact_curve` the table of events; the baseline hazard where steps are large
    enough. Nothing of a single site, and no sum over a risk set. Last digits of real numbers are random.

    Raises
    ------
    DataError
        This site's records do not fit the plan.
    DisclosureRefused
        Too few people or events.
    SpecError
        No events, constant or collinear columns (named).
    RangeError
        The ranges of the covariates leave too few digits.
    """
    cohort, z = await standardised(session, plan, own, dealers, ruling)
    run = await _prepare(session, plan, own, dealers, ruling, options, cohort, z)
    fit = await maximum(session, run.model, plan, cohort, run.digits)
    return await _finish(run, fit)


async def _prepare(
    session: Session,
    plan: CoxPlan,
    own: CoxContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: CoxOptions,
    cohort: Cohort,
    z: Floats | None,
) -> Run:
    half = plan.order * (plan.order + 1) // 2
    opened = session.openings
    opened.declare("scores", plan.order * EVALUATIONS, "pooled, at the coefficients of each step")
    opened.declare("informations", half * (EVALUATIONS + 1), "pooled, at the coefficients of each step")
    opened.declare("log-likelihoods", 2, "pooled, without covariates and at the end")
    digits = Digits.of(ruling.rules, cohort.event_bits)
    curve = bool({"km", "rank"} & set(options.transforms))
    table = None
    if curve or not options.by_site:
        table = await open_events(session, plan, own, dealers, ruling, everybody=curve)
    model: BySite | Pooled
    if options.by_site:
        model = await BySite.of(session, z, own, dealers, plan.order, options.ties, digits)
    else:
        model = await pooled_model(session, plan, cohort, z, own, dealers, table, options.ties, digits)
    return Run(session, plan, options, own, dealers, ruling, cohort, z, table, model, digits, [])


async def _finish(run: Run, fit: Fit) -> Outcome:
    plan, options, model = run.plan, run.options, run.model
    information = await model.information(fit.beta)
    logs = await model.log_likelihoods([np.zeros(plan.order), fit.beta])
    covariance = inverse(information)
    robust = None
    if options.robust:
        robust = await robust_covariance(run, fit.beta, covariance)
    # from z to the columns' own units
    unit = 1 / (np.array(plan.half_widths) * run.cohort.spread)
    coef, scale = fit.beta * unit, np.outer(unit, unit)
    for k in fit.monotone:
        coef[k] = math.copysign(math.inf, fit.beta[k])
    finite = np.where(np.isin(np.arange(plan.order), fit.monotone), math.nan, 1.0)
    scale = scale * np.outer(finite, finite)
    tables = {
        "coefficients": coefficient_table(
            plan.covariates, coef, covariance * scale, options.conf_level, None if robust is None else robust * scale
        ),
        "tests": model_tests(
            2 * float(logs[1] - logs[0]),
            float(fit.beta @ information @ fit.beta),
            float(fit.score @ inverse(fit.information) @ fit.score),
            plan.order,
            None if robust is None else float(fit.beta @ inverse(robust) @ fit.beta),
        ),
    }
    tables |= await hazards_proportional(run, fit, information)
    if options.baseline:
        tables |= await baseline(run, fit.beta)
    tables["covariance"] = pd.DataFrame(covariance * scale, columns=list(plan.covariates))
    tables["covariance"].insert(0, "term", list(plan.covariates))
    values = values_of(run, fit, logs)
    if isinstance(model, Pooled):
        values["predictor_at_limit"] = await model.beyond_limit(fit.beta)
    if options.concordance:
        values |= await concordance(run, fit)
    return Outcome(
        "cox",
        tables,
        values,
        conventions_of(run, fit, bool(values.get("predictor_at_limit"))),
        [*run.withheld, *rounding_lines(run.ruling)],
    )
