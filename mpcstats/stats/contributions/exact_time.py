"""Plan and contribution of survival analyses of hidden times: records, not counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Contribution, Level, Plan

__all__ = ["LONGEST", "MOST_LANDMARKS", "MOST_ROWS", "ExactTimeContribution", "ExactTimePlan"]

MOST_ROWS = 20_000
"""Rows of one merged list, those of all parties and empty ones together."""

MOST_LANDMARKS = 24
"""Times at which a survival curve is read: each is a column of the merge."""

LONGEST = 1 << 36
"""Units up to the horizon: times that were divided by the unit are still whole numbers, to 1 in 100,000."""


@dataclass(frozen=True)
class ExactTimePlan(Plan):
    """Public shape of an analysis of hidden times.

    Attributes
    ----------
    by : str or None
        Column of the groups.
    groups : tuple
        Its levels; () for everybody in one group.
    unit : float
        Resolution: times are whole multiples of it.
    horizon : int
        The largest time, in units; below `LONGEST`.
    rows : int
        Rows that each party deals: at least the number of its people, and public.
    event, event_values
        Column of the event, and its values that are the event.
    """

    kind: ClassVar[str] = "exact-time"
    by: str | None
    groups: tuple[Level, ...]
    unit: float
    horizon: int
    rows: int
    event: str
    event_values: tuple[Level, ...]

    @property
    def group_count(self) -> int:
        """Groups, at least 1."""
        return max(1, len(self.groups))

    @property
    def group_names(self) -> list[str]:
        """Levels of `by` as text; "all" without groups."""
        return [str(level) for level in self.groups] or ["all"]

    def landmarks(self, times: Sequence[float]) -> tuple[int, ...]:
        """Times at which curves are read, in units.

        Raises
        ------
        SpecError
            Too many, not increasing, off the unit or beyond the horizon.
        """
        units = [time / self.unit if math.isfinite(time) else -1.0 for time in times]
        marks = [round(each) for each in units]
        off = any(abs(each - mark) > 1e-6 + mark * 2.0**-50 for each, mark in zip(units, marks, strict=True))
        if off or sorted(set(marks)) != marks or (marks and not 0 <= marks[0] <= marks[-1] <= self.horizon):
            end = self.horizon * self.unit
            raise SpecError(f"landmarks (times) are increasing whole multiples of {self.unit:g} up to {end:g}")
        if len(marks) > MOST_LANDMARKS:
            raise SpecError(
                f"{len(marks)} landmarks are too many: {MOST_LANDMARKS} at most, each is a column of the merge"
            )
        return tuple(marks)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return 0 <= self.horizon < LONGEST and self.unit > 0 and 0 < self.rows * self.group_count <= MOST_ROWS


@dataclass(frozen=True, repr=False, eq=False)
class ExactTimeContribution(Contribution):
    """This site's people, in any order.

    Attributes
    ----------
    time : int64 (people,), in units, 0 to horizon
    event : bool (people,)
    group : int64 (people,), 0 to groups - 1
    """

    time: NDArray[np.int64]
    event: NDArray[np.bool_]
    group: NDArray[np.int64]
