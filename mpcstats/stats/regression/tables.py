"""Tables and single numbers of a fitted regression, from its public sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtr, stdtrit

from mpcstats.stats.contributions.regression import RegressionPlan
from mpcstats.stats.regression.fit import Fit
from mpcstats.stats.regression.survey import Survey
from mpcstats.stats.tails import chi_square_tail, log_chi_square_tail

__all__ = ["Constants", "likelihood_values", "linear_table", "linear_values", "null_deviance", "sequential"]

Floats = NDArray[np.float64]


def linear_table(
    names: Sequence[str], coef: Floats, covariance: Floats, freedom: int, conf_level: float, robust: Floats | None
) -> pd.DataFrame:
    """One row per coefficient, as R's `summary.lm`; t, p and limits are from the robust errors where there are any."""
    se = np.sqrt(np.diag(covariance))
    used = se if robust is None else np.sqrt(np.diag(robust))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = coef / used
    half = float(stdtrit(freedom, 0.5 + conf_level / 2)) * used
    return pd.DataFrame(
        {
            "term": list(names),
            "coef": coef,
            "se_coef": se,
            **({} if robust is None else {"robust_se": used}),
            "t": t,
            "p_value": 2 * stdtr(freedom, -np.abs(t)),
            "coef_lower": coef - half,
            "coef_upper": coef + half,
        }
    )


def sequential(plan: RegressionPlan, fit: Fit, unit: float, left: float, freedom: int) -> pd.DataFrame:
    """Sums of squares of each term after those before it (R's `anova`), and the residuals' (last row)."""
    root = np.linalg.cholesky(fit.start.information)
    parts = np.linalg.solve(root, fit.start.score) ** 2 * unit**2
    first = int(plan.intercept)
    rows = [(name, len(at), float(parts[[k + first for k in at]].sum())) for name, at in plan.terms]
    error = left / freedom
    ratio = [square / count / error if error > 0 else math.nan for _, count, square in rows]
    return pd.DataFrame(
        {
            "term": [name for name, _, _ in rows] + ["Residuals"],
            "degrees_of_freedom": [count for _, count, _ in rows] + [freedom],
            "sum_of_squares": [square for _, _, square in rows] + [left],
            "mean_square": [square / count for _, count, square in rows] + [error],
            "f": [*ratio, math.nan],
            "p_value": [float(fdtrc(count, freedom, f)) for (_, count, _), f in zip(rows, ratio, strict=True)]
            + [math.nan],
        }
    )


def linear_values(plan: RegressionPlan, people: int, left: float, total: float) -> dict[str, object]:
    """What R prints under the coefficients of a linear model.

    Parameters
    ----------
    left, total : float
        Sum of squared residuals, and of the outcome about its mean (about 0 without intercept).
    """
    order, freedom = plan.order, people - plan.order
    explained = order - plan.intercept
    square = 1 - left / total if total > 0 else math.nan
    f = (total - left) / explained / (left / freedom) if explained and left > 0 else math.nan
    log_likelihood = -people / 2 * (math.log(2 * math.pi * left / people) + 1) if left > 0 else math.inf
    return {
        "residual_standard_error": math.sqrt(left / freedom),
        "residual_degrees_of_freedom": freedom,
        "residual_sum_of_squares": left,
        "r_squared": square,
        "adjusted_r_squared": 1 - (1 - square) * (people - plan.intercept) / freedom,
        "f": f,
        "f_degrees_of_freedom": explained,
        "f_p_value": float(fdtrc(explained, freedom, f)) if explained else math.nan,
        "log_likelihood": log_likelihood,
        "aic": -2 * log_likelihood + 2 * (order + 1),
        "bic": -2 * log_likelihood + math.log(people) * (order + 1),
    }


@dataclass(frozen=True)
class Constants:
    """Public sums that the likelihood of counts needs beside the coefficients.

    Attributes
    ----------
    totals : float64 (3,) or None
        Of y, exp(offset) and y offset; None for 0/1 outcomes.
    outcome : float64 (2,) or None
        Of y log y and log y!; None where these are not opened.
    """

    totals: Floats | None
    outcome: Floats | None


def null_deviance(plan: RegressionPlan, cohort: Survey, constants: Constants) -> float:
    """Deviance of the model of the intercept alone; without one, of the offset alone.

    Of counts without what depends on the outcome alone, where that is not opened.
    """
    people, events = cohort.people, cohort.events
    if constants.totals is None:
        if not plan.intercept or events is None:
            return 2 * people * math.log(2)
        rest = people - events
        return -2 * (events * math.log(events / people) + rest * math.log(rest / people))
    total, exposure, shifted = (float(v) for v in constants.totals)
    own = 0.0 if constants.outcome is None else float(constants.outcome[0]) - total
    if not plan.intercept:
        return 2 * (own - shifted + exposure)
    return 2 * (own - shifted - total * math.log(total / exposure) + total)


def likelihood_values(
    plan: RegressionPlan, cohort: Survey, deviance: float, null: float, constants: Constants
) -> dict[str, object]:
    """What R prints under the coefficients of a generalised linear model, and the likelihood ratio test."""
    people, order = cohort.people, plan.order
    freedom, ratio = order - plan.intercept, null - deviance
    saturated = 0.0  # of 0/1 outcomes the saturated likelihood is 1
    if constants.totals is not None:
        outcome = constants.outcome
        saturated = math.nan if outcome is None else float(outcome[0] - constants.totals[0] - outcome[1])
    log_likelihood = saturated - deviance / 2
    if math.isnan(saturated):
        deviance = null = math.nan
    values: dict[str, object] = {
        "family": plan.family,
        "events": cohort.events,
        "deviance": deviance,
        "residual_degrees_of_freedom": people - order,
        "null_deviance": null,
        "null_degrees_of_freedom": people - plan.intercept,
        "log_likelihood": log_likelihood,
        "aic": -2 * log_likelihood + 2 * order,
        "bic": -2 * log_likelihood + math.log(people) * order,
        "likelihood_ratio": ratio if freedom else math.nan,
        "likelihood_ratio_degrees_of_freedom": freedom,
        "likelihood_ratio_p_value": chi_square_tail(ratio, freedom) if freedom else math.nan,
        "likelihood_ratio_log_p_value": log_chi_square_tail(ratio, freedom) if freedom else math.nan,
    }
    if constants.totals is None:
        values["mcfadden_r_squared"] = 1 - deviance / null
    else:
        values["total"] = float(constants.totals[0])
    return values
