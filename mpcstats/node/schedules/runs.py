"""The engine of schedules, put into a node."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from mpcstats.errors import JournalMismatch
from mpcstats.node.governance.calendar import Calendar
from mpcstats.node.runs.house import Ended, House
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.node.runs.taking_up import run_study
from mpcstats.node.schedules.engine import Fired, Hooks, ScheduleEngine, Standing
from mpcstats.study.canonical import moment
from mpcstats.study.lifecycle import StudyState

__all__ = ["schedule_engine"]


def schedule_engine(
    house: House, calendar: Calendar, notify: Callable[..., object] = lambda event, **facts: None
) -> ScheduleEngine:
    """The engine that starts this party's scheduled runs.

    Parameters
    ----------
    house : House
        With an office, and its courier.
    calendar : Calendar
    notify : function
        `Notifier.tell`.
    """
    office = house.office
    assert office is not None

    async def absent() -> list[str]:
        # to exchange entries is to ask who is there; a pause that was signed a moment ago is known then
        return [] if office.courier is None else sorted(await office.courier.exchange_all())

    async def fire(standing: Standing, due: datetime.datetime) -> Fired:
        state = await asyncio.to_thread(office.desk.study, standing.study)
        state.require_approved()
        ended = await _started(house, state, moment(due))
        if isinstance(ended, SealedRun):
            return Fired(sealed=True)
        return Fired(ended if house.name in state.proposal.lock.recipients else None)

    async def quiet() -> list[tuple[str, datetime.datetime]]:
        return calendar.quiet()

    async def resolve(standing: Standing, due: datetime.datetime) -> Fired | None:
        state = await asyncio.to_thread(office.desk.study, standing.study)
        if await asyncio.to_thread(office.unfinished.of, state, moment(due)) is not None:
            return None  # it is gone on with, which brings a result that others have seen here, too
        return await asyncio.to_thread(calendar.resolve, standing, due)

    def tell(event: str, **facts: Any) -> None:
        notify(event, **facts)
        if event == "held":  # the others hear of it by an entry
            office.desk.write("held", facts["study"], {"occurrence": moment(facts["due"])})

    hooks = Hooks(
        schedules=calendar.standings,
        fire=fire,
        paused=calendar.paused,
        closed=calendar.closed,
        absent=absent,
        quiet=quiet,
        resolve=resolve,
        notify=tell,
    )
    return ScheduleEngine(calendar.book, calendar.results, hooks, office.desk.now, house.log)


async def _started(house: House, state: StudyState, occurrence: str) -> Ended:
    """A run that broke off is taken up again; nobody is there to decide what to do where it does not repeat itself."""
    try:
        return await run_study(house, state, lambda text: None, occurrence=occurrence)
    except JournalMismatch as error:
        house.log.warning("begins_afresh", study=state.id, party=error.party or "", code=error.code)
        return await run_study(house, state, lambda text: None, occurrence=occurrence, choice="afresh")
