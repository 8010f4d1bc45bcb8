"""Long local computing in a thread: the others wait, the event loop goes on, errors keep their names."""

import asyncio
import threading
import time

import pytest

from mpcstats.errors import DeadlineExceeded
from mpcstats.runtime import local
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties

THREE = Committee(3, 1)


def pass_round(session, payload):
    return session.exchange(dict.fromkeys(session.others, payload), dict.fromkeys(session.others, len(payload)))


def test_a_party_that_computes_longer_than_the_patience_is_waited_for():
    async def program(session):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        value = b"0"
        if session.index == 2:
            value = await local(session, lambda seconds: time.sleep(seconds) or b"7", seconds=1.0)
        ticking.cancel()
        got = await pass_round(session, value)
        return bytes(got.get(2, value)), ticks

    results = run_parties(THREE, program, patience_seconds=0.3)
    assert [value for value, _ in results] == [b"7"] * 3
    assert results[1][1] > 20  # its event loop was free


def test_a_silent_party_is_still_named():
    async def program(session):
        if session.index == 2:
            await local(session, time.sleep, 0.5)
            await asyncio.sleep(1.5)
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            await pass_round(session, b"x")
        if session.index != 2:
            assert caught.value.party == "party2"
            assert 0.7 < time.monotonic() - start < 1.9
        raise caught.value

    with pytest.raises(DeadlineExceeded):
        run_parties(THREE, program, patience_seconds=0.3)


def test_it_runs_in_another_thread_and_its_errors_arrive():
    async def program(session):
        assert await local(session, threading.get_ident) != threading.get_ident()
        with pytest.raises(TimeoutError, match="disk"):
            await local(session, fail)
        with pytest.raises(KeyError):
            await local(session, {}.__getitem__, "x")
        return True

    def fail():
        raise TimeoutError("the disk")

    assert run_parties(THREE, program) == [True] * 3


def test_it_does_not_last_for_ever(monkeypatch):
    monkeypatch.setattr("mpcstats.runtime.threads._LONGEST_SECONDS", 0.1)

    async def program(session):
        with pytest.raises(DeadlineExceeded, match="own data") as caught:
            await local(session, time.sleep, 0.5)
        return caught.value.party

    assert run_parties(THREE, program) == ["party1", "party2", "party3"]
