"""The parts of a node, put together: what its runs share, its studies, its notices, and its work in the background."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

from mpcstats.node.auditing.node import Auditing
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.notices import EntryNotices
from mpcstats.node.governance.office import Office
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.memory import keep_slim
from mpcstats.node.notices.delivery import Delivery
from mpcstats.node.notices.queue import Notifier, key_expiring, run_notifier
from mpcstats.node.observing.logs import Log
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.vitals import Vitals
from mpcstats.node.runs.house import House
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.schedules.engine import run_schedules
from mpcstats.node.schedules.runs import schedule_engine
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import Site
from mpcstats.node.state.database import Database
from mpcstats.transport.network import PeerNetwork

__all__ = ["in_background", "open_house", "open_notifier", "open_office"]

_KEPT_SECONDS = 7 * 24 * 3600
"""What is kept of interrupted runs goes after a week."""

_TIDY_SECONDS = 3600.0


def open_house(
    directory: PartyDirectory, roster: Roster, network: PeerNetwork, log: Log, meter: Meter
) -> tuple[House, Office, Auditing]:
    """What all runs of the node share; opens its database."""
    from mpcstats.node.runs.execution import execute

    config, scratch = directory.config, directory.state / "interrupted"
    forget_old(scratch)
    office = open_office(directory, roster, log)
    office.ledger = ledger = ReleaseLedger(directory.ledger_file, config.name)
    office.tidy()
    auditing = Auditing(directory, roster, office.desk.database, log)
    office.desk.on_entry.append(auditing.noted)
    site, jobs = Site(directory), Jobs(config.name, config.limits.queue)
    house = House(
        config.name,
        roster,
        site,
        network,
        jobs,
        config.run,
        log,
        execute,
        scratch,
        ledger,
        office,
        auditing,
        bounds=config.limits,
        meter=meter,
        vitals=Vitals(directory, office.desk, auditing.log).read,
    )
    return house, office, auditing


def open_office(directory: PartyDirectory, roster: Roster, log: Log) -> Office:
    """The studies of a party: its database, and the rosters it has used."""
    name = directory.config.name
    database = Database(directory.state_url, name)
    key, limits = directory.signing_key(), directory.config.limits
    desk = Desk(database, roster, name, key, earlier=directory.earlier_rosters(), limits=limits)
    return Office(directory, desk, log)


def open_notifier(directory: PartyDirectory, office: Office, log: Log) -> Notifier:
    """Whom this party tells what; its secrets are read now."""
    config, desk = directory.config, office.desk
    delivery = Delivery(directory.path, config.name, config.notify)
    notifier = Notifier(desk.database, config.name, desk.roster.consortium, config.notify, delivery, desk.now, log)
    desk.on_entry.append(EntryNotices(notifier, desk, log))
    expires = key_expiring(directory.identity().certificate_pem, desk.now())
    if expires is not None:
        log.warning("key_expires", day=expires)
        notifier.tell("key-expiring", subject=expires, state=f"ends on {expires}", next="mpcstats party rotate")
    return notifier


def in_background(house: House, office: Office, notifier: Notifier, stop: asyncio.Event) -> list[asyncio.Task[None]]:
    """Scheduled runs, notices, what is kept too long, free memory; each ends within a second of `stop`."""
    engine = schedule_engine(house, office.calendar, notifier.tell)
    return [
        asyncio.create_task(run_schedules(engine, stop)),
        asyncio.create_task(run_notifier(notifier, stop)),
        asyncio.create_task(keep_tidy(house, office, stop)),
        asyncio.create_task(keep_slim(stop)),
    ]


async def keep_tidy(house: House, office: Office, stop: asyncio.Event, seconds: float = _TIDY_SECONDS) -> None:
    """Delete what is kept of runs that are over or abandoned, from time to time, while nothing runs."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        if not stop.is_set() and not house.jobs.busy:
            office.tidy()  # not in a thread: no run begins meanwhile


def forget_old(scratch: Path) -> None:
    """Delete what was kept of runs that nobody asked for again in a week."""
    for folder in scratch.glob("*/"):
        if time.time() - folder.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
