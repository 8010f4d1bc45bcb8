"""The engine of schedules, put into a node."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from mpcstats.node.coordinator import Errand, coordinate
from mpcstats.node.governance.calendar import Calendar
from mpcstats.node.participation import House
from mpcstats.node.schedules import Fired, Hooks, ScheduleEngine, Standing
from mpcstats.node.sealing import SealedRun
from mpcstats.study.canonical import moment

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
        lock = state.proposal.lock
        errand = Errand(state.id, "whole" if lock.release == "auto" else "compute", moment(due))
        ended = await coordinate(house, lock.request, lambda text: None, errand)
        if isinstance(ended, SealedRun):
            return Fired(sealed=True)
        return Fired(ended if house.name in lock.recipients else None)

    async def quiet() -> list[tuple[str, datetime.datetime]]:
        return calendar.quiet()

    async def resolve(standing: Standing, due: datetime.datetime) -> Fired | None:
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
