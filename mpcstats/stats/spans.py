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
from mpcstats.protocols import at_least, deal, equal_zero, multiply
from mpcstats.protocols.normalise import product_trees
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.witnesses import Candidates, Incidence, candidates, equal_to_candidates, lower_bounds

__all__ = ["Question", "Span", "answers", "unsupported"]

Numbers = NDArray[np.int64]
Words = NDArray[np.uint64]

_MOST_PRODUCTS = 1 << 14
"""Candidates for all new sets and parties left out together."""

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
    disjoint : bool
        No person is in two of the new sets.
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
    disjoint: bool
    sums: tuple[tuple[int, tuple[int, ...]], ...]
    minimum: int
    left_out: tuple[int | None, ...]
    dealers: tuple[int, ...]

    @property
    def allocate(self) -> bool:
        """Whether witnesses in hidden sets are counted."""
        return self.disjoint and 1 < self.new <= _MOST_ALLOCATED

    @property
    def targets(self) -> int:
        """Each new set alone, and each but the first together with all before it."""
        return 2 * self.new - 1

    @property
    def combined(self) -> Candidates:
        """What targets may be equal to."""
        return candidates(len(self.units), max(16, _MOST_PRODUCTS // (len(self.left_out) * self.targets)))


@dataclass(frozen=True, repr=False, eq=False)
class Span:
    """What one site knows.

    Attributes
    ----------
    whole : int64 (new,)
    hidden : int64 (new, new)
        As of `lower_bounds`.
    differs : bool (targets, candidates)
        Where a target is not equal to a candidate among this site's people.
    """

    whole: Numbers
    hidden: Numbers
    differs: NDArray[np.bool_]


def answers(question: Question, sets: Incidence, weights: Words, people: Words) -> Span:
    """In the clear, at one site.

    Parameters
    ----------
    weights : uint64 (columns,)
    people : uint64 (people, 2)
        Random.
    """
    whole, hidden = lower_bounds(sets, question.minimum, weights, question.allocate)
    sums = np.zeros((sets.earlier + sets.new, people.shape[1]), np.uint64)
    np.add.at(sums, sets.column, people[sets.person])
    units = np.zeros((len(question.units), people.shape[1]), np.uint64)
    for number, unit in enumerate(question.units):
        units[number] = sums[unit].sum(0)
    alone = sums[sets.earlier :]
    targets = np.concatenate([alone, np.cumsum(alone, axis=0)[1:]])
    return Span(whole, hidden, ~equal_to_candidates(targets, units, question.combined))


async def unsupported(
    session: Session,
    question: Question,
    sets: Incidence | None,
    visible: Shared,
    present: Shared,
    apart: Shared,
    whole_apart: Shared,
) -> Shared:
    """1 for each new set that is released without being far from all combinations, or equal to one.

    Parameters
    ----------
    sets : Incidence or None
        This party's people; None without data.
    visible, present : Shared (new,)
        1 for sets that will be released; sites with people in each.
    apart : Shared (families, parties left out, new)
        0 where a set is known to be a union of sets of an earlier family.
    whole_apart : Shared (families, parties left out)
        0 where all new sets together are one.

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
    pairs, number = new * new if q.allocate else 0, q.combined.number
    dealt = await deal(session, M61, own, q.dealers, (new + pairs + q.targets * number,))
    seen = _without_each(q, dealt)
    closed = (-visible).plus_int(1)
    far = seen[:, :new]
    if pairs:
        further = seen[:, new : new + pairs].reshape(views, new, new)
        unseen = await multiply(session, further, closed.reshape(1, 1, new))
        far = far + unseen.sum(2)
    # a table with margins of all people hides further cells where one is below the threshold, empty ones included
    people = closed if q.sums else await multiply(session, closed, present)
    tests = [far.plus_int(-q.minimum).reshape(views * new), *_hidden_before(people, new), *_hidden_parts(people, q)]
    reached = await at_least(session, concatenate([tests[0], *(test.plus_int(-1) for test in tests[1:])]), 0)
    near = (-reached[: views * new]).plus_int(1).reshape(views, new)
    # sets before, or parts, that stay hidden with people in them
    incomplete = reached[views * new :]
    differ = seen[:, new + pairs :].reshape(views, q.targets, number)
    return await _conclude(session, q, visible, near, incomplete, differ, apart, whole_apart)


def _dealt(question: Question, found: Span) -> list[NDArray[np.int64] | NDArray[np.bool_]]:
    return [found.whole, *([found.hidden] if question.allocate else []), found.differs]


def _without_each(question: Question, dealt: dict[int, Shared]) -> Shared:
    """Sums over the dealers, without each party that is left out."""
    total = dealt[question.dealers[0]]
    for d in question.dealers[1:]:
        total = total + dealt[d]
    sums = [total if party is None else total - dealt[party] for party in question.left_out]
    return concatenate([part.reshape(1, part.size) for part in sums])


def _hidden_before(people: Shared, new: int) -> list[Shared]:
    return [people[:i].sum().reshape(1) for i in range(1, new)]


def _hidden_parts(people: Shared, question: Question) -> list[Shared]:
    return [people[list(parts)].sum().reshape(1) for _, parts in question.sums]


async def _conclude(
    session: Session,
    q: Question,
    visible: Shared,
    near: Shared,
    incomplete: Shared,
    differ: Shared,
    apart: Shared,
    whole_apart: Shared,
) -> Shared:
    """visible, near, and different from every candidate."""
    views, new = near.shape
    (product,) = await product_trees(session, [_first(differ, 2)])
    joined = concatenate([apart, whole_apart.reshape(*whole_apart.shape, 1)], axis=2)
    (families,) = await product_trees(session, [joined])
    of_families, of_whole = families[:, :new], families[:, new]
    unequal = (-await equal_zero(session, product)).plus_int(1)
    alone, together = unequal[:, :new], unequal[:, new:]
    factors = [near, alone, of_families, _row(visible, views)]
    if new > 1:
        last = await multiply(session, together[:, new - 2], of_whole)
        together = concatenate([together[:, : new - 2], last.reshape(views, 1)], axis=1)
        # 1 - (1 - together) (1 - incomplete)
        before = _row(incomplete[: new - 1], views)
        both = await multiply(session, together, before)
        open_ones = together + before - both
        factors.append(concatenate([_ones(near[:, :1]), open_ones], axis=1))
    if q.sums:
        factors.append(_with(_ones(near), q, incomplete[new - 1 :]))
    stacked = concatenate([factor.reshape(1, views, new) for factor in factors])
    (result,) = await product_trees(session, [stacked])
    return result


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
