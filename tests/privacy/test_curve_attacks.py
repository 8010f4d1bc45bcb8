"""What rounded curves tell somebody who knows the rules and sees everything that was released.

A step is what happens between two grid points, or from the beginning, in one group. The attacker lists all true
numbers that lead to exactly this release. No step may be left with 1 to `step_minimum` - 1 events only: then it
would be known to be small and not empty.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from mpcstats.field import M61
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats import curve_release
from mpcstats.stats.curve_release import RoundedCurves, release_rounded_curves
from mpcstats.stats.disclosure import Ruling
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

# one party holds everything here: there are no others to subtract
STANDARD = replace(Policy.preset("standard").rules, small_remainders=True)
# the same rules in small, so that whole cohorts can be listed
SMALL = replace(STANDARD, minimum_count=3, rounding_base=2, step_minimum=2, at_risk_floor=3)


def release(counts: np.ndarray, rules: DisclosureRules) -> RoundedCurves:
    """The release of many cohorts at once: counts (kinds, cohorts, points). The plaintext twin runs the same code."""

    async def program(session: Session) -> RoundedCurves:
        shared = Shared(M61, M61.from_int64(counts), 0)
        edges = np.arange(counts.shape[2])
        return await release_rounded_curves(session, shared, Ruling(rules, {}), edges, "counts")

    curves: RoundedCurves = run_parties(Committee(1, 0), program)[0]
    return curves


def seen(curves: RoundedCurves, cohort: int) -> tuple[int, ...]:
    """Everything that is released of one cohort."""
    end = int(curves.visible[cohort])
    return (int(curves.start[cohort]), end, *curves.cumulative[:, cohort, :end].ravel().tolist())


def forced_small(values: Iterable[int], limit: int) -> bool:
    """Whether a number is known to be within 1 to limit - 1."""
    found = set(values)
    return min(found) >= 1 and max(found) < limit


def compositions(total: int, parts: int) -> np.ndarray:
    """All ways to write `total` as an ordered sum: (ways, parts)."""
    bars = np.array(list(itertools.combinations(range(total + parts - 1), parts - 1)), dtype=np.int64)
    edges = np.concatenate([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), total + parts - 1)], axis=1)
    return np.diff(edges, axis=1) - 1


def steps_of(curves: RoundedCurves, cohort: int, kind: int) -> list[tuple[int, int]]:
    """Steps of a released curve: (point before the first one that it holds, last point)."""
    end, levels = int(curves.visible[cohort]), curves.cumulative[kind, cohort]
    rises = [point for point in range(end) if levels[point] > (levels[point - 1] if point else 0)]
    visible = list(itertools.pairwise([-1, *rises]))  # from one rise of the curve to the next
    return sorted({*visible, *itertools.pairwise(range(-1, end)), *((-1, point) for point in range(end))})


@pytest.mark.parametrize(
    ("kinds", "points", "largest"),
    [(2, 3, 15), pytest.param(3, 2, 18, marks=pytest.mark.long)],
    ids=["survival", "competing risks"],
)
def test_one_release_forces_no_small_step(
    kinds: int, points: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All cohorts of up to 15 or 18 people with three ways of rounding: events, censorings, people at start.

    One release needs steps twice as wide as `step_minimum` only, and of these there are several in small cohorts.
    """
    monkeypatch.setattr(curve_release, "step_width", lambda rules: 2 * rules.step_minimum)
    cohorts = np.concatenate([compositions(n, kinds * points) for n in range(largest + 1)])
    counts = cohorts.reshape(-1, kinds, points).transpose(1, 0, 2)
    curves = release(counts, SMALL)
    behind: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for cohort in range(len(cohorts)):
        behind[seen(curves, cohort)].append(cohort)
    checked = 0
    for released, group in behind.items():
        if released[1] == 0 or released[0] > largest - SMALL.rounding_base:
            continue  # nothing is shown, or there are cohorts beyond the list
        for kind in range(kinds):
            for first, last in steps_of(curves, group[0], kind):
                events = counts[kind][group][:, first + 1 : last + 1].sum(axis=1)
                assert not forced_small(events, SMALL.step_minimum), (released, kind, first, last)
                checked += 1
    assert checked > 20
    assert max(int(end) for end in curves.visible) >= points - 1


def test_standard_rules_show_no_small_step_of_small_cohorts() -> None:
    """Two grid points, all cohorts of up to 60 people, the numbers of the policy itself."""
    cohorts = np.array(
        [(d, n - d - c, c, 0) for n in range(11, 61) for d in range(n + 1) for c in range(n - d + 1)], dtype=np.int64
    )
    counts = cohorts.reshape(-1, 2, 2).transpose(1, 0, 2)
    curves = release(counts, STANDARD)
    behind: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for cohort in range(len(cohorts)):
        if curves.visible[cohort] and curves.start[cohort] <= 55:
            behind[seen(curves, cohort)].add(int(counts[0, cohort, 0]))
    assert len(behind) > 20
    for events in behind.values():
        assert len(events) >= STANDARD.step_minimum
        assert not forced_small(events, STANDARD.step_minimum)


# ---------------------------------------------------------------- several requests: everybody, and groups


def levels_with_and_without_groups(cells: np.ndarray, rules: DisclosureRules) -> np.ndarray:
    """Released events of each group, and of everybody, in cohorts with enough people: (groups + 1, cohorts, points).

    cells : (groups, cohorts, points) events between grid points.
    """
    together = np.concatenate([cells, cells.sum(axis=0, keepdims=True)])
    many = np.full_like(together, 0)
    many[..., -1] = 400  # all others leave at the end
    rows = together.reshape(-1, together.shape[2])
    counts = np.stack([np.pad(rows, [(0, 0), (0, 1)]), np.pad(many.reshape(rows.shape), [(0, 0), (1, 0)])])
    curves = release(counts, rules)
    assert (curves.visible >= cells.shape[2]).all()
    return curves.cumulative[0, :, : cells.shape[2]].reshape(together.shape)


def small_steps(cells: np.ndarray, rules: DisclosureRules) -> tuple[int, int]:
    """How many steps there are in all possible releases together, and how many are known to be small."""
    levels = levels_with_and_without_groups(cells, rules)
    behind: dict[bytes, list[int]] = defaultdict(list)
    for cohort in range(cells.shape[1]):
        behind[levels[:, cohort].tobytes()].append(cohort)
    everybody = np.concatenate([cells, cells.sum(axis=0, keepdims=True)])
    largest = cells.max()
    steps = small = 0
    for group in behind.values():
        members = everybody[:, group]
        if cells[:, group].max() == largest:
            continue  # there are cohorts beyond the list
        for row, (first, last) in itertools.product(
            range(len(everybody)), itertools.combinations(range(cells.shape[2] + 1), 2)
        ):
            steps += 1
            small += forced_small(members[row, :, first:last].sum(axis=1), rules.step_minimum)
    return steps, small


def all_cells(largest: int, groups: int, points: int) -> np.ndarray:
    """All tables of events up to a number per cell."""
    grid = np.indices((largest + 1,) * (groups * points)).reshape(groups, points, -1)
    return np.ascontiguousarray(grid.transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("step", "groups", "points", "largest"),
    [
        pytest.param(2, 2, 2, 19, marks=pytest.mark.long),
        (3, 2, 1, 24),
        (2, 3, 1, 19),
        (5, 2, 1, 34),
        pytest.param(5, 3, 1, 34, marks=pytest.mark.long),
    ],
)
def test_curves_of_groups_and_of_everybody_together_force_no_small_step(
    step: int, groups: int, points: int, largest: int
) -> None:
    rules = replace(STANDARD, step_minimum=step)
    steps, small = small_steps(all_cells(largest, groups, points), rules)
    assert steps > 10
    assert small == 0


def test_steps_of_the_bare_minimum_would_give_small_ones_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten people, five events in all, no step in either of two groups: there are 1 to 4 in each."""
    monkeypatch.setattr(curve_release, "step_width", lambda rules: rules.step_minimum)
    _, small = small_steps(all_cells(14, 2, 1), STANDARD)
    assert small > 0


def combinations_of(kinds: int) -> list[tuple[int, ...]]:
    """Every set of kinds: curves of these as one event."""
    return [chosen for size in range(1, kinds + 1) for chosen in itertools.combinations(range(kinds), size)]


def forced_cells(width: int, step: int, kinds: int = 3) -> int:
    """Of all tables of counts below a step, two groups and several ways to leave: releases that force a small number.

    Released are whole steps of each way to leave, of each two together and of all (one cause, several causes as one
    event, who is censored), in each group and in both together. Whole steps more tell nothing more.
    """
    table = np.indices((width,) * (2 * kinds), dtype=np.int8).reshape(2, kinds, -1)
    sums = np.stack(
        [table[list(g)][:, list(k)].sum((0, 1)) for g in combinations_of(2) for k in combinations_of(kinds)]
    )
    released = np.zeros(table.shape[2], np.int64)
    for row in sums:
        released = released * (2 * kinds) + row // width
    order = np.argsort(released, kind="stable")
    starts = np.flatnonzero(np.diff(released[order], prepend=-1))
    least, most = (f.reduceat(sums[:, order], starts, axis=1) for f in (np.minimum, np.maximum))
    return int(((least >= 1) & (most < step)).any(axis=0).sum())


@pytest.mark.parametrize("step", [2, pytest.param(3, marks=pytest.mark.long)])
def test_curves_of_causes_in_two_groups_with_all_their_sums_force_no_small_number(step: int) -> None:
    """Cumulative incidence, Kaplan-Meier of each cause, of both, and of leaving at all; narrower steps do."""
    width = curve_release.step_width(replace(STANDARD, step_minimum=step))
    assert forced_cells(width, step) == 0
    assert forced_cells(width - 1, step) > 0
    assert forced_cells(2 * step, step) > 0


def bounds(levels: np.ndarray, cohorts: list[list[int]], objective: np.ndarray, width: int) -> tuple[int, int]:
    """Smallest and largest value of a sum of true cumulative events, by integer programs.

    levels : (cohorts, points) whole steps; cohorts : groups that each is made of; objective : (groups, points).
    """
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_array

    groups, points = objective.shape
    rows, low, high = [], [], []
    for members, steps in zip(cohorts, levels, strict=True):
        for point in range(points):
            row = np.zeros((groups, points))
            row[members, point] = 1
            rows.append(row.ravel())
            low.append(width * steps[point])
            high.append(width * steps[point] + width - 1)
    for group, point in itertools.product(range(groups), range(1, points)):
        row = np.zeros((groups, points))
        row[group, point - 1 : point + 1] = -1, 1
        rows.append(row.ravel())
        low.append(0)
        high.append(np.inf)
    constraint = LinearConstraint(csr_array(np.array(rows)), low, high)
    ends = []
    for sign in (1, -1):
        found = milp(sign * objective.ravel(), constraints=constraint, integrality=np.ones(groups * points))
        assert found.status == 0, found.message
        ends.append(round(sign * found.fun))
    return ends[0], ends[1]


def small_steps_of(cells: np.ndarray, cohorts: list[list[int]], width: int, points: int) -> tuple[int, int]:
    """Steps of 1 to 4 events between grid points, and from the start, and how many of them the curves force."""
    total = np.stack([cells[members].sum(axis=0).cumsum() for members in cohorts])
    small = forced = 0
    for number, members in enumerate(cohorts):
        for first, last in sorted({*itertools.pairwise(range(-1, points)), *((-1, last) for last in range(points))}):
            true = total[number, last] - (total[number, first] if first >= 0 else 0)
            if not 1 <= true < STANDARD.step_minimum:
                continue
            objective = np.zeros(cells.shape)
            objective[members, last] = 1
            if first >= 0:
                objective[members, first] = -1
            least, most = bounds(total // width, cohorts, objective, width)
            assert least <= true <= most
            small, forced = small + 1, forced + (least >= 1 and most < STANDARD.step_minimum)
    return small, forced


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "cohorts",
    [
        [[0], [1], [2], [0, 1, 2]],
        [list(chosen) for chosen in combinations_of(3)],
        [[0], [1], [2], [3], [0, 1], [2, 3], [0, 2], [1, 3], [0, 1, 2, 3]],
    ],
    ids=["three groups and everybody", "two causes and censoring with all sums", "two strata of two groups, pooled"],
)
def test_long_curves_force_no_small_step(cohorts: list[list[int]], seed: int) -> None:
    """The same attack by integer programs, on curves that cannot be listed."""
    rng = np.random.default_rng(seed)
    cells = rng.poisson(rng.choice([0.4, 1.5, 4.0], (max(map(len, cohorts)), 6)))
    small, forced = small_steps_of(cells, cohorts, curve_release.step_width(STANDARD), 6)
    assert small > 5
    assert forced == 0


@pytest.mark.long
def test_integer_programs_find_forced_steps_where_steps_are_narrower() -> None:
    rng = np.random.default_rng(22)
    cells = rng.poisson(rng.choice([0.4, 1.5, 4.0], (3, 5)))
    cohorts = [list(chosen) for chosen in combinations_of(3)]
    assert small_steps_of(cells, cohorts, 2 * STANDARD.step_minimum, 5)[1] > 0
    assert small_steps_of(cells, cohorts, curve_release.step_width(STANDARD), 5)[1] == 0
