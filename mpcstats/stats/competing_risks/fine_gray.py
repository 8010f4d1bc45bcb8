"""Fine-Gray regression over sites: covariates' effect on the cumulative incidence of one cause.

The proportional hazards are those of the subdistribution, whose risk sets keep people after a competing event,
weighted by the distribution of the time to censoring. Given that distribution the sums over risk sets are each
site's own, and the model is fitted as a Cox model is: with a stratum for every site (each with its own distribution
of censorings; nothing is compared between sites), or with risk sets pooled on shares. J. P. Fine, R. J. Gray, JASA
94 (1999) 496-509.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.runtime import Session, local
from mpcstats.stats.competing_risks.censoring import CensoringRule, censoring_survival
from mpcstats.stats.competing_risks.counts import exact_counts
from mpcstats.stats.competing_risks.options import FineGrayOptions
from mpcstats.stats.competing_risks.robust import Curves, curves_of_sums, influence_of_people, influence_of_rows
from mpcstats.stats.competing_risks.weighted import OwnFineGray, WeightedRisk, rival_sums
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort, survey
from mpcstats.stats.cox.event_table import EventTable
from mpcstats.stats.cox.joint import plan_kappa as cox_kappa
from mpcstats.stats.cox.newton import EVALUATIONS, Fit, inverse, newton
from mpcstats.stats.cox.options import CoxOptions
from mpcstats.stats.cox.partial import symmetric
from mpcstats.stats.cox.pooled import COEFFICIENT_BITS, PREDICTOR_LIMIT
from mpcstats.stats.cox.pooled_model import HIDDEN_TIES, Pooled, pooled_model
from mpcstats.stats.cox.release import SQUARE, Digits, open_sums
from mpcstats.stats.cox.sites import Cells, pairs
from mpcstats.stats.cox.tests_of_fit import coefficient_table, model_tests
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.lattice import at_risk_counts
from mpcstats.stats.outcome import Outcome
from mpcstats.types import DisclosureRules

__all__ = ["joint_fine_gray", "plan_kappa"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ties = Literal["efron", "breslow"]


def plan_kappa(plan: FineGrayPlan, options: FineGrayOptions, floor: int = 40) -> int:
    """Bits of one bounded mask such that a run keeps `floor` bits in total; see `cox.plan_kappa`."""
    return cox_kappa(plan, CoxOptions(ties=options.used_ties, by_site=options.by_site), floor)


@dataclass
class _Run:
    session: Session
    plan: FineGrayPlan
    options: FineGrayOptions
    own: FineGrayContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    cohort: Cohort
    digits: Digits
    model: BySite | Pooled
    exits: Ints | None  # opened events, competing events and censorings by time
    withheld: list[str] = field(default_factory=list)


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
        Too few people or events.
    SpecError
        No events, constant or collinear columns (named), strata or late entry.
    """
    if plan.strata or plan.entry is not None:
        raise SpecError("a Fine-Gray regression has no strata of the data, and nobody in it enters late")
    scaled = None if own is None else await local(session, own.scaled, plan)
    cohort = await survey(session, plan, scaled, own, dealers, ruling)
    z = None if scaled is None else (scaled - cohort.middle) / cohort.spread
    run = await _prepare(session, plan, own, dealers, ruling, options, cohort, z)
    fit = await newton(
        run.model.evaluate,
        plan.covariates,
        cohort.ranges[1] - cohort.ranges[0],
        2.0**-COEFFICIENT_BITS,
        run.digits.relative,
    )
    session.progress(f"{fit.iterations} iterations")
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
) -> _Run:
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
            censoring = _censoring(_own_exits(plan, own), variant)
            site = await local(session, OwnFineGray, z, own.time, own.event, own.rival, censoring, ties, variant)
        model = BySite(session, site, dealers, plan.order, digits)
        return _Run(session, plan, options, own, dealers, ruling, cohort, digits, model, None)
    exits = await _open_exits(session, plan, own, dealers, ruling)
    pooled = None if exits is None else _censoring(exits, variant)
    table = None if exits is None else EventTable(exits[:1], None, None)

    def site_risk(cells: Cells) -> WeightedRisk:
        assert own is not None
        assert z is not None
        censoring = _censoring(_own_exits(plan, own), variant) if pooled is None else pooled
        return WeightedRisk(z, own.time, own.event, own.rival, censoring, cells)

    model = await pooled_model(session, plan, cohort, z, own, dealers, table, ties, digits, site_risk)
    return _Run(session, plan, options, own, dealers, ruling, cohort, digits, model, exits)


def _own_exits(plan: FineGrayPlan, own: FineGrayContribution) -> Ints:
    """Events, competing events and censorings of one site: (3, T+1)."""
    kind = np.where(own.event, 0, np.where(own.rival, 1, 2))
    counts = np.bincount(kind * (plan.horizon + 1) + own.time, minlength=3 * (plan.horizon + 1))
    return counts.reshape(3, plan.horizon + 1).astype(np.int64)


def _censoring(exits: Ints, variant: CensoringRule) -> Floats:
    """G(t-) from events, competing events and censorings."""
    events = exits[:2].sum(axis=0)
    return censoring_survival(events, exits[2], at_risk_counts(events, exits[2]), variant)


async def _open_exits(
    session: Session,
    plan: FineGrayPlan,
    own: FineGrayContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Ints | None:
    """Pooled events, competing events and censorings by time, (3, T+1); None where they may not be opened."""
    if not ruling.rules.exact_curve:
        return None
    all_people = CompetingRisksPlan(
        None,
        (),
        plan.horizon,
        plan.unit,
        plan.event,
        ("event", "competing event"),
        (plan.event_values, plan.competing_values),
    )
    mine = None
    if own is not None:
        counts = _own_exits(plan, own)
        mine = CompetingRisksContribution(counts[None, :2, None], counts[None, 2:])
    opened, _, hidden = await exact_counts(session, all_people, mine, dealers, ruling)
    return None if hidden.any() else opened[0, :, 0]


async def _finish(run: _Run, fit: Fit) -> Outcome:
    plan, options, model = run.plan, run.options, run.model
    information = await model.information(fit.beta)
    logs = await model.log_likelihoods([np.zeros(plan.order), fit.beta])
    covariance = inverse(information)
    middle = None if fit.monotone else await _sandwich(run, fit.beta)
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
    conventions = _conventions(run, fit, at_limit, middle is not None)
    return Outcome("fine-gray", tables, _values(run, fit, logs, at_limit), conventions, run.withheld)


# ---------------------------------------------------------------- robust variance


def everything_open(rules: DisclosureRules) -> bool:
    """Whether sums over risk sets at single times may be opened: they tell the covariates of single people."""
    exact = rules.exact_curve and rules.step_minimum == 1 and rules.rounding_base == 1
    return exact and rules.minimum_count == 0 and rules.at_risk_floor == 0


async def _sandwich(run: _Run, beta: Floats) -> Floats | None:
    """The middle of the sandwich, (p, p); None, and said so, where its curves may not be opened."""
    if isinstance(run.model, BySite):
        return await run.model.residual_products(beta)
    if run.exits is None or not everything_open(run.ruling.rules):
        run.withheld.append(
            "standard errors of pooled risk sets, and p-values and limits with them, need the sums over risk sets at "
            "every time, which only open rules let out "
            f"({run.ruling.cite('exact_curve')}; {run.ruling.cite('minimum_count')}); "
            "with a stratum for every site there are some"
        )
        return None
    curves = await _open_curves(run, run.model, run.exits, beta)
    upper, size = pairs(run.plan.order), run.plan.order * (run.plan.order + 1) // 2
    run.session.openings.declare("products of influences", size, "pooled, for robust standard errors")
    mine = None
    risk = run.model.risk.own
    if isinstance(risk, WeightedRisk):
        influence = influence_of_people if run.options.variant == "crr" else influence_of_rows
        who = (risk.z.T, risk.time, risk.case, risk.rival, risk.sizes(beta), curves)
        mine = (await local(run.session, influence, *who))[upper]
    bits = run.digits.after(SQUARE)
    opened = await open_sums(run.session, mine, size, run.dealers, "products of influences", bits)
    return symmetric(opened, run.plan.order)


async def _open_curves(run: _Run, model: Pooled, exits: Ints, beta: Floats) -> Curves:
    """Pooled curves at the final coefficients, opened."""
    risk, cells, rows = model.risk.own, model.risk.cells, 1 + run.plan.order
    parts, points = (2 if model.ties == "efron" else 1), exits.shape[1]
    size = parts * rows * cells.size + (rows * points if run.options.variant == "crr" else 0)
    name = "sums over risk sets"
    run.session.openings.declare(name, size, "at every time with events, pooled, for standard errors under open rules")
    mine = None
    if isinstance(risk, WeightedRisk):
        weights = risk.sizes(beta)
        sums = [risk.risk(weights, 1), risk.failing(weights, 1)][:parts]
        flat = [np.vstack([s.zeroth[None], s.first]).ravel() for s in sums]
        flat += [rival_sums(risk, beta).ravel()] if run.options.variant == "crr" else []
        mine = np.concatenate(flat)
    opened = await open_sums(run.session, mine, size, run.dealers, name, run.digits.bits)
    block = rows * cells.size
    tables = [opened[k * block : (k + 1) * block].reshape(rows, cells.size) for k in range(parts)]
    failing = tables[1] if parts == 2 else np.zeros_like(tables[0])
    censoring = _censoring(exits, run.options.variant)
    curves = curves_of_sums(cells.time, exits[0, cells.time], tables[0], failing, model.ties, censoring)
    rivals = opened[parts * block :].reshape(-1, points) if run.options.variant == "crr" else curves.rivals
    return curves.completed(exits[2], at_risk_counts(exits[:2].sum(axis=0), exits[2]), rivals)


# ---------------------------------------------------------------- words


def _values(run: _Run, fit: Fit, logs: Floats, at_limit: bool) -> dict[str, object]:
    return {
        "variant": run.options.variant,
        "people": run.cohort.people,
        "events": run.cohort.events,
        "log_likelihood_null": float(logs[0]),
        "log_likelihood": float(logs[1]),
        "iterations": fit.iterations,
        "halvings": fit.halvings,
        "converged": fit.converged,
        "monotone": [run.plan.covariates[k] for k in fit.monotone],
        "predictor_at_limit": at_limit,
        "ties": _ties(run),
        "by_site": run.options.by_site,
        "conf_level": run.options.conf_level,
    }


def _ties(run: _Run) -> str:
    return run.options.used_ties if isinstance(run.model, BySite) else run.model.ties


_VARIANTS = {
    "crr": "crr (R's cmprsk): at a time with events everybody at risk could be censored",
    "finegray": "finegray (R's survival): events come before censorings",
}
_ROBUST = {
    "crr": "sandwich over people, with the term for estimating the distribution of censorings (Fine, Gray 1999)",
    "finegray": "sandwich over the rows that R's finegray makes (what coxph prints for them)",
}


def _conventions(run: _Run, fit: Fit, at_limit: bool, robust: bool) -> dict[str, str]:
    plan, options = run.plan, run.options
    ties = _ties(run).capitalize()
    if _ties(run) != options.used_ties:
        ties += f", because more than {HIDDEN_TIES} events are tied at some time and their numbers stay hidden"
    events, rivals = (
        " or ".join(map(str, values)) or "no value" for values in (plan.event_values, plan.competing_values)
    )
    found = {
        "variant": _VARIANTS[options.variant],
        "ties": ties,
        "strata": "one for every site" if options.by_site else "none",
        "distribution of censorings": "of all people" if run.exits is not None else "each site's own",
        "event": f"{plan.event} = {events}; competing: {rivals}; all others are censorings",
        "robust standard error": _ROBUST[options.variant] if robust else "none",
        "limits": f"normal, of the coefficient, level {options.conf_level:g}",
        "missing": "complete cases on all columns of the model",
        "likelihood ratio": "of pseudo-likelihoods: weighted people are not independent",
    }
    if at_limit:
        found["linear predictor"] = (
            f"some are beyond +-{PREDICTOR_LIMIT:g} and were kept there: coefficients are approximate"
        )
    if fit.monotone:
        names = ", ".join(plan.covariates[k] for k in fit.monotone)
        found["convergence"] = (
            f"the likelihood is monotone in {names}: no finite estimate exists; other numbers are those near its limit"
        )
    elif not fit.converged:
        found["convergence"] = "the iteration did not converge; do not use the numbers"
    return found
