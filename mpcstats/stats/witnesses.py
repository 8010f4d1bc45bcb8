"""What one site can say by itself about how far a new set of people is from all combinations of earlier ones.

A *combination* of sets is a sum of their indicators with any real coefficients: a number for each person. The distance
of a new set from the earlier ones is the least number of people at whom it differs from a combination of them. A
*witness* is a group of people at whom every combination is wrong at least once: numbers y for its people with
sum y = 0 over each earlier set, and not over the new one. Disjoint witnesses count against every combination, so
their number at one site is a lower bound of the distance there, and the sum over the sites one of the pooled distance.

* A person who is in the new set and in no earlier one is a witness.
* Two people who are in the same earlier sets, and one of them in the new set, are one.
* More people: dependent columns of the matrix of who is in what, found by elimination, those in few sets first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidates", "Incidence", "candidates", "equal_to_candidates", "lower_bounds"]

Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]

_PRIME = (1 << 31) - 1
_MOST_STEPS = 1 << 26
"""Of an elimination; with more, fewer people are looked at, and the bound is lower."""


@dataclass(frozen=True, repr=False, eq=False)
class Incidence:
    """Who is in which set at a site; each pair once.

    Attributes
    ----------
    people : int
    person, column : int64, equally long
        Columns are the earlier sets, then the new ones.
    earlier, new : int
        Numbers of sets.
    """

    people: int
    person: Numbers
    column: Numbers
    earlier: int
    new: int


# --- distances ------------------------------------------------------------------------------------------------------


def lower_bounds(sets: Incidence, minimum: int, weights: Words, allocate: bool) -> tuple[Numbers, Numbers]:
    """Disjoint witnesses for each new set, up to `minimum`.

    Parameters
    ----------
    weights : uint64 (columns,)
        Random: people in the same sets are found by sums of these.
    allocate : bool
        Find witnesses that hold if other new sets stay hidden, too; for new sets that have nobody in common.

    Returns
    -------
    (int64 (new,), int64 (new, new))
        Witnesses against the earlier sets and all new ones before this one; and further ones, disjoint from these,
        that hold where the new set of the second axis, which is before this one, is not released.
    """
    whole, hidden = np.zeros(sets.new, np.int64), np.zeros((sets.new, sets.new), np.int64)
    groups = _Patterns.of(sets, weights)
    before, depth = groups.earlier.copy(), groups.depth.copy()
    for i in range(sets.new):
        inside = groups.inside(i)
        if inside.any():
            left = _Leftover.of(groups, before, depth, inside, i)
            found = min(left.pairs, minimum)
            if found < minimum and left.inside:
                found += left.circuits(groups, minimum - found)
                if allocate and found < minimum:
                    left.allocate(groups, hidden[i], minimum - found)
            whole[i] = found
        before[inside] += weights[sets.earlier + i]
        depth[inside] += 1
    return whole, hidden


@dataclass(frozen=True, repr=False, eq=False)
class _Patterns:
    """People who are in the same sets, earlier and new.

    Attributes
    ----------
    count : int64 (patterns,)
    earlier : uint64 (patterns,)
        Sum of the weights of the earlier sets they are in.
    depth : int64 (patterns,)
        How many earlier sets that are.
    start, columns : int64
        Columns of pattern k are columns[start[k]:start[k + 1]], ascending.
    """

    count: Numbers
    earlier: Words
    depth: Numbers
    start: Numbers
    columns: Numbers
    first_new: int

    @classmethod
    def of(cls, sets: Incidence, weights: Words) -> _Patterns:
        order = np.lexsort((sets.column, sets.person))
        person, column = sets.person[order], sets.column[order]
        old = column < sets.earlier
        sums = np.zeros((2, sets.people), np.uint64)
        np.add.at(sums[0], person[old], weights[column[old]])
        np.add.at(sums[1], person, weights[column])
        _, one_of, count = np.unique(sums[1], return_index=True, return_counts=True)
        start = np.searchsorted(person, np.arange(sets.people + 1))
        parts = [column[start[p] : start[p + 1]] for p in one_of]
        depth = np.bincount(person[old], minlength=sets.people)[one_of]
        ends = np.cumsum([0, *map(len, parts)])
        columns = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return cls(count.astype(np.int64), sums[0][one_of], depth.astype(np.int64), ends, columns, sets.earlier)

    def inside(self, new: int) -> NDArray[np.bool_]:
        """Which patterns are in a new set."""
        found = np.zeros(len(self.count), np.bool_)
        found[np.searchsorted(self.start, np.flatnonzero(self.columns == self.first_new + new), side="right") - 1] = (
            True
        )
        return found

    def sets_of(self, pattern: int) -> Numbers:
        return self.columns[self.start[pattern] : self.start[pattern + 1]]


@dataclass(repr=False, eq=False)
class _Leftover:
    """People that are in no witness of one or two.

    Attributes
    ----------
    pairs : int
        Witnesses of one and two people.
    inside : int
        People of the new set that are left.
    one_of, count, within
        Of each group that is left: a pattern of it, people, and whether they are in the new set.
    """

    new: int
    pairs: int
    inside: int
    one_of: Numbers
    count: Numbers
    within: NDArray[np.bool_]

    @classmethod
    def of(cls, groups: _Patterns, before: Words, depth: Numbers, inside: NDArray[np.bool_], new: int) -> _Leftover:
        _, one_of, place = np.unique(before, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        within = np.bincount(place, np.where(inside, groups.count, 0), len(one_of)).astype(np.int64)
        without = np.bincount(place, np.where(inside, 0, groups.count), len(one_of)).astype(np.int64)
        alone = depth[one_of] == 0
        pairs = np.where(alone, within, np.minimum(within, without))
        rest = np.where(alone, 0, within + without - 2 * pairs)
        left = np.flatnonzero(rest)
        more = within[left] > pairs[left]
        return cls(new, int(pairs.sum()), int(rest[left][more].sum()), one_of[left], rest[left], more)

    def circuits(self, groups: _Patterns, most: int) -> int:
        """Witnesses of more people."""
        limit = groups.first_new + self.new
        members = [columns[columns < limit] for columns in map(groups.sets_of, self.one_of)]
        order = np.argsort([len(columns) for columns in members], kind="stable")
        used = np.unique(np.concatenate(members))
        order = order[: max(2, _MOST_STEPS // max(1, len(used) ** 2))]
        matrix = np.zeros((len(order), len(used) + 1), np.int64)
        for row, at in enumerate(order):
            matrix[row, np.searchsorted(used, members[at])] = 1
        matrix[:, -1] = self.within[order]
        count = self.count[order]
        found = 0
        while found < most and (matrix[:, -1] * count).any():
            alive = np.flatnonzero(count)
            circuit = alive[_circuit()(matrix[alive])]
            if not len(circuit):
                break
            times = min(most - found, int(count[circuit].min()))
            count[circuit] -= times
            found += times
        self.count[order] = count
        return found

    def allocate(self, groups: _Patterns, hidden: Numbers, most: int) -> None:
        """Pairs of people in the same earlier sets, one of them in a new set that may stay hidden."""
        others: dict[int, list[int]] = {}
        for at in np.flatnonzero(~self.within & (self.count > 0)):
            others.setdefault(int(groups.earlier[self.one_of[at]]), []).append(int(at))
        for at in np.flatnonzero(self.within & (self.count > 0)):
            partners = others.get(int(groups.earlier[self.one_of[at]]), [])
            for other in sorted(partners, key=lambda number: int(self.count[number])):
                cell = int(groups.sets_of(int(self.one_of[other]))[-1]) - groups.first_new
                if not 0 <= cell < self.new:
                    continue
                people = int(min(self.count[at], self.count[other]))
                self.count[at] -= people
                self.count[other] -= people
                hidden[cell] = min(most, hidden[cell] + people)


@cache
def _circuit() -> Callable[[Numbers], Numbers]:
    """Compiled when it is first needed."""
    from numba import njit

    compiled: Callable[[Numbers], Numbers] = njit(cache=True, nogil=True)(_find_circuit)
    return compiled


def _find_circuit(matrix: Numbers) -> Numbers:
    """Rows of which a combination is 0 but for the last column; none: no rows. Modulo a prime."""
    rows, columns = matrix.shape
    most = min(rows, columns)
    # rows in echelon form, and which combinations of the rows that are in it they are
    basis = np.zeros((most, columns), np.int64)
    made_of = np.zeros((most, most + 1), np.int64)
    pivots = np.zeros(most, np.int64)
    members = np.zeros(most, np.int64)
    size = 0
    for row in range(rows):
        vector = matrix[row].copy()
        made = np.zeros(most + 1, np.int64)
        for b in range(size):
            factor = vector[pivots[b]]
            if factor:
                vector = (vector - factor * basis[b]) % _PRIME
                made = (made - factor * made_of[b]) % _PRIME
        places = np.flatnonzero(vector[:-1])
        if len(places):
            inverse, power, square = 1, _PRIME - 2, vector[places[0]]
            while power:
                if power & 1:
                    inverse = inverse * square % _PRIME
                square = square * square % _PRIME
                power >>= 1
            made[size] = 1
            basis[size] = vector * inverse % _PRIME
            made_of[size] = made * inverse % _PRIME
            pivots[size] = places[0]
            members[size] = row
            size += 1
        elif vector[-1]:
            others = members[:size][made[:size] != 0]
            return np.append(others, row)
    return np.zeros(0, np.int64)


# --- exact combinations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidates:
    """Public combinations of sets with coefficients -1, 0 and 1.

    Attributes
    ----------
    parts : tuple of (int64 (combinations, terms), int64 (terms,))
        Sets and their signs.
    """

    parts: tuple[tuple[Numbers, Numbers], ...]

    @property
    def number(self) -> int:
        """Combinations."""
        return sum(len(sets) for sets, _ in self.parts)


@lru_cache(maxsize=64)
def candidates(sets: int, most: int) -> Candidates:
    """At most so many combinations: unions by their number of sets, for at most half of it, then with other signs."""
    parts: list[tuple[Numbers, Numbers]] = []
    left = most
    for signs, room in itertools.chain(_unions(sets, most - most // 2), _signed(sets, most)):
        terms = len(signs)
        taken = min(left, room - (most - left), math.comb(sets, terms) if len(set(signs)) < 2 else most)
        if taken <= 0:
            continue
        chosen = list(itertools.islice(_choices(sets, signs), taken))
        if chosen:
            parts.append((np.array(chosen, np.int64).reshape(len(chosen), terms), np.array(signs, np.int64)))
            left -= len(chosen)
    return Candidates(tuple(parts))


def _unions(sets: int, room: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for terms in range(sets + 1):
        yield (1,) * terms, room


def _signed(sets: int, room: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for terms in range(2, min(sets, 12) + 1):
        for plus in range(1, terms):
            yield (1,) * plus + (-1,) * (terms - plus), room


def _choices(sets: int, signs: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The latest sets first."""
    plus = sum(sign > 0 for sign in signs)
    for chosen in itertools.combinations(range(sets - 1, -1, -1), len(signs)):
        if plus in (0, len(signs)):
            yield chosen
        else:
            for first in itertools.combinations(chosen, plus):
                yield (*first, *(s for s in chosen if s not in first))


def equal_to_candidates(targets: Words, sums: Words, combined: Candidates) -> NDArray[np.bool_]:
    """Whether targets are equal to combinations, as sums of random words of their people.

    Parameters
    ----------
    targets : uint64 (targets, words)
    sums : uint64 (sets, words)

    Returns
    -------
    bool (targets, combinations)
    """
    values = [(sums[sets] * signs.astype(np.uint64)[None, :, None]).sum(1) for sets, signs in combined.parts]
    every = np.concatenate([value.astype(np.uint64) for value in values])
    return np.asarray((targets[:, None] == every[None]).all(2))
