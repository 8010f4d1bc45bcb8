"""The public shape of an analysis (plan) and what one site puts into it (contribution).

A plan is made from the request and the shared data dictionary; it is the same at every party and holds nothing
about records. A contribution is made by its owner from its own records, in the clear, and goes nowhere: the
protocols share its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AssociationContribution",
    "AssociationPlan",
    "Contribution",
    "CountContribution",
    "CountPlan",
    "Level",
    "Plan",
    "SurvivalContribution",
    "SurvivalPlan",
]

Level = str | int | float | bool


@dataclass(frozen=True)
class CountPlan:
    """Cells of a count: one axis per column of `by`, one position per level."""

    by: tuple[str, ...]
    levels: tuple[tuple[Level, ...], ...]
    dictionary: str = ""
    """SHA-256 (hex) of the data dictionary: columns of equal names must mean the same at every party."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels per axis; () for a single count."""
        return tuple(len(axis) for axis in self.levels)


@dataclass(frozen=True)
class SurvivalPlan:
    """Groups, and the lattice of times 0, 1, ..., horizon (multiples of `unit`)."""

    by: str | None
    groups: tuple[Level, ...]
    horizon: int
    unit: float
    event: str
    event_values: tuple[Level, ...]
    dictionary: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """(groups, horizon + 1)."""
        return (max(1, len(self.groups)), self.horizon + 1)


@dataclass(frozen=True)
class AssociationPlan:
    """Phenotype, covariates and the public list of variants (by number and digest)."""

    phenotype: str
    covariates: tuple[str, ...]
    variant_count: int
    variant_digest: str
    """SHA-256 (hex) of the variant table: chromosome, position, id, ref and alt of each row in order."""
    few_levels: tuple[tuple[float, ...], ...] = ()
    """Levels of the phenotype and each covariate (phenotype first) where there are at most three, else (). Sums and
    squares tell how many people hold each of so few levels: all must be held by enough people."""
    centers: tuple[float, ...] = ()
    half_widths: tuple[float, ...] = ()
    """Public middle and half width of the range of the phenotype and each covariate (phenotype first), from the
    dictionary: numbers are shared as (x - center) / half_width. Empty: 0 and 1."""
    dictionary: str = ""


@dataclass(frozen=True)
class CountContribution:
    """People per cell at this site: int64, the plan's shape."""

    counts: NDArray[np.int64]


@dataclass(frozen=True)
class SurvivalContribution:
    """Events and censorings per group and lattice time at this site: int64, the plan's shape."""

    events: NDArray[np.int64]
    censored: NDArray[np.int64]


@dataclass(frozen=True)
class AssociationContribution:
    """People with phenotype and covariates at this site.

    Attributes
    ----------
    phenotype : float64 (people,)
    covariates : float64 (people, covariates), without intercept
    read : function (start, stop) -> int8 (people, stop - start)
        Copies of ALT for a range of variants: 0, 1, 2, or -1 where the call is missing. Rows as in `phenotype`.
    """

    phenotype: NDArray[np.float64]
    covariates: NDArray[np.float64]
    read: Callable[[int, int], NDArray[np.int8]]


Plan = CountPlan | SurvivalPlan | AssociationPlan
Contribution = CountContribution | SurvivalContribution | AssociationContribution
