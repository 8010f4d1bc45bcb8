"""Plan and contribution of curves of competing risks on a lattice of times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError, SpecError
from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.contributions.survival import MAX_SURVIVAL_CELLS

__all__ = ["CompetingRisksContribution", "CompetingRisksPlan"]


@dataclass(frozen=True)
class CompetingRisksPlan(Plan):
    """Causes, groups, and the lattice of times 0, 1, ..., horizon (multiples of `unit`).

    Attributes
    ----------
    by : str or None
        Grouping column; `groups` are its levels, () for one group of all.
    horizon, unit : int, float
        Last lattice time, and its unit in the time column's units.
    event : str
        Name of the column that says how a person left.
    causes : tuple of str
        Names of the K causes; `cause_values` are the values of the event column of each. All other values are
        censorings.
    strata : tuple of str
        Names of the strata of Gray's test; () is one stratum.
    entry : str or None
        Column with the time from which a person is under observation (left truncation).
    """

    kind: ClassVar[str] = "competing-risks"
    by: str | None
    groups: tuple[Level, ...]
    horizon: int
    unit: float
    event: str
    causes: tuple[str, ...]
    cause_values: tuple[tuple[Level, ...], ...]
    strata: tuple[str, ...] = ()
    entry: str | None = None

    def __post_init__(self) -> None:
        values = [value for cause in self.cause_values for value in cause]
        if not self.causes or len(self.causes) != len(self.cause_values) or len(set(self.causes)) < len(self.causes):
            raise SpecError("competing risks need one cause or more, each with a name of its own and its event values")
        if len({(type(value), value) for value in values}) < len(values):
            raise SpecError("a value of the event column belongs to two causes")

    @property
    def names(self) -> list[str]:
        """Names of the groups."""
        return [str(level) for level in self.groups] or ["all"]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(strata, causes, groups, horizon + 1)."""
        return (max(1, len(self.strata)), len(self.causes), max(1, len(self.groups)), self.horizon + 1)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return self.horizon >= 0 and self.unit > 0 and math.prod(self.shape) <= MAX_SURVIVAL_CELLS


@dataclass(frozen=True, repr=False, eq=False)
class CompetingRisksContribution(Contribution):
    """Counts of one site.

    Attributes
    ----------
    events : int64 (S, K, G, T+1)
        People with an event, by stratum, cause, group and lattice time.
    censored : int64 (S, G, T+1)
    entered : int64 (G, T+1), optional
        People whose time under observation begins at each lattice time, after the events at it.
    """

    events: NDArray[np.int64]
    censored: NDArray[np.int64]
    entered: NDArray[np.int64] | None = None

    def stacked(self, plan: CompetingRisksPlan) -> NDArray[np.int64]:
        """All ways to leave, causes first and censoring last: (S, K+1, G, T+1).

        Raises
        ------
        DataError
            The arrays do not have the plan's shape. Raised at their owner.
        """
        strata, _, groups, points = plan.shape
        late = None if self.entered is None else self.entered.shape
        if (self.events.shape, self.censored.shape) != (plan.shape, (strata, groups, points)):
            raise DataError(f"counts of shape {self.events.shape} and {self.censored.shape} do not fit {plan.shape}")
        if late != (None if plan.entry is None else (groups, points)):
            raise DataError("the plan and this site do not agree on whether there are entry times")
        return np.concatenate([self.events, self.censored[:, None]], axis=1).astype(np.int64)
