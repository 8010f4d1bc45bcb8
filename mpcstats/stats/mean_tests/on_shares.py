"""t, F and analysis of variance of which nothing but the statistic is opened, beside rounded numbers of the groups.

The rounded people, means and standard deviations of a description are public first. They leave a few numbers of people
for each group, so any function of its size is a sum of public numbers over bits; and around them all other numbers are
of the size of 1: 48 fraction bits, exact shifts, one division.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127, Elements
from mpcstats.protocols import at_least, floor_shift, is_negative, multiply, sum_of_inputs
from mpcstats.protocols.fine import fine_reciprocal
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.contributions.values import MeanTestPlan, ValuesContribution
from mpcstats.stats.descriptives.cells import Cells
from mpcstats.stats.descriptives.rounded import pool, rounded_cells
from mpcstats.stats.disclosure import (
    Ruling,
    least_people,
    open_counts,
    release_numbers,
    require_all,
    size_rules,
)
from mpcstats.types import DisclosureRules

__all__ = [
    "Sums",
    "common_scale",
    "constants",
    "open_quotient",
    "open_sign",
    "open_total",
    "own_scales",
    "product",
    "rough_groups",
    "sums_of_groups",
]

F = 48
"""Fraction bits."""

COARSE = 5
"""Numbers of people are rounded to this at least."""

_ALLOWED, _SIGN, _TOTAL = "test can be released", "sign of the difference", "people in the test"
_WIDTH, _PRECISION = 56, 36
_LARGEST_DISTANCE = 1 << 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Groups on shares, (groups,) with F fraction bits; numbers are in units of `scale`.

    Attributes
    ----------
    rough : int64 (groups,)
        Public: rounded people.
    scale : float
    offset : float64 (groups,)
        Public: the group's rounded mean less the first group's, in units.
    shift : Shared
        The group's mean less its rounded mean.
    square : Shared
        Sum of squares around the mean, over the rounded people.
    windows : (first, last) people of each group
    steps : Shared (groups, most), bits
        Whether there are at least first + 1, first + 2, ... people.
    total_window, total_steps
        The same of all people.
    """

    rough: NDArray[np.int64]
    scale: float
    offset: Floats
    shift: Shared
    square: Shared
    windows: list[tuple[int, int]]
    steps: Shared
    total_window: tuple[int, int]
    total_steps: Shared
    people: Shared

    def of_people(self, function: Callable[[int, int], float]) -> Shared:
        """function(group, people) of each group's own number, (groups,)."""
        return concatenate(
            [
                _over_steps(self.steps[g, : last - first], first, lambda n, g=g: function(g, n)).reshape(1)  # type: ignore[misc]
                for g, (first, last) in enumerate(self.windows)
            ]
        )

    def of_total(self, function: Callable[[int], float]) -> Shared:
        """function(all people), (1,)."""
        return _over_steps(self.total_steps, self.total_window[0], function).reshape(1)


def _over_steps(steps: Shared, first: int, function: Callable[[int], float]) -> Shared:
    values = [_fixed(function(first + k)) for k in range(steps.shape[0] + 1)]
    changes = M127.from_ints([after - before for before, after in itertools.pairwise(values)])
    return steps.times(changes).sum(0).plus_int(values[0])


def _fixed(number: float) -> int:
    return round(Fraction(number) * (1 << F))


# --- what is public first ------------------------------------------------------------------------------------------


async def rough_groups(
    session: Session, plan: MeanTestPlan, own: ValuesContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> tuple[Cells, Shared, DisclosureRules]:
    """Open the rounded people, means and standard deviations of all groups; all of them must be large enough.

    Returns
    -------
    (cells, people, rules)
        people: shares in M127, (groups,); rules: by which the cells were rounded.

    Raises
    ------
    DisclosureRefused
        A group is too small, or its people nearly alike; nothing else was opened.
    SpecError
        A group has fewer people than can be told from none.
    """
    rules = replace(ruling.rules, rounding_base=max(ruling.rules.rounding_base, COARSE))
    pooled = await pool(session, plan, own, dealers, rules)
    if pooled.allowed is not None:
        session.openings.declare(
            _ALLOWED, 1, "whether all groups have enough people that are not nearly alike", decision=True
        )
        message = f"a group of the test has too few people, or nearly all of them alike ({size_rules(ruling)})"
        hint = "join groups, or pick large ones with `groups`"
        await require_all(session, pooled.allowed, _ALLOWED, message, hint)
    cells = await rounded_cells(session, plan, pooled, Ruling(rules, ruling.owner))
    if (cells.people < COARSE).any():
        raise SpecError(
            f"{int((cells.people < COARSE).sum())} of {cells.people.size} groups have too few people for a test "
            "on shares",
            hint='pick larger ones with `groups`, or mode="table" where the policy lets it out',
        )
    return cells, pooled.wide, rules


async def sums_of_groups(
    session: Session,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    cells: Cells,
    people: Shared,
    rules: DisclosureRules,
    scales: Floats,
) -> Sums:
    """Sums around the rounded means, in units of `scales` (one for each group). Opens nothing."""
    rough, means = cells.people[0], cells.mean[0]
    windows = [_window(int(n), rules) for n in rough]
    total = (sum(first for first, _ in windows), sum(last for _, last in windows))
    most = max(last - first for first, last in windows)
    groups = len(windows)
    bounds = [[first + 1 + k for k in range(most)] for first, _ in windows]
    each = people.reshape(groups, 1).plus(M127.from_ints([[-b for b in row] for row in bounds])) + _zeros(people, most)
    every = people.sum(0).reshape(1).plus(M127.from_ints([-w for w in range(total[0] + 1, total[1] + 1)]))
    bits = await at_least(session, concatenate([each.reshape(groups * most), every]), 0)
    steps, total_steps = bits[: groups * most].reshape(groups, most), bits[groups * most :]
    mine = None
    if own is not None:
        sums = await local(session, own.standardised, means[None], scales[None], (1, 2))
        mine = M127.from_ints(_encode(sums[:, 0] / rough))
    dealt = await sum_of_inputs(session, M127, mine, dealers, (2, groups))
    found = Sums(
        rough,
        float(scales[0]),
        (means - means[0]) / scales,
        dealt[0],
        dealt[1],
        windows,
        steps,
        total,
        total_steps,
        people,
    )
    shift = await product(session, dealt[0], found.of_people(lambda g, n: rough[g] / n))
    square = dealt[1] - await product(session, dealt[0], shift)
    return replace(found, shift=shift, square=square)


_encode = np.frompyfunc(lambda number: _fixed(float(number)), 1, 1)


def _zeros(people: Shared, most: int) -> Shared:
    """Shares of 0, (groups, most)."""
    column = people.times_int(0).reshape(people.size, 1)
    return concatenate([column] * most, axis=1)


def _window(released: int, rules: DisclosureRules) -> tuple[int, int]:
    """The least and the largest number of people that is released as this; two at least."""
    base = rules.rounding_base
    first = max(int(least_people(np.array([released], np.int64), rules)[0]), 2)
    return first, max(released + base - 1 - base // 2, first + 1)


# --- fixed point ---------------------------------------------------------------------------------------------------


async def product(session: Session, x: Shared, y: Shared) -> Shared:
    """x y, rounded; elementwise."""
    return await floor_shift(session, (await multiply(session, x, y)).plus_int(1 << (F - 1)), F)


def constants(numbers: Sequence[float]) -> Elements:
    """Public numbers with F fraction bits."""
    return M127.from_ints([_fixed(number) for number in numbers])


async def open_quotient(session: Session, num: Shared, den: Shared, name: str, bits: int) -> float:
    """num / den of (1,), den > 0 and the quotient below 2^26; NaN where den is 0, which is opened."""
    exists = f"{name} exists"
    session.openings.declare(exists, 1, "whether anything varies")
    session.openings.declare(name, 2, "rounded: mantissa and exponent")
    found = await fine_reciprocal(session, den, _WIDTH, _PRECISION)
    value = await multiply(session, await multiply(session, num, found.factor), found.inverse)
    if not int((await open_counts(session, found.nonzero, exists))[0]):
        return math.nan
    opened = await release_numbers(session, value.with_fraction_bits(_WIDTH + _PRECISION), name, bits)
    return float(opened[0])


async def open_sign(session: Session, number: Shared) -> int:
    """1 or -1 of (1,)."""
    session.openings.declare(_SIGN, 1, "whether the first mean is the smaller one")
    return 1 - 2 * int((await open_counts(session, await is_negative(session, number), _SIGN))[0])


async def open_total(session: Session, people: Shared) -> int:
    """All people, where exact counts may leave."""
    session.openings.declare(_TOTAL, 1, "exact, for the degrees of freedom")
    return int((await open_counts(session, people.sum(0).reshape(1), _TOTAL))[0])


def common_scale(cells: Cells) -> Floats:
    """The largest standard deviation, or more where means are far apart."""
    reach = float(np.ptp(cells.mean[0]))
    scale = max(float(cells.sd[0].max()), reach / _LARGEST_DISTANCE)
    return np.full(cells.sd.shape[1], scale or 1.0)


def own_scales(cells: Cells) -> Floats:
    """Each group's standard deviation."""
    return np.where(cells.sd[0] > 0, cells.sd[0], 1.0)
