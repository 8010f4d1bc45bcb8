"""Rules of scheduled runs that every party applies on its own: what may start, and what becomes of what cannot.

An *occurrence* is one due time of a schedule. Occurrences run in order, one after the other. One that cannot start
(the node was down, a party is absent, paused or in its quiet hours, the one before takes long) waits; when its window
closes it is over for good. The window is the grace; with `catch_up` "latest" it lasts until the next occurrence is due,
with "all" until the end of the schedule. Nothing starts after the end of the schedule.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mpcstats.errors import NotApproved, StudyClosed, StudyError
from mpcstats.study.canonical import moment
from mpcstats.study.schedule import Schedule, is_due, next_due

__all__ = [
    "FINAL",
    "MOST_ATTEMPTS",
    "SKEW",
    "STATES",
    "Occurrence",
    "State",
    "check_occurrence",
    "runs_left",
    "too_late",
]

State = Literal["planned", "running", "released", "held", "failed", "missed", "skipped"]
"""planned: due, and could not start yet. running: started; or computed, and its result is sealed. held: it could not
run with all parties, or its cohort changed by too few people. missed: nobody started it in time. skipped: a later one
took its place, it was paused, or the schedule was over."""

STATES: tuple[State, ...] = get_args(State)
FINAL: frozenset[State] = frozenset({"released", "held", "failed", "missed", "skipped"})

MOST_ATTEMPTS = 5
"""Starts of one occurrence; each may open the bit of the ledger."""

SKEW = datetime.timedelta(minutes=2)
"""How much the clocks of two parties may differ, and how long a run may take to reach the others."""


@dataclass(frozen=True)
class Occurrence:
    """What a party knows of one occurrence.

    Attributes
    ----------
    due : datetime
        UTC.
    state : State
    attempts : int
        How often it was started.
    """

    due: datetime.datetime
    state: State
    attempts: int = 0


def too_late(
    schedule: Schedule, due: datetime.datetime, now: datetime.datetime, skew: datetime.timedelta = datetime.timedelta()
) -> tuple[State, str] | None:
    """What becomes of an occurrence that has not started by now: state and reason; None when it may still start."""
    if now - skew > schedule.until:
        return "missed", f"the schedule ended {schedule.local(schedule.until)}"
    if now - skew <= due + schedule.grace or schedule.catch_up == "all":
        return None
    if schedule.catch_up == "none":
        return "missed", f"could not start within {schedule.grace_minutes} minutes"
    later = next_due(schedule, due)
    if later is not None and later <= now - skew:
        return "skipped", f"the count due {schedule.local(later)} took its place"
    return None


def runs_left(schedule: Schedule, history: Iterable[Occurrence], due: datetime.datetime | None = None) -> int | None:
    """How many occurrences other than `due` may still start; None: as many as there are."""
    if schedule.max_runs is None:
        return None
    return schedule.max_runs - sum(past.attempts > 0 for past in history if past.due != due)


def check_occurrence(
    schedule: Schedule,
    occurrence: datetime.datetime,
    now: datetime.datetime,
    history: Sequence[Occurrence],
    *,
    approved: datetime.datetime | None = None,
    skew: datetime.timedelta = SKEW,
) -> None:
    """Whether a party may take part in a scheduled run that another one starts.

    Parameters
    ----------
    schedule : Schedule
        Of the approved study.
    occurrence : datetime
        When the run was due, as its coordinator says.
    now : datetime
        This party's clock.
    history : sequence of Occurrence
        Occurrences of this study that this party took part in, in any order.
    approved : datetime, optional
        When the last approval came; what was due before is not covered.
    skew : timedelta
        Tolerance of the clocks.

    Raises
    ------
    NotApproved
        It is not in the calendar that was approved, or not yet due.
    StudyClosed
        It is too late for it, or the schedule has had all its runs.
    StudyError
        It was released or held, was started too often, or a later one came before it.
    """
    what = f"the run of {schedule.name} due {moment(occurrence)}"
    if not is_due(schedule, occurrence):
        raise NotApproved(f"{what} is not in the approved schedule", hint=f"mpcstats schedule next {schedule.name}")
    if approved is not None and occurrence < approved:
        raise NotApproved(f"{what} came before the approval of {moment(approved)}")
    if occurrence > now + skew:
        raise NotApproved(f"{what} is not due yet: it is {moment(now)}", hint="compare the clocks of the parties")
    late = too_late(schedule, occurrence, now, skew)
    if late is not None:
        raise StudyClosed(f"{what} is over: {late[1]}")
    for past in history:
        if past.due == occurrence and past.state in {"released", "held"}:
            raise StudyError(f"{what} was {past.state} already")
        if past.due == occurrence and past.attempts >= MOST_ATTEMPTS:
            raise StudyError(f"{what} was started {past.attempts} times already")
        if past.due > occurrence and past.attempts > 0:
            raise StudyError(f"{what} comes after the one due {moment(past.due)}", hint="occurrences run in order")
    left = runs_left(schedule, history, occurrence)
    if left is not None and left <= 0:
        raise StudyClosed(f"{schedule.name} has had all its {schedule.max_runs} runs")
