"""Scheduled runs: each due one once, none after the end, whatever happens to clock, process and parties."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mpcstats.errors import (
    ConfigurationError,
    DataError,
    DisclosureRefused,
    NotApproved,
    PartyUnreachable,
    PeerRefused,
    StudyClosed,
    StudyError,
)
from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder, Verdict
from mpcstats.node.schedules.engine import Fired, Hooks, ScheduleEngine, Standing, run_schedules
from mpcstats.node.settings.quiet import LimitsConfig
from mpcstats.node.state.database import Database
from mpcstats.stats.outcome import Outcome
from mpcstats.study.canonical import moment
from mpcstats.study.occurrences import MOST_ATTEMPTS
from mpcstats.study.schedule import parse_schedule
from tests.node.schedule_world import QUIET, simulate

STUDY = "ab" * 32


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
def test_a_year_of_scheduled_counts_with_crashes_pauses_absences_and_clocks_that_jump(url, tmp_path):
    world = simulate(url, tmp_path, count=6, seed=5, crash_rate=0.004, most_hours=96)
    assert world.crashes > 2
    assert len(world.started_at) > 20


@pytest.mark.long
def test_a_year_of_a_hundred_scheduled_counts(url, tmp_path):
    world = simulate(url, tmp_path, count=100, seed=7, crash_rate=0.002, most_hours=24)
    assert world.crashes > 3
    assert len(world.started_at) > 400


@pytest.mark.exhaustive
def test_a_year_of_a_thousand_scheduled_counts(url, tmp_path):
    world = simulate(url, tmp_path, count=1000, seed=7, crash_rate=0.0002, most_hours=24)
    assert world.crashes > 3
    assert len(world.started_at) > 4000


def outcome(count: int | None = 120) -> Outcome:
    table = pd.DataFrame({"count": pd.array([count], dtype="Int64"), "status": ["released"]})
    return Outcome("count", {"count": table}, run={"rounds": 10})


class House:
    """One schedule, and whatever a test wants to happen to it."""

    def __init__(self, folder: Path, **changes) -> None:
        plain = {"name": "weekly", "cron": "0 6 * * mon", "tz": "UTC", "starts": "2027-01-01", "until": "2027-12-31"}
        self.schedule = parse_schedule(plain | changes)
        self.standing = Standing(STUDY, self.schedule)
        self.database = Database.in_memory("northfield")
        self.book, self.results = OccurrenceBook(self.database), ResultFolder(folder / "results")
        self.time = datetime.datetime(2027, 1, 4, 6, 0, tzinfo=UTC)  # the first Monday
        self.fired: list[datetime.datetime] = []
        self.told: list[tuple[str, dict]] = []
        self.answers: list[object] = []
        self.standings, self.pauses, self.away, self.quiet = [self.standing], [], [], []
        self.closed, self.found = None, None
        self.engine = self.new_engine()

    def new_engine(self) -> ScheduleEngine:
        hooks = Hooks(
            schedules=lambda: self.standings,
            fire=self.fire,
            paused=lambda study: self.pauses,
            closed=lambda study: self.closed,
            absent=self._absent,
            quiet=self._quiet,
            resolve=self._resolve,
            notify=lambda event, **facts: self.told.append((event, facts)),
        )
        return ScheduleEngine(self.book, self.results, hooks, lambda: self.time, QUIET)

    async def _absent(self):
        return self.away

    async def _quiet(self):
        return self.quiet

    async def _resolve(self, standing, due):
        return self.found

    async def fire(self, standing, due):
        self.fired.append(due)
        answer = self.answers.pop(0) if self.answers else Fired(outcome())
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return await answer()
        return answer

    def step(self, **later) -> list[tuple[str, str]]:
        """Let time pass and look; states and reasons by due time."""
        self.time += timedelta(**later)
        asyncio.run(self.engine.step())
        return self.rows

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(row["state"], row["reason"]) for row in self.book.rows(STUDY)]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_a_released_count_is_kept_and_told(house):
    assert house.step() == [("released", "")]
    assert house.step(hours=1) == [("released", "")]
    assert house.fired == [house.time - timedelta(hours=1)]
    row = house.book.rows(STUDY)[0]
    assert (row["rounds"], row["attempts"]) == (10, 1)
    kept = house.results.read(STUDY, house.fired[0], row["digest"])
    assert kept.tables["count"]["count"].tolist() == [120]
    path = next(house.results._folder.rglob("*.outcome"))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(path.read_bytes().replace(b"120", b"130"))
    with pytest.raises(ConfigurationError, match="not what was kept"):
        house.results.read(STUDY, house.fired[0], row["digest"])
    (event, facts) = house.told[0]
    assert (event, facts["due"], facts["state"]) == ("released", house.fired[0], "released")
    assert "120" not in str(facts)


def test_a_cohort_that_changed_by_too_few_people_is_held_and_not_tried_again(house):
    house.answers = [DisclosureRefused("differs by too few people from an earlier release (minimum_count 11)")]
    state, reason = house.step()[0]
    assert state == "held"
    assert "too few people" in reason
    house.step(hours=3)
    assert len(house.fired) == 1
    assert [event for event, _ in house.told] == ["held"]
    assert house.step(days=7)[1][0] == "released"


def test_without_the_full_roster_nothing_runs_until_it_is_there(house):
    house.away = ["westbay"]
    assert house.step() == [("planned", "not the full roster: westbay cannot be reached")]
    house.step(minutes=1)
    assert house.fired == []
    assert [(event, facts["party"]) for event, facts in house.told] == [("peer-unreachable", "westbay")]
    house.away = []
    assert house.step(days=2)[0][0] == "released"  # catch_up = "latest"
    house.away = ["westbay"]
    house.step(days=5)
    state, reason = house.step(days=7)[1]  # the next one is due
    assert state == "held"
    assert "westbay" in reason
    assert house.rows[2][0] == "planned"


def test_a_pause_stops_it_and_the_reason_is_shown(house):
    house.pauses = [("lakeside", "data being moved")]
    assert house.step() == [("planned", "paused by lakeside: data being moved")]
    assert house.step(days=7)[0][0] == "skipped"
    house.pauses = []
    assert house.step(minutes=1)[1][0] == "released"


def test_quiet_hours_are_waited_for(house):
    limits = LimitsConfig(quiet_hours="05:00-18:00", tz="UTC")
    end = limits.quiet_until(house.time)
    assert end == datetime.datetime(2027, 1, 4, 18, 0, tzinfo=UTC)
    house.quiet = [("lakeside", end)]
    assert house.step() == [("planned", "quiet hours of lakeside until 2027-01-04T18:00:00Z")]
    house.quiet = []
    assert house.step(hours=12)[0][0] == "released"


@pytest.mark.parametrize(
    ("hours", "tz", "now", "until"),
    [
        ("07:00-18:00", "Europe/Stockholm", "2027-06-01T06:00", "2027-06-01T16:00"),
        ("07:00-18:00", "Europe/Stockholm", "2027-01-01T06:00", "2027-01-01T17:00"),
        ("07:00-18:00", "Europe/Stockholm", "2027-06-01T16:00", None),
        ("22:00-05:00", "UTC", "2027-06-01T23:00", "2027-06-02T05:00"),
        ("22:00-05:00", "UTC", "2027-06-01T04:59", "2027-06-01T05:00"),
        ("22:00-05:00", "UTC", "2027-06-01T05:00", None),
        (None, None, "2027-06-01T05:00", None),
    ],
)
def test_quiet_hours(hours, tz, now, until):
    found = LimitsConfig(quiet_hours=hours, tz=tz).quiet_until(datetime.datetime.fromisoformat(now + "+00:00"))
    assert (found and found.strftime("%Y-%m-%dT%H:%M")) == until


@pytest.mark.parametrize(
    ("hours", "tz"), [("7-18", "UTC"), ("07:00-07:00", "UTC"), ("07:00-18:00", None), ("07:00-18:00", "Mars")]
)
def test_quiet_hours_that_are_none(hours, tz):
    with pytest.raises(ValueError, match=r"quiet_hours|tz"):
        LimitsConfig(quiet_hours=hours, tz=tz)


def test_a_transport_error_is_tried_again_and_ends_at_some_time(house):
    house.answers = [PartyUnreachable("cannot be reached", party="westbay")] + [
        PeerRefused("refused with E1300 (data)", party="westbay") for _ in range(9)
    ]
    assert house.step()[0] == ("planned", "[E1401] westbay: cannot be reached")
    house.step(seconds=30)
    assert len(house.fired) == 1  # not at once
    for _ in range(8):
        house.step(hours=1)
    assert len(house.fired) == MOST_ATTEMPTS
    assert house.rows == [("failed", "[E1404] westbay: refused with E1300 (data)")]
    assert [event for event, _ in house.told] == ["run-failed"]


def test_a_party_that_does_not_take_part_now_is_asked_again_without_using_up_the_starts(house):
    house.answers = [PeerRefused("refused with E1202 (quiet hours)", party="westbay") for _ in range(40)]
    house.step()
    house.step(minutes=14)
    assert len(house.fired) == 1
    for _ in range(10):
        state, reason = house.step(minutes=15)[0]
    assert (state, len(house.fired)) == ("planned", 11)
    assert "E1202" in reason
    assert house.book.rows(STUDY)[0]["attempts"] == 0
    assert house.step(days=7)[0][0] == "held"
    house.answers = []
    assert house.step(minutes=15)[1][0] == "released"


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (DataError("a column is missing", party="northfield"), "failed", "[E1300] northfield: a column is missing"),
        (NotApproved("westbay has withdrawn"), "held", "[E1204] westbay has withdrawn"),
        (StudyClosed("expired"), "skipped", "[E1205] expired"),
        (KeyError("Jane Doe"), "failed", "internal error (KeyError)"),
    ],
)
def test_other_errors_end_the_occurrence(house, error, state, reason):
    house.answers = [error]
    assert house.step() == [(state, reason)]
    assert house.step(days=7)[1][0] == "released"


def test_a_run_that_takes_long_makes_the_next_one_wait(tmp_path):
    house = House(tmp_path, cron="0 * * * *", catch_up="all", max_runs=4)

    async def long_run():
        house.time += timedelta(hours=2, minutes=30)
        return Fired(outcome())

    house.time = datetime.datetime(2027, 1, 1, 0, 0, tzinfo=UTC)
    house.answers = [long_run]
    states = [state for state, _ in house.step()]
    assert states == ["released"] * 3
    assert house.fired == [datetime.datetime(2027, 1, 1, hour, tzinfo=UTC) for hour in range(3)]
    states = [state for state, _ in house.step(hours=5)]
    assert states == ["released"] * 4 + ["skipped"] * 4  # max_runs
    house.step(hours=5)
    assert len(house.rows) == 8  # and what comes after is no longer written down


def test_a_sealed_result_holds_back_the_next_run(house):
    house.answers = [Fired(sealed=True)]
    assert house.step() == [("running", "computed: its result waits for releases")]
    assert house.step(days=7)[1][0] == "planned"
    # a restart does not start it again
    house.found = Fired(sealed=True)
    house.engine = house.new_engine()
    assert [state for state, _ in house.step(minutes=1)] == ["running", "planned"]
    house.book.finish(STUDY, [Verdict(house.fired[0], "released")], house.time)
    assert [state for state, _ in house.step(minutes=1)] == ["released", "released"]
    assert len(house.fired) == 2


def test_a_withdrawn_study_stops_at_once(house):
    house.away = ["westbay"]
    house.step()
    house.away, house.closed = [], "withdrawn by northfield"
    assert house.step(minutes=1) == [("skipped", "withdrawn by northfield")]
    house.step(days=30)
    assert len(house.rows) == 1
    assert house.fired == []


def test_a_study_that_is_no_longer_among_the_schedules_stops(house):
    house.away = ["westbay"]
    house.step()
    house.standings = []
    assert house.step(minutes=1) == [("skipped", "the study is over")]


def test_what_was_due_before_the_approval_is_not_run(house):
    house.standings = [Standing(STUDY, house.schedule, house.time + timedelta(hours=1))]
    house.step(hours=2)
    assert house.rows == []
    assert [state for state, _ in house.step(days=7)] == ["released"]


def test_a_result_that_was_kept_before_the_crash_is_not_computed_again(house):
    class Crash(BaseException):
        pass

    def fails(*_):
        raise Crash

    finish, house.book.finish = house.book.finish, fails
    with pytest.raises(Crash):
        house.step()
    house.book.finish, house.engine = finish, house.new_engine()
    assert house.step(minutes=1) == [("released", "")]
    assert len(house.fired) == 1
    assert house.book.rows(STUDY)[0]["digest"] == house.results.digest(STUDY, house.fired[0])


def test_a_result_that_cannot_be_kept_is_not_computed_again(house):
    house.results._folder.write_text("in the way")
    state, reason = house.step()[0]
    assert state == "released"
    assert reason.startswith("not kept here")
    house.step(minutes=1)
    assert len(house.fired) == 1


def test_two_engines_on_one_database_start_it_once(url, tmp_path):
    houses = [House(tmp_path), House(tmp_path)]
    for one in houses:
        one.database = Database(url, "northfield")
        one.book = OccurrenceBook(one.database)
        one.engine = one.new_engine()

    async def both():
        await asyncio.gather(*(one.engine.step() for one in houses), return_exceptions=True)
        await asyncio.gather(*(one.engine.step() for one in houses), return_exceptions=True)

    asyncio.run(both())
    assert sum(len(one.fired) for one in houses) == 1
    for one in houses:
        one.database.close()


def test_the_others_take_part_once_and_remember(house):
    due, now = house.time, house.time + timedelta(seconds=20)
    house.book.admit(STUDY, house.schedule, due, now)
    assert [past.state for past in house.book.history(STUDY)] == ["running"]
    house.book.breaks_off(now)  # a crash
    house.book.admit(STUDY, house.schedule, due, now)
    house.book.finish(STUDY, [Verdict(due, "released")], now)
    with pytest.raises(StudyError, match="released already"):
        house.book.admit(STUDY, house.schedule, due, now)
    with pytest.raises(NotApproved, match="not due yet"):
        house.book.admit(STUDY, house.schedule, due + timedelta(days=7), now)
    assert house.book.open() == []  # nothing of it is this party's to start


def test_a_stop_takes_less_than_a_second_and_the_run_is_started_again(house):
    async def forever():
        await asyncio.Event().wait()

    async def session():
        stop = asyncio.Event()
        task = asyncio.create_task(run_schedules(house.engine, stop, poll_seconds=30))
        while not house.fired:
            await asyncio.sleep(0.005)
        begun = time.monotonic()
        stop.set()
        await task
        return time.monotonic() - begun

    house.answers = [forever]
    assert asyncio.run(session()) < 1
    assert house.rows == [("planned", "this node stopped during the run")]
    house.engine = house.new_engine()
    assert house.step(minutes=2)[0][0] == "released"


def test_an_error_of_a_step_does_not_end_the_schedules(house):
    calls = []

    async def absent():
        calls.append(house.time)
        house.time += timedelta(minutes=1)
        if len(calls) == 1:
            raise OSError("disk")
        return []

    house._absent = absent
    house.engine = house.new_engine()

    async def session():
        stop = asyncio.Event()
        task = asyncio.create_task(run_schedules(house.engine, stop, poll_seconds=0.01))
        async with asyncio.timeout(5):
            while not house.fired:
                await asyncio.sleep(0.005)
        stop.set()
        await task

    asyncio.run(session())
    assert len(calls) == 2


KILLED = """
import asyncio, datetime, sys, time
from pathlib import Path
from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder
from mpcstats.node.schedules.engine import Fired, Hooks, ScheduleEngine, Standing
from mpcstats.node.state.database import Database
from mpcstats.study.schedule import parse_schedule
from mpcstats.stats.outcome import Outcome
from tests.node.schedule_world import QUIET

folder = Path(sys.argv[1])
plain = {"name": "hourly", "cron": "*/30 * * * *", "tz": "UTC", "starts": "2027-01-01", "until": "2027-01-01"}
standing = Standing("ab" * 32, parse_schedule(plain | {"catch_up": "all"}))
clock = [datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)]
released = folder / "released"
released.touch()

def key(due):
    return f"{due:%d %H:%M}"

async def fire(standing, due):
    with released.open("a") as file:
        file.write(key(due) + "\\n")
    return Fired(Outcome("count", {}))

async def resolve(standing, due):
    return Fired(Outcome("count", {})) if key(due) in released.read_text().splitlines() else None

hooks = Hooks(schedules=lambda: [standing], fire=fire, resolve=resolve)
database = Database(f"sqlite:///{folder / 'state.db'}", "northfield")
engine = ScheduleEngine(OccurrenceBook(database), ResultFolder(folder / "results"), hooks, lambda: clock[0], QUIET)

async def main():
    print("ready", flush=True)
    while clock[0] < standing.schedule.until:
        await engine.step()
        clock[0] += datetime.timedelta(minutes=20)
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("pauses", [(0.2, 60), (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 60)], ids=["", "more"])
@pytest.mark.long
def test_a_node_that_is_killed_again_and_again_starts_each_count_once(tmp_path, pauses):
    """kill -9 at any moment; the file stands for what the other parties saw released."""
    root = Path(__file__).parents[2]
    ends = []
    for pause in pauses:
        command = [sys.executable, "-c", KILLED, str(tmp_path)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
        ) as child:
            assert child.stdout.readline() == "ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(pause)
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            ends.append(child.wait(30))
    assert -signal.SIGKILL in ends
    assert ends[-1] == 0
    released = (tmp_path / "released").read_text().splitlines()
    assert len(released) == len(set(released)) == 48
    database = Database(f"sqlite:///{tmp_path / 'state.db'}", "northfield")
    rows = OccurrenceBook(database).rows(STUDY)
    assert {row["state"] for row in rows} == {"released"}
    assert len(rows) == 48
    results = ResultFolder(tmp_path / "results")
    for row in rows:
        due = datetime.datetime.fromisoformat(row["due"])
        assert moment(due) == row["due"]
        assert results.digest(STUDY, due) == row["digest"]
    database.close()
