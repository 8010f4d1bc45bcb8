"""When scheduled runs are due: calendars, clocks that change, and what a party checks on its own."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import zoneinfo
from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import ConfigurationError, NotApproved, SpecError, StudyClosed, StudyError
from mpcstats.study.canonical import canonical_bytes
from mpcstats.study.occurrences import MOST_ATTEMPTS, Occurrence, check_occurrence, too_late
from mpcstats.study.schedule import MOST_DUE, Schedule, due_times, is_due, next_due, parse_schedule

MONTHLY = {
    "name": "monthly-hf",
    "cron": "0 6 1 * *",
    "tz": "Europe/Stockholm",
    "starts": "2027-01-01",
    "until": "2027-12-31",
    "max_runs": 13,
}


def schedule(**changes) -> Schedule:
    return parse_schedule({**MONTHLY, "max_runs": None, **changes})


def times(of: Schedule) -> list[str]:
    return [of.local(due) for due in due_times(of, of.starts - timedelta(seconds=1), of.until)]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


def test_monthly_at_six_on_the_wall_in_winter_and_summer():
    shown = times(schedule())
    assert len(shown) == 12
    assert shown[2:4] == ["2027-03-01 06:00 CET", "2027-04-01 06:00 CEST"]
    # a date ends the schedule with its day
    assert times(schedule(cron="30 23 31 12 *")) == ["2027-12-31 23:30 CET"]


CLOCKS = """
Europe/Stockholm     2027-03-27 2027-03-29  30 2 * * *      27 02:30 CET, 28 03:00 CEST, 29 02:30 CEST
America/New_York     2027-03-07 2027-03-21  0 2 * * sun     07 02:00 EST, 14 03:00 EDT, 21 02:00 EDT
Europe/Stockholm     2027-03-28 2027-03-28  */20 2,3 * * *  28 03:00 CEST, 28 03:20 CEST, 28 03:40 CEST
Europe/Stockholm     2027-10-30 2027-11-01  30 2 * * *      30 02:30 CEST, 31 02:30 CEST, 01 02:30 CET
America/New_York     2027-11-07 2027-11-14  30 1 * * sun    07 01:30 EDT, 14 01:30 EST
Asia/Kolkata         2027-03-28 2027-04-04  0 2 * * sun     28 02:00 IST, 04 02:00 IST
Australia/Lord_Howe  2027-10-03 2027-10-03  15 2 * * *      03 02:30 +11
Pacific/Apia         2011-12-29 2011-12-31  0 12 30,31 * *  31 00:00 +14, 31 12:00 +14
UTC                  2027-01-01 2028-12-31  0 0 last 2 *    28 00:00 UTC, 29 00:00 UTC
"""
"""Skipped in spring: once, when the clock goes on (several in the gap are one moment). Shown twice in autumn: once, the
first time. Kolkata never changes, the gap of Lord Howe Island is half an hour, Samoa had no 30 December 2011."""


@pytest.mark.parametrize("line", CLOCKS.strip().splitlines(), ids=lambda line: " ".join(line.split()[:2]))
def test_clocks_that_change(line):
    tz, start, end, *cron = line.split()[:8]
    found = times(schedule(cron=" ".join(cron), tz=tz, starts=start, until=end))
    assert ", ".join(text[8:] for text in found) == re.split(r" {2,}", line)[-1]


def test_leap_days_and_the_31st():
    leap = schedule(cron="0 0 29 feb *", tz="Asia/Kolkata", until="2036-12-31")
    assert [text[:10] for text in times(leap)] == ["2028-02-29", "2032-02-29", "2036-02-29"]
    months = [text[5:7] for text in times(schedule(cron="0 6 31 * *"))]
    assert months == ["01", "03", "05", "07", "08", "10", "12"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cron": "0 6 * * 0"}, "write 'sun'"),
        ({"cron": "0 6 * * 7"}, "write 'sun'"),
        ({"cron": "0 6 * * 1-5"}, "write 'mon-fri'"),
        ({"cron": "0 6 * * */2"}, "weekdays are names"),
        ({"cron": "0 6 * * sun-mon"}, "write 'sun,mon'"),
        ({"cron": "0 6 1 * mon"}, "two ways"),
        ({"cron": "@monthly"}, "five are needed"),
        ({"cron": "0 0 6 1 * *"}, "6 fields"),
        ({"cron": "0 6 * * mon;x"}, "'mon;x'"),
        ({"cron": "0 24 * * *"}, "24"),
        ({"cron": "0 6 30 feb *"}, "never due"),
        ({"cron": "* * * * *"}, str(MOST_DUE)),
        ({"tz": "Mars/Olympus"}, "no time zone"),
        ({"tz": "../../etc/passwd"}, "no time zone"),
        ({"until": "2026-12-31"}, "after starts"),
        ({"until": "2047-12-31"}, "ten years"),
        ({"until": "9999-12-31"}, "out of range"),
        ({"until": "soon"}, "write a date"),
        ({"starts": 1800000000}, "write a date"),
        ({"starts": "2027-01-01T00:00:00.5Z"}, "whole seconds"),
        ({"max_runs": 0}, "max_runs"),
        ({"catch_up": "some"}, "catch_up"),
        ({"grace_minutes": 0}, "grace_minutes"),
        ({"name": "Monthly\nhf"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_refused_says_what_to_write(changes, says):
    with pytest.raises(SpecError, match=says.replace("+", r"\+")) as caught:
        schedule(**changes)
    assert "schedule" in caught.value.message


def test_one_canonical_form_for_one_schedule():
    forms = {
        canonical_bytes(schedule(**changes))
        for changes in (
            {},
            {"cron": " 0  6 1 * * "},
            {"starts": datetime.date(2027, 1, 1)},
            {"starts": "2026-12-31T23:00:00Z", "until": "2027-12-31T22:59:59Z"},
            {"until": datetime.datetime(2027, 12, 31, 23, 59, 59)},
        )
    }
    assert len(forms) == 1
    assert b'"starts":"2026-12-31T23:00:00Z"' in forms.pop()
    again = parse_schedule(json.loads(canonical_bytes(schedule())))
    assert again == schedule()


ZONES = ("Europe/Stockholm", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "America/St_Johns")
HOURS = st.sampled_from(["0", "2", "*/6", "1-3", "23"])
MINUTES = st.sampled_from(["0", "30", "*/20", "59"])
DAYS = st.sampled_from([("*", "*"), ("1", "*"), ("31", "*"), ("*", "sun"), ("*", "mon-fri"), ("28-31", "*")])


def matches(cron: str, wall: datetime.datetime) -> bool:
    """A cron reader of its own, of the five kinds that the test uses."""

    def fits(field: str, value: int, names: str = "") -> bool:
        if field == "*":
            return True
        if field.startswith("*/"):
            return value % int(field[2:]) == 0
        ends = [names.split().index(end) if names else int(end) for end in field.split("-")]
        return ends[0] <= value <= ends[-1]

    minute, hour, day, month, weekday = cron.split()
    return (
        fits(minute, wall.minute)
        and fits(hour, wall.hour)
        and fits(day, wall.day)
        and fits(month, wall.month)
        and fits(weekday, wall.weekday(), "mon tue wed thu fri sat sun")
    )


def bounds(start: str, end: datetime.date, tz: str) -> dict[str, datetime.datetime]:
    first = datetime.datetime.fromisoformat(start).replace(tzinfo=zoneinfo.ZoneInfo(tz))
    last = datetime.datetime.combine(end, datetime.time(23, 59, 59), zoneinfo.ZoneInfo(tz))
    return {"starts": first.astimezone(UTC), "until": last.astimezone(UTC)}


def minute_by_minute(of: Schedule) -> list[datetime.datetime]:
    """Walks over all minutes; the wall's time is due when it is passed or jumped over for the first time."""
    zone, found = zoneinfo.ZoneInfo(of.tz), []
    when = of.starts - timedelta(days=2)
    wall = when.astimezone(zone).replace(tzinfo=None)
    reached = wall
    while when <= of.until:
        when += timedelta(minutes=1)
        wall = when.astimezone(zone).replace(tzinfo=None)
        due = False
        while reached < wall:
            reached += timedelta(minutes=1)
            due = due or matches(of.cron, reached)
        if due and of.starts <= when <= of.until:
            found.append(when)
    return found


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    minute=MINUTES,
    hour=HOURS,
    days=DAYS,
    tz=st.sampled_from(ZONES),
    start=st.sampled_from(["2027-03-12", "2027-03-27", "2027-10-02", "2027-10-30", "2027-11-05", "2028-02-27"]),
    steps=st.lists(st.integers(1, 100_000), min_size=1, max_size=12),
)
def test_due_times_are_those_of_a_walk_over_all_minutes(minute, hour, days, tz, start, steps):
    end = datetime.date.fromisoformat(start) + timedelta(days=3)
    plain = {"cron": f"{minute} {hour} {days[0]} * {days[1]}", "tz": tz, "starts": start, "until": end}
    calendar = Schedule.model_construct(**MONTHLY | plain | bounds(start, end, tz))
    all_of_them = minute_by_minute(calendar)
    if not all_of_them:
        with pytest.raises(SpecError, match="never due"):
            schedule(**plain)
        return
    of = schedule(**plain)
    before = of.starts - timedelta(days=1)
    assert due_times(of, before, of.until + timedelta(days=9)) == all_of_them
    # asked in any steps, every due time is told once and in order
    told, now = [], before
    for step in [*steps, 10_000_000]:
        told += due_times(of, now, now + timedelta(seconds=step))
        now += timedelta(seconds=step)
    assert told == all_of_them
    assert all(a < b for a, b in itertools.pairwise(told))
    following, now = [], before
    while (due := next_due(of, now)) is not None:
        following.append(due)
        now = due
    assert following == all_of_them
    assert all(is_due(of, due) and not is_due(of, due + timedelta(seconds=1)) for due in all_of_them)


def test_a_party_takes_part_in_what_is_due_and_nothing_else():
    of, due = schedule(max_runs=2), at("2027-03-01T05:00:00Z")
    check_occurrence(of, due, due, [])
    check_occurrence(of, due, due - timedelta(minutes=1), [])  # clocks differ a little
    with pytest.raises(NotApproved, match="not due yet"):
        check_occurrence(of, due, due - timedelta(minutes=3), [])
    for other in (due + timedelta(seconds=1), due + timedelta(hours=1), at("2026-12-01T05:00:00Z")):
        with pytest.raises(NotApproved, match="not in the approved schedule"):
            check_occurrence(of, other, other, [])
    with pytest.raises(NotApproved, match="before the approval"):
        check_occurrence(of, due, due, [], approved=due + timedelta(hours=1))
    with pytest.raises(StudyClosed, match="took its place"):
        check_occurrence(of, due, at("2027-04-01T04:03:00Z"), [])
    with pytest.raises(StudyClosed, match="ended"):
        check_occurrence(of, at("2027-12-01T05:00:00Z"), at("2027-12-31T23:03:00Z"), [])


@pytest.mark.parametrize("state", ["released", "held"])
def test_no_occurrence_is_released_twice_or_out_of_order(state):
    of, due = schedule(max_runs=2), at("2027-03-01T05:00:00Z")
    with pytest.raises(StudyError, match=f"was {state} already"):
        check_occurrence(of, due, due, [Occurrence(due, state, 1)])
    check_occurrence(of, due, due, [Occurrence(due, "failed", MOST_ATTEMPTS - 1)])
    with pytest.raises(StudyError, match="started 5 times"):
        check_occurrence(of, due, due, [Occurrence(due, "failed", MOST_ATTEMPTS)])
    later = Occurrence(at("2027-04-01T04:00:00Z"), state, 1)
    with pytest.raises(StudyError, match="comes after"):
        check_occurrence(of, due, due, [later])
    used = [Occurrence(at("2027-01-01T05:00:00Z"), state, 1), Occurrence(at("2027-02-01T05:00:00Z"), "failed", 2)]
    with pytest.raises(StudyClosed, match="all its 2 runs"):
        check_occurrence(of, due, due, used)
    check_occurrence(of, due, due, [used[0], Occurrence(used[1].due, "skipped", 0)])


def test_how_long_an_occurrence_may_wait():
    due, hour = at("2027-03-01T05:00:00Z"), timedelta(hours=1)
    for catch_up, in_two_hours, in_april in (
        ("none", "missed", "missed"),
        ("latest", None, "skipped"),
        ("all", None, None),
    ):
        of = schedule(catch_up=catch_up)
        assert too_late(of, due, due + hour) is None
        for later, expected in ((due + 2 * hour, in_two_hours), (at("2027-04-01T04:00:00Z"), in_april)):
            found = too_late(of, due, later)
            assert (found and found[0]) == expected
        assert too_late(of, due, of.until + timedelta(seconds=1))[0] == "missed"


def test_a_study_file_with_a_wrong_schedule_is_refused_when_it_is_read(tmp_path):
    from mpcstats.study.files.study import load_study

    path = tmp_path / "study.toml"
    head = """\
apiVersion = "mpcstats/v1"
kind = "Study"
id = "hf-count"
title = "Heart failure"
purpose = "planning"
principal = "anna@northfield.example"
consortium = "heart"
expires = 2099-01-31T00:00:00Z
[analysis]
type = "count"
[schedule]
name = "monthly-hf"
tz = "Europe/Stockholm"
starts = 2027-01-01
until = 2027-12-31
"""
    path.write_text(head + 'cron = "0 6 1 * *"\n')
    assert load_study(path).schedule is not None
    path.write_text(head + 'cron = "0 6 * * 1"\n')
    with pytest.raises(ConfigurationError, match=r"line 11, schedule: cron: .*write 'mon'"):
        load_study(path)
