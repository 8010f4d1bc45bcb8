"""When a scheduled study is due: a calendar that follows from the signed proposal alone, the same at every party.

    [schedule]
    name = "monthly-hf"
    cron = "0 6 1 * *"            # minute, hour, day of the month, month, weekday; weekdays by name
    tz = "Europe/Stockholm"
    starts = 2027-01-01           # the first moment; a date: from its midnight
    until = 2027-12-31            # the last one; a date: to the end of the day
    max_runs = 13                 # optional
    catch_up = "latest"           # or "all", "none": what becomes of counts that could not start in time
    grace_minutes = 60            # how late one may start and still be in time

A count is due when the clock on the wall shows what `cron` says. A time that the wall skips (spring) is due once, at
the first moment after the gap; a time that it shows twice (autumn) is due once, the first time.
"""

from __future__ import annotations

import bisect
import datetime
import functools
import re
import zoneinfo
from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mpcstats.errors import SpecError
from mpcstats.study.canonical import moment

__all__ = ["MOST_DUE", "CatchUp", "Schedule", "due_times", "is_due", "next_due", "parse_schedule"]

CatchUp = Literal["latest", "all", "none"]

MOST_DUE = 10_000
"""Due times of one schedule: what is approved once and for all has an end that people can see."""

_LONGEST = datetime.timedelta(days=3660)
_SECOND = datetime.timedelta(seconds=1)
_DAY = datetime.timedelta(days=1)
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_PART = re.compile(r"(\*|\w+(-\w+)?)(/\d+)?")


class Schedule(BaseModel):
    """A standing approval's calendar and bounds; part of the study, see the module.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and '-'.
    cron : str
        Five fields. Weekdays are names ("mon-fri"): programs disagree what their numbers mean. Not both a day of the
        month and a weekday: programs disagree whether that is "and" or "or". `last` is the last day of the month.
    tz : str
        Name in the IANA data base; default UTC.
    starts, until : datetime
        UTC. Nothing is due before `starts` or after `until`, and nothing starts after `until`.
    max_runs : int or None
        Occurrences that may start, those that fail or are held back by the ledger included.
    catch_up : "latest", "all" or "none"
        Of occurrences that could not start within the grace: only the newest is made up for, until the next is due;
        each in its turn; or none.
    grace_minutes : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    cron: str = Field(max_length=200)
    tz: str = Field(default="UTC", max_length=64)
    starts: datetime.datetime
    until: datetime.datetime
    max_runs: int | None = Field(default=None, ge=1, le=MOST_DUE)
    catch_up: CatchUp = "latest"
    grace_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)

    @property
    def grace(self) -> datetime.timedelta:
        """How late an occurrence may start and still be in time."""
        return datetime.timedelta(minutes=self.grace_minutes)

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone."""
        return zoneinfo.ZoneInfo(self.tz)

    def local(self, when: datetime.datetime) -> str:
        """A moment as the clock on the wall shows it: 2027-01-01 06:00 CET."""
        return f"{when.astimezone(self.zone):%Y-%m-%d %H:%M %Z}"

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str) -> str:
        return _checked_cron(cron)

    @field_validator("tz")
    @classmethod
    def _known_zone(cls, tz: str) -> str:
        if tz not in _zones():
            raise ValueError(f"{tz!r} is no time zone; write a name such as Europe/Stockholm")
        return tz

    @model_validator(mode="before")
    @classmethod
    def _dates_are_local(cls, plain: Any) -> Any:
        """Dates are days of the schedule's own time zone."""
        if not isinstance(plain, dict):
            return plain
        tz = plain.get("tz")
        zone = zoneinfo.ZoneInfo(tz) if isinstance(tz, str) and tz in _zones() else datetime.UTC
        known = {"starts": False, "until": True}
        return plain | {
            name: _as_moment(name, plain[name], zone, last) for name, last in known.items() if name in plain
        }

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not datetime.timedelta() <= self.until - self.starts <= _LONGEST:
            raise ValueError("until: must be after starts, by ten years at most")
        count = len(_calendar(self.cron, self.tz, self.starts, self.until))
        if count == 0:
            raise ValueError(f"cron: {self.cron!r} is never due between starts and until")
        if count > MOST_DUE:
            raise ValueError(f"cron: {self.cron!r} is due more than {MOST_DUE} times; choose an earlier until")
        return self


def parse_schedule(plain: Any) -> Schedule:
    """A schedule from the table `[schedule]` of a study.

    Raises
    ------
    SpecError
        It is not one; names the field and what to write.
    """
    try:
        return Schedule.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "".join(f".{part}" for part in first["loc"])
        raise SpecError(f"schedule{where}: {first['msg'].removeprefix('Value error, ')}") from None


def due_times(schedule: Schedule, after: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
    """The due times in (after, until], UTC, increasing. `max_runs` is no part of the calendar."""
    calendar = _calendar(schedule.cron, schedule.tz, schedule.starts, schedule.until)
    return list(calendar[bisect.bisect_right(calendar, after) : bisect.bisect_right(calendar, until)])


def next_due(schedule: Schedule, after: datetime.datetime) -> datetime.datetime | None:
    """The first due time after a moment; None when there is none any more."""
    calendar = _calendar(schedule.cron, schedule.tz, schedule.starts, schedule.until)
    place = bisect.bisect_right(calendar, after)
    return calendar[place] if place < len(calendar) else None


def is_due(schedule: Schedule, due: datetime.datetime) -> bool:
    """Whether a moment is one of the due times."""
    return next_due(schedule, due - _SECOND) == due


@functools.lru_cache(maxsize=1024)
def _calendar(cron: str, tz: str, starts: datetime.datetime, until: datetime.datetime) -> tuple[datetime.datetime, ...]:
    """All due times; stops one after the most there may be."""
    zone = zoneinfo.ZoneInfo(tz)
    found: list[datetime.datetime] = []
    # where the wall skips a whole day, times of that day are due on the next
    for wall in _walls(cron, _wall(starts, zone) - 2 * _DAY, _wall(until, zone) + 2 * _DAY):
        due = _instant(wall, zone)
        if starts <= due <= until and (not found or due > found[-1]):
            found.append(due)
        if due > until or len(found) > MOST_DUE:
            break
    return tuple(found)


def _walls(cron: str, first: datetime.datetime, last: datetime.datetime) -> Iterator[datetime.datetime]:
    """What the clock on the wall shows when `cron` says so, without a time zone: UTC stands in for the wall."""
    from apscheduler.triggers.cron import CronTrigger

    fields = dict(zip(_FIELDS, cron.split(" "), strict=True))
    trigger = CronTrigger(**fields, end_date=last.replace(tzinfo=datetime.UTC), timezone=datetime.UTC)
    at = first.replace(tzinfo=datetime.UTC)
    while (found := trigger.get_next_fire_time(None, at)) is not None:
        yield found.replace(tzinfo=None)
        at = found + _SECOND


def _wall(when: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    return when.astimezone(zone).replace(tzinfo=None)


def _instant(wall: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """The first moment at which the wall shows this, or that follows where it never does."""
    early = wall.replace(tzinfo=zone, fold=0).astimezone(datetime.UTC)
    if _wall(early, zone) == wall:
        return early
    # in a gap fold 0 counts on from before it, and fold 1 back from after it: the end of the gap lies between
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(datetime.UTC), early
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle -= datetime.timedelta(microseconds=middle.microsecond)
        before, after = (middle, after) if _wall(middle, zone) < wall else (before, middle)
    return after


def _checked_cron(cron: str) -> str:
    fields = cron.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{len(fields)} fields where five are needed: minute, hour, day of the month, month, weekday ('0 6 1 * *')"
        )
    if re.search(r"\d", fields[4]):
        raise ValueError(_weekday_names(fields[4]))
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError("a day of the month and a weekday together are read in two ways; write '*' for one of them")
    wrong = [part for field in fields for part in field.split(",") if not _PART.fullmatch(part)]
    if wrong:  # APScheduler reads the beginning of a part and forgets the rest
        raise ValueError(f"{wrong[0]!r} cannot be read: write '*', '6', 'mon-fri', '*/15', or several with ','")
    from apscheduler.triggers.cron import CronTrigger

    try:
        CronTrigger(**dict(zip(_FIELDS, fields, strict=True)), timezone=datetime.UTC)
    except ValueError as error:
        raise ValueError(_explained(str(error), fields)) from None
    return " ".join(fields)


def _weekday_names(field: str) -> str:
    names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
    if re.search(r"/|[89]|\d\d", field):
        return "weekdays are names: write a list such as 'mon,wed,fri'"
    written = re.sub(r"\d", lambda digit: names[int(digit[0])], field)
    return f"weekdays are names, because programs disagree on their numbers: write {written!r}, if 0 and 7 are Sunday"


def _explained(problem: str, fields: list[str]) -> str:
    if "minimum value in a range" in problem:
        return "a range runs from the smaller to the larger (weekdays from mon to sun): write 'sun,mon', not 'sun-mon'"
    return f"{' '.join(fields)!r} cannot be read: {problem}"


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def _as_moment(name: str, value: Any, zone: datetime.tzinfo, last: bool) -> datetime.datetime:
    """Dates, local times and moments, as TOML or text, in UTC."""
    if isinstance(value, str):
        try:
            value = datetime.date.fromisoformat(value) if len(value) == 10 else datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{name}: write a date or a time, such as 2027-12-31 or 2027-12-31T05:00:00Z") from None
    try:
        if isinstance(value, datetime.datetime):
            when = _instant(value, zone) if value.tzinfo is None else value.astimezone(datetime.UTC)
        elif isinstance(value, datetime.date):
            midnight = datetime.datetime.combine(value, datetime.time())
            when = _instant(midnight + _DAY, zone) - _SECOND if last else _instant(midnight, zone)
        else:
            raise ValueError(f"{name}: write a date or a time, such as 2027-12-31 or 2027-12-31T05:00:00Z")
        margin = 3 * _DAY
        _ = when - margin, when + margin
    except OverflowError:
        raise ValueError(f"{name}: the year is out of range") from None
    if when.microsecond:
        raise ValueError(f"{name}: whole seconds only, not {moment(when)}")
    return when
