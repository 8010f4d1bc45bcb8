"""A simulated year: a clock, parties that come and go, crashes, and an oracle that knows none of the code it judges."""

from __future__ import annotations

import asyncio
import datetime
import random
import zoneinfo
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path

import structlog

from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder
from mpcstats.node.schedules.engine import Fired, Hooks, ScheduleEngine, Standing
from mpcstats.node.state.database import Database
from mpcstats.study.schedule import parse_schedule

QUIET = structlog.wrap_logger(structlog.ReturnLogger(), processors=[lambda *_: ""])
START = datetime.datetime(2027, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Stockholm", "America/New_York", "Asia/Kolkata", "UTC")


class Crash(BaseException):
    """The process is gone: nothing after this point happens."""


@dataclass
class Plan:
    """A schedule, in the words of the oracle."""

    standing: Standing
    zone: str
    days: str
    hour: int
    minute: int
    pauses: list[tuple[datetime.datetime, datetime.datetime]] = field(default_factory=list)
    closed_from: datetime.datetime | None = None

    def calendar(self) -> list[datetime.datetime]:
        """Due times, day by day on the wall; the hours it uses are never skipped or shown twice."""
        schedule, zone = self.standing.schedule, zoneinfo.ZoneInfo(self.zone)
        found, day = [], datetime.date(2026, 12, 30)
        while day < schedule.until.date() + timedelta(days=3):
            by_date = self.days.isdigit() and day.day == int(self.days)
            if self.days == "*" or by_date or f"{day:%a}".lower() in self.days:
                due = datetime.datetime.combine(day, datetime.time(self.hour, self.minute), zone).astimezone(UTC)
                if max(schedule.starts, self.standing.approved) <= due <= schedule.until:
                    found.append(due)
            day += timedelta(days=1)
        return found

    def paused(self, now: datetime.datetime) -> bool:
        return any(start <= now < end for start, end in self.pauses)

    def closed(self, now: datetime.datetime) -> bool:
        return self.closed_from is not None and now >= self.closed_from


def make_plan(number: int, rng: random.Random) -> Plan:
    zone, hour, minute = rng.choice(ZONES), rng.randrange(4, 24), rng.randrange(60)
    days = rng.choice(["1", "15", "31", "sun", "mon,thu"] + (["*"] if number % 10 == 0 else []))
    starts = START + timedelta(days=rng.randrange(120), hours=rng.randrange(24))
    schedule = parse_schedule(
        {
            "name": f"count-{number}",
            "cron": f"{minute} {hour} {days} * *" if days.isdigit() or days == "*" else f"{minute} {hour} * * {days}",
            "tz": zone,
            "starts": starts,
            "until": starts + timedelta(days=rng.choice([100, 200, 365])),
            "max_runs": rng.choice([None, None, 3, 13]),
            "catch_up": rng.choice(["latest", "all", "none"]),
            "grace_minutes": rng.choice([60, 600, 3 * 1440]),
        }
    )
    standing = Standing(f"{number:064x}", schedule, starts + timedelta(days=rng.choice([0, 0, 10])))
    plan = Plan(standing, zone, days, hour, minute)
    for _ in range(rng.randrange(3)):
        start = START + timedelta(hours=rng.randrange(8760))
        plan.pauses.append((start, start + timedelta(hours=rng.randrange(1, 1000))))
    if rng.random() < 0.1:
        plan.closed_from = START + timedelta(hours=rng.randrange(8760))
    return plan


class World:
    """Everything outside the engine. `crash_rate` is per look at the clock and per run."""

    def __init__(self, url: str, folder: Path, count: int, seed: int, crash_rate: float) -> None:
        self.rng = random.Random(seed)
        self.url, self.folder, self.crash_rate = url, folder, crash_rate
        self.plans = [make_plan(number, self.rng) for number in range(count)]
        self.by_study = {plan.standing.study: plan for plan in self.plans}
        self.standings = [plan.standing for plan in self.plans]
        self.time = START
        self.released: Counter[tuple[str, datetime.datetime]] = Counter()
        self.started: Counter[tuple[str, datetime.datetime]] = Counter()
        self.started_at: list[tuple[Plan, datetime.datetime, datetime.datetime]] = []
        self.crashes = self.restarts = 0
        self.absences = [
            (start, start + timedelta(hours=self.rng.randrange(1, 60)))
            for start in (START + timedelta(hours=self.rng.randrange(8760)) for _ in range(12))
        ]
        self.engine: ScheduleEngine | None = None
        self.database: Database | None = None

    def away(self, now: datetime.datetime) -> bool:
        return any(start <= now < end for start, end in self.absences)

    def now(self) -> datetime.datetime:
        self._perhaps()
        return self.time

    def _perhaps(self) -> None:
        if self.rng.random() < self.crash_rate:
            self.crashes += 1
            raise Crash

    async def fire(self, standing: Standing, due: datetime.datetime) -> Fired:
        self._perhaps()
        self.started[standing.study, due] += 1
        self.started_at.append((self.by_study[standing.study], due, self.time))
        self.released[standing.study, due] += 1  # from here on all parties have it
        self._perhaps()
        return Fired()

    async def resolve(self, standing: Standing, due: datetime.datetime) -> Fired | None:
        return Fired() if self.released[standing.study, due] else None

    async def absent(self) -> list[str]:
        return ["westbay"] if self.away(self.time) else []

    def start(self) -> None:
        if self.database is not None:
            self.database.close()
        self.restarts += 1
        self.database = Database(self.url, "northfield")
        hooks = Hooks(
            schedules=lambda: self.standings,
            fire=self.fire,
            paused=lambda study: [("lakeside", "audit")] if self.by_study[study].paused(self.time) else [],
            closed=lambda study: "withdrawn" if self.by_study[study].closed(self.time) else None,
            absent=self.absent,
            resolve=self.resolve,
        )
        book = OccurrenceBook(self.database)
        self.engine = ScheduleEngine(book, ResultFolder(self.folder), hooks, self.now, QUIET)

    async def step(self) -> None:
        """One look at the clock, with as many restarts as it takes."""
        while True:
            if self.engine is None:
                self.start()
            try:
                await self.engine.step()
            except Crash:
                self.engine = None
                continue
            return

    def states(self, plan: Plan) -> dict[datetime.datetime, str]:
        return {past.due: past.state for past in OccurrenceBook(self.database).history(plan.standing.study)}


def expected(plan: Plan, world: World, looks: list[datetime.datetime]) -> dict[datetime.datetime, str]:
    """What must become of every due time when somebody looks at these moments. The rules of ADR 0025, once more."""
    schedule, calendar = plan.standing.schedule, plan.calendar()
    grace = timedelta(minutes=schedule.grace_minutes)
    state: dict[datetime.datetime, str] = {}
    obstacle: dict[datetime.datetime, str] = {}
    runs, reached = 0, 0

    def close(now: datetime.datetime) -> None:
        for due in [due for due in state if state[due] == "planned"]:
            later = [other for other in calendar if other > due]
            kept = {"absent": "held", "paused": "skipped"}.get(obstacle.get(due, ""))
            if plan.closed(now) or (schedule.max_runs and runs >= schedule.max_runs):
                state[due] = "skipped"
            elif now > schedule.until or (now > due + grace and schedule.catch_up == "none"):
                state[due] = kept or "missed"
            elif now > due + grace and schedule.catch_up == "latest" and later and later[0] <= now:
                state[due] = kept or "skipped"

    for now in looks:
        if not plan.closed(now) and not (schedule.max_runs and runs >= schedule.max_runs):
            while reached < len(calendar) and calendar[reached] <= now:
                state[calendar[reached]] = "planned"
                reached += 1
        close(now)
        in_the_way = "paused" if plan.paused(now) else "absent" if world.away(now) else ""
        for due in [due for due in state if state[due] == "planned"]:
            if state[due] != "planned" or due > now:
                break
            if in_the_way:
                obstacle[due] = in_the_way
                continue
            state[due] = "released"
            runs += 1
            close(now)
    return state


def simulate(url: str, folder: Path, count: int, seed: int, crash_rate: float, most_hours: int) -> World:
    """A year in random steps; the clock jumps forward and back now and then. Compared with the oracle at the end."""
    world = World(url, folder, count, seed, crash_rate)
    rng, looks = random.Random(seed + 1), []

    async def year() -> None:
        while world.time < START + timedelta(days=400):
            jump = rng.random()
            hours = rng.uniform(0.1, most_hours)
            hours = -hours if jump < 0.05 else 12 * hours if jump < 0.08 else hours
            world.time = (world.time + timedelta(hours=hours)).replace(microsecond=0)
            if rng.random() < 0.03:
                world.engine = None  # a restart in good order
            looks.append(world.time)
            await world.step()

    asyncio.run(year())
    for plan in world.plans:
        study = plan.standing.study
        found, wanted = world.states(plan), expected(plan, world, looks)
        assert found == wanted, (plan.standing.schedule, {k: (found.get(k), wanted.get(k)) for k in found | wanted})
        for due, state in found.items():
            assert world.released[study, due] == (state == "released"), (plan, due)
    for plan, due, when in world.started_at:
        assert due <= when <= plan.standing.schedule.until
    world.database.close()
    return world
