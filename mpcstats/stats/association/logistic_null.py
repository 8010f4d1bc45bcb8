"""The logistic regression of a 0/1 phenotype on the covariates, pooled: what every variant has in common.

Federated Newton: every site sums its score X'(y - p) and information X'WX at public coefficients, and the pooled sums
are opened. X are the orthonormal columns of `null_model`, times sqrt(people): its sums (people, means, centred squares
and products of phenotype and covariates) are opened first. At the end the columns are made orthonormal once more, in
the weights w = p (1 - p). These rows stay at their site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError, SpecError
from mpcstats.field import M61, M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, concatenate, local, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.association.null_model import NullModel, fit_null_model
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.cox.newton import EVALUATIONS, Evaluate, Fit, newton
from mpcstats.stats.disclosure import Ruling, open_counts, require_people

__all__ = ["LogisticNull", "fit_logistic_null"]

Floats = NDArray[np.float64]

_FRACTION, _INTEGER = 60, 64
_UNIT = 2.0**-40
_SEPARATED = 1e-4
"""Where the information in some direction has shrunk to this part of what it was at the start, people are separated."""


@dataclass(frozen=True)
class LogisticNull:
    """Public numbers of the null model, and this site's own rows.

    Attributes
    ----------
    people, cases : int
        Pooled, with phenotype and covariates.
    coefficients : float64 (order,)
        Of the orthonormal columns of `null_model` times sqrt(people); public. order = covariates + 1.
    iterations : int
    total_weight : float
        Sum of p (1 - p) over all people; public.
    phenotype, linear, fitted, weights, residual : float64 (own people,)
        y, the linear predictor, p, p (1 - p) and y - p.
    basis : float64 (own people, order)
        Q with Q'WQ = I over the pooled people; its first column is constant.
    """

    people: int
    cases: int
    coefficients: Floats
    iterations: int
    total_weight: float
    phenotype: Floats
    linear: Floats
    basis: Floats

    @property
    def order(self) -> int:
        """Intercept and covariates."""
        return int(self.basis.shape[1])

    @property
    def fitted(self) -> Floats:
        """Own probabilities of being a case."""
        return _expit(self.linear)

    @property
    def weights(self) -> Floats:
        """Own p (1 - p)."""
        return self.fitted * _expit(-self.linear)

    @property
    def residual(self) -> Floats:
        """Own y - p."""
        return self.phenotype - self.fitted


async def fit_logistic_null(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> LogisticNull:
    """Newton's method from opened sums: one round of sums per step, about five.

    Parameters
    ----------
    own : AssociationContribution or None
        The phenotype is 0 (control) or 1 (case).

    Reveals
    -------
    Whether there are enough cases and controls; cases; what `fit_null_model` opens; score and information of every
    step.

    Raises
    ------
    DisclosureRefused
        Too few cases or too few controls (one bit is opened, not the numbers), or see `fit_null_model`.
    SpecError
        Phenotype constant, covariates collinear, covariates that separate cases from controls, or no convergence.
    DataError
        A phenotype at this site is neither 0 nor 1.
    """
    _declare(session, len(plan.covariates) + 1)
    cases = await _cases(session, own, dealers, ruling)
    model = await fit_null_model(session, plan, own, dealers, ruling)
    scale = float(np.sqrt(model.people))
    columns = model.basis * scale
    y = np.zeros(0) if own is None else own.phenotype

    async def evaluate(theta: Floats) -> tuple[Floats, Floats]:
        return await _sums(session, model, columns, None if own is None else y, theta, dealers)

    names = ("intercept", *plan.covariates)
    fit = await newton(evaluate, names, np.full(model.order, scale), _UNIT, 1e-12)
    if not fit.converged:
        raise await _not_found(fit, evaluate, plan)
    _, information = await evaluate(fit.beta)
    root = np.linalg.cholesky(information)
    linear = columns @ fit.beta
    basis = np.linalg.solve(root, columns.T).T
    # the first column is 1
    weight = float(information[0, 0])
    return LogisticNull(model.people, cases, fit.beta, fit.iterations, weight, y, linear, basis)


def _declare(session: Session, order: int) -> None:
    evaluations = EVALUATIONS + 2
    session.openings.declare("enough cases and controls", 1, "whether there are enough of both, pooled", decision=True)
    for name, count, why in (
        ("cases", 1, "people with phenotype 1, pooled"),
        ("score of the null model", evaluations * order, "pooled, at the coefficients of every step"),
        ("information of the null model", evaluations * order * order, "pooled, at the coefficients of every step"),
    ):
        session.openings.declare(name, count, why)


async def _cases(
    session: Session, own: AssociationContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> int:
    """Open the number of cases, when there are enough of both kinds."""
    mine = None
    if own is not None:
        bad = int(((own.phenotype != 0) & (own.phenotype != 1)).sum())
        if bad:
            raise DataError(
                f"{bad} of {len(own.phenotype)} phenotypes are neither 0 nor 1: logistic regression needs controls "
                "and cases",
                hint="code controls as 0 and cases as 1; PLINK's .fam has 1 and 2",
            )
        ones = int(own.phenotype.sum())
        mine = M61.from_int64(np.array([ones, len(own.phenotype) - ones], np.int64))
    counts = await sum_of_inputs(session, M61, mine, dealers, (2,))
    rules, names = ruling.rules, ("association_minimum_people", "minimum_count")
    minimum = max(rules.association_minimum_people, rules.minimum_count)
    refusal = f"fewer cases or controls than the rules allow ({', '.join(ruling.cite(name) for name in names)})"
    # in one batch of equal bounds: cases and controls - minimum_count, and all people - their minimum
    parts = [counts.plus_int(-rules.minimum_count), (counts[:1] + counts[1:]).plus_int(-minimum)]
    if minimum > 0:
        await require_people(session, concatenate(parts).plus_int(1), 1, "enough cases and controls", refusal)
    return int((await open_counts(session, counts[:1], "cases"))[0])


async def _sums(
    session: Session, model: NullModel, columns: Floats, y: Floats | None, theta: Floats, dealers: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Pooled score and information per person."""
    order = model.order
    rows, mine = np.triu_indices(order), None
    if y is not None:
        sums = await local(session, _own_sums, columns, y, theta)
        mine = encode(M127, sums / model.people, _FRACTION, _INTEGER)
    pooled = await sum_of_inputs(session, M127, mine, dealers, (order + len(rows[0]),), _FRACTION)
    score = decode(M127, await open_declared(session, pooled[:order], "score of the null model"), _FRACTION)
    upper = decode(M127, await open_declared(session, pooled[order:], "information of the null model"), _FRACTION)
    information = np.zeros((order, order))
    information[rows] = upper
    information.T[rows] = upper
    return score * model.people, information * model.people


def _own_sums(columns: Floats, y: Floats, theta: Floats) -> Floats:
    """Own score and the upper triangle of the information."""
    linear = columns @ theta
    p = _expit(linear)
    weighted = columns * (p * _expit(-linear))[:, None]
    upper = (columns.T @ weighted)[np.triu_indices(columns.shape[1])]
    return np.concatenate([columns.T @ (y - p), upper])


async def _not_found(fit: Fit, evaluate: Evaluate, plan: AssociationPlan) -> SpecError:
    """What happened, from the information at the last coefficients."""
    _, information = await evaluate(fit.beta)
    root = np.linalg.inv(np.linalg.cholesky(fit.information))
    left = float(np.linalg.eigvalsh(root @ information @ root.T)[0])
    if left < _SEPARATED:
        return SpecError(
            f"covariates ({', '.join(plan.covariates)}) separate cases from controls of {plan.phenotype!r}: the "
            f"likelihood grows without end, and after {fit.iterations} steps {left:.1e} of the information is left in "
            "one direction",
            hint="leave out covariates of which a value or a combination occurs among cases or among controls only",
        )
    return SpecError(
        f"the null model of {plan.phenotype!r} did not converge in {fit.iterations} steps",
        hint="look for extreme values in the covariates",
    )


def _expit(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))
