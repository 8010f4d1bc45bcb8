"""Plan and contribution of correlations: places of each person's values on public lattices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.contributions.rank import FINE

__all__ = ["MOST_PAIRS", "CorrelationContribution", "CorrelationPlan"]

MOST_PAIRS = 500

Scores = tuple[NDArray[np.int64], NDArray[np.int64]]

_CHUNK = 1 << 16
_LIMB = 23


@dataclass(frozen=True)
class CorrelationPlan(Plan):
    """Public shape of correlations.

    Attributes
    ----------
    columns : tuple of str
    pairs : tuple of (int, int)
        Which columns are correlated.
    values, steps, lows
        Of each column: size of its lattice, distance of neighbouring values, smallest value.
    """

    kind: ClassVar[str] = "correlation"
    columns: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    values: tuple[int, ...]
    steps: tuple[float, ...]
    lows: tuple[float, ...]

    def few_cells(self, most: int) -> int:
        """Length of `CorrelationContribution.few`."""
        sizes = [(self.values[i], self.values[j]) for i, j in self.pairs]
        return sum(a * b if max(a, b) <= most else sum(n for n in (a, b) if n <= most) for a, b in sizes)

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        size = len(self.columns)
        known = len(self.values) == len(self.steps) == len(self.lows) == size
        fits = all(0 < n <= FINE for n in self.values) and all(step > 0 for step in self.steps)
        named = all(0 <= i < size and 0 <= j < size and i != j for i, j in self.pairs)
        return known and fits and named and 0 < len(self.pairs) <= MOST_PAIRS


@dataclass(frozen=True, repr=False, eq=False)
class CorrelationContribution(Contribution):
    """This site's people, in any order.

    Attributes
    ----------
    places : int64 (columns, people)
        From 0 on; -1 where the value is missing.
    """

    places: NDArray[np.int64]

    def complete(self, i: int, j: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the people who have both values."""
        both = (self.places[i] >= 0) & (self.places[j] >= 0)
        return self.places[i][both], self.places[j][both]

    def sums(self, plan: CorrelationPlan, shifts: tuple[int, ...]) -> list[list[int]]:
        """n and the sums of x, y, x^2, y^2, x y of every pair: exact integers.

        x and y are places less that in the middle, divided by 2^shift of their column and rounded down.
        """
        rows = []
        for i, j in plan.pairs:
            x, y = self.complete(i, j)
            x, y = (x - plan.values[i] // 2) >> shifts[i], (y - plan.values[j] // 2) >> shifts[j]
            products = [_inner(a, b) for a, b in ((x, x), (y, y), (x, y))]
            rows.append([x.size, *(_inner(np.ones_like(a), a) for a in (x, y)), *products])
        return rows

    def margin(self, plan: CorrelationPlan, pair: int, which: int) -> NDArray[np.int64]:
        """People at each place of the first (0) or second (1) column of a pair."""
        columns = plan.pairs[pair]
        place = self.complete(*columns)[which]
        return np.bincount(place, minlength=plan.values[columns[which]]).astype(np.int64)

    def few(self, plan: CorrelationPlan, most: int) -> NDArray[np.int64]:
        """People at each value of columns with at most `most` values, and of both together where both have so few."""
        counts = [np.zeros(0, np.int64)]
        for k, (i, j) in enumerate(plan.pairs):
            few = [plan.values[column] <= most for column in (i, j)]
            if all(few):
                counts.append(self.table(plan, k, 0, plan.values[i]).ravel())
            else:
                counts += [self.margin(plan, k, which) for which in (0, 1) if few[which]]
        return np.concatenate(counts)

    def table(
        self,
        plan: CorrelationPlan,
        pair: int,
        start: int,
        stop: int,
        places: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> NDArray[np.int64]:
        """People (stop - start, places of the second) at places of both columns, the first from `start` on.

        Parameters
        ----------
        places : pair of sorted places, optional
            The only ones at which there are people; `start` and `stop` count in the first of them.
        """
        i, j = plan.pairs[pair]
        x, y = self.complete(i, j)
        width = plan.values[j]
        if places is not None:
            x, y, width = np.searchsorted(places[0], x), np.searchsorted(places[1], y), places[1].size
        here = (x >= start) & (x < stop)
        cells = (x[here] - start) * width + y[here]
        return np.bincount(cells, minlength=(stop - start) * width).astype(np.int64).reshape(stop - start, width)

    def cross(self, plan: CorrelationPlan, pair: int, first: Scores, second: Scores) -> int:
        """Sum over people of the scores of x and y, multiplied.

        Parameters
        ----------
        first, second : (places, scores)
            Sorted places, all that occur, and their scores, below 2^40 in size.
        """
        x, y = self.complete(*plan.pairs[pair])
        return _inner(first[1][np.searchsorted(first[0], x)], second[1][np.searchsorted(second[0], y)])


def _inner(x: NDArray[np.int64], y: NDArray[np.int64]) -> int:
    """Exact sum of products of integers below 2^46 in size."""
    total, mask = 0, (1 << _LIMB) - 1
    for start in range(0, x.size, _CHUNK):
        a, b = x[start : start + _CHUNK], y[start : start + _CHUNK]
        (low_a, high_a), (low_b, high_b) = ((v & mask, v >> _LIMB) for v in (a, b))
        middle = int((low_a * high_b).sum()) + int((high_a * low_b).sum())
        total += int((low_a * low_b).sum()) + (middle << _LIMB) + (int((high_a * high_b).sum()) << 2 * _LIMB)
    return total
