"""Plan and contribution of rank tests: each person is a group and a place on the public lattice of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["FINE", "MOST_CELLS", "MOST_GROUPS", "MOST_VALUES", "RankContribution", "RankPlan"]

MOST_VALUES = 1_000_000
"""Values of a lattice."""

MOST_CELLS = 4_000_000
"""Values times groups."""

MOST_GROUPS = 200

FINE = 1 << 45
"""Places of a column of which only the range is known: values are rounded to that part of it."""


@dataclass(frozen=True)
class RankPlan(Plan):
    """Public shape of a rank test.

    Attributes
    ----------
    column : str
        The column, or "x - y" of paired ones.
    by : str or None
        Column of the groups; None for signed ranks, where the groups are negative and positive differences.
    groups : tuple
        Levels, in the order of the test.
    values : int
        Size of the lattice.
    step : float
        Distance of neighbouring values, in units of the column.
    low : int
        The smallest value, in steps.
    grains, grain : int, float
        Differences of floating-point numbers that stand for one decimal number differ in their last bits: every step
        has so many places (an odd number), `grain` apart, for what a difference is off. 1: one place.
    """

    kind: ClassVar[str] = "rank"
    column: str
    by: str | None
    groups: tuple[Level, ...]
    values: int
    step: float
    low: int
    grains: int = 1
    grain: float = 0.0

    @property
    def group_names(self) -> list[str]:
        """Levels as text."""
        return [str(level) for level in self.groups]

    @property
    def by_records(self) -> bool:
        """Whether the lattice is too long to be shared: records are, one by one."""
        return self.values > MOST_VALUES or self.values * len(self.groups) > MOST_CELLS

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        groups = len(self.groups)
        fits = 0 < self.values <= FINE and not (self.by is None and self.by_records)
        return fits and 2 <= groups <= MOST_GROUPS and self.step > 0 and self.grains % 2 == 1

    def places(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Places of values on the lattice."""
        steps = np.rint(values / self.step)
        place = steps.astype(np.int64) - self.low
        if self.grains == 1:
            return place
        middle = self.grains // 2
        off = np.rint((values - steps * self.step) / self.grain)
        return place * self.grains + middle + np.clip(off, -middle, middle).astype(np.int64)


@dataclass(frozen=True, repr=False, eq=False)
class RankContribution(Contribution):
    """This site's people, in any order.

    Attributes
    ----------
    place : int64 (people,), 0 to values - 1
    group : int64 (people,), 0 to groups - 1
    """

    place: NDArray[np.int64]
    group: NDArray[np.int64]

    def counts(self, groups: int, start: int, stop: int) -> NDArray[np.int64]:
        """People (groups, stop - start) of each group at the places from `start` on."""
        here = (self.place >= start) & (self.place < stop)
        cells = self.group[here] * (stop - start) + self.place[here] - start
        return np.bincount(cells, minlength=groups * (stop - start)).astype(np.int64).reshape(groups, stop - start)
