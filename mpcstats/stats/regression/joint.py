"""Linear, logistic and Poisson regression over sites.

Sites share sums over their own people at public coefficients; the pooled sums are opened, and the next step is solved
in the clear. A linear model takes one step, and a second one takes away what rounding left.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.runtime import Session, local
from mpcstats.stats.contributions.regression import RegressionContribution, RegressionPlan
from mpcstats.stats.cox.newton import inverse
from mpcstats.stats.cox.tests_of_fit import coefficient_table
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.regression.accuracy import accuracy
from mpcstats.stats.regression.fit import Fit, scoring
from mpcstats.stats.regression.model import Model, Units, evaluations_of, robust_covariance, rows_of, units_of
from mpcstats.stats.regression.options import RegressionOptions
from mpcstats.stats.regression.site_indicators import with_site_indicators
from mpcstats.stats.regression.survey import survey
from mpcstats.stats.regression.tables import (
    Constants,
    likelihood_values,
    linear_table,
    linear_values,
    null_deviance,
    sequential,
)
from mpcstats.stats.regression.wording import conventions_of, withheld_of

__all__ = ["joint_regression"]

Floats = NDArray[np.float64]


async def joint_regression(
    session: Session,
    plan: RegressionPlan,
    own: RegressionContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: RegressionOptions,
) -> Outcome:
    """Fit a regression to the people of all sites.

    Parameters
    ----------
    own : RegressionContribution or None
        This party's people; None when it is not a dealer.

    Reveals
    -------
    Whether the rules on numbers of people are kept; people and events; people left out (threshold, rounding); rough
    means and sizes of variances of columns and outcome; pooled score, information and deviance at every coefficient
    vector of the iteration; with robust errors the pooled products of squared residuals; with `accuracy` what
    `accuracy` opens. Where counts may not be exact, the last digits of real numbers are random (24 bits).

    Raises
    ------
    DataError
        This site's records do not fit the plan.
    DisclosureRefused
        Too few people or events.
    SpecError
        Too few people for the columns, a constant outcome, constant or collinear columns, separation, no convergence.
    """
    if options.site_indicators:
        plan, own = with_site_indicators(plan, own, dealers, session.channel.parties, session.index)
    scaled = None if own is None else await local(session, own.scaled, plan)
    cohort = await survey(session, plan, own, scaled, dealers, ruling)
    rows = None if own is None or scaled is None else rows_of(plan, own, scaled, cohort)
    model = Model(session, plan, cohort, rows, dealers, saturated=number_bits(ruling.rules) > 24)
    evaluations = evaluations_of(ruling)
    model.declare(evaluations, options)
    totals = await model.totals() if plan.family == "poisson" else None
    begin = None if totals is None or model.saturated else _null(plan, totals)
    fit = await scoring(model.evaluate, plan.names, evaluations, cohort.digits.relative, begin)
    session.progress(f"{fit.iterations} iterations")
    units = units_of(plan, cohort)
    covariance = inverse(fit.information)
    robust = None
    if options.robust is not None:
        products = await model.residual_products(fit.gamma, covariance, options.robust)
        robust = robust_covariance(products, fit, covariance, cohort.people, options.robust)
    if plan.family == "gaussian":
        tables, values = _linear(model, options, fit, units, covariance, robust)
    else:
        outcome = await model.likelihood_constants() if totals is not None and model.saturated else None
        known = Constants(totals, outcome)
        tables, values = _likelihood(model, options, fit, units, covariance, robust, known)
    values |= {
        "people": cohort.people,
        "incomplete": cohort.incomplete,
        "iterations": fit.iterations,
        "halvings": fit.halvings,
        "conf_level": options.conf_level,
    }
    conventions, withheld = conventions_of(plan, options), withheld_of(plan, cohort, ruling)
    if options.accuracy and plan.family == "binomial":
        found = await accuracy(model, fit.gamma, ruling)
        values, tables, conventions = values | found.values, tables | found.tables, conventions | found.conventions
        withheld += found.withheld
    return Outcome("ols" if plan.family == "gaussian" else "glm", tables, values, conventions, withheld)


def _null(plan: RegressionPlan, totals: Floats) -> Floats:
    """The model of the intercept alone, for counts; 0 without intercept."""
    begin = np.zeros(plan.order)
    if plan.intercept:
        # a few digits: logarithms differ in their last one between machines
        begin[0] = round(math.log(float(totals[0]) / float(totals[1])), 4)
    return begin


def _linear(
    model: Model, options: RegressionOptions, fit: Fit, units: Units, inverted: Floats, robust: Floats | None
) -> tuple[dict[str, pd.DataFrame], dict[str, object]]:
    """Tables and numbers of a linear model."""
    plan, people = model.plan, model.survey.people
    freedom = people - plan.order
    # what is opened has random last digits: a residual below them is none
    noise = 2.0 ** (4 - model.survey.digits.bits) * fit.start.deviance
    left = fit.deviance * units.outcome**2 if fit.deviance > noise else 0.0
    slope = units.matrix / units.outcome
    covariance = left / freedom * slope @ inverted @ slope.T
    coef = units.shift + units.matrix @ fit.gamma
    total = fit.start.deviance
    if plan.intercept:
        total -= float(fit.start.score[0]) ** 2 / people
    sandwich = None if robust is None else units.matrix @ robust @ units.matrix.T
    tables = {
        "coefficients": linear_table(plan.names, coef, covariance, freedom, options.conf_level, sandwich),
        "anova": sequential(plan, fit, units.outcome, left, freedom),
        "covariance": _matrix_table(plan, covariance if sandwich is None else sandwich),
    }
    return tables, linear_values(plan, people, left, total * units.outcome**2)


def _likelihood(
    model: Model,
    options: RegressionOptions,
    fit: Fit,
    units: Units,
    inverted: Floats,
    robust: Floats | None,
    constants: Constants,
) -> tuple[dict[str, pd.DataFrame], dict[str, object]]:
    """Tables and numbers of a logistic or Poisson model."""
    plan, cohort = model.plan, model.survey
    covariance = units.matrix @ inverted @ units.matrix.T
    sandwich = None if robust is None else units.matrix @ robust @ units.matrix.T
    coef = units.shift + units.matrix @ fit.gamma
    tables = {
        "coefficients": coefficient_table(plan.names, coef, covariance, options.conf_level, sandwich),
        "covariance": _matrix_table(plan, covariance if sandwich is None else sandwich),
    }
    null = null_deviance(plan, cohort, constants)
    return tables, likelihood_values(plan, cohort, fit.deviance, null, constants)


def _matrix_table(plan: RegressionPlan, covariance: Floats) -> pd.DataFrame:
    table = pd.DataFrame(covariance, columns=list(plan.names))
    table.insert(0, "term", list(plan.names))
    return table
