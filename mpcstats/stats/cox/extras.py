"""What follows a fit: robust standard errors, proportional hazards, baseline hazard, concordance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.stats.cox import concordance as people
from mpcstats.stats.cox.baseline import baseline_hazard
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.event_table import time_weights
from mpcstats.stats.cox.newton import Fit
from mpcstats.stats.cox.options import Transform
from mpcstats.stats.cox.release import open_sums
from mpcstats.stats.cox.run import Run
from mpcstats.stats.cox.tests_of_fit import proportional_hazards
from mpcstats.stats.curve_release import release_grid
from mpcstats.stats.disclosure import number_bits
from mpcstats.stats.lattice import lattice_times

__all__ = ["baseline", "concordance", "hazards_proportional", "robust_covariance"]

Floats = NDArray[np.float64]


async def robust_covariance(run: Run, beta: Floats, covariance: Floats) -> Floats | None:
    """Sandwich of score residuals, of z; None, and said so, where risk sets are pooled."""
    if not isinstance(run.model, BySite):
        run.withheld.append("robust standard errors need a stratum for every site: other risk sets are never opened")
        return None
    return covariance @ await run.model.residual_products(beta) @ covariance


async def hazards_proportional(run: Run, fit: Fit, information: Floats) -> dict[str, pd.DataFrame]:
    """One table per transform of time that the rules allow, named proportional_hazards_TRANSFORM."""
    wanted: list[Transform] = []
    for transform in run.options.transforms:
        usable = transform in ("identity", "log") or run.table is not None
        if not usable:
            run.withheld.append(
                f"the transform {transform!r} of time needs the exact curve ({run.ruling.cite('exact_curve')}); "
                "'identity' is used"
            )
        chosen: Transform = transform if usable else "identity"
        if chosen not in wanted:
            wanted.append(chosen)
    if not wanted or fit.monotone:
        return {}
    size = run.plan.order * (run.plan.order + 2) * len(wanted)
    run.session.openings.declare(
        "time-weighted scores and informations", size, "pooled, for the test of proportional hazards"
    )
    weights = [time_weights(transform, run.plan, run.table) for transform in wanted]
    found = await run.model.timed(fit.beta, weights)
    return {
        f"proportional_hazards_{name}": proportional_hazards(
            information, times, run.plan.tested_terms, run.digits.relative
        )
        for name, times in zip(wanted, found, strict=True)
    }


async def baseline(run: Run, beta: Floats) -> dict[str, pd.DataFrame]:
    """Tables baseline (stratum, time, cumulative_hazard, survival) and baseline_covariates: for whom it is."""
    plan, rules, model = run.plan, run.ruling.rules, run.model
    if isinstance(model, BySite):
        run.withheld.append("the baseline hazard of a model with a stratum for every site is each site's own")
        return {}
    if rules.step_minimum > 1 and not rules.exact_curve:
        # it tells the events up to its points nearly exactly, which no rounded curve beside it is made for
        run.withheld.append(f"the baseline hazard needs the exact curve ({run.ruling.cite('exact_curve')})")
        return {}
    if run.table is not None and rules.step_minimum == 1:
        edges, times = np.arange(plan.horizon + 1), lattice_times(plan.horizon + 1, plan.unit)
    else:
        edges, times = release_grid(plan.horizon, plan.unit, rules.time_grid)
    reference = await _reference(run)
    offset = (reference - run.cohort.middle) / run.cohort.spread
    points, hazard, hidden = await baseline_hazard(
        run.session, model.risk, await model.shares(beta), rules, edges, run.digits.bits
    )
    if hidden:
        run.withheld.append(
            f"{hidden} grid points of the baseline hazard ({run.ruling.cite('step_minimum')}; "
            f"{run.ruling.cite('at_risk_floor')})"
        )
    hazard = hazard * math.exp(float(beta @ offset))
    names = np.array(plan.stratum_names, dtype=object)
    values = np.array(plan.centers) + np.array(plan.half_widths) * reference
    return {
        "baseline": pd.DataFrame(
            {
                "stratum": names[points.stratum],
                "time": times[points.time],
                "cumulative_hazard": hazard,
                "survival": np.exp(-hazard),
            }
        ),
        "baseline_covariates": pd.DataFrame({"term": list(plan.covariates), "value": values}),
    }


async def _reference(run: Run) -> Floats:
    """Where the baseline hazard stands, on the ranges: R's choice, 0 for columns of -1, 0 and 1 and else the mean.

    The exact mean where exact counts are released, else the rough one.
    """
    plan, size = run.plan, run.plan.order
    means = run.cohort.middle
    if run.ruling.rules.rounding_base == 1:
        run.session.openings.declare("means", size, "pooled means of the columns, where the baseline hazard stands")
        mine = None if run.own is None else run.own.scaled(plan).sum(axis=0)
        sums = await open_sums(run.session, mine, size, run.dealers, "means", run.digits.bits)
        means = sums / run.cohort.people
    coded = np.array([bool(few) and set(few) <= {-1.0, 0.0, 1.0} for few in plan.few_levels])
    return np.where(coded, -np.array(plan.centers) / np.array(plan.half_widths), means)


async def concordance(run: Run, fit: Fit) -> dict[str, object]:
    """Harrell's concordance, its standard error, and bins and bound of the error where pairs are counted in bins."""
    people.declare(run.session)
    model, bits = run.model, number_bits(run.ruling.rules)
    if isinstance(model, BySite):
        score = None if run.z is None else run.z @ fit.beta
        found = await people.exact_by_site(run.session, score, run.own, run.dealers, bits)
    else:
        spread = math.sqrt(max(float(fit.beta @ fit.information @ fit.beta) / run.cohort.events, 2.0**-40))
        late = run.plan.entry is not None
        cells = model.risk.cells
        found = await people.binned(run.session, model.risk.own, run.dealers, cells, fit.beta, spread, late, bits)
    return {
        "concordance": found.value,
        "concordance_standard_error": found.standard_error,
        "concordance_bins": found.bins,
        "concordance_error": found.error,
    }
