"""Whoever adds and subtracts released counts of many requests does not get the number of a few people.

Sequences of requests are decided by a twin of the check in the clear, from the same numbers of the sites; the twin is
compared with the check on shares. The attacker looks for combinations with an integer program.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.differencing import Members, Release, check_differences
from mpcstats.stats.spans import Question, Span, answers
from mpcstats.stats.witnesses import Incidence, candidates, lower_bounds
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
POOLED = replace(STANDARD, small_remainders=True)
MOST_TERMS = 12
SITES = 3

Cells = np.ndarray
"""The cell of each person, -1 in none."""


@dataclass(frozen=True)
class Count:
    """A request and which of its cells are shown."""

    cells: Cells
    sizes: int
    shown: tuple[bool, ...] = ()

    def sets(self) -> list[np.ndarray]:
        return [self.cells == cell for cell in range(self.sizes)]

    def released(self) -> list[np.ndarray]:
        return [people for people, visible in zip(self.sets(), self.shown, strict=True) if visible]


def views(sites: np.ndarray, rules: DisclosureRules) -> list[np.ndarray]:
    """Everybody, and without the people of each site."""
    return [sites >= 0, *([] if rules.small_remainders else [sites != d for d in range(sites.max() + 1)])]


def visible(count: Count, sites: np.ndarray, rules: DisclosureRules) -> tuple[bool, ...]:
    k = rules.minimum_count
    pooled = [people.sum() >= k for people in count.sets()]
    rests = [[(people & view).sum() for view in views(sites, rules)] for people in count.sets()]
    return tuple(bool(p and all(rest == 0 or rest >= k for rest in r)) for p, r in zip(pooled, rests, strict=True))


# --- the check in the clear -----------------------------------------------------------------------------------------


def pairs_refuse(new: Count, earlier: Sequence[Count], sites: np.ndarray, rules: DisclosureRules) -> bool:
    """What the comparison with one family after the other finds."""
    k = rules.minimum_count
    mine = (new.released(), _with_whole(new))
    for other in earlier:
        theirs = (other.released(), _with_whole(other))
        for (_, ends), (family, _) in ((mine, theirs), (theirs, mine)):
            for c, view in itertools.product(ends, views(sites, rules)):
                if family and 0 < _closest(c & view, [e & view for e in family]) < k:
                    return True
    return False


def _with_whole(count: Count) -> list[np.ndarray]:
    released = count.released()
    whole = count.cells >= 0
    complete = len(released) > 1 and (np.any(released, axis=0) == whole).all()
    return [*released, *([whole] if complete else [])]


def _closest(c: np.ndarray, family: list[np.ndarray]) -> int:
    outside = (c & ~np.any(family, axis=0)).sum()
    return int(outside + sum(min((c & e).sum(), (e & ~c).sum()) for e in family))


def span_refuses(new: Count, earlier: Sequence[Count], sites: np.ndarray, rules: DisclosureRules) -> bool:
    """Whether some new set is neither far from all combinations nor equal to one."""
    question, tables = _question(new, earlier, sites, rules)
    rng = np.random.default_rng(7)
    spans = []
    for d in range(SITES):
        person, column = np.nonzero(tables[sites == d])
        incidence = Incidence(int((sites == d).sum()), person, column, question.earlier, question.new)
        weights = rng.integers(0, 2**64, tables.shape[1], np.uint64)
        people = rng.integers(0, 2**64, (incidence.people, 2), np.uint64)
        spans.append(answers(question, incidence, weights, people))
    families = [other.released() for other in earlier if any(other.shown)]
    closed = ~np.array(new.shown)
    for view, left_out in zip(views(sites, rules), question.left_out, strict=True):
        taking_part = [span for d, span in enumerate(spans) if d + 1 != left_out]
        far = sum(span.whole + (span.hidden * closed * question.allocate).sum(1) for span in taking_part)
        differs = np.any([span.differs for span in taking_part], axis=0)
        last = _last_of_unions(taking_part, closed) if new.sizes > 1 else np.zeros(1, np.bool_)
        for i, people in enumerate(new.sets()):
            union = any(_closest(people & view, [e & view for e in family]) == 0 for family in families)
            known = union or not differs[i].all() or not (people & view).any() or last[i]
            if new.shown[i] and far[i] < rules.minimum_count and not known:
                return True
    return False


def _last_of_unions(spans: list[Span], closed: np.ndarray) -> np.ndarray:
    """Cells that are the last of a candidate that is a union of released ones."""
    inside, outside = (np.any([getattr(span, name) for span in spans], axis=0) for name in ("inside", "outside"))
    good = ~np.any([span.broken for span in spans], axis=0) & ~(inside & (outside | closed)).any(1)
    found = np.zeros(len(closed), np.bool_)
    for union in inside[good]:
        if union.any():
            found[np.flatnonzero(union)[-1]] = True
    return found


def _question(
    new: Count, earlier: Sequence[Count], sites: np.ndarray, rules: DisclosureRules
) -> tuple[Question, np.ndarray]:
    columns, cells, wholes, single = [], [], [], []
    for other in earlier:
        numbers = len(columns) + np.arange(len(other.released()))
        columns += other.released()
        if len(numbers) > 1:
            wholes.append(numbers)
            cells += [number.reshape(1) for number in numbers]
        else:
            single += [number.reshape(1) for number in numbers]
    left_out = (None, *([] if rules.small_remainders else range(1, SITES + 1)))
    units = (*cells, *single, *wholes)
    question = Question(len(columns), new.sizes, units, new.sizes, (), rules.minimum_count, left_out, (1, 2, 3))
    return question, np.stack([*columns, *new.sets()]).T


def decide(new: Count, earlier: Sequence[Count], sites: np.ndarray, rules: DisclosureRules, pairs_only: bool) -> bool:
    """Whether a request is refused."""
    if not any(any(other.shown) for other in earlier):
        return False
    refused = pairs_refuse(new, earlier, sites, rules)
    return refused or (not pairs_only and span_refuses(new, earlier, sites, rules))


# --- requests -------------------------------------------------------------------------------------------------------


def sequence(rng: np.random.Generator) -> tuple[np.ndarray, list[Count]]:
    """Where people are, and requests: nested, overlapping, partitioning, union and complement cohorts, most of them
    with a few people more or fewer than others added up."""
    people = int(rng.integers(120, 500))
    sites = rng.choice(SITES, people, p=rng.dirichlet([4, 4, 4]))
    parts = rng.choice(5, people, p=rng.dirichlet([3] * 5))
    requests: list[Count] = []
    for _ in range(int(rng.integers(4, 11))):
        sets = [people for request in requests for people in request.sets()] or [rng.random(people) < 0.5]
        picked = [sets[at] for at in rng.integers(0, len(sets), int(rng.integers(1, 4)))]
        kind = rng.integers(0, 7)
        if kind == 0:
            group = parts == rng.integers(5)
        elif kind == 1:
            group = rng.random(people) < rng.uniform(0.1, 0.9)
        elif kind == 2:
            group = np.any(picked, axis=0)
        elif kind == 3:
            group = ~np.any(picked, axis=0)
        elif kind == 4:
            group = picked[0] & (rng.random(people) < rng.uniform(0.3, 1))
        elif kind == 5:
            group = np.logical_xor.reduce(picked)
        else:
            group = np.all(picked[:2], axis=0)
        if rng.random() < 0.6:  # a few more or fewer
            group = group ^ (rng.random(people) < rng.uniform(0, 12) / people)
        cells = np.where(group, 0, -1)
        sizes = 1
        if rng.random() < 0.25:
            sizes = int(rng.integers(2, 4))
            by = parts if rng.random() < 0.5 else rng.integers(0, 3, people)
            cells = np.where(group, by % sizes, -1)
        requests.append(Count(cells, sizes))
    return sites, requests


def released(sites: np.ndarray, requests: list[Count], rules: DisclosureRules, pairs_only: bool) -> list[Count]:
    """Those that are answered."""
    answered: list[Count] = []
    for request in requests:
        new = replace(request, shown=visible(request, sites, rules))
        if not decide(new, answered, sites, rules, pairs_only):
            answered.append(new)
    return answered


# --- the attacker ---------------------------------------------------------------------------------------------------


def attack(sets: np.ndarray, minimum: int, most_tried: int = 3**17) -> np.ndarray | None:
    """Coefficients in {-1, 0, 1}, at most 12 of them not 0, such that the sum counts 1 to minimum - 1 people.

    Parameters
    ----------
    sets : bool (sets, people)
    """
    atoms, weights = np.unique(sets[:, sets.any(0)].astype(np.int64), axis=1, return_counts=True)
    small = weights < minimum
    # what is 0 on large atoms: a few coefficients are free, the others follow
    free, others = _kernel(atoms[:, ~small].T)
    if not len(free) or (_rank(atoms) == _rank(atoms[:, ~small])):
        return None
    if 3 ** len(free) > most_tried:
        c = _by_integer_program(atoms, weights, minimum)
    else:
        c = _by_trying(atoms, weights, minimum, free, others)
    if c is not None:
        assert set(c) <= {-1, 0, 1}
        assert np.count_nonzero(c) <= MOST_TERMS
        assert 0 < np.count_nonzero(c @ sets) < minimum
    return c


def _kernel(matrix: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Free coordinates of the kernel, and all coordinates as multiples of them (echelon form, exact)."""
    rows = [[Fraction(int(x)) for x in row] for row in np.unique(matrix, axis=0)]
    n, pivots = matrix.shape[1], list[int]()
    for column in range(n):
        at = next((r for r in range(len(pivots), len(rows)) if rows[r][column]), None)
        if at is None:
            continue
        top = len(pivots)
        rows[top], rows[at] = rows[at], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for r in range(len(rows)):
            if r != top and rows[r][column]:
                rows[r] = [x - rows[r][column] * y for x, y in zip(rows[r], rows[top], strict=True)]
        pivots.append(column)
    free = [column for column in range(n) if column not in pivots]
    result = np.zeros((n, len(free)))
    result[free, range(len(free))] = 1
    for top, column in enumerate(pivots):
        result[column] = [-float(rows[top][f]) for f in free]
    return free, result


def _by_trying(
    atoms: np.ndarray, weights: np.ndarray, minimum: int, free: list[int], others: np.ndarray
) -> np.ndarray | None:
    inner = min(len(free), 7)
    block = np.array(list(itertools.product((-1, 0, 1), repeat=inner))) @ others[:, :inner].T
    for outer in itertools.product((-1, 0, 1), repeat=len(free) - inner):
        tried = block + others[:, inner:] @ np.array(outer)
        whole = np.rint(tried)
        fine = (np.abs(tried - whole) < 1e-6).all(1) & (np.abs(whole) <= 1).all(1)
        c = whole[fine & ((whole != 0).sum(1) <= MOST_TERMS)].astype(np.int64)
        counted = ((c @ atoms) != 0) @ weights
        found = np.flatnonzero((counted > 0) & (counted < minimum))
        if len(found):
            return np.asarray(c[found[0]])
    return None


def _by_integer_program(atoms: np.ndarray, weights: np.ndarray, minimum: int) -> np.ndarray | None:
    small = weights < minimum
    n, few = len(atoms), int(small.sum())
    # variables: positive and negative parts of the coefficients; whether a small atom is counted; one that is
    eye, none = np.eye(few), np.zeros((few, few))
    both, large = (
        np.hstack([atoms[:, small].T, -atoms[:, small].T]),
        np.hstack([atoms[:, ~small].T, -atoms[:, ~small].T]),
    )
    rows = [
        LinearConstraint(np.hstack([large, np.zeros((len(large), 2 * few))]), 0, 0),
        LinearConstraint(np.hstack([both, -MOST_TERMS * eye, none]), -np.inf, 0),
        LinearConstraint(np.hstack([-both, -MOST_TERMS * eye, none]), -np.inf, 0),
        LinearConstraint(np.hstack([both, none, -(MOST_TERMS + 1) * eye]), -MOST_TERMS, np.inf),
        LinearConstraint(np.concatenate([np.zeros(2 * n), weights[small], np.zeros(few)]), 1, minimum - 1),
        LinearConstraint(np.concatenate([np.zeros(2 * n + few), np.ones(few)]), 1, few),
        LinearConstraint(np.concatenate([np.ones(2 * n), np.zeros(2 * few)]), 1, MOST_TERMS),
    ]
    size = 2 * n + 2 * few
    found = milp(np.zeros(size), constraints=rows, integrality=np.ones(size), bounds=Bounds(0, 1))
    if found.status != 0:
        assert found.status == 2, found.message
        return None
    return np.asarray(np.rint(found.x[:n] - found.x[n : 2 * n]).astype(np.int64))


def _rank(matrix: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(matrix)) if matrix.size else 0


def determined(sites: np.ndarray, answered: list[Count], rules: DisclosureRules) -> bool:
    sets = [people for count in answered for people in count.released()]
    if not sets:
        return False
    return any(attack(np.stack(sets)[:, view], rules.minimum_count) is not None for view in views(sites, rules))


def trial(seeds: range, pairs_only: bool = False) -> tuple[int, int, int]:
    """(attacks that succeed, requests, refused)."""
    successes = requested = refused = 0
    for seed in seeds:
        sites, requests = sequence(np.random.default_rng(seed))
        answered = released(sites, requests, STANDARD, pairs_only)
        successes += determined(sites, answered, STANDARD)
        requested += len(requests)
        refused += len(requests) - len(answered)
    return successes, requested, refused


def test_no_combination_counts_a_few_people() -> None:
    successes, requested, refused = trial(range(60))
    assert successes == 0
    assert 0.1 < refused / requested < 0.5


@pytest.mark.parametrize(
    "count", [pytest.param(1_000, marks=pytest.mark.long), pytest.param(10_000, marks=pytest.mark.exhaustive)]
)
def test_no_combination_counts_a_few_people_in_many_sequences(count: int) -> None:
    successes, requested, refused = trial(range(count))
    print(f"{refused} of {requested} requests refused")
    assert successes == 0


def test_pairs_alone_would_not_do() -> None:
    assert trial(range(30), pairs_only=True)[0] > 2


def test_the_attacker_finds_what_an_integer_program_finds() -> None:
    found = set()
    place = np.arange(60)
    for seed in range(6):
        others = np.random.default_rng(seed).random((2, 60)) < 0.5
        sets = np.stack([place < 20, (place >= 20) & (place < 40), place < 40 + seed, *others])
        tried, solved = attack(sets, 4), attack(sets, 4, most_tried=0)
        assert (tried is None) == (solved is None)
        found.add(tried is None)
    assert found == {False, True}


# --- the check on shares --------------------------------------------------------------------------------------------


def on_shares(
    new: Count, earlier: Sequence[Count], sites: np.ndarray, rules: DisclosureRules, axes: tuple[int, ...] = ()
) -> bool:
    """Whether the check refuses, with three parties; `axes` of the earlier tables."""

    def people(count: Count, d: int) -> Members:
        here = np.flatnonzero((count.cells >= 0) & (sites == d))
        return Members(here.astype(np.uint64), count.cells[here])

    async def program(session: Session) -> bool:
        d = session.index - 1
        releases = [Release((other.sizes,), False, other.shown, axes) for other in earlier]
        theirs = [people(other, d) for other in earlier]
        try:
            await check_differences(session, Release((new.sizes,)), releases, people(new, d), theirs, (1, 2, 3), rules)
        except DisclosureRefused:
            return True
        return False

    (refused,) = set(run_parties(Committee(SITES, 1), program))
    return refused


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 60), marks=pytest.mark.long)], ids=["", "more"])
def test_the_twin_in_the_clear_decides_like_the_parties(seeds: range) -> None:
    found = set()
    for seed in seeds:
        rules = POOLED if seed % 3 else STANDARD
        sites, requests = sequence(np.random.default_rng(1000 + seed))
        answered: list[Count] = []
        for request in requests:
            new = replace(request, shown=visible(request, sites, rules))
            refused = on_shares(new, answered, sites, rules)
            assert refused == decide(new, answered, sites, rules, pairs_only=False)
            found.add(refused)
            if not refused:
                answered.append(new)
    assert found == {False, True}


def cohort(people: np.ndarray) -> Count:
    count = Count(np.where(people, 0, -1), 1)
    return replace(count, shown=visible(count, SPREAD, STANDARD))


SPREAD = np.arange(300) % SITES
PLACE = np.arange(300) // 60
THREE = [cohort(part == PLACE) for part in range(3)]


def test_the_union_of_several_requests_and_few_more_is_refused() -> None:
    union = PLACE < 3
    assert not on_shares(cohort(union), THREE, SPREAD, STANDARD)
    assert not on_shares(cohort(union | (PLACE == 4)), THREE, SPREAD, STANDARD)
    few = np.isin(np.arange(300), [190, 191, 192])
    assert on_shares(cohort(union | few), THREE, SPREAD, STANDARD)
    # and an earlier one beside a union that the new one is part of
    assert on_shares(THREE[2], [*THREE[:2], cohort(union | few)], SPREAD, STANDARD)


def test_cells_of_a_table_may_add_up_to_earlier_counts_unless_some_stay_hidden() -> None:
    # everybody, the first three fifths, then all five and those in halves
    halves = np.where(PLACE < 4, 2 * PLACE + (np.arange(300) // 30) % 2, 8)
    whole, part = cohort(PLACE < 5), cohort(PLACE < 3)
    for cells, sizes in ((PLACE, 5), (halves, 9)):
        table = Count(cells, sizes, (True,) * sizes)
        assert not on_shares(table, [whole, part], SPREAD, STANDARD)
    # 6 people of a fifth are in a cell of their own, which is not shown
    few = np.where((PLACE == 4) & (np.arange(300) >= 294), 5, PLACE)
    assert on_shares(Count(few, 6, (True,) * 5 + (False,)), [whole, part], SPREAD, STANDARD)


def test_tables_that_share_a_column_are_answered() -> None:
    rng = np.random.default_rng(8)
    people, one, other, shared = 3000, *rng.integers(0, 3, (2, 3000)), rng.integers(0, 4, 3000)
    sites = rng.integers(0, SITES, people)
    first = Count(shared * 3 + one, 12, (True,) * 12)
    second = Count(other * 4 + shared, 12, (True,) * 12)
    assert not on_shares(second, [first], sites, STANDARD, axes=(4, 3))
    # one person is elsewhere: the lines differ by that
    moved = shared.copy()
    moved[0] = (shared[0] + 1) % 4
    assert on_shares(Count(other * 4 + moved, 12), [first], sites, STANDARD, axes=(4, 3))


def test_the_size_of_an_intersection_does_not_follow_from_that_of_the_union() -> None:
    # |A and B| = |A| + |B| - |A or B|
    one, other = PLACE < 2, ((PLACE >= 2) & (PLACE < 4)) | np.isin(np.arange(300), [0, 1, 2])
    earlier = [cohort(one), cohort(other)]
    assert on_shares(cohort(one | other), earlier, SPREAD, STANDARD)
    more = other | (np.arange(300) < 45)
    assert not on_shares(cohort(one | more), [cohort(one), cohort(more)], SPREAD, STANDARD)


# --- witnesses ------------------------------------------------------------------------------------------------------


def bound(sets: np.ndarray, earlier: int, allocate: bool = False) -> tuple[np.ndarray, np.ndarray]:
    person, column = np.nonzero(sets.T)
    weights = np.random.default_rng(3).integers(0, 2**64, len(sets), np.uint64)
    return lower_bounds(Incidence(sets.shape[1], person, column, earlier, len(sets) - earlier), 99, weights, allocate)


def test_witnesses_are_never_more_than_people_who_differ() -> None:
    rng = np.random.default_rng(4)
    positive = 0
    for _ in range(60):
        people = int(rng.integers(5, 40))
        sets = rng.random((4, people)) < rng.uniform(0.2, 0.8)
        sets[3] ^= np.any(sets[:2], axis=0)
        (found,), _ = bound(sets, 3)
        combinations = np.array(list(itertools.product((-2, -1, -0.5, 0, 0.5, 1, 2), repeat=3)))
        least = ((combinations @ sets[:3]) != sets[3]).sum(1).min()
        assert found <= least
        positive += found > 0
    assert positive > 30


def test_dependent_people_are_witnesses() -> None:
    # rows and columns of a table of two by two, one person in each cell; the new set is one of the cells
    sets = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 0]], np.bool_)
    (found,), _ = bound(sets, 4)
    assert found == 1
    (thrice,), _ = bound(np.tile(sets, 3), 4)
    assert thrice == 3
    sets[4] = [1, 1, 0, 0]
    (found,), _ = bound(sets, 4)
    assert found == 0


def test_a_hidden_set_leaves_people_to_differ_at() -> None:
    # everybody, then three cells of 6, 5 and 4: the last one follows, unless one before stays hidden
    cells = np.repeat([0, 1, 2], [6, 5, 4])
    sets = np.stack([cells >= 0, cells == 0, cells == 1, cells == 2])
    whole, hidden = bound(sets, 1, allocate=True)
    assert whole.tolist() == [6, 4, 0]
    assert hidden.tolist() == [[0, 0, 0], [1, 0, 0], [0, 4, 0]]


def test_candidates_are_distinct_and_as_many_as_allowed() -> None:
    for sets, most in ((0, 16), (3, 1000), (12, 8192), (60, 500), (400, 64)):
        combined = candidates(sets, most)
        vectors = set()
        for chosen, signs in combined.parts:
            vectors |= {tuple(sorted(zip(map(int, row), map(int, signs), strict=True))) for row in chosen}
        assert len(vectors) == combined.number <= most
        assert () in vectors
        if sets == 12:
            assert tuple((s, 1) for s in range(12)) in vectors
