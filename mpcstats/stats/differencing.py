"""Whether a release and an earlier one differ by so few people that both together would tell about them.

People are compared in the clear at each site, by who is in which set; what is compared between sites are numbers of
people on shares, and one bit is opened. A *set* is the people behind one released number, a *family* sets that have
nobody in common (the cells of a count), k is `minimum_count`.

For a set c and a family G the closest union of sets of G to c differs from it by

    |c outside of G| + sum over e in G of min(|c and e|, |e outside of c|)

people: each e is in that union or not, on its own. If this is 1 to k - 1, then c less these sets tells about a group
of 1 to k - 1. If it is 0 or at least k, then no other union does: another choice differs from an exact one by sets of G
as a whole, which have k people or more. So one number for each set and family speaks for all pairs, unions and
complements. It is taken for new sets against earlier families, and for earlier sets against new families.

Sets of several requests together, with any coefficients, are the matter of `mpcstats.stats.spans`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61
from mpcstats.protocols import at_least, deal, multiply, sums_reach
from mpcstats.protocols.boolean import to_arithmetic
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.cell_release import judge_cells
from mpcstats.stats.contributions import Contribution
from mpcstats.stats.disclosure import require_all
from mpcstats.stats.spans import Question, unsupported
from mpcstats.stats.witnesses import Incidence
from mpcstats.types import DisclosureRules

__all__ = ["MOST_PAIRS", "Members", "Release", "check_differences"]

Numbers = NDArray[np.int64]

MOST_PAIRS = 1 << 21
"""Pairs of a new and an earlier set in one check."""

_MOST_LINES = 1 << 10
"""Of one table."""

_BLOCK = 1 << 14
"""Pairs that are compared at once."""


@dataclass(frozen=True)
class Release:
    """What is public about the numbers of one request.

    Attributes
    ----------
    sizes : tuple of int
        Sets of each family; all sets are numbered through.
    overlapping : bool
        A person can be in several sets of a family. Unions of sets are then checked as though nobody was.
    shown : tuple of bool, or None
        Which sets were released; None if that is not known: those that the thresholds allow.
    axes : tuple of int
        Levels of each column, where the first family is a table of so many cells; its lines are sums that others may
        ask for, too.
    sums : tuple of (set, parts)
        Sets that are the sum of others: margins of a table.
    """

    sizes: tuple[int, ...]
    overlapping: bool = False
    shown: tuple[bool, ...] | None = None
    axes: tuple[int, ...] = ()
    sums: tuple[tuple[int, tuple[int, ...]], ...] = ()

    @property
    def sets(self) -> int:
        """Their number."""
        return sum(self.sizes)


@dataclass(frozen=True, repr=False, eq=False)
class Members(Contribution):
    """Who is in which set at this site: one entry of each array for each time a person counts.

    Attributes
    ----------
    keys : uint64
        People; the same person has the same key in all requests.
    sets : int64
    """

    keys: NDArray[np.uint64]
    sets: Numbers


async def check_differences(
    session: Session,
    new: Release,
    earlier: Sequence[Release],
    own: Members | None,
    own_earlier: Sequence[Members | None],
    dealers: tuple[int, ...],
    rules: DisclosureRules,
) -> None:
    """Refuse a release that differs by 1 to `minimum_count` - 1 people from earlier ones, alone or combined.

    Parameters
    ----------
    new, earlier
        Public, equal at all parties.
    own, own_earlier : Members or None
        This party's people; None without data, or where it had no part in an earlier release.
    dealers : tuple of int
        Parties with data.

    Raises
    ------
    DisclosureRefused
        The new release, or too many pairs of sets.

    Notes
    -----
    Only sets that are released count: earlier ones that were, new ones that will be. Unless the rules allow
    `small_remainders`, differences must hold for what is left without any one party's people, too.

    Reveals one bit, `differences`: whether there is a difference that is too small, or may be; not where, nor how
    large. Nothing without earlier releases. About 95 rounds with three parties under `standard`, whatever the number
    of pairs up to 2^14; about 10 more for each further block of so many. At most 2^21 pairs.
    """
    minimum = rules.minimum_count
    if minimum <= 1 or not any(release.sets if release.shown is None else any(release.shown) for release in earlier):
        return
    ours, theirs = _layout([replace(new, shown=None)]), _layout(earlier)
    pairs = ours.columns * theirs.columns
    if pairs > MOST_PAIRS:
        raise DisclosureRefused(
            f"{new.sets:,} cells would have to be compared with {theirs.columns:,} of earlier releases: {pairs:,} "
            f"pairs where at most {MOST_PAIRS:,} are possible",
            hint="ask for fewer cells",
        )
    session.progress("people of this and of earlier releases are compared on shares, before anything is opened")
    left_out = (None, *(dealers if not rules.small_remainders and len(dealers) > 1 else ()))
    check = _Check(session, ours, theirs, dealers, left_out, rules)
    numbers = await local(session, _local, ours, theirs, own, own_earlier)
    found = await check.small_differences(numbers)
    lines = [line for number, release in enumerate(earlier) for line in _lines(release, theirs.column[number])]
    question = _question(new, ours, theirs, lines, minimum, left_out, dealers)
    people = await local(session, _incidence, ours, theirs, own, own_earlier)
    doubtful = await unsupported(session, question, people, found.visible, found.apart)
    session.openings.declare(
        "differences", 1, "0 where this and earlier releases differ by too few people", decision=True
    )
    any_small = await at_least(session, (found.small.sum() + doubtful.reshape(doubtful.size).sum()).reshape(1), 1)
    await require_all(
        session,
        (-any_small).plus_int(1),
        "differences",
        f"this request and earlier ones that were released differ by fewer than {minimum} people, or may do so when "
        "several are added and subtracted: all together would tell about them",
        "ask for a group that differs by more people from earlier ones, or repeat an earlier request as it was",
    )


# --- public: sets, families and unions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Columns: the released sets of all releases, and behind them the union of each family of several.

    Attributes
    ----------
    column : one int64 (sets,) per release
        Column of each set, -1 if it was not released.
    union : one int64 (columns,) per release
        Column of the union that a column's set belongs to, -1 without.
    families : tuple of (columns, union)
        A family of one is its own union.
    wholes : dict of column to columns
        Unions that follow from released numbers, as the sum of disjoint sets.
    target : bool (columns,)
        Whether a number of these people is released, or follows.
    known : bool (sets,)
        Whether a set is known to have been released; else it was if the thresholds allow it.
    """

    column: tuple[Numbers, ...]
    union: tuple[Numbers, ...]
    families: tuple[tuple[Numbers, int], ...]
    wholes: dict[int, Numbers]
    target: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def columns(self) -> int:
        return len(self.target)

    @property
    def sets(self) -> int:
        """Columns that are no unions."""
        return len(self.known)


def _layout(releases: Sequence[Release]) -> _Layout:
    columns, families, wholes, unions_of = [], [], {}, []
    shown_of = [np.ones(r.sets, np.bool_) if r.shown is None else np.asarray(r.shown, np.bool_) for r in releases]
    count = start = sum(int(shown.sum()) for shown in shown_of)
    at = 0
    for release, shown in zip(releases, shown_of, strict=True):
        column = np.where(shown, at + np.cumsum(shown) - 1, -1).astype(np.int64)
        at += int(shown.sum())
        union = np.full(start, -1, np.int64)
        for family in np.split(column, np.cumsum(release.sizes)[:-1]):
            members = family[family >= 0]
            if release.overlapping or len(members) == 1:
                families += [(members[i : i + 1], int(members[i])) for i in range(len(members))]
            if len(members) > 1:
                families.append((members, count))
                union[members] = count
                if not release.overlapping:
                    wholes[count] = members
                count += 1
        columns.append(column)
        unions_of.append(union)
    target = np.zeros(count, np.bool_)
    target[:start] = True
    target[list(wholes)] = True
    known = [np.full(int(shown.sum()), r.shown is not None) for r, shown in zip(releases, shown_of, strict=True)]
    return _Layout(tuple(columns), tuple(unions_of), tuple(families), wholes, target, np.concatenate(known))


def _question(
    new: Release,
    ours: _Layout,
    theirs: _Layout,
    lines: list[Numbers],
    minimum: int,
    left_out: tuple[int | None, ...],
    dealers: tuple[int, ...],
) -> Question:
    known = [np.array([c]) for c in np.flatnonzero(theirs.known)]
    in_tables = {int(c) for members, union in theirs.families if len(members) > 1 for c in members}
    wholes = [members for members in theirs.wholes.values() if theirs.known[members].all()]
    # those that are likely to be combined stand last
    units = [unit for unit in known if int(unit[0]) in in_tables]
    units += [*lines, *(unit for unit in known if int(unit[0]) not in in_tables)]
    cells = 0 if new.overlapping else new.sizes[0]
    sums = () if new.overlapping else new.sums
    return Question(theirs.sets, ours.sets, (*units, *wholes), cells, sums, minimum, left_out, dealers)


def _lines(release: Release, column: Numbers) -> list[Numbers]:
    """The released cells of each line of a table, of every choice of its columns."""
    axes = release.axes
    if release.overlapping or release.shown is None or len(axes) < 2 or math.prod(axes) != release.sizes[0]:
        return []
    cells, lines = column[: release.sizes[0]].reshape(axes), []
    for kept in range(1, len(axes)):
        for chosen in itertools.combinations(range(len(axes)), kept):
            size = math.prod(axes[a] for a in chosen)
            flat = np.moveaxis(cells, chosen, range(kept)).reshape(size, -1)
            lines += [line[line >= 0] for line in flat if (line >= 0).sum() > 1]
    return lines[:_MOST_LINES]


# --- in the clear, at one site --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Local:
    """Numbers of people at this site.

    Attributes
    ----------
    counted : int64 (sets,)
        Of the new sets, as they are released.
    new, old : int64 (columns,)
        Of each column.
    both : int64 (columns of the new release, columns of the earlier ones)
    """

    counted: Numbers
    new: Numbers
    old: Numbers
    both: Numbers


def _local(ours: _Layout, theirs: _Layout, own: Members | None, own_earlier: Sequence[Members | None]) -> _Local | None:
    if own is None:
        return None
    mine = _in_columns(ours, 0, own)
    old = np.zeros(theirs.columns, np.int64)
    both = np.zeros((ours.columns, theirs.columns), np.int64)
    for number, members in enumerate(own_earlier):
        if members is None:
            continue
        they = _in_columns(theirs, number, members)
        old += np.bincount(they["column"], minlength=theirs.columns)
        pairs = mine.merge(they, on="key", suffixes=("_new", "_old"))
        flat = pairs["column_new"].to_numpy() * theirs.columns + pairs["column_old"].to_numpy()
        both += np.bincount(flat, minlength=both.size).reshape(both.shape)
    counted = np.bincount(own.sets, minlength=len(ours.column[0])).astype(np.int64)
    return _Local(counted, np.bincount(mine["column"], minlength=ours.columns).astype(np.int64), old, both)


def _incidence(
    ours: _Layout, theirs: _Layout, own: Members | None, own_earlier: Sequence[Members | None]
) -> Incidence | None:
    """Who is in which set at this site; without unions."""
    if own is None:
        return None
    frames = [_in_columns(theirs, number, members) for number, members in enumerate(own_earlier) if members is not None]
    frames = [frame[frame["column"] < theirs.sets] for frame in frames]
    mine = _in_columns(ours, 0, own)
    mine = mine[mine["column"] < ours.sets].assign(column=lambda frame: frame["column"] + theirs.sets)
    pairs = pd.concat([*frames, mine]).drop_duplicates()
    person, keys = pd.factorize(pairs["key"].to_numpy(dtype=np.uint64))
    return Incidence(
        len(keys), person.astype(np.int64), pairs["column"].to_numpy(dtype=np.int64), theirs.sets, ours.sets
    )


def _in_columns(layout: _Layout, number: int, members: Members) -> pd.DataFrame:
    """Each person once in each column it is in."""
    column = layout.column[number][members.sets]
    keys, column = members.keys[column >= 0], column[column >= 0]
    union = layout.union[number][column]
    pairs = pd.DataFrame(
        {"key": np.concatenate([keys, keys[union >= 0]]), "column": np.concatenate([column, union[union >= 0]])}
    )
    return pairs.drop_duplicates()


# --- on shares ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Attributes
    ----------
    small : Shared (numbers,)
        1 for each set and family, and each party left out, that differ by 1 to k - 1 people.
    apart : Shared (families, parties left out, new sets)
        0 where a new set is a union of sets of an earlier family; without overlapping ones.
    visible : Shared (new sets,)
        1 for those that will be released.
    """

    small: Shared
    apart: Shared
    visible: Shared


@dataclass(frozen=True)
class _Check:
    session: Session
    ours: _Layout
    theirs: _Layout
    dealers: tuple[int, ...]
    left_out: tuple[int | None, ...]
    rules: DisclosureRules

    async def small_differences(self, local: _Local | None) -> _Found:
        """Sets and families that differ by 1 to k - 1 people, and new sets that differ from a family by nobody."""
        k, ours, theirs = self.rules.minimum_count, self.ours, self.theirs
        new_visible, old_visible = await self._visible(local)
        common, to_new, to_old = await self._compared(local)
        rests, new_present, old_present = await self._rests(local)
        new_hidden = await self._hidden(ours, new_visible, new_present)
        old_hidden = await self._hidden(theirs, old_visible, old_present)
        # a set that stays hidden is in no union: its share of the other side's set remains
        to_old = await multiply(self.session, new_visible.reshape(1, ours.sets, 1), to_old[:, : ours.sets])
        if not theirs.known.all():
            to_new = await multiply(self.session, old_visible.reshape(1, 1, theirs.sets), to_new[:, :, : theirs.sets])
        new_ends, old_ends = np.flatnonzero(ours.target), np.flatnonzero(theirs.target)
        differ = []
        for number, (members, _) in enumerate(theirs.families):
            inside = (common[:, :, members] + to_new[:, :, members]).sum(2)
            differ.append((inside + rests[0][:, :, number] + new_hidden)[:, new_ends])
        for number, (members, _) in enumerate(ours.families):
            inside = (common[:, members] + to_old[:, members]).sum(1)
            differ.append((inside + rests[1][:, :, number] + old_hidden)[:, old_ends])
        people = concatenate([part.reshape(part.size) for part in differ])
        reached = await at_least(self.session, concatenate([people.plus_int(-1), people.plus_int(-k)]), 0)
        small = reached[: people.size] - reached[people.size :]
        return _Found(small, self._apart(reached[: people.size]), new_visible)

    def _apart(self, differs: Shared) -> Shared:
        """Of `_Found`, from what `small_differences` tried."""
        views, ends, sets = len(self.left_out), int(self.ours.target.sum()), self.ours.sets
        each = []
        for number, (members, union) in enumerate(self.theirs.families):
            if len(members) > 1 and union not in self.theirs.wholes:
                continue  # people in several of its sets: their sum is another function than their union
            part = differs[number * views * ends : (number + 1) * views * ends].reshape(views, ends)
            each.append(part[:, :sets].reshape(1, views, sets))
        return concatenate(each)

    async def _visible(self, local: _Local | None) -> tuple[Shared, Shared]:
        """1 for new sets that will be released; and for earlier ones that were, or were if the thresholds allow it."""
        unknown = np.flatnonzero(~self.theirs.known)
        counted = None if local is None else np.concatenate([local.counted, local.old[unknown]])
        rules, sets = replace(self.rules, rounding_base=1), self.ours.sets
        judged = await judge_cells(self.session, counted, self.dealers, sets + len(unknown), rules)
        assert judged.visible is not None
        visible = (await to_arithmetic(self.session, judged.visible, M61)).reshape(sets + len(unknown))
        values = M61.zeros((self.theirs.sets,))
        values[:] = M61.constant(1)
        values[unknown] = visible.values[sets:]
        return visible[:sets], replace(visible, values=values)

    async def _compared(self, local: _Local | None) -> tuple[Shared, Shared, Shared]:
        """(|c and e|, min(that, |e outside c|) - that, min(that, |c outside e|) - that), clipped at k at each site;
        (parties left out, new columns, old columns) each."""
        shape = (self.ours.columns, self.theirs.columns)
        own = None
        if local is not None:
            numbers = [local.both, local.old[None] - local.both, local.new[:, None] - local.both]
            own = np.minimum(np.stack(numbers), self.rules.minimum_count).reshape(3, -1)
        parts = []
        for at in range(0, shape[0] * shape[1], _BLOCK):
            span = slice(at, min(shape[0] * shape[1], at + _BLOCK))
            block = await self._block(None if own is None else own[:, span], span.stop - span.start)
            parts.append(block)
        joined = concatenate(parts, axis=2)
        views = len(self.left_out)
        return tuple(joined[which].reshape(views, *shape) for which in range(3))  # type: ignore[return-value]

    async def _block(self, own: Numbers | None, pairs: int) -> Shared:
        session = self.session
        views = len(self.left_out)
        dealt = await deal(session, M61, None if own is None else M61.from_int64(own), self.dealers, (3, pairs))
        common, old, new = (self._without_each(dealt, row) for row in range(3))
        width = (self.rules.minimum_count * len(self.dealers)).bit_length()
        bits = None
        if own is not None:
            others = np.array([[party != session.index] for party in self.left_out])
            bits = np.concatenate([(own[0] - own[1]) * others, (own[0] - own[2]) * others])
            bits += (1 << width) if session.index == self.dealers[0] else 0
        # 1 where fewer are outside than in both: these are the minimum
        fewer = await to_arithmetic(
            session, await sums_reach(session, bits, self.dealers, width, (2 * views, pairs)), M61
        )
        change = await multiply(session, fewer, concatenate([old - common, new - common]))
        return concatenate([common, change]).reshape(3, views, pairs)

    def _without_each(self, dealt: dict[int, Shared], row: int) -> Shared:
        """Sums over the dealers, without each party that is left out."""
        total = dealt[self.dealers[0]][row]
        for d in self.dealers[1:]:
            total = total + dealt[d][row]
        sums = [total if party is None else total - dealt[party][row] for party in self.left_out]
        return concatenate([part.reshape(1, part.size) for part in sums])

    async def _rests(self, local: _Local | None) -> tuple[tuple[Shared, Shared], Shared, Shared]:
        """People of each column outside of each family of the other side, clipped at each site; and how many sites
        have people in each new set, and in each earlier one."""
        into_old = [union for _, union in self.theirs.families]
        into_new = [union for _, union in self.ours.families]
        shapes = ((self.ours.columns, len(into_old)), (self.theirs.columns, len(into_new)))
        sizes = [shapes[0][0] * shapes[0][1], shapes[1][0] * shapes[1][1], self.ours.sets, self.theirs.sets]
        own = None
        if local is not None:
            first = local.new[:, None] - local.both[:, into_old]
            second = local.old[:, None] - local.both[into_new].T
            rests = np.minimum(np.concatenate([first.reshape(-1), second.reshape(-1)]), self.rules.minimum_count)
            people = np.concatenate([local.counted, local.old[: self.theirs.sets]])
            own = M61.from_int64(np.concatenate([rests, np.minimum(people, 1)]).reshape(1, -1))
        dealt = await deal(self.session, M61, own, self.dealers, (1, sum(sizes)))
        views, ends = self._without_each(dealt, 0), np.cumsum(sizes)
        one = views[:, : ends[0]].reshape(len(self.left_out), *shapes[0])
        two = views[:, ends[0] : ends[1]].reshape(len(self.left_out), *shapes[1])
        return (one, two), views[0, ends[1] : ends[2]], views[0, ends[2] :]

    async def _hidden(self, layout: _Layout, visible: Shared, present: Shared) -> Shared:
        """For each column k or more where it is not released, else 0: such a column differs from nothing.

        A whole is the sum of released numbers where each of its sets is released or empty.
        """
        closed = (-visible).plus_int(1)
        parts = [closed]
        if layout.columns > layout.sets:
            people = await multiply(self.session, closed, present)
            wholes = [people[layout.wholes.get(c, slice(None))] for c in range(layout.sets, layout.columns)]
            parts += [whole.sum().reshape(1) for whole in wholes]
        return concatenate(parts).times_int(self.rules.minimum_count).reshape(1, layout.columns)
