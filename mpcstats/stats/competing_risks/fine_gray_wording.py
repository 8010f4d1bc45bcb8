"""What a Fine-Gray regression says about itself: its values and the conventions in force."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.competing_risks.fine_gray_run import Run
from mpcstats.stats.cox.newton import Fit
from mpcstats.stats.cox.pooled import PREDICTOR_LIMIT
from mpcstats.stats.cox.pooled_model import HIDDEN_TIES

__all__ = ["conventions_of", "values_of"]

Floats = NDArray[np.float64]


def values_of(run: Run, fit: Fit, logs: Floats, at_limit: bool) -> dict[str, object]:
    """Counts, log-likelihoods and how the iteration went."""
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
        "ties": run.ties,
        "by_site": run.options.by_site,
        "conf_level": run.options.conf_level,
    }


_VARIANTS = {
    "crr": "crr (R's cmprsk): at a time with events everybody at risk could be censored",
    "finegray": "finegray (R's survival): events come before censorings",
}
_ROBUST = {
    "crr": "sandwich over people, with the term for estimating the distribution of censorings (Fine, Gray 1999)",
    "finegray": "sandwich over the rows that R's finegray makes (what coxph prints for them)",
}


def conventions_of(run: Run, fit: Fit, at_limit: bool, robust: bool) -> dict[str, str]:
    """Every choice that changes a digit, in words."""
    plan, options = run.plan, run.options
    ties = run.ties.capitalize()
    if run.ties != options.used_ties:
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
