"""Whether new sets of people are far from all combinations of earlier sets, or equal to one: on shares.

What is kept true of everything that was released: a sum of released numbers with any real coefficients counts nobody,
or `minimum_count` people and more, with a number other than 0. A new set keeps it

* if it is at least so many people away from every combination of those before it. Each site finds disjoint witnesses
  for that among its own people (`mpcstats.stats.witnesses`); their sum over the sites is a lower bound;
* or if it is equal to a combination: then it says nothing new. Candidates are public, each site knows which of them
  hold for its own people, and one that holds at all sites is looked for.

A set for which neither is found is not released. That is stricter than it need be, never less strict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import at_least, deal, equal_zero, inner_product, multiply
from mpcstats.protocols.normalise import product_trees
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.witnesses import Candidates, Incidence, candidates, equal_to_candidates, lower_bounds

__all__ = ["Question", "Span", "answers", "unsupported"]

Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]

_MOST_PRODUCTS = 1 << 14
"""Candidates for all new sets and parties left out together."""

_MOST_UNIONS, _MOST_OF_ONE = 1 << 16, 1 << 10
"""Likewise, as unions of new sets; and for one party left out and one set."""

_MOST_ALLOCATED = 256
"""New sets of one request for which witnesses in hidden ones are counted."""


@dataclass(frozen=True)
class Question:
    """Public: what is asked about a new release.

    Attributes
    ----------
    earlier, new : int
        Sets. Earlier ones are those that were released, or may have been.
    units : tuple of int64
        Sums of earlier numbers that are certainly known: sets, and all sets of a family.
    cells : int
        So many of the new sets, the first ones, have nobody in common.
    sums : tuple of (set, parts)
        New sets that are the sum of other new ones.
    minimum : int
    left_out : tuple of (int or None)
        Parties whose people are left out.
    dealers : tuple of int
    """

    earlier: int
    new: int
    units: tuple[Numbers, ...]
    cells: int
    sums: tuple[tuple[int, tuple[int, ...]], ...]
    minimum: int
    left_out: tuple[int | None, ...]
    dealers: tuple[int, ...]

    @property
    def allocate(self) -> bool:
        """Whether witnesses in hidden sets are counted."""
        return self.cells == self.new and 1 < self.new <= _MOST_ALLOCATED

    @property
    def several(self) -> int:
        """New sets that are looked for in unions; one alone needs no union."""
        return self.cells if self.cells > 1 else 0

    @property
    def combined(self) -> Candidates:
        """What new sets may be equal to."""
        return candidates(len(self.units), max(16, _MOST_PRODUCTS // (len(self.left_out) * self.new)))

    @property
    def unions(self) -> Candidates:
        """What may be a union of new sets."""
        room = _MOST_UNIONS // (len(self.left_out) * max(1, self.cells))
        return candidates(len(self.units), max(16, min(_MOST_OF_ONE, room)))


@dataclass(frozen=True, repr=False, eq=False)
class Span:
    """What one site knows.

    Attributes
    ----------
    whole : int64 (new,)
    hidden : int64 (new, new)
        As of `lower_bounds`.
    some : bool (new,)
        Whether anybody is in it.
    differs : bool (new, candidates)
        Where a new set is not equal to a candidate among this site's people.
    broken : bool (unions,)
        Candidates that are no union of new sets here.
    inside, outside : bool (unions, cells)
        New sets with people here that are in such a candidate, and that are not.
    """

    whole: Numbers
    hidden: Numbers
    some: NDArray[np.bool_]
    differs: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    outside: NDArray[np.bool_]


def answers(question: Question, sets: Incidence, weights: Words, people: Words) -> Span:
    """In the clear, at one site.

    Parameters
    ----------
    weights : uint64 (columns,)
    people : uint64 (people, 2)
        Random.
    """
    whole, hidden = lower_bounds(sets, question.minimum, weights, question.allocate)
    cells = question.several
    new = sets.column - sets.earlier
    # the cell of each person; people in none come last
    place = np.full(sets.people, cells, np.int64)
    in_cell = (new >= 0) & (new < cells)
    place[sets.person[in_cell]] = new[in_cell]
    # sums of random words of the people of each cell in each set
    sums = np.zeros((cells + 1, sets.earlier + sets.new, people.shape[1]), np.uint64)
    np.add.at(sums, (place[sets.person], sets.column), people[sets.person])
    units = np.zeros((len(question.units), cells + 1, people.shape[1]), np.uint64)
    for number, unit in enumerate(question.units):
        units[number] = sums[:, unit].sum(1)
    alone = sums[:, sets.earlier :].sum(0)
    some = np.bincount(new[new >= 0], minlength=sets.new) > 0
    differs = ~equal_to_candidates(alone, units.sum(1), question.combined)
    return Span(whole, hidden, some, differs, *_unions(question, some, units, alone))


def _unions(
    question: Question, some: NDArray[np.bool_], units: Words, alone: Words
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether candidates are 1 or 0 at all people of a cell, and 0 at others."""
    cells, number = question.several, question.unions.number if question.several else 0
    broken = np.zeros(number, np.bool_)
    inside, outside = np.zeros((number, cells), np.bool_), np.zeros((number, cells), np.bool_)
    for cell in np.flatnonzero(some[:cells]):
        ends = np.stack([np.zeros_like(alone[cell]), alone[cell]])
        outside[:, cell], inside[:, cell] = equal_to_candidates(ends, units[:, cell], question.unions)
        broken |= ~(outside[:, cell] | inside[:, cell])
    if cells:
        broken |= ~equal_to_candidates(np.zeros_like(alone[:1]), units[:, cells], question.unions)[0]
    return broken, inside, outside


async def unsupported(
    session: Session,
    question: Question,
    sets: Incidence | None,
    visible: Shared,
    apart: Shared,
) -> Shared:
    """1 for each new set that is released without being far from all combinations, or equal to one.

    Parameters
    ----------
    sets : Incidence or None
        This party's people; None without data.
    visible : Shared (new,)
        1 for sets that will be released.
    apart : Shared (families, parties left out, new)
        0 where a set is known to be a union of sets of an earlier family.

    Returns
    -------
    Shared (parties left out, new)

    Notes
    -----
    Reveals nothing.
    """
    q, views, new = question, len(question.left_out), question.new
    random = session.randomness.private(session.label("people"))
    own = None
    if sets is not None:
        weights, words = random.words(q.earlier + q.new), random.words(2 * sets.people).reshape(-1, 2)
        found = await local(session, answers, q, sets, weights, words)
        own = M61.from_int64(np.concatenate([part.reshape(-1) for part in _dealt(q, found)]).astype(np.int64))
    sizes = _sizes(q)
    dealt = await deal(session, M61, own, q.dealers, (sum(sizes),))
    seen, ends = _without_each(q, dealt), np.cumsum(sizes)
    parts = [seen[:, end - size : end] for size, end in zip(sizes, ends, strict=True)]
    far, hidden, some, differs, broken, inside, outside = parts
    closed = (-visible).plus_int(1)
    if q.allocate:
        unseen = await multiply(session, hidden.reshape(views, new, new), closed.reshape(1, 1, new))
        far = far + unseen.sum(2)
    (product,) = await product_trees(session, [_first(differs.reshape(views, new, q.combined.number), 2)])
    (families,) = await product_trees(session, [apart])
    last, factors = None, [families, _row(visible, views)]
    if q.several:
        last = await _last_of_unions(session, q, closed, broken, inside, outside)
        factors.append(last)
    tests = [far.plus_int(-q.minimum).reshape(views * new)]
    if q.sums:
        # a table with margins of all people hides further cells where one is below the threshold, empty ones included
        tests += [closed[list(cells)].sum().reshape(1).plus_int(-1) for _, cells in q.sums]
    reached = await at_least(session, concatenate(tests), 0)
    factors.append((-reached[: views * new]).plus_int(1).reshape(views, new))
    if q.sums:
        factors.append(_with(_ones(families), q, reached[views * new :]))
    unequal = await equal_zero(session, concatenate([product, some.reshape(views, new)]))
    factors += [(-unequal[:views]).plus_int(1), (-unequal[views:]).plus_int(1)]
    (result,) = await product_trees(session, [concatenate([factor.reshape(1, views, new) for factor in factors])])
    return result


def _dealt(question: Question, found: Span) -> list[NDArray[np.int64] | NDArray[np.bool_]]:
    hidden = found.hidden if question.allocate else np.zeros(0, np.int64)
    return [found.whole, hidden, found.some, found.differs, found.broken, found.inside, found.outside]


def _sizes(q: Question) -> list[int]:
    unions = q.unions.number if q.several else 0
    pairs = q.new * q.new if q.allocate else 0
    return [q.new, pairs, q.new, q.new * q.combined.number, unions, unions * q.several, unions * q.several]


async def _last_of_unions(
    session: Session, q: Question, closed: Shared, broken: Shared, inside: Shared, outside: Shared
) -> Shared:
    """0 for each new set that is the last one of a candidate which is a union of released new sets; else 1.

    It follows from the candidate and the sets before it.
    """
    views, unions, cells = len(q.left_out), q.unions.number, q.several
    inside, outside = inside.reshape(views, unions, cells), outside.reshape(views, unions, cells)
    # people of a cell on both sides, at different sites, or in a cell that is not released
    mixed = await inner_product(session, inside, outside + _like(closed[:cells], outside))
    wrong = (broken + mixed).reshape(views, unions, 1)
    # and people in later cells
    upwards = inside[:, :, ::-1].cumsum(2)[:, :, ::-1]
    tests = concatenate([upwards - inside + _like(wrong, inside), inside])
    zero = await equal_zero(session, tests)
    ends = await multiply(session, zero[:views], (-zero[views:]).plus_int(1))
    (none,) = await product_trees(session, [_first((-ends).plus_int(1), 1)])
    if cells == q.new:
        return none
    return concatenate([none, _ones(none[:, :1]).reshape(views, 1)[:, np.zeros(q.new - cells, np.intp)]], axis=1)


def _like(x: Shared, other: Shared) -> Shared:
    """In the shape of another array."""
    return replace(x, values=np.broadcast_to(x.values, other.shape).copy())


def _without_each(question: Question, dealt: dict[int, Shared]) -> Shared:
    """Sums over the dealers, without each party that is left out."""
    total = dealt[question.dealers[0]]
    for d in question.dealers[1:]:
        total = total + dealt[d]
    sums = [total if party is None else total - dealt[party] for party in question.left_out]
    return concatenate([part.reshape(1, part.size) for part in sums])


def _first(x: Shared, axis: int) -> Shared:
    return replace(x, values=np.moveaxis(x.values, axis, 0))


def _row(x: Shared, views: int) -> Shared:
    return concatenate([x.reshape(1, x.size)] * views)


def _ones(like: Shared) -> Shared:
    return like.times_int(0).plus_int(1)


def _with(ones: Shared, q: Question, incomplete: Shared) -> Shared:
    """1 for each set that is not the sum of other released ones."""
    values = ones.values.copy()
    for number, (target, _) in enumerate(q.sums):
        values[:, target] = incomplete.values[number]
    return replace(ones, values=values)
