"""Two releases that differ by fewer than minimum_count people are refused; nothing but one bit is opened for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats import differencing
from mpcstats.stats.differencing import MOST_PAIRS, Members, Release, check_differences
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
SMALL = replace(STANDARD, minimum_count=3, small_remainders=True)
STRICT = replace(SMALL, small_remainders=False)
CLEAR = Committee(1, 0)


@dataclass(frozen=True)
class Cohort:
    """A count of people with numbers: the cell of each, -1 in none."""

    cells: np.ndarray
    sizes: int

    def at(self, site: np.ndarray) -> Members:
        people = np.flatnonzero((self.cells >= 0) & site)
        return Members(people.astype(np.uint64), self.cells[people])

    def groups(self) -> list[np.ndarray]:
        return [self.cells == cell for cell in range(self.sizes)]


def shown(cohort: Cohort, sites: np.ndarray, rules: DisclosureRules) -> list[bool]:
    """What `release_cells` releases."""
    return [all(enough(view, rules) for view in views(g, sites, rules)) and g.sum() > 0 for g in cohort.groups()]


def views(people: np.ndarray, sites: np.ndarray, rules: DisclosureRules) -> list[int]:
    """How many they are, and without each site."""
    left_out = [] if rules.small_remainders else range(sites.max() + 1)
    return [int(people.sum()), *(int((people & (sites != d)).sum()) for d in left_out)]


def enough(people: int, rules: DisclosureRules) -> bool:
    return people == 0 or people >= rules.minimum_count


def unions(groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of all choices but the empty one."""
    masks = itertools.product([False, True], repeat=len(groups))
    return [np.any([g for g, taken in zip(groups, mask, strict=True) if taken], axis=0) for mask in masks if any(mask)]


def refused_in_the_clear(new: Cohort, old: Cohort, sites: np.ndarray, rules: DisclosureRules) -> bool:
    """By trying all unions."""
    mine = [g for g, visible in zip(new.groups(), shown(new, sites, rules), strict=True) if visible]
    theirs = [g for g, visible in zip(old.groups(), shown(old, sites, rules), strict=True) if visible]
    if not mine or not theirs:
        return False
    whole = np.any(new.groups(), axis=0)
    exact = [*mine, *([whole] if (np.any(mine, axis=0) == whole).all() else [])]
    pairs = [(c, u) for c in exact for u in unions(theirs)]
    pairs += [(e, u) for e in [*theirs, np.any(theirs, axis=0)] for u in unions(mine)]
    return any(not enough(view, rules) for one, other in pairs for view in views(one ^ other, sites, rules))


def check(
    committee: Committee,
    new: Cohort,
    earlier: Sequence[Cohort],
    sites: np.ndarray,
    rules: DisclosureRules,
    overlapping: bool = False,
    known: bool = True,
) -> tuple[bool, dict[str, int], int]:
    """(refused, values opened by name, rounds); every site is a party, and further parties have no data."""
    dealers = tuple(range(1, min(committee.m, sites.max() + 1) + 1))
    releases = [Release((c.sizes,), overlapping, tuple(shown(c, sites, rules)) if known else None) for c in earlier]

    async def program(session: Session) -> tuple[bool, dict[str, int], int]:
        site = sites == session.index - 1 if committee.m > 1 else sites >= 0
        has_data = session.index in dealers
        own = new.at(site) if has_data else None
        own_earlier = [c.at(site) if has_data else None for c in earlier]
        refused = False
        try:
            release = Release((new.sizes,), overlapping)
            await check_differences(session, release, releases, own, own_earlier, dealers, rules)
        except DisclosureRefused:
            refused = True
        opened = {entry.name: entry.values for entry in session.openings.manifest.values()}
        return refused, opened, session.accounts.rounds

    results = run_parties(committee, program)
    assert len({(refused, tuple(opened.items())) for refused, opened, _ in results}) == 1
    return results[0]


def cohorts(rng: np.random.Generator, people: int) -> tuple[Cohort, Cohort]:
    """Nested, overlapping, partitioning, union and complement cohorts, most of them nearly the same."""
    base = rng.integers(0, 3, people)
    cells = int(rng.integers(1, 4))
    old = np.where(rng.random(people) < 0.9, np.minimum(base, cells - 1), -1)
    kind = rng.integers(0, 5)
    if kind == 0:  # a few more or fewer people
        new, sizes = np.where(rng.random(people) < 0.9, old, -1), cells
    elif kind == 1:  # the union of some cells, nearly
        new, sizes = np.where((old <= 1) & (rng.random(people) < 0.95), 0, -1), 1
        new[old < 0] = -1 if rng.random() < 0.5 else 0
    elif kind == 2:  # parts of cells
        new, sizes = np.where(old >= 0, 2 * np.minimum(old, 1) + (rng.random(people) < 0.5), -1), 4
    elif kind == 3:  # the others
        new, sizes = np.where(old == 0, -1, 0), 1
    else:
        new, sizes = rng.integers(-1, 2, people), 2
    first, second = Cohort(old.astype(np.int64), cells), Cohort(new.astype(np.int64), sizes)
    return (first, second) if rng.random() < 0.7 else (second, first)


@pytest.fixture
def families_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what is asked about several families together: that refuses more (test_differencing_attack.py)."""

    async def nothing(_session: Session, _question: object, _sets: object, visible: Shared, *_: Shared) -> Shared:
        return visible.times_int(0)

    monkeypatch.setattr(differencing, "unsupported", nothing)


@pytest.mark.usefixtures("families_alone")
@pytest.mark.parametrize(
    "known", [pytest.param(True, marks=pytest.mark.long), False], ids=["", "earlier cells that may be hidden"]
)
def test_all_pairs_and_unions_are_found_and_no_others(known: bool) -> None:
    rng = np.random.default_rng(1)
    outcomes = []
    for _ in range(150):
        people = int(rng.integers(4, 24))
        old, new = cohorts(rng, people)
        sites = np.zeros(people, np.int64)
        expected = refused_in_the_clear(new, old, sites, SMALL)
        refused, opened, _ = check(CLEAR, new, [old], sites, SMALL, known=known)
        assert refused == expected
        assert opened in ({}, {"differences": 1})
        outcomes.append(refused)
    assert 30 < sum(outcomes) < 120


def test_little_more_is_refused_for_the_sake_of_combinations() -> None:
    rng = np.random.default_rng(1)
    more = exact = 0
    for _ in range(60):
        people = int(rng.integers(4, 24))
        old, new = cohorts(rng, people)
        sites = np.zeros(people, np.int64)
        expected, refused = refused_in_the_clear(new, old, sites, SMALL), check(CLEAR, new, [old], sites, SMALL)[0]
        assert refused >= expected
        more += refused - expected
        exact += not expected
    assert more < exact / 10


@pytest.mark.usefixtures("families_alone")
@pytest.mark.parametrize(
    ("committee", "rules", "runs"),
    [
        pytest.param(Committee(3, 1), SMALL, 12, marks=pytest.mark.long),
        (Committee(3, 1), STRICT, 25),
        pytest.param(Committee(5, 2), STRICT, 12, marks=pytest.mark.long),
    ],
    ids=["three", "three, without each", "five, without each"],
)
def test_parties_find_what_the_pooled_data_show(committee: Committee, rules: DisclosureRules, runs: int) -> None:
    rng = np.random.default_rng(2)
    outcomes = []
    for _ in range(runs):
        people = int(rng.integers(12, 40))
        old, new = cohorts(rng, people)
        # the last party only computes, or has an empty table
        sites = rng.integers(0, committee.m - 1, people)
        refused, opened, _ = check(committee, new, [old], sites, rules, known=bool(rng.random() < 0.7))
        assert refused == refused_in_the_clear(new, old, sites, rules)
        assert opened in ({}, {"differences": 1})
        outcomes.append(refused)
    assert 0 < sum(outcomes) < runs


def test_an_earlier_release_far_back_counts() -> None:
    people = np.zeros(40, np.int64)
    one_less = np.where(np.arange(40) < 39, 0, -1)
    half = np.where(np.arange(40) < 20, 0, -1)
    sites = np.arange(40) % 3
    all_of_them, fewer, others = (Cohort(cells, 1) for cells in (people, one_less, half))
    assert not check(CLEAR, all_of_them, [others], sites, SMALL)[0]
    assert check(CLEAR, all_of_them, [fewer, others, others], sites, SMALL)[0]
    assert check(CLEAR, all_of_them, [others, others, fewer], sites, SMALL)[0]


def test_a_party_s_own_people_do_not_hide_a_difference() -> None:
    # 12 people more, 11 of them at the first site: it would learn about the one at another
    cells = np.zeros(120, np.int64)
    sites = np.arange(120) % 3
    more = np.flatnonzero(sites == 0)[:11].tolist() + np.flatnonzero(sites == 1)[:1].tolist()
    fewer = cells.copy()
    fewer[more] = -1
    new, old = Cohort(cells, 1), Cohort(fewer, 1)
    committee = Committee(3, 1)
    assert check(committee, new, [old], sites, STANDARD)[0]
    assert not check(committee, new, [old], sites, replace(STANDARD, small_remainders=True))[0]


def test_whoever_is_in_several_cells_is_compared_cell_by_cell() -> None:
    people = np.arange(30, dtype=np.uint64)

    async def program(session: Session, others: np.ndarray) -> None:
        both = Members(np.concatenate([people, people]), np.repeat([0, 1], 30))
        new = Members(np.concatenate([people, others]), np.repeat([0, 1], [30, len(others)]))
        release = Release((2,), overlapping=True, shown=(True, True))
        await check_differences(session, Release((2,), True), [release], new, [both], (1,), SMALL)

    run_parties(CLEAR, lambda session: program(session, people[:20]))
    with pytest.raises(DisclosureRefused):
        run_parties(CLEAR, lambda session: program(session, people[:29]))


def test_hidden_cells_and_those_that_would_be_hidden_do_not_count() -> None:
    cells = np.repeat([0, 1], [30, 1])
    with_hidden = Cohort(cells, 2)
    sites = np.zeros(31, np.int64)
    assert shown(with_hidden, sites, SMALL) == [True, False]
    assert not check(CLEAR, with_hidden, [with_hidden], sites, SMALL)[0]
    everybody = Cohort(np.zeros(31, np.int64), 1)
    assert check(CLEAR, everybody, [with_hidden], sites, SMALL)[0]
    assert check(CLEAR, with_hidden, [everybody], sites, SMALL)[0]
    nobody_shown = Cohort(np.where(np.arange(31) < 2, 0, -1), 1)
    assert check(CLEAR, nobody_shown, [everybody], sites, SMALL)[:2] == (False, {"differences": 1})
    assert check(CLEAR, everybody, [nobody_shown], sites, SMALL) == (False, {}, 0)


@pytest.mark.usefixtures("families_alone")
def test_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    monkeypatch.setattr(differencing, "_BLOCK", 3)
    outcomes = set()
    for _ in range(10):
        old, new = cohorts(rng, 30)
        sites = np.zeros(30, np.int64)
        refused = check(CLEAR, new, [old], sites, SMALL)[0]
        assert refused == refused_in_the_clear(new, old, sites, SMALL)
        outcomes.add(refused)
    assert outcomes == {False, True}


def test_too_many_pairs_are_refused_with_their_number() -> None:
    one = Members(np.arange(5, dtype=np.uint64), np.zeros(5, np.int64))

    async def program(session: Session) -> None:
        earlier = [Release((1 << 12,))] * 64
        await check_differences(session, Release((8,)), earlier, one, [one] * 64, (1,), SMALL)

    with pytest.raises(DisclosureRefused, match=f"pairs where at most {MOST_PAIRS:,}"):
        run_parties(CLEAR, program)


def test_few_rounds_whatever_the_number_of_cells() -> None:
    sites = np.arange(60) % 3
    few = Cohort(np.zeros(60, np.int64), 1)
    many = Cohort(np.arange(60) % 4, 30)
    committee = Committee(3, 1)
    one, _, of_one = check(committee, few, [few], sites, STANDARD)
    other, _, of_many = check(committee, many, [many, few, many], sites, STANDARD)
    assert (one, other) == (False, False)
    assert of_one <= of_many <= 95
