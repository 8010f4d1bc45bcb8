"""What rounded numbers tell when they are put together: all small cohorts, enumerated."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols import deal
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats import curve_release, survival
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import (
    Ruling,
    enough_without_each,
    least_people,
    number_bits,
    open_counts,
    release_counts,
    release_numbers,
    require_all,
)
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
    left = people - events - censored
    counts = np.stack([np.stack([events, left // 2], axis=1), np.stack([censored, left - left // 2], axis=1)])
    seen: dict[str, np.ndarray] = {}

    async def watched(session: Session, counts: Shared, name: str) -> np.ndarray:
        seen[name] = await open_counts(session, counts, name)
        return seen[name]

    monkeypatch.setattr(curve_release, "open_counts", watched)

    async def program(session: Session) -> np.ndarray:
        pooled = Shared(M61, M61.from_int64(counts), 0)
        curves = await curve_release.release_rounded_curves(
            session, pooled, Ruling(rules, {}), np.arange(2), "counts", [pooled.sum(2).sum(0)]
        )
        return curves.start

    start = run_parties(ONE, program)[0]
    ends, levels = seen["visible grid points"], seen["cumulative counts"][:, :, 0]
    return list(zip(start.tolist(), ends.tolist(), *levels, strict=True))


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
        certain = int(least_people(np.array([start]), STANDARD)[0]) - 15 * (d // 15 + c // 15)
        assert visible == int(start > 0 and certain >= 15)  # a step, where at_risk_floor is less


# --- without any one party -------------------------------------------------------------------------------------------


def without_each(committee: Committee, field: PrimeField, parts: np.ndarray, minimum: int) -> tuple[list[int], int]:
    """Bits for cells (parties, cells), and the rounds they took."""
    dealers = tuple(range(1, len(parts) + 1))

    async def program(session: Session) -> tuple[list[int], int]:
        own = field.from_int64(parts[session.index - 1]) if session.index in dealers else None
        dealt = await deal(session, field, own, dealers, parts.shape[1:])
        before = session.accounts.rounds
        bits = await enough_without_each(session, list(dealt.values()), minimum)
        rounds = session.accounts.rounds - before
        session.openings.declare("bits", parts.shape[1], "test")
        return (await open_counts(session, bits, "bits")).tolist(), rounds

    return run_parties(committee, program)[0]


@pytest.mark.parametrize("field", [M61, M127], ids=["M61", "M127"])
def test_what_the_others_hold_is_nothing_or_enough(field: PrimeField) -> None:
    """Every split of up to seven people over three parties."""
    cells = np.array(list(product(range(8), repeat=3))).T
    others = cells.sum(axis=0) - cells
    for minimum in (0, 1, 2, 5, 7):
        wanted = ((others == 0) | (others >= minimum)).all(axis=0).astype(int)
        assert without_each(Committee(3, 1), field, cells, minimum)[0] == wanted.tolist()


@pytest.mark.parametrize("parties", [1, 2, 5])
def test_any_number_of_parties_with_data(parties: int) -> None:
    cells = np.random.default_rng(parties).choice([0, 0, 3, 10, 11, 12, 2**29 - 20], (parties, 40))
    others = cells.sum(axis=0) - cells
    bits, _ = without_each(Committee(5, 2), M61, np.asarray(cells, dtype=np.int64), 11)
    assert bits == ((others == 0) | (others >= 11)).all(axis=0).astype(int).tolist()


def test_rounds_do_not_grow_with_the_cells() -> None:
    few, many = (without_each(Committee(3, 1), M61, np.full((3, n), 4, np.int64), 11)[1] for n in (1, 500))
    assert few == many < 25
    assert without_each(Committee(3, 1), M61, np.full((3, 4), 4, np.int64), 1)[1] == 0


def curve_of(sites: list[int], rules: DisclosureRules) -> Any:
    """The curves of one group whose people are so many at each of three sites; a third has the event."""
    horizon = 60
    plan = SurvivalPlan("g", ("a",), horizon, 1.0, "e", (1,))

    async def program(session: Session) -> Any:
        people = sites[session.index - 1]
        times = 1 + np.arange(people) * horizon // max(people, 1)
        events, censored = np.zeros((2, 1, horizon + 1), np.int64)
        np.add.at(events[0], times[::3], 1)
        np.add.at(censored[0], times[1::3], 1)
        np.add.at(censored[0], times[2::3], 1)
        own = SurvivalContribution(events, censored)
        outcome = await survival.joint_kaplan_meier(
            session, plan, own, (1, 2, 3), Ruling(rules, {}), survival.Readings()
        )
        assert sum(entry.values for entry in session.openings.manifest.values()) > 0
        return outcome

    return run_parties(Committee(3, 1), program)[0]


@pytest.mark.parametrize("exact", [False, True], ids=["rounded", "exact"])
@pytest.mark.parametrize(
    ("sites", "shown"),
    [([40, 40, 40], True), ([80, 0, 0], True), ([80, 10, 0], False), ([80, 6, 5], True), ([0, 25, 25], True)],
)
def test_a_curve_stays_closed_where_one_party_could_subtract_all_but_a_few(
    sites: list[int], shown: bool, exact: bool
) -> None:
    rules = replace(STANDARD, exact_curve=exact)
    curve = curve_of(sites, rules).tables["curve"]
    assert curve.empty != shown
    medians = curve_of(sites, rules).tables["medians"]
    assert medians["records"].isna().all() != shown
    allowed = replace(rules, small_remainders=True)
    assert not curve_of(sites, allowed).tables["curve"].empty


def test_a_hidden_group_cites_the_rule() -> None:
    outcome = curve_of([80, 10, 0], replace(STANDARD, exact_curve=True))
    assert outcome.withheld == [
        "1 of 1 groups hidden (minimum_count = 11 because of the policy; "
        "small_remainders = False because of the policy)"
    ]


# --- statistics ------------------------------------------------------------------------------------------------------


def rounded(committee: Committee, integers: list[int], fraction_bits: int, bits: int) -> list[float]:
    async def program(session: Session) -> list[float]:
        own = M127.from_ints(integers) if session.index == 1 else None
        x = (await deal(session, M127, own, (1,), (len(integers),)))[1].with_fraction_bits(fraction_bits)
        session.openings.declare("numbers", 2 * len(integers), "test")
        return (await release_numbers(session, x, "numbers", bits)).tolist()

    return run_parties(committee, program)[0]


@pytest.mark.parametrize("committee", [ONE, Committee(3, 1)], ids=str)
def test_numbers_are_rounded_to_significant_bits(committee: Committee) -> None:
    integers = [0, 1, -1, 3, 1000003, -1000003, 2**119 + 12345, 2**60 - 1, -(2**100) - 2**78]
    for bits in (3, 21, 50):
        for value, number in zip(integers, rounded(committee, integers, 40, bits), strict=True):
            exact = value / 2.0**40
            assert abs(number - exact) <= abs(exact) * 2.0**-bits
            mantissa = np.frexp(number)[0] * 2**bits
            assert mantissa == np.rint(mantissa)
        assert rounded(committee, [3], 1, bits) == [1.5]


def test_statistics_keep_their_digits_only_where_counts_do() -> None:
    assert number_bits(Policy.preset("open").rules) == 50
    assert number_bits(STANDARD) == 21
    for rule in ("minimum_count", "rounding_base", "step_minimum"):
        assert number_bits(replace(Policy.preset("open").rules, **{rule: 2})) == 21


def test_one_bit_decides() -> None:
    async def program(session: Session, bits: list[int]) -> None:
        session.openings.declare("all", 1, "test")
        own = M61.from_int64(np.array(bits)) if session.index == 1 else None
        x = (await deal(session, M61, own, (1,), (len(bits),)))[1]
        await require_all(session, x, "all", "too small", hint="larger")

    for bits in ([1], [1, 1, 1], [1] * 8):
        run_parties(Committee(3, 1), lambda session, bits=bits: program(session, bits))
    for bits in ([0], [1, 0, 1], [0] * 4):
        with pytest.raises(DisclosureRefused, match="too small"):
            run_parties(Committee(3, 1), lambda session, bits=bits: program(session, bits))
