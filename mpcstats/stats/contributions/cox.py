"""Plan and contribution of Cox regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW
from mpcstats.stats.contributions.survival import MAX_HORIZON, MAX_SURVIVAL_CELLS

__all__ = ["CoxContribution", "CoxPlan"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CoxPlan(Plan):
    """Covariates, strata, and the lattice of times 0, 1, ..., horizon (multiples of `unit`)."""

    kind: ClassVar[str] = "cox"
    covariates: tuple[str, ...]
    """Names of the columns of the model, categories already as 0/1 columns."""
    centers: tuple[float, ...]
    half_widths: tuple[float, ...]
    """Public middle and half width of each column's range, from the dictionary."""
    few_levels: tuple[tuple[float, ...], ...]
    """Levels of each column where there are at most three, else (): events are counted per level."""
    time: str
    event: str
    event_values: tuple[Level, ...]
    horizon: int
    unit: float
    strata: tuple[str, ...] = ()
    """Columns; a stratum is a combination of their levels."""
    strata_levels: tuple[tuple[Level, ...], ...] = ()
    terms: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name and columns of each term that is tested as one; () is a term for each column."""
    entry: str | None = None
    """Column of the time at which a person comes under observation."""

    @property
    def order(self) -> int:
        """Number of columns."""
        return len(self.covariates)

    @property
    def strata_count(self) -> int:
        """Combinations of levels of the strata; 1 without strata."""
        return math.prod(len(levels) for levels in self.strata_levels)

    @property
    def stratum_names(self) -> list[str]:
        """The level of a single column; "a=1, b=2" of several; "all" without strata."""
        if not self.strata:
            return ["all"]
        if len(self.strata) == 1:
            return [str(level) for level in self.strata_levels[0]]
        return [
            ", ".join(f"{name}={level}" for name, level in zip(self.strata, levels, strict=True))
            for levels in product(*self.strata_levels)
        ]

    @property
    def tested_terms(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The terms, or one for each column."""
        return self.terms or tuple((name, (k,)) for k, name in enumerate(self.covariates))

    @property
    def further_groups(self) -> tuple[str, ...]:
        """People beside those with the event of whom the rules ask for enough, in words; see `further_counts`."""
        return ()

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        columns = self.order
        return (
            1 <= columns <= MAX_COVARIATES
            and {len(self.centers), len(self.half_widths), len(self.few_levels)} == {columns}
            and all(len(levels) <= MAX_FEW for levels in self.few_levels)
            and all(half_width > 0 for half_width in self.half_widths)
            and 0 <= self.horizon <= MAX_HORIZON
            and self.unit > 0
            and len(self.strata) == len(self.strata_levels)
            and 0 < self.strata_count * (self.horizon + 1) <= MAX_SURVIVAL_CELLS
            and all(0 <= k < columns for _, at in self.terms for k in at)
        )


@dataclass(frozen=True, repr=False, eq=False)
class CoxContribution(Contribution):
    """The people of one site.

    Attributes
    ----------
    time : int64 (people,)
        Lattice time of the event or of the censoring, 0 to the plan's horizon.
    event : bool (people,)
    covariates : float64 (people, columns)
    stratum : int64 (people,)
        Position in the plan's strata.
    entry : int64 (people,) or None
        Lattice time after which a person is at risk: entry < t <= time. Negative: from the beginning.
    """

    time: NDArray[np.int64]
    event: NDArray[np.bool_]
    covariates: Floats
    stratum: NDArray[np.int64]
    entry: NDArray[np.int64] | None = None

    def further_counts(self, plan: CoxPlan) -> list[int]:
        """This site's people in each of the plan's `further_groups`."""
        return [0] * len(plan.further_groups)

    def scaled(self, plan: CoxPlan) -> Floats:
        """The covariates on the public scale of their ranges, within +-1: (people, columns).

        Raises
        ------
        DataError
            Shapes, times, strata or numbers do not fit the plan. Raised at their owner; counts only.
        """
        people = len(self.time)
        if self.covariates.shape != (people, plan.order) or {len(self.event), len(self.stratum)} != {people}:
            raise DataError(f"times, events, strata and covariates of {people} people do not have the same length")
        if (self.entry is None) != (plan.entry is None):
            raise DataError("the plan and this site do not agree on whether there are entry times")
        scaled = (self.covariates - np.array(plan.centers)) / np.array(plan.half_widths)
        problems = {
            f"times outside 0 to {plan.horizon}": (self.time < 0) | (self.time > plan.horizon),
            "unknown strata": (self.stratum < 0) | (self.stratum >= plan.strata_count),
            "covariates outside their range": ~(np.abs(scaled) <= 1 + 1e-9).all(axis=1),
        }
        if self.entry is not None:
            problems["an entry that is not before the exit"] = self.entry >= self.time
        for what, where in problems.items():
            if where.any():
                raise DataError(
                    f"{int(where.sum())} of {people} people have {what}",
                    hint="correct the records, or the range of the column in the dictionary",
                )
        return np.asarray(scaled, np.float64)
