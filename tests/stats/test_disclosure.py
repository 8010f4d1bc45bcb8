"""What rounded numbers tell when they are put together: all small cohorts, enumerated."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from mpcstats.field import M61
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats import survival
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling, least_people, open_counts, release_counts
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
ONE = Committee(1, 0)  # the plaintext twin: the same code


def released(counts: np.ndarray, rules: DisclosureRules) -> np.ndarray:
    async def program(session: Session) -> np.ndarray:
        session.openings.declare("counts", counts.size, "test")
        return (await release_counts(session, Shared(M61, M61.from_int64(counts), 0), "counts", rules))[0]

    return np.asarray(run_parties(ONE, program)[0])


@pytest.mark.parametrize("threshold", [0, 1, 5, 7, 11, 15, 20])
@pytest.mark.parametrize("base", [1, 2, 5, 6, 10])
def test_the_least_people_behind_a_released_number(threshold: int, base: int) -> None:
    rules = replace(STANDARD, minimum_count=threshold, rounding_base=base)
    counts = np.arange(60)
    shown = released(counts, rules)
    for value in np.unique(shown):
        smallest = 0 if value == 0 else counts[shown == value].min()
        assert least_people(np.array([value]), rules)[0] == smallest


Cohort = tuple[int, int, int]
Opened = tuple[int, int, int, int]


def small_cohorts(largest: int) -> list[Cohort]:
    """People, and events and censorings up to the first of two grid points; all others leave by the second."""
    return [(n, d, c) for n in range(9, largest + 1) for d in range(n + 1) for c in range(n - d + 1)]


def opened(cohorts: list[Cohort], rules: DisclosureRules, monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    """Per cohort what the parties see: people at start, visible points, steps of events and censorings at the first."""
    people, events, censored = np.array(cohorts).T
    plan = SurvivalPlan("g", tuple(range(len(cohorts))), 2, 1.0, "e", (1,))
    left = people - events - censored
    own = SurvivalContribution(
        np.stack([0 * left, events, left // 2], axis=1), np.stack([0 * left, censored, left - left // 2], axis=1)
    )
    seen: dict[str, np.ndarray] = {}

    async def watched(session: Session, counts: Shared, name: str) -> np.ndarray:
        seen[name] = await open_counts(session, counts, name)
        return seen[name]

    monkeypatch.setattr(survival, "open_counts", watched)

    async def program(session: Session) -> np.ndarray:
        return (await survival._rounded_counts(session, plan, own, (1,), Ruling(rules, {}), 1))[0]

    start = run_parties(ONE, program)[0]
    ends, levels = seen["visible grid points"], seen["cumulative events and censorings"][:, 0]
    return list(zip(start.tolist(), ends.tolist(), levels[: len(start)], levels[len(start) :], strict=True))


RULES = [STANDARD, replace(STANDARD, step_minimum=6, rounding_base=10), replace(STANDARD, at_risk_floor=20)]


@pytest.mark.parametrize("rules", RULES, ids=["standard", "wider", "higher floor"])
def test_rounded_curves_do_not_add_up_to_exact_numbers(rules: DisclosureRules, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut at the true number at risk did: start 20, no step at the first point, a cut before the second: 18 people,
    4 events, 4 censorings and 10 at risk. So did steps that add up to nearly everybody."""
    cohorts = small_cohorts(50)
    behind: dict[Opened, list[Cohort]] = defaultdict(list)
    for output, cohort in zip(opened(cohorts, rules, monkeypatch), cohorts, strict=True):
        behind[output].append(cohort)
    for (start, visible, *_), group in behind.items():
        if visible == 2:  # nobody is left after the second point
            raise AssertionError(group)
        if visible == 1:
            assert min(n for n, *_ in group) >= max(rules.at_risk_floor, rules.minimum_count)
        if 0 < start < 40:  # behind the largest numbers are cohorts beyond the enumeration
            left = {n - d - c for n, d, c in group}
            for known in ({n for n, *_ in group}, left, {d for _, d, _ in group}, {c for *_, c in group}):
                assert len(known) >= min(rules.step_minimum, rules.rounding_base)


def test_the_cut_follows_from_rounded_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    cohorts = small_cohorts(40)
    for (start, visible, *_), (_, d, c) in zip(opened(cohorts, STANDARD, monkeypatch), cohorts, strict=True):
        certain = int(least_people(np.array([start]), STANDARD)[0]) - 5 * (d // 5 + c // 5)
        assert visible == int(start > 0 and certain >= STANDARD.at_risk_floor)
