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
from mpcstats.stats.curve_release import RoundedCurves, release_rounded_curves
from mpcstats.stats.disclosure import Ruling
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
# the same rules in small, so that whole cohorts can be listed
SMALL = replace(STANDARD, minimum_count=4, rounding_base=3, step_minimum=3, at_risk_floor=4)


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


@pytest.mark.parametrize(("kinds", "points", "largest"), [(2, 3, 15), (3, 2, 18)], ids=["survival", "competing risks"])
def test_one_release_forces_no_small_step(kinds: int, points: int, largest: int) -> None:
    """All cohorts of up to 15 or 18 people with three ways of rounding: events, censorings, people at start."""
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
    assert checked > 50
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
