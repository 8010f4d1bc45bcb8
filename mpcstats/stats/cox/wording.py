"""Single numbers and conventions of a Cox model's outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.cox.newton import Fit
from mpcstats.stats.cox.pooled import PREDICTOR_LIMIT
from mpcstats.stats.cox.pooled_model import HIDDEN_TIES
from mpcstats.stats.cox.run import Run

__all__ = ["conventions_of", "values_of"]

Floats = NDArray[np.float64]


def values_of(run: Run, fit: Fit, logs: Floats) -> dict[str, object]:
    """Counts, log-likelihoods and how the iteration went."""
    return {
        "people": run.cohort.people,
        "events": run.cohort.events,
        "log_likelihood_null": float(logs[0]),
        "log_likelihood": float(logs[1]),
        "aic": -2 * float(logs[1]) + 2 * run.plan.order,
        "iterations": fit.iterations,
        "halvings": fit.halvings,
        "converged": fit.converged,
        "monotone": [run.plan.covariates[k] for k in fit.monotone],
        "ties": run.ties,
        "by_site": run.options.by_site,
        "conf_level": run.options.conf_level,
    }


def conventions_of(run: Run, fit: Fit, at_limit: bool) -> dict[str, str]:
    """Every choice that changes a digit, in words."""
    plan, options = run.plan, run.options
    ties = run.ties.capitalize()
    if run.ties != options.ties:
        ties += f", because more than {HIDDEN_TIES} events are tied at some time and their numbers stay hidden"
    strata = "one for every site" if options.by_site else "none of sites"
    if plan.strata:
        strata += f"; combinations of {', '.join(plan.strata)}"
    events = " or ".join(str(v) for v in plan.event_values) or "no value"
    result = {
        "ties": ties,
        "strata": strata,
        "risk set": "entry < t <= exit" if plan.entry else "t <= exit; events before censorings at the same time",
        "limits": f"normal, of the coefficient, level {options.conf_level:g}",
        "event": f"{plan.event} = {events}",
        "missing": "complete cases on all columns of the model",
        "likelihood ratio": "twice the difference of the partial log-likelihoods",
    }
    if not options.by_site:
        result["concordance"] = "pairs within a bin of the linear predictor count one half"
    if at_limit:
        result["linear predictor"] = (
            f"some are beyond +-{PREDICTOR_LIMIT:g} and were kept there: coefficients are approximate"
        )
    if fit.monotone:
        names = ", ".join(plan.covariates[k] for k in fit.monotone)
        result["convergence"] = (
            f"the likelihood is monotone in {names}: no finite estimate exists; other numbers are those near its limit"
        )
    elif not fit.converged:
        result["convergence"] = "the iteration did not converge; do not use the numbers"
    return result
