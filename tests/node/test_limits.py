"""Every limit of a party: the number, the limit and the setting are in the error; what is within it goes on."""

import asyncio
import datetime
from types import SimpleNamespace

import numpy as np
import pytest

from mpcstats.errors import ConfigurationError, LimitExceeded, RangeError
from mpcstats.node.auditing.node import Auditing
from mpcstats.node.governance.quota import EntryQuota
from mpcstats.node.runs.guard import RunGuard, memory_limit_mb, resident_bytes
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.limits import Limits, check_disk
from mpcstats.node.settings.setup import create_party
from mpcstats.node.site import check_cells, check_table
from mpcstats.stats.contributions.counts import CountContribution

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [(11, 3, ("11 rows", "10", "rows")), (10, 4, ("4 columns", "3", "columns"))],
)
def test_rows_and_columns(rows, columns, words):
    limits = Limits(rows=10, columns=3)
    check_table(limits, 10, 3, "west")
    with pytest.raises(LimitExceeded) as caught:
        check_table(limits, rows, columns, "west")
    assert isinstance(caught.value, RangeError)
    assert caught.value.party == "west"
    assert all(word in str(caught.value) for word in words)
    assert "[limits] in party.toml" in caught.value.hint


def test_cells():
    own = CountContribution(np.zeros((4, 5), dtype=np.int64))
    check_cells(Limits(cells=20), own, "west")
    with pytest.raises(LimitExceeded, match=r"20 numbers; the limit is 19 \(cells\)"):
        check_cells(Limits(cells=19), own, "west")


def test_a_disk_that_is_nearly_full(tmp_path):
    check_disk(Limits(disk_free_mb=0), tmp_path, "west")
    with pytest.raises(LimitExceeded, match=r"MB free; 999,999,999,999 are needed \(disk_free_mb\)"):
        check_disk(Limits(disk_free_mb=999_999_999_999), tmp_path, "west")


async def _for_ever(ended):
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(True)


@pytest.mark.parametrize(
    ("limits", "memory", "rounds", "words"),
    [
        ({"memory_mb": 100}, 101_000_000, 0, r"101 MB of memory during this run; the limit is 100 \(memory_mb\)"),
        ({"rounds": 7}, 0, 8, r"8 rounds and goes on; the limit is 7 \(rounds\)"),
    ],
)
async def test_a_run_that_takes_too_much_is_ended(limits, memory, rounds, words):
    guard, ended = RunGuard(Limits(**limits), "west", lambda: memory), []
    guard.observe(SimpleNamespace(accounts=SimpleNamespace(rounds=rounds)))
    with pytest.raises(LimitExceeded, match=words):
        await guard.watch(_for_ever(ended), every_seconds=0.01)
    assert ended == [True]


async def test_a_run_that_takes_too_long_is_ended(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("mpcstats.node.runs.guard.time.monotonic", lambda: clock[0])
    guard, ended = RunGuard(Limits(run_seconds=60), "west", lambda: 0), []
    guard.check()
    clock[0] = 61.0
    with pytest.raises(LimitExceeded, match=r"more than 61 s; the limit is 60 \(run_seconds\)"):
        guard.check()
    assert not ended


async def test_a_guarded_run_is_what_it_would_be():
    async def result():
        await asyncio.sleep(0.03)
        return 5

    async def failing():
        raise ConfigurationError("no")

    guard = RunGuard(Limits(memory_mb=10**9), "west")
    assert await guard.watch(result(), every_seconds=0.01) == 5
    with pytest.raises(ConfigurationError):
        await guard.watch(failing())
    ended = []
    task = asyncio.create_task(guard.watch(_for_ever(ended), every_seconds=0.01))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


def test_without_a_setting_memory_is_bounded_by_the_machine():
    assert resident_bytes() > 10**7
    assert resident_bytes() / 1e6 < memory_limit_mb(Limits())
    assert memory_limit_mb(Limits(memory_mb=5)) == 5


async def test_runs_in_the_queue():
    jobs = Jobs("west", most_queued=1)
    async with jobs.slot("a", 1):
        waiting = asyncio.create_task(_hold(jobs, "b"))
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match=r"1 runs wait here already; the limit is 1 \(queue\)"):
            await _hold(jobs, "c")
    await waiting
    await _hold(jobs, "d")
    assert jobs.queued == 0


async def _hold(jobs, run):
    async with jobs.slot(run, 5):
        pass


# ---- entries ---------------------------------------------------------------------------------------------------------


def entry(number, action="approve", party="east", hours_ago=0):
    time = (NOW - datetime.timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return SimpleNamespace(party=party, number=number, action=action, time=time)


def quota(clock, stored=0, **limits):
    return EntryQuota(Limits(**limits), lambda: clock[0], lambda _party: stored)


def take(book, *entries, size=100):
    for one in entries:
        book.check(one, size)
        book.took(one, size)


def test_entries_of_a_day_pass_by_themselves():
    clock = [NOW]
    book = quota(clock, entries_per_day=3)
    take(book, *(entry(n) for n in (1, 2, 3)))
    with pytest.raises(LimitExceeded, match=r"4 entries in 24 hours; the limit is 3 \(entries_per_day\)") as caught:
        take(book, entry(4))
    assert caught.value.party == "east"
    take(book, entry(1, party="north"))  # nobody else's bound
    clock[0] += datetime.timedelta(hours=24)
    take(book, entry(4, hours_ago=-24))


def test_comments_have_a_bound_of_their_own():
    book = quota([NOW], comments_per_day=1)
    take(book, entry(1, "comment"))
    with pytest.raises(LimitExceeded, match="comments_per_day"):
        take(book, entry(2, "comment"))
    take(book, entry(2))


def test_history_is_caught_up_with_and_counts_in_the_chain():
    book = quota([NOW], entries_per_day=2, chain_entries=50)
    take(book, *(entry(n, hours_ago=100) for n in range(1, 51)))
    with pytest.raises(LimitExceeded, match=r"has 51; the limit is 50 \(chain_entries\)"):
        take(book, entry(51, hours_ago=100))


def test_the_size_of_a_chain_includes_what_was_there_before():
    book = quota([NOW], stored=900_000, chain_mb=1)
    take(book, entry(1), size=90_000)
    with pytest.raises(LimitExceeded, match=r"1\.1 MB; the limit is 1 \(chain_mb\)"):
        take(book, entry(2), size=90_000)


# ---- the audit log ---------------------------------------------------------------------------------------------------


def test_one_party_cannot_fill_the_audit_log(monkeypatch):
    clock, written = [1000.0], []
    monkeypatch.setattr("mpcstats.node.auditing.node.time.monotonic", lambda: clock[0])
    auditing = object.__new__(Auditing)
    auditing._most, auditing._caused, auditing._party = 3, {}, "west"
    auditing.log = SimpleNamespace(append=lambda *_what, **conditions: written.append(conditions))
    for _ in range(3):
        auditing.check_budget("east")
        auditing.refused_run("east", "", code="E1403")
    for _ in range(100):
        with pytest.raises(LimitExceeded, match=r"3 \(audit_records_per_minute\)") as caught:
            auditing.check_budget("east")
        auditing.refused_run("east", "", code="E1602")
    assert caught.value.party == "east"
    assert len(written) == 3
    auditing.check_budget("north")
    clock[0] += 61
    auditing.check_budget("east")
    auditing.refused_run("east", "", code="E1403")
    assert written[-1]["left_out"] == 100


# ---- settings --------------------------------------------------------------------------------------------------------


def party(tmp_path, text, environment=None):
    directory = tmp_path / "west"
    if not directory.exists():
        create_party(directory, name="west", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    with (directory / "party.toml").open("a") as file:
        file.write(text)
    return PartyDirectory(directory, environment or {}).config


def test_settings(tmp_path):
    config = party(tmp_path, '[limits]\nrows = 5\nquiet_hours = "01:00-02:00"\ntz = "UTC"\n')
    assert config.limits.rows == 5
    assert config.limits.queue == Limits().queue
    assert config.observability.metrics is None
    read = PartyDirectory(tmp_path / "west", {"MPCSTATS_METRICS": "127.0.0.1:9471"}).config
    assert read.observability.metrics == "127.0.0.1:9471"


@pytest.mark.parametrize("text", ["[limits]\nrows = 0\n", "[limits]\nrow = 5\n"])
def test_a_wrong_limit_is_named(tmp_path, text):
    with pytest.raises(ConfigurationError, match="row"):
        party(tmp_path, text)


def test_metrics_are_for_this_machine_unless_said_otherwise(tmp_path):
    with pytest.raises(ConfigurationError, match="can be reached from other machines"):
        party(tmp_path, '[observability]\nmetrics = "0.0.0.0:9471"\n')
    assert party(tmp_path, "expose = true\n").observability.expose
