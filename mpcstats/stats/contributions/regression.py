"""Plan and contribution of linear, logistic and Poisson regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW

__all__ = ["LARGEST_OFFSET", "MAX_GROUP_CELLS", "Family", "RegressionContribution", "RegressionPlan", "scale_of"]

Floats = NDArray[np.float64]
Family = Literal["gaussian", "binomial", "poisson"]

MAX_GROUP_CELLS = 20_000
"""Cells of people whose number is checked."""

LARGEST_OFFSET = 50.0


@dataclass(frozen=True)
class RegressionPlan(Plan):
    """Columns of the model with their ranges, and the groups of people that its sums speak about."""

    kind: ClassVar[str] = "regression"
    family: Family
    response: str
    response_center: float
    response_half_width: float
    """Middle and half width of the outcome's range (of a 0/1 outcome: 0 and 1)."""
    event_values: tuple[Level, ...]
    """Values of the outcome that are the event; () for a number."""
    intercept: bool
    covariates: tuple[str, ...]
    """Names of the columns of the model without the intercept."""
    centers: tuple[float, ...]
    half_widths: tuple[float, ...]
    """Public middle and half width of each column's range."""
    few_levels: tuple[tuple[float, ...], ...]
    """Values of each column where there are at most three, else ()."""
    terms: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and columns of each term."""
    levels: tuple[int, ...] = ()
    """How many levels each discrete column of the table has."""
    column_levels: tuple[tuple[int, ...], ...] = ()
    """The discrete columns with few levels that each column of the model, and the outcome (last), is made of."""
    patterns: tuple[int, ...] = ()
    """Discrete columns that determine the linear predictor, where all columns of the model are made of such."""
    offset: str | None = None

    @property
    def order(self) -> int:
        """Number of coefficients."""
        return len(self.covariates) + self.intercept

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return (*(("(Intercept)",) if self.intercept else ()), *self.covariates)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Discrete columns whose joint cells sums of products of two columns count; none is part of another."""
        pairs = combinations_with_replacement(self.column_levels, 2)
        sets = sorted({frozenset((*one, *other)) for one, other in pairs}, key=len, reverse=True)
        kept: list[frozenset[int]] = []
        for found in sets:
            if found and not any(found <= larger for larger in kept):
                kept.append(found)
        return tuple(sorted(tuple(sorted(found)) for found in kept))

    def cells(self, group: tuple[int, ...]) -> int:
        """Combinations of levels of some discrete columns."""
        return math.prod(self.levels[k] for k in group)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        columns = len(self.covariates)
        places = [k for group in (*self.column_levels, self.patterns) for k in group]
        return (
            columns <= MAX_COVARIATES
            and self.order >= 1
            and {len(self.centers), len(self.half_widths), len(self.few_levels)} == {columns}
            and all(len(few) <= MAX_FEW for few in self.few_levels)
            and all(half_width > 0 for half_width in (*self.half_widths, self.response_half_width))
            and all(0 <= k < columns for _, at in self.terms for k in at)
            and all(count >= 1 for count in self.levels)
            and all(0 <= k < len(self.levels) for k in places)
            and len(self.column_levels) == columns + 1
            and sum(self.cells(group) for group in (*self.groups, self.patterns)) <= MAX_GROUP_CELLS
        )


@dataclass(frozen=True, repr=False, eq=False)
class RegressionContribution(Contribution):
    """The people of one site with all columns of the model.

    Attributes
    ----------
    outcome : float64 (people,)
        The number; 1 for the event and 0 without it; a count.
    columns : float64 (people, columns), without intercept
    codes : int64 (people, discrete columns)
        Level of each discrete column; -1: in no cell (a count of 0).
    offset : float64 (people,)
        Zeros without one.
    incomplete : int
        Selected rows left out because a value is missing.
    """

    outcome: Floats
    columns: Floats
    codes: NDArray[np.int64]
    offset: Floats
    incomplete: int

    @property
    def people(self) -> int:
        """People at this site."""
        return len(self.outcome)

    def group_counts(self, plan: RegressionPlan, group: tuple[int, ...]) -> NDArray[np.int64]:
        """People of this site in every combination of levels of some discrete columns."""
        place = np.zeros(self.people, np.int64)
        known = np.ones(self.people, np.bool_)
        for k in group:
            place = place * plan.levels[k] + self.codes[:, k]
            known &= self.codes[:, k] >= 0
        return np.bincount(place[known], minlength=plan.cells(group)).astype(np.int64)

    def scaled(self, plan: RegressionPlan) -> Floats:
        """Columns and outcome (last) on the public scale of their ranges, within +-1: (people, columns + 1).

        Without intercept the middle stays at 0.

        Raises
        ------
        DataError
            Shapes or numbers do not fit the plan. Raised at their owner; counts only.
        """
        people = self.people
        shapes = {self.columns.shape, (people, len(plan.covariates))}
        if len(shapes) > 1 or self.codes.shape != (people, len(plan.levels)) or len(self.offset) != people:
            raise DataError(f"outcome and columns of {people} people do not have the same length")
        scaled = (np.column_stack([self.columns, self.outcome]) - scale_of(plan)[0]) / scale_of(plan)[1]
        problems = {
            "numbers outside their range": ~(np.abs(scaled) <= 1 + 1e-9).all(axis=1),
            f"an offset beyond +-{LARGEST_OFFSET:g}": ~(np.abs(self.offset) <= LARGEST_OFFSET),
        }
        for what, where in problems.items():
            if where.any():
                raise DataError(
                    f"{int(where.sum())} of {people} people have {what}",
                    hint="correct the records, or the range of the column in the dictionary",
                )
        return np.asarray(scaled, np.float64)


def scale_of(plan: RegressionPlan) -> tuple[Floats, Floats]:
    """Middle and half width of columns and outcome: u = (x - middle) / width is within +-1."""
    centers = np.array([*plan.centers, plan.response_center])
    widths = np.array([*plan.half_widths, plan.response_half_width])
    if plan.intercept:
        return centers, widths
    return np.zeros_like(centers), np.abs(centers) + widths
