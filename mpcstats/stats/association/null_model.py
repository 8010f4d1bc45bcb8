"""The regression of the phenotype on the covariates, pooled: what every variant of a scan has in common.

Opened: the number of people, the means, and the centred sums of squares and products of phenotype and covariates. From
them every site forms, for its own people, an orthonormal basis Q of intercept and covariates (columns orthonormal
over the pooled people) and the normalised residual of the phenotype. These rows stay at their site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.field import M61, M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, concatenate, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling, open_counts, require_people

__all__ = ["NullModel", "fit_null_model"]

Floats = NDArray[np.float64]

# sums are opened directly, so they need no room for a mask: 60 fraction bits, |sum| < 2^64
_FRACTION = 60
_INTEGER = 64
# rounding errors grow by the condition number: 1e-16 becomes 1e-8
_LARGEST_CONDITION = 1e8
# numbers are shared as parts of their range: where they fill less of it, digits are lost
_SMALLEST_SPREAD = 2.0**-16


@dataclass(frozen=True)
class NullModel:
    """Public numbers of the null model, and this site's own rows.

    Attributes
    ----------
    people : int
        Pooled, with phenotype and covariates.
    residual_scale : float
        Norm of the phenotype's residual, in the phenotype's units.
    basis : float64 (own people, order)
        Orthonormal over the pooled people; order = covariates + 1.
    residual : float64 (own people,)
        Unit norm over the pooled people.
    """

    people: int
    residual_scale: float
    basis: Floats
    residual: Floats

    @property
    def order(self) -> int:
        """Intercept and covariates."""
        return int(self.basis.shape[1])

    @property
    def degrees_of_freedom(self) -> int:
        """Of the test of one variant without missing calls."""
        return self.people - self.order - 1


async def fit_null_model(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> NullModel:
    """Pool people, means and products in three rounds of sums.

    Raises
    ------
    DisclosureRefused
        Too few people, or too few who hold a level of a column with few levels (one bit is opened, not the number).
    SpecError
        Covariates collinear, phenotype constant, ranges far wider than the numbers, or more covariates than people.
    """
    _declare(session, plan)
    people = await _people(session, plan, own, dealers, ruling)
    order = len(plan.covariates) + 1
    if people <= order + 1:
        raise SpecError(f"{people} people are too few for {order - 1} covariates: a test needs at least {order + 2}")
    columns = _columns(plan, own)
    means = (
        await _open_sums(session, None if columns is None else columns.sum(axis=0), (order,), dealers, "means") / people
    )
    centred = None if columns is None else columns - means
    products = await _open_sums(
        session,
        None if centred is None else centred.T @ centred,
        (order, order),
        dealers,
        "sums of squares and products",
    )
    rows = np.zeros((0, order)) if centred is None else centred
    return _model(plan, people, (products + products.T) / 2, rows)


def _declare(session: Session, plan: AssociationPlan) -> None:
    order = len(plan.covariates) + 1
    openings = session.openings
    openings.declare(
        "enough people",
        1,
        "whether there are enough people, in total and per level of columns with few levels",
        decision=True,
    )
    openings.declare("people", 1, "people with phenotype and covariates, pooled")
    openings.declare("means", order, "pooled means of phenotype and covariates")
    openings.declare("sums of squares and products", order * order, "pooled, centred, of phenotype and covariates")


async def _people(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> int:
    levels = [(k, level) for k, few in enumerate(plan.few_levels) for level in few]
    mine = None
    if own is not None:
        columns = np.column_stack([own.phenotype, own.covariates])
        holders = [int((columns[:, k] == level).sum()) for k, level in levels]
        mine = M61.from_int64(np.array([len(own.phenotype), *holders], np.int64))
    counts = await sum_of_inputs(session, M61, mine, dealers, (1 + len(levels),))
    rules, names = ruling.rules, ("association_minimum_people", "minimum_count")
    minimum = max(rules.association_minimum_people, rules.minimum_count)
    refusal = f"fewer people than the rules allow ({', '.join(ruling.cite(name) for name in names)})"
    # in one batch of equal bounds: people - minimum, and the holders of every level - minimum_count
    total = counts[:1]
    parts = [total.plus_int(-minimum), counts[1:].plus_int(-rules.minimum_count)]
    if minimum > 0:
        await require_people(session, concatenate(parts).plus_int(1), 1, "enough people", refusal)
    people = int((await open_counts(session, total, "people"))[0])
    if people == 0:
        raise DisclosureRefused("no party has people with phenotype and covariates")
    return people


def _columns(plan: AssociationPlan, own: AssociationContribution | None) -> Floats | None:
    """Own phenotype and covariates on the public scale of their ranges: (people, 1 + covariates)."""
    if own is None:
        return None
    columns = np.column_stack([own.phenotype, own.covariates])
    if plan.centers:
        columns = (columns - np.array(plan.centers)) / np.array(plan.half_widths)
    return columns


async def _open_sums(
    session: Session, own: Floats | None, shape: tuple[int, ...], dealers: tuple[int, ...], name: str
) -> Floats:
    mine = None if own is None else encode(M127, own, _FRACTION, _INTEGER)
    pooled = await sum_of_inputs(session, M127, mine, dealers, shape, _FRACTION)
    return decode(M127, await open_declared(session, pooled, name), _FRACTION)


def _check_ranges(plan: AssociationPlan, people: int, spread: Floats) -> None:
    for name, s in zip((plan.phenotype, *plan.covariates), spread, strict=True):
        if s < _SMALLEST_SPREAD * np.sqrt(people):
            raise SpecError(
                f"the range of column {name!r} in the dictionary is too wide for its numbers: their standard deviation "
                f"is {s / np.sqrt(people):.1e} of half the range, and digits would be lost",
                hint=f"agree on a narrower range of column {name!r} in the dictionary",
            )


def _model(plan: AssociationPlan, people: int, products: Floats, rows: Floats) -> NullModel:
    spread = np.sqrt(np.diag(products))
    if (spread == 0).any() or not np.isfinite(spread).all():
        constant = [name for name, s in zip((plan.phenotype, *plan.covariates), spread, strict=True) if not s > 0]
        raise SpecError(f"constant in the pooled data: {', '.join(constant)}")
    if plan.centers:
        _check_ranges(plan, people, spread)
    correlation = products / np.outer(spread, spread)
    among = correlation[1:, 1:]
    condition = float(np.linalg.cond(among)) if among.size else 1.0
    if not condition < _LARGEST_CONDITION:
        raise SpecError(
            f"the covariates are collinear in the pooled data (condition number {condition:.1e})",
            hint="leave out covariates that follow from the others",
        )
    scaled = rows / spread
    slopes = np.linalg.solve(among, correlation[1:, 0]) if among.size else np.zeros(0)
    unexplained = float(correlation[0, 0] - correlation[0, 1:] @ slopes)
    if unexplained <= 1e-12:
        raise SpecError(f"the covariates explain the phenotype {plan.phenotype!r} completely")
    residual = (scaled[:, 0] - scaled[:, 1:] @ slopes) / np.sqrt(unexplained)
    basis = scaled[:, 1:] @ np.linalg.inv(np.linalg.cholesky(among)).T if among.size else np.zeros((len(rows), 0))
    intercept = np.full((len(rows), 1), 1 / np.sqrt(people))
    width = plan.half_widths[0] if plan.half_widths else 1.0
    return NullModel(people, float(spread[0] * np.sqrt(unexplained) * width), np.hstack([intercept, basis]), residual)
