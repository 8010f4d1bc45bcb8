"""Plan and contribution of analyses of numeric columns in groups: descriptives, and tests on means and variances."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Level, Plan
from mpcstats.stats.number_coding import Coding, Keys

__all__ = ["FEW_VALUES", "MAX_VALUE_CELLS", "DescribePlan", "MeanTestPlan", "ValuesContribution", "ValuesPlan"]

MAX_VALUE_CELLS = 10_000
"""Columns times groups."""

FEW_VALUES = 50
"""A column with at most so many possible values is protected value by value."""

_CHUNK = 1 << 15

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ValuesPlan(Plan):
    """Numeric columns, and the groups of other columns.

    Attributes
    ----------
    columns : names
    ranges : (low, high) of each column
    steps : of each column; 0 where the dictionary does not say
    possible : all values that may occur, of each column; () where these are many
    by, levels : the columns of the groups, and their levels; groups are all combinations, the last column fastest
    """

    kind: ClassVar[str] = "values"
    columns: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    steps: tuple[float, ...]
    possible: tuple[tuple[float, ...], ...]
    by: tuple[str, ...] = ()
    levels: tuple[tuple[Level, ...], ...] = ()

    @property
    def groups(self) -> int:
        """Number of groups; 1 without `by`."""
        return math.prod(len(axis) for axis in self.levels)

    @property
    def shape(self) -> tuple[int, int]:
        """(columns, groups)."""
        return len(self.columns), self.groups

    def step(self, column: int) -> float | None:
        """All values of a column are whole multiples of this."""
        return self.steps[column] or None

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        count = len(self.columns)
        same = {count} == {len(self.ranges), len(self.steps), len(self.possible)} and len(self.by) == len(self.levels)
        finite = all(math.isfinite(low) and math.isfinite(high) and low <= high for low, high in self.ranges)
        steps = all(math.isfinite(step) and step >= 0 for step in self.steps)
        few = all(len(values) <= FEW_VALUES for values in self.possible)
        return same and finite and steps and few and 0 < count * self.groups <= MAX_VALUE_CELLS


@dataclass(frozen=True)
class DescribePlan(ValuesPlan):
    """Columns of a description."""

    kind: ClassVar[str] = "describe"


@dataclass(frozen=True)
class MeanTestPlan(ValuesPlan):
    """One column of a test on means or variances.

    Attributes
    ----------
    subtracted : str
        Column that is subtracted, person by person; "" without pairs.
    """

    kind: ClassVar[str] = "mean-test"
    subtracted: str = ""

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return super().within_limits() and len(self.columns) == 1


@dataclass(frozen=True, repr=False, eq=False)
class ValuesContribution(Contribution):
    """Numbers of this site's people, and their groups.

    Attributes
    ----------
    values : float64 (columns, people)
        NaN where missing.
    group : int64 (people,)
    groups : int
    """

    values: Floats
    group: Ints
    groups: int

    @cached_property
    def cells(self) -> list[list[Floats]]:
        """Known values of each column and group, in order."""
        order = np.argsort(self.group, kind="stable")
        ends = np.searchsorted(self.group[order], np.arange(self.groups + 1))
        spans = list(itertools.pairwise(ends))
        found = []
        for column in self.values[:, order]:
            parts = [column[start:end] for start, end in spans]
            found.append([np.sort(part[~np.isnan(part)]) for part in parts])
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """(columns, groups)."""
        return len(self.values), self.groups

    def people(self) -> Ints:
        """People with a value, (columns, groups)."""
        return np.array([[len(cell) for cell in row] for row in self.cells], np.int64).reshape(self.shape)

    def missing(self) -> Ints:
        """People without, (columns, groups)."""
        return np.asarray(np.bincount(self.group, minlength=self.groups)[None, :] - self.people(), np.int64)

    def below(self, column: int, bounds: Sequence[float]) -> Ints:
        """People with values below each bound, (groups, bounds)."""
        return np.stack([np.searchsorted(cell, bounds, side="left") for cell in self.cells[column]]).astype(np.int64)

    def holding(self, column: int, values: Sequence[float]) -> Ints:
        """People with each of some ascending values, or nearest to it; (groups, values)."""
        bounds = [-np.inf, *(np.diff(values) / 2 + np.asarray(values)[:-1]), np.inf]
        return np.diff(self.below(column, bounds), axis=1)

    def keys(self, column: int, keys: Keys) -> list[Ints]:
        """The keys of the values of each group, in order."""
        return [keys.encode(cell) for cell in self.cells[column]]

    def sums(self, codings: Sequence[Coding]) -> NDArray[np.object_]:
        """Sums of u and of u^2, exact: (2, columns, groups)."""
        found = np.zeros((2, *self.shape), dtype=object)
        for c, (row, code) in enumerate(zip(self.cells, codings, strict=True)):
            for g, cell in enumerate(row):
                found[:, c, g] = _sums(code.encode(cell))
        return found

    def standardised(self, means: Floats, scales: Floats, powers: Sequence[int]) -> Floats:
        """Sums of powers of z = (x - mean) / scale, (powers, columns, groups); 0 where a scale is not positive."""
        found = np.zeros((len(powers), *self.shape))
        for c, row in enumerate(self.cells):
            for g, cell in enumerate(row):
                if scales[c, g] > 0:
                    z = (cell - means[c, g]) / scales[c, g]
                    found[:, c, g] = [math.fsum(z**power) for power in powers]
        return found

    def distances(self, centers: Floats) -> list[list[Floats]]:
        """Distances of values from a number of each group, in order; (columns, groups)."""
        return [
            [np.sort(np.abs(cell - centers[c, g])) for g, cell in enumerate(row)] for c, row in enumerate(self.cells)
        ]


def _sums(u: Ints) -> tuple[int, int]:
    """Exact sums of u and u^2, |u| < 2^47: in halves of 24 bits, so many at once that words do not overflow."""
    total = square = 0
    for at in range(0, len(u), _CHUNK):
        part = u[at : at + _CHUNK]
        high = part >> 24
        low = part - (high << 24)
        total += int(part.sum())
        square += (int((high * high).sum()) << 48) + (int((high * low).sum()) << 25) + int((low * low).sum())
    return total, square
