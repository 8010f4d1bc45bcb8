"""Scheduled runs at the party that proposed them: which are due, each started once, whatever happens in between.

The database decides, not the process: a due time is written down when it has come, claimed by one change of its row,
and closed by another. After a crash a claimed occurrence is resolved from its result file, or from the run it started;
what broke off before anything was released is started again, `MOST_ATTEMPTS` times at most. The other parties check
every start on their own (`mpcstats.study.occurrences.check_occurrence`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mpcstats.errors import (
    ConfigurationError,
    DisclosureRefused,
    MpcStatsError,
    NotApproved,
    PartyUnreachable,
    PeerRefused,
    StudyClosed,
    TransportError,
)
from mpcstats.node.observing.logs import Log, where_from
from mpcstats.node.schedules.book import OccurrenceBook, Open, ResultFolder, Verdict
from mpcstats.stats.outcome import Outcome
from mpcstats.study.canonical import moment
from mpcstats.study.occurrences import MOST_ATTEMPTS, State, runs_left, too_late
from mpcstats.study.schedule import Schedule, due_times, next_due

__all__ = ["Fired", "Hooks", "ScheduleEngine", "Standing", "run_schedules"]

POLL_SECONDS = 30.0
"""Between two looks: a clock that was set, a study that was approved, a party that is back."""

_STOP_SECONDS = 0.8
_RECHECK = datetime.timedelta(seconds=POLL_SECONDS)
_RETRY = tuple(datetime.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
_SECOND = datetime.timedelta(seconds=1)
_ASK_AGAIN = datetime.timedelta(minutes=15)

# a party that does not take part now: its quiet hours, a pause or a withdrawal that is not known here yet
_REFUSED = re.compile(r"refused with E120[24]\b")

# what an occurrence becomes that waited for this until its window closed
_CLOSED_AS: dict[str, State] = {"absent": "held", "quiet": "held", "paused": "skipped", "failure": "failed"}


@dataclass(frozen=True)
class Standing:
    """An approved study with a schedule that this party starts.

    Attributes
    ----------
    study : str
        Its id (hex).
    schedule : Schedule
    approved : datetime, optional
        When the last approval came; what was due before is not run.
    """

    study: str
    schedule: Schedule
    approved: datetime.datetime | None = None


@dataclass(frozen=True)
class Fired:
    """How a started run ended.

    Attributes
    ----------
    outcome : Outcome or None
        The released result; None when it was released and this party gets none, or is sealed.
    sealed : bool
        Computed, and waits for releases: `OccurrenceBook.finish` closes it later.
    """

    outcome: Outcome | None = None
    sealed: bool = False


async def _nobody() -> list[str]:
    return []


async def _never() -> list[tuple[str, datetime.datetime]]:
    return []


async def _unknown(_standing: Standing, _due: datetime.datetime) -> Fired | None:
    return None


@dataclass(frozen=True)
class Hooks:
    """What the engine asks and tells. Functions that are not async are called from threads.

    Attributes
    ----------
    schedules : function
        The standing approvals that this party starts. A study that is over may be left out, or be told by `closed`.
    fire : async function (Standing, due time)
        Run it. DisclosureRefused: held. TransportError: tried again. Other errors: failed.
    paused : function (study)
        Parties that paused it, with reasons.
    closed : function (study)
        Why it is over (withdrawn, expired, revoked); None while it holds.
    absent : async function
        Parties of the roster that cannot be reached.
    quiet : async function
        Parties in their quiet hours, and until when.
    resolve : async function (Standing, due time)
        What became of a run that this node started before it stopped; None: it broke off, nothing was released.
    notify : function (event, facts by name)
        Tell people, see `mpcstats.node.notices.queue`.
    """

    schedules: Callable[[], Sequence[Standing]]
    fire: Callable[[Standing, datetime.datetime], Awaitable[Fired]]
    paused: Callable[[str], Sequence[tuple[str, str]]] = field(default=lambda study: ())
    closed: Callable[[str], str | None] = field(default=lambda study: None)
    absent: Callable[[], Awaitable[Sequence[str]]] = _nobody
    quiet: Callable[[], Awaitable[Sequence[tuple[str, datetime.datetime]]]] = _never
    resolve: Callable[[Standing, datetime.datetime], Awaitable[Fired | None]] = _unknown
    notify: Callable[..., object] = field(default=lambda event, **facts: None)


@dataclass
class _Track:
    cursor: datetime.datetime | None
    wake: datetime.datetime | None
    """None: nothing to come."""
    looked: datetime.datetime | None = None


class ScheduleEngine:
    """Starts scheduled runs, one at a time.

    Parameters
    ----------
    book : OccurrenceBook
    results : ResultFolder
    hooks : Hooks
    now : function
        The clock, UTC to the second.
    log : Log
    """

    def __init__(
        self, book: OccurrenceBook, results: ResultFolder, hooks: Hooks, now: Callable[[], datetime.datetime], log: Log
    ) -> None:
        self._book, self._results, self._hooks, self._now, self._log = book, results, hooks, now, log
        self._tracks: dict[str, _Track] = {}
        self._recovered = False

    async def recover(self) -> None:
        """Resolve what was running when the node stopped."""
        now = self._now()
        await asyncio.to_thread(self._book.breaks_off, now)
        cursors = await asyncio.to_thread(self._book.cursors)
        self._tracks = {study: _Track(cursor, now) for study, cursor in cursors.items()}
        standings = await self._standings()
        for row in await asyncio.to_thread(self._book.open):
            if row.state == "running":
                await self._resolve(row, standings.get(row.study))
        self._recovered = True

    async def step(self) -> None:
        """Do everything that is due now."""
        if not self._recovered:
            await self.recover()
        standings = await self._standings()
        await self._drop(self._tracks.keys() - standings.keys())
        now = self._now()
        ripe = [standing for standing in standings.values() if self._ripe(standing, now)]
        candidates = [(await asyncio.to_thread(self._look, standing), standing) for standing in ripe]
        waiting = sorted(((row.due, row, standing) for row, standing in candidates if row), key=lambda item: item[0])
        roster = _Roster(self._hooks)
        for _, row, standing in waiting:
            following: Open | None = row
            while following is not None and await self._start(following, standing, roster):
                following = await asyncio.to_thread(self._look, standing)

    async def _standings(self) -> dict[str, Standing]:
        return {standing.study: standing for standing in await asyncio.to_thread(self._hooks.schedules)}

    def report(self, error: BaseException) -> None:
        """Log what ended a step."""
        if isinstance(error, MpcStatsError):
            self._log.error("schedules_failed", code=error.code, reason=error.message)
        else:
            self._log.error("schedules_failed", error=type(error).__name__, where=where_from(error))

    def _ripe(self, standing: Standing, now: datetime.datetime) -> bool:
        track = self._tracks.get(standing.study)
        if track is None:
            track = self._tracks[standing.study] = _Track(None, now)
        # a clock that was set back makes every plan void
        set_back = track.looked is not None and now < track.looked
        return set_back or (track.wake is not None and track.wake <= now)

    def _look(self, standing: Standing) -> Open | None:
        """Write down what has become due, close what is too late; the occurrence that may start, if any."""
        study, schedule, now = standing.study, standing.schedule, self._now()
        track = self._tracks[study]
        closed = self._hooks.closed(study)
        left = runs_left(schedule, self._book.history(study)) if schedule.max_runs is not None else None
        over = closed or (f"all {schedule.max_runs} runs have been used" if left is not None and left <= 0 else None)
        if over is None:
            first = max(schedule.starts, standing.approved or schedule.starts) - _SECOND
            after = first if track.cursor is None else max(track.cursor, first)
            dues = due_times(schedule, after, min(now, schedule.until))
            if dues:
                self._book.note(study, schedule.name, dues, now)
                track.cursor = dues[-1]
            upcoming = next_due(schedule, max(after, track.cursor or after))
        else:
            upcoming = None
        rows = self._book.open(study)
        ended = {row.due: verdict for row in rows if (verdict := _ending(row, schedule, over, closed, now))}
        if ended:
            self._finish(standing, list(ended.values()), now)
        remaining = [row for row in rows if row.due not in ended]
        # a clock that was set back waits for the due time of an occurrence that was noted before
        track.looked, track.wake = now, now + _RECHECK if remaining else upcoming
        if not remaining or any(row.state == "running" for row in remaining):
            return None
        first_row = remaining[0]
        waits = max(first_row.due, first_row.not_before or first_row.due)
        return first_row if waits <= now else None

    async def _start(self, row: Open, standing: Standing, roster: _Roster) -> bool:
        """Start an occurrence and wait for its end; False when something is in its way."""
        study, due = standing.study, row.due
        found = await self._obstacle(standing, roster)
        if found is not None:
            obstacle, reason = found
            if await asyncio.to_thread(self._book.block, study, obstacle, reason, self._now()):
                self._log.info("schedule_waits", study=study, due=moment(due), obstacle=obstacle, reason=reason)
                if obstacle == "absent":
                    for party in await roster.absent():
                        await asyncio.to_thread(self._tell, "peer-unreachable", standing, due, party=party)
            return False
        if not await asyncio.to_thread(self._book.claim, study, due, self._now()):
            return False
        self._log.info("schedule_starts", study=study, due=moment(due), attempt=row.attempts + 1)
        try:
            fired = await self._hooks.fire(standing, due)
        except asyncio.CancelledError:
            # not awaited: the node is stopping
            self._book.wait(study, due, "failure", "this node stopped during the run", self._now())
            raise
        except Exception as error:
            await asyncio.to_thread(self._failed, standing, due, row.attempts + 1, error)
        else:
            await asyncio.to_thread(self._ended, standing, due, fired)
        return True

    async def _obstacle(self, standing: Standing, roster: _Roster) -> tuple[str, str] | None:
        paused = await asyncio.to_thread(self._hooks.paused, standing.study)
        if paused:
            return "paused", "paused by " + "; ".join(f"{party}: {why}" if why else party for party, why in paused)
        quiet = await roster.quiet()
        if quiet:
            return "quiet", "quiet hours of " + ", ".join(f"{party} until {moment(end)}" for party, end in quiet)
        absent = await roster.absent()
        if absent:
            return "absent", f"not the full roster: {', '.join(absent)} cannot be reached"
        return None

    async def _resolve(self, row: Open, standing: Standing | None) -> None:
        """A run that was under way when the node stopped."""
        now, study, due = self._now(), row.study, row.due
        digest = await asyncio.to_thread(self._results.digest, study, due)
        if digest is not None:
            verdict = Verdict(due, "released", digest=digest, file=self._results.name(study, due))
            await asyncio.to_thread(self._book.finish, study, [verdict], now)
            return
        fired = None if standing is None else await self._hooks.resolve(standing, due)
        if standing is not None and fired is not None:
            await asyncio.to_thread(self._ended, standing, due, fired)
        else:
            reason = "this node stopped during the run"
            await asyncio.to_thread(self._book.wait, study, due, "failure", reason, now)

    def _ended(self, standing: Standing, due: datetime.datetime, fired: Fired) -> None:
        now, study = self._now(), standing.study
        if fired.sealed:
            self._book.seal(study, due, "computed: its result waits for releases", now)
            return
        verdict = Verdict(due, "released")
        if fired.outcome is not None:
            rounds = fired.outcome.run.get("rounds")
            try:
                file, digest = self._results.keep(study, due, fired.outcome)
                verdict = Verdict(due, "released", rounds=rounds, digest=digest, file=file)
            except ConfigurationError as error:
                # it is out, and the others have it: to run it again would be a second release
                verdict = Verdict(due, "released", f"not kept here: {error.message}", rounds=rounds)
        self._finish(standing, [verdict], now)

    def _failed(self, standing: Standing, due: datetime.datetime, attempt: int, error: Exception) -> None:
        now, study = self._now(), standing.study
        if isinstance(error, MpcStatsError):
            reason = f"[{error.code}] {f'{error.party}: ' if error.party else ''}{error.message}"
        else:  # a bug: its text may hold a value
            reason = f"internal error ({type(error).__name__})"
            self._log.error("schedule_error", study=study, due=moment(due), where=where_from(error))
        refused = _REFUSED.match(error.message) if isinstance(error, PeerRefused) else None
        if refused is not None:  # nothing was computed; it may say yes later, in other hours or after a pause
            self._book.wait(study, due, "quiet", reason, now, now + _ASK_AGAIN, counted=False)
            self._log.info("schedule_waits", study=study, due=moment(due), obstacle="refused", reason=reason)
            return
        if isinstance(error, TransportError) and attempt < MOST_ATTEMPTS:
            kind = "absent" if isinstance(error, PartyUnreachable) else "failure"
            later = now + _RETRY[min(attempt, len(_RETRY)) - 1]
            self._book.wait(study, due, kind, reason, now, later)
            self._log.warning("schedule_retries", study=study, due=moment(due), reason=reason, attempt=attempt)
            return
        state: State = "held" if isinstance(error, DisclosureRefused | NotApproved) else "failed"
        state = "skipped" if isinstance(error, StudyClosed) else state
        self._finish(standing, [Verdict(due, state, reason)], now)

    def _finish(self, standing: Standing, verdicts: list[Verdict], now: datetime.datetime) -> None:
        self._book.finish(standing.study, verdicts, now)
        events = {"released": "released", "held": "held", "failed": "run-failed"}
        for verdict in verdicts:
            self._log.info(
                "schedule_ends",
                study=standing.study,
                due=moment(verdict.due),
                state=verdict.state,
                reason=verdict.reason,
            )
            if verdict.state in events:
                self._tell(events[verdict.state], standing, verdict.due, state=verdict.state)

    def _tell(self, event: str, standing: Standing, due: datetime.datetime, **facts: Any) -> None:
        try:
            self._hooks.notify(
                event,
                subject=f"{standing.study} {moment(due)}",
                study=standing.study,
                name=standing.schedule.name,
                due=due,
                next=f"mpcstats schedule history {standing.schedule.name}",
                **facts,
            )
        except MpcStatsError as error:  # nobody hears of it, but the run goes on
            self._log.warning("notice_lost", notice=event, reason=error.message)

    async def _drop(self, studies: set[str]) -> None:
        """Studies that are no standing approval of this party any more."""
        for study in studies:
            del self._tracks[study]
            reason = await asyncio.to_thread(self._hooks.closed, study) or "the study is over"
            rows = [row for row in await asyncio.to_thread(self._book.open, study) if row.state == "planned"]
            verdicts = [Verdict(row.due, "skipped", reason) for row in rows]
            await asyncio.to_thread(self._book.finish, study, verdicts, self._now())


class _Roster:
    """Who is there, asked once in a step."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._absent: Sequence[str] | None = None
        self._quiet: Sequence[tuple[str, datetime.datetime]] | None = None

    async def absent(self) -> Sequence[str]:
        if self._absent is None:
            self._absent = await self._hooks.absent()
        return self._absent

    async def quiet(self) -> Sequence[tuple[str, datetime.datetime]]:
        if self._quiet is None:
            self._quiet = await self._hooks.quiet()
        return self._quiet


def _ending(
    row: Open, schedule: Schedule, over: str | None, closed: str | None, now: datetime.datetime
) -> Verdict | None:
    """What a planned occurrence has become without a run; None while it may start."""
    if row.state != "planned":
        return None
    if closed is not None:
        return Verdict(row.due, "skipped", closed)
    if row.attempts >= MOST_ATTEMPTS:
        return Verdict(row.due, "failed", f"started {row.attempts} times; {row.reason}")
    if over is not None and row.attempts == 0:
        return Verdict(row.due, "skipped", over)
    late = too_late(schedule, row.due, now)
    if late is None:
        return None
    state, reason = late
    return Verdict(row.due, _CLOSED_AS.get(row.obstacle, state), f"{row.reason}; {reason}" if row.reason else reason)


async def run_schedules(engine: ScheduleEngine, stop: asyncio.Event, poll_seconds: float = POLL_SECONDS) -> None:
    """Start what is due until `stop` is set; ends within a second of it, a run under way is broken off.

    An error of a step is logged, and the next step tries again.
    """
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            step = asyncio.create_task(engine.step())
            await asyncio.wait({step, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                step.cancel()
                await asyncio.wait({step}, timeout=_STOP_SECONDS)
                return
            if (error := step.exception()) is not None:
                engine.report(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(stopping), poll_seconds)
    finally:
        stopping.cancel()
