"""A regression as one party sees it: pooled sums at public coefficients, and the way back to the columns' own units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, local
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.contributions.regression import RegressionContribution, RegressionPlan, scale_of
from mpcstats.stats.cox.partial import symmetric
from mpcstats.stats.cox.release import LOG, SCORE, SQUARE, open_numbers
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.regression.fit import Fit, Sums
from mpcstats.stats.regression.options import RegressionOptions, Robust
from mpcstats.stats.regression.sums import OwnRows, fitted, likelihood_constants, own_sums, totals
from mpcstats.stats.regression.survey import Survey

__all__ = ["Model", "Units", "evaluations_of", "robust_covariance", "rows_of", "units_of"]

Floats = NDArray[np.float64]

# sums are opened directly, so they need no room for a mask: 60 fraction bits, |sum| < 2^64
_FRACTION, _INTEGER = 60, 64
_LARGEST = 2.0**56

_EVALUATIONS, _FEWER = 25, 12


@dataclass(frozen=True)
class Units:
    """From the standardised scale back: coefficients = shift + matrix @ gamma.

    Attributes
    ----------
    matrix : float64 (q, q)
    shift : float64 (q,)
    outcome : float
        One unit of the standardised outcome.
    """

    matrix: Floats
    shift: Floats
    outcome: float


def evaluations_of(ruling: Ruling) -> int:
    """Coefficient vectors at which sums are opened, at most; fewer where opened sums hide small groups."""
    return _EVALUATIONS if ruling.rules.minimum_count == 0 else _FEWER


def units_of(plan: RegressionPlan, survey: Survey) -> Units:
    """The way back from the scale of `rows_of`."""
    offset, width = scale_of(plan)
    middle, spread = offset + width * survey.middle, width * survey.spread
    outcome = float(spread[-1])
    matrix, shift = np.diag(outcome / spread[:-1]), np.zeros(plan.order)
    if plan.intercept:
        slopes = matrix
        matrix = np.zeros((plan.order, plan.order))
        matrix[1:, 1:] = slopes
        matrix[0] = [outcome, *(-np.diag(slopes) * middle[:-1])]
        shift[0] = middle[-1]
    return Units(matrix, shift, outcome)


def rows_of(plan: RegressionPlan, own: RegressionContribution, scaled: Floats, survey: Survey) -> OwnRows:
    """This site's people on the common scale."""
    z = (scaled - survey.middle) / survey.spread
    columns, y = z[:, :-1], z[:, -1] if plan.family == "gaussian" else own.outcome
    if plan.intercept:
        columns = np.column_stack([np.ones(own.people), columns])
    return OwnRows(np.ascontiguousarray(columns), np.asarray(y), own.offset)


@dataclass
class Model:
    """Pooled sums at public coefficients.

    Attributes
    ----------
    rows : OwnRows or None
        This site's people.
    saturated : bool
        Deviances of counts are those of the saturated model. Otherwise what depends on the outcome alone is left out:
        these sums tell how many people have each count.
    """

    session: Session
    plan: RegressionPlan
    survey: Survey
    rows: OwnRows | None
    dealers: tuple[int, ...]
    saturated: bool = True

    def declare(self, evaluations: int, options: RegressionOptions) -> None:
        """Enter all sums that the fit opens into the manifest."""
        order, opened = self.plan.order, self.session.openings
        half = order * (order + 1) // 2
        opened.declare("scores", order * evaluations, "pooled, at the coefficients of each step")
        opened.declare("informations", half * evaluations, "pooled, at the coefficients of each step")
        opened.declare("deviances", evaluations, "pooled, at the coefficients of each step")
        if self.plan.family == "poisson":
            opened.declare("totals", 3, "pooled sums of y, exp(offset) and y offset")
        if self.plan.family == "poisson" and self.saturated:
            opened.declare("constants of the likelihood", 2, "pooled sums of y log y and log y!")
        if options.robust is not None:
            opened.declare("products of residuals", half, f"pooled, for {options.robust} standard errors")

    async def evaluate(self, gamma: Floats | None) -> Sums:
        """Score, information and deviance at some coefficients; None: at the start."""
        order = self.plan.order
        half = order * (order + 1) // 2
        own = None
        if self.rows is not None:
            own = await local(self.session, own_sums, self.rows, self.plan.family, gamma, self.saturated)
        growth = SQUARE if self.plan.family == "gaussian" else LOG
        named = [("scores", order, SCORE), ("informations", half, SQUARE), ("deviances", 1, growth)]
        score, information, deviance = await self.open_sums(own, named)
        return Sums(score, symmetric(information, order), float(deviance[0]))

    async def totals(self) -> Floats:
        """Sums of y, exp(offset) and y offset."""
        (found,) = await self.open_sums(None if self.rows is None else totals(self.rows), [("totals", 3, LOG)])
        return found

    async def likelihood_constants(self) -> Floats:
        """Sums of y log y and log y!."""
        own = None if self.rows is None else likelihood_constants(self.rows)
        (found,) = await self.open_sums(own, [("constants of the likelihood", 2, LOG)])
        return found

    async def residual_products(self, gamma: Floats, inverse: Floats, kind: Robust) -> Floats:
        """Pooled sum of z z' e^2: the middle of the sandwich; HC3 divides e by 1 less the leverage."""
        order = self.plan.order
        half = order * (order + 1) // 2
        own = None
        if self.rows is not None:
            own = await local(self.session, _own_products, self.rows, self.plan, gamma, inverse, kind)
        (found,) = await self.open_sums(own, [("products of residuals", half, SQUARE)])
        return symmetric(found, order)

    async def open_sums(self, own: Floats | None, named: list[tuple[str, int, float]]) -> list[Floats]:
        """Share numbers of each site in one round, and open their sums by name."""
        size = sum(count for _, count, _ in named)
        # what is beyond is of a step that is far too long
        mine = None if own is None else encode(M127, np.clip(own, -_LARGEST, _LARGEST), _FRACTION, _INTEGER)
        pooled = await sum_of_inputs(self.session, M127, mine, self.dealers, (size,), _FRACTION)
        opened, start = [], 0
        for name, count, growth in named:
            bits = self.survey.digits.after(growth)
            opened.append(await open_numbers(self.session, pooled[start : start + count], name, bits))
            start += count
        return opened


def _own_products(rows: OwnRows, plan: RegressionPlan, gamma: Floats, inverse: Floats, kind: Robust) -> Floats:
    mean, weight = fitted(rows, plan.family, gamma)
    residual = rows.y - mean
    if kind == "HC3":
        residual = residual / (1 - weight * ((rows.z @ inverse) * rows.z).sum(axis=1))
    return np.asarray(((rows.z * (residual**2)[:, None]).T @ rows.z)[np.triu_indices(plan.order)])


def robust_covariance(products: Floats, fit: Fit, inverse: Floats, people: int, kind: Robust) -> Floats:
    """The sandwich, on the standardised scale."""
    factor = people / (people - len(fit.gamma)) if kind == "HC1" else 1.0
    return np.asarray(factor * inverse @ products @ inverse)
