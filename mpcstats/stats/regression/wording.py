"""Conventions of a regression, and what was withheld, in words."""

from __future__ import annotations

from mpcstats.stats.contributions.regression import RegressionPlan
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.regression.options import RegressionOptions
from mpcstats.stats.regression.survey import Survey

__all__ = ["conventions_of", "withheld_of"]

_ROBUST = {
    "HC0": "HC0 (White)",
    "HC1": "HC1: HC0 times n / (n - p)",
    "HC3": "HC3: residuals divided by 1 less the leverage",
}


def conventions_of(plan: RegressionPlan, options: RegressionOptions) -> dict[str, str]:
    """Every choice that changes a digit, in words."""
    linear = plan.family == "gaussian"
    law = "t distribution, residual degrees of freedom" if linear else "normal (Wald), of the coefficient"
    result = {
        "family": {"gaussian": "gaussian, identity", "binomial": "binomial, logit", "poisson": "poisson, log"}[
            plan.family
        ],
        "limits": f"{law}, level {options.conf_level:g}",
        "categories": "a 0/1 column for each level but the reference",
        "missing": "complete cases on all columns of the model",
    }
    if plan.event_values:
        result["event"] = f"{plan.response} = {' or '.join(str(v) for v in plan.event_values)}"
    if linear:
        result["anova"] = "sequential sums of squares (type I)"
    else:
        result["convergence"] = "the next step takes less than 1e-14 of the deviance away"
        result["dispersion"] = "1"
    if plan.offset is not None:
        result["offset"] = plan.offset
    if not plan.intercept:
        result["intercept"] = "none; R squared and null deviance are about 0"
    if options.robust is not None:
        result["robust errors"] = f"{_ROBUST[options.robust]}; tests and limits of coefficients use them"
    if options.site_indicators:
        result["sites"] = "a 0/1 column for each site but the first"
    return result


def withheld_of(plan: RegressionPlan, survey: Survey, ruling: Ruling) -> list[str]:
    """Sentences about what the rules did not let out."""
    withheld = []
    rules = ruling.rules
    if survey.incomplete is None:
        withheld.append(
            f"people left out because of missing values: fewer than may be shown ({ruling.cite('minimum_count')})"
        )
    elif rules.rounding_base > 1:
        withheld.append(f"people left out because of missing values are rounded ({ruling.cite('rounding_base')})")
    if plan.family == "poisson" and number_bits(rules) <= 24:
        withheld.append(
            "deviances, log-likelihood, AIC and BIC, and the number of people with a count above 0: with few different "
            f"counts they tell how many people have each ({ruling.cite('minimum_count')})"
        )
    if number_bits(rules) <= 24:
        withheld.append("digits of real numbers beyond the sixth or so")
    return withheld
