"""The robust variance of a Fine-Gray regression over sites: the middle of the sandwich, opened pooled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import local
from mpcstats.stats.competing_risks.exits import censoring_of
from mpcstats.stats.competing_risks.fine_gray_run import Run
from mpcstats.stats.competing_risks.robust import Curves, curves_of_sums, influence_of_people, influence_of_rows
from mpcstats.stats.competing_risks.weighted import WeightedRisk, rival_sums
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.partial import symmetric
from mpcstats.stats.cox.pooled_model import Pooled
from mpcstats.stats.cox.release import SQUARE, open_sums
from mpcstats.stats.cox.sites import pairs
from mpcstats.stats.lattice import at_risk_counts
from mpcstats.types import DisclosureRules

__all__ = ["everything_open", "sandwich"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def everything_open(rules: DisclosureRules) -> bool:
    """Whether sums over risk sets at single times may be opened: they tell the covariates of single people."""
    exact = rules.exact_curve and rules.step_minimum == 1 and rules.rounding_base == 1
    return exact and rules.minimum_count == 0 and rules.at_risk_floor == 0


async def sandwich(run: Run, beta: Floats) -> Floats | None:
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


async def _open_curves(run: Run, model: Pooled, exits: Ints, beta: Floats) -> Curves:
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
    censoring = censoring_of(exits, run.options.variant)
    curves = curves_of_sums(cells.time, exits[0, cells.time], tables[0], failing, model.ties, censoring)
    rivals = opened[parts * block :].reshape(-1, points) if run.options.variant == "crr" else curves.rivals
    return curves.completed(exits[2], at_risk_counts(exits[:2].sum(axis=0), exits[2]), rivals)
