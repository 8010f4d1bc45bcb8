"""Records as rows: what a party deals, and the merged list.

Each party sorts its rows by time, events before censorings, and puts empty rows in front until it has the public number
of rows: nobody learns how many people it has. In the merged list the empty rows are in front, too. A row with m - 1
rows behind it has m people at risk, whatever the number of people is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError, RangeError
from mpcstats.field import M127
from mpcstats.protocols import deal, merge
from mpcstats.protocols.declare import Case
from mpcstats.protocols.merge import merge_work, network
from mpcstats.runtime import Session, Shared
from mpcstats.stats.contributions.exact_time import MOST_ROWS, ExactTimeContribution, ExactTimePlan

__all__ = [
    "Rows",
    "check_people",
    "check_rows",
    "curve_rows",
    "pooled_rows",
]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Merged rows of several lists, one list for each group or one for everybody.

    Attributes
    ----------
    twice_time : Shared (lists, rows)
        2 * time; -2 in empty rows.
    event : Shared (lists, rows)
        0 or 1.
    more : Shared (lists, rows, columns)
        Further columns.
    """

    twice_time: Shared
    event: Shared
    more: Shared

    @property
    def at_risk(self) -> Counts:
        """People at risk at each row, public: the rows from it to the end."""
        return np.arange(self.event.shape[1], 0, -1)


def check_rows(session: Session, parties: int, rows: int, lists: int, columns: int) -> None:
    """Refuse a merge that is too long, with what it would cost.

    Raises
    ------
    RangeError
        More than `MOST_ROWS` rows in all. Nothing was sent.
    """
    total = parties * rows * lists
    if 0 < total <= MOST_ROWS:
        return
    if total <= 0:
        raise RangeError(f"{rows} rows for each of {parties} parties are none to merge")
    sample = (MOST_ROWS // (parties * lists),) * parties
    comparators = sum(len(low) for low, _ in network(tuple(n * lists for n in sample)).levels)
    work = merge_work(Case(session.committee, M127, 1), [n * lists for n in sample], columns)
    megabytes = work.bytes_sent / session.committee.m / 1e6
    raise RangeError(
        f"{total:,} rows are too many to be merged obliviously; {MOST_ROWS:,} take {comparators:,} comparisons, "
        f"{megabytes:,.0f} MB sent by each party and {work.rounds:,} rounds, and the cost grows faster than the rows",
        hint="fewer rows per party, or the analysis on a lattice of times (time_unit), which takes seconds",
    )


async def curve_rows(
    session: Session,
    plan: ExactTimePlan,
    own: ExactTimeContribution | None,
    dealers: tuple[int, ...],
    landmarks: tuple[int, ...],
) -> tuple[Rows, list[Shared]]:
    """A merged list for each group, and each party's numbers.

    Returns
    -------
    (Rows, list of Shared)
        more: for each landmark 1 where the event came up to it. People of each data party (G,).
    """
    groups, columns = plan.group_count, 2 + len(landmarks)
    check_rows(session, len(dealers), plan.rows, groups, columns)
    table = numbers = None
    if own is not None:
        check_people(plan, own)
        table = np.zeros((groups, plan.rows, columns), np.int64)
        numbers = np.bincount(own.group, minlength=groups)
        for g in range(groups):
            time, event = own.time[own.group == g], own.event[own.group == g]
            reached = event[:, None] & (time[:, None] <= np.array(landmarks, np.int64)[None, :])
            _fill(table[g], time, event, reached.astype(np.int64))
            # one merge for all groups: an empty row sorts behind the rows of the group before
            table[g, :, 0] += g * _spacing(plan)
    own_table = None if table is None else M127.from_int64(table.reshape(groups * plan.rows, columns))
    own_numbers = None if numbers is None else M127.from_int64(numbers)
    dealt = await deal(session, M127, own_table, dealers, (groups * plan.rows, columns))
    counted = await deal(session, M127, own_numbers, dealers, (groups,))
    merged = await merge(session, list(dealt.values()))
    session.progress("rows of all parties merged on shares")
    return _read(merged, groups, plan), list(counted.values())


async def pooled_rows(
    session: Session, plan: ExactTimePlan, own: ExactTimeContribution | None, dealers: tuple[int, ...]
) -> tuple[Rows, list[Shared]]:
    """One merged list of everybody, and each party's rows.

    Returns
    -------
    (Rows, list of Shared)
        more: for each group but the last 1 where the person is in it. Rows of each data party (rows, 1 + G): event, and
        membership of each group.
    """
    groups = plan.group_count
    check_rows(session, len(dealers), plan.rows, 1, 1 + groups)
    table = None
    if own is not None:
        check_people(plan, own)
        table = np.zeros((plan.rows, 2 + groups), np.int64)
        _fill(table, own.time, own.event, np.eye(groups, dtype=np.int64)[own.group])
    own_table = None if table is None else M127.from_int64(table)
    dealt = list((await deal(session, M127, own_table, dealers, (plan.rows, 2 + groups))).values())
    merged = await merge(session, [part[:, : 1 + groups] for part in dealt])
    session.progress("rows of all parties merged on shares")
    return _read(merged, 1, plan), [part[:, 1:] for part in dealt]


def check_people(plan: ExactTimePlan, own: ExactTimeContribution) -> None:
    """A party's own people fit the plan; raised at their owner, before anything is sent."""
    if not own.time.shape == own.event.shape == own.group.shape or own.time.ndim != 1:
        raise DataError(
            f"times {own.time.shape}, events {own.event.shape} and groups {own.group.shape} differ in shape"
        )
    if own.time.size > plan.rows:
        raise DataError(
            f"this party has {own.time.size:,} people where the study has room for {plan.rows:,} rows of each party",
            hint="agree on more rows",
        )
    outside = int(np.sum((own.time < 0) | (own.time > plan.horizon)))
    strangers = int(np.sum((own.group < 0) | (own.group >= plan.group_count)))
    if outside or strangers:
        raise DataError(f"{outside} times are not within 0 to the horizon, {strangers} people are in no group")


def _spacing(plan: ExactTimePlan) -> int:
    return 2 * plan.horizon + 3


def _fill(table: Counts, time: Counts, event: NDArray[np.bool_], more: Counts) -> None:
    """Rows (key, event, more) sorted by key at the end of a table of zeros; keys are positive."""
    key = 2 * time + 1 + ~event
    order = np.argsort(key, kind="stable")
    start = table.shape[0] - time.size
    table[start:, 0], table[start:, 1], table[start:, 2:] = key[order], event[order], more[order]


def _read(merged: Shared, lists: int, plan: ExactTimePlan) -> Rows:
    count, columns = merged.shape
    table = merged.reshape(lists, count // lists, columns)
    offset = M127.from_int64(-np.arange(lists, dtype=np.int64)[:, None] * _spacing(plan) - 2)
    key, event = table[:, :, 0], table[:, :, 1]
    return Rows((key + event).plus(offset), event, table[:, :, 2:])
