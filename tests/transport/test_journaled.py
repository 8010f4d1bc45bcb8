"""Runs that are taken up again: same bytes, same results, nothing twice with another content."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import Divergence, FrameRejected, JournalMismatch, MpcStatsError
from mpcstats.field import M61, M127
from mpcstats.protocols import at_least, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared, agree_on_keys, confirm, local, open_declared
from mpcstats.runtime.mpyc import run_mpyc
from mpcstats.sharing.committee import Committee
from mpcstats.testing.attempts import Attempts, Killed, MortalChannel
from mpcstats.transport.channel import Channel
from mpcstats.transport.journal import Journal, MemoryJournal
from mpcstats.transport.journaled import FIRST_STEP, JournaledChannel
from mpcstats.transport.memory import MemoryNetwork
from tests.transport.nodes import running_parties
from tests.transport.test_grpc_channel import in_session

NAMES = ("alpha", "beta", "gamma")
STUDY = hashlib.sha256(b"study").digest()


async def program(session: Session, own: int) -> list[int]:
    """Keys, a deal, a comparison in lanes, an opening, work in a thread."""
    shared = await sum_of_inputs(session, M61, M61.from_int64(np.array([own, 3 * own])), (1, 2, 3), (2,))
    large = await at_least(session, shared, 10)
    value = await local(session, lambda: own)
    assert value == own
    session.openings.declare("large", 2, "whether 10 or more")
    return [int(x) for x in await open_declared(session, await multiply(session, large, shared), "large")]


def parts(journals: Sequence[Journal], owns: Sequence[int] = (1, 2, 3), study: bytes = STUDY) -> Any:
    async def part(channel: Channel) -> list[int]:
        i = channel.index
        journal = journals[i - 1]
        async with JournaledChannel.attach(channel, journal, study) as journaled:
            session = Session(journaled, Committee(3, 1), None)  # type: ignore[arg-type]
            await agree_on_keys(session, study, journal.seed)
            result = await program(session, owns[i - 1])
            await confirm(session)
            return result

    return part


def fresh() -> list[MemoryJournal]:
    return [MemoryJournal(bytes([i]) * 32) for i in range(3)]


def whole() -> tuple[list[MemoryJournal], Attempts]:
    journals, attempts = fresh(), Attempts(NAMES)
    assert attempts.attempt(parts(journals)) == [[0, 18]] * 3
    return journals, attempts


def test_a_replay_sends_nothing_again() -> None:
    journals, attempts = whole()
    assert attempts.wire
    assert attempts.attempt(parts(journals)) == [[0, 18]] * 3
    assert all(message.step < FIRST_STEP for message in attempts.seen)


def test_the_journal_is_small_beside_the_messages_and_tells_nothing_in_text() -> None:
    journals, _ = whole()
    assert "messages" in repr(journals[0])
    assert journals[0].seed.hex() not in repr(journals[0])


@pytest.mark.parametrize(
    ("victim", "after"),
    [
        (2, True),
        (3, False),
        *(pytest.param(*case, marks=pytest.mark.long) for case in ((1, False), (1, True), (2, False), (3, True))),
    ],
)
def test_a_party_may_die_at_any_message(victim: int, after: bool) -> None:
    _, attempts = whole()
    count = attempts.messages[victim - 1]
    step = 2 if (victim, after) == (2, True) else 6 if (victim, after) == (3, False) else 1
    for at in range(victim, count, step):
        journals, attempts = fresh(), Attempts(NAMES)
        broken = attempts.attempt(parts(journals), victim, at, after)
        assert isinstance(broken[victim - 1], Killed)
        assert attempts.attempt(parts(journals)) == [[0, 18]] * 3
        assert attempts.ambiguous == []


def test_parties_may_die_one_after_the_other() -> None:
    journals, attempts = fresh(), Attempts(NAMES)
    for at, victim in ((9, 1), (14, 2), (3, 3), (17, 1), (12, 3), (22, 2)):
        attempts.attempt(parts(journals), victim, at, after=bool(at % 2))
    assert attempts.attempt(parts(journals)) == [[0, 18]] * 3
    assert attempts.ambiguous == []


@pytest.mark.parametrize("at", [12, 20, 45])
def test_other_data_would_send_other_bytes(at: int) -> None:
    """The mask of a message that was sent hides one value, whatever happens to the data meanwhile."""
    journals, attempts = fresh(), Attempts(NAMES)
    attempts.attempt(parts(journals), 3, at)
    before = {key: len(payloads) for key, payloads in attempts.wire.items()}
    errors = attempts.attempt(parts(journals, owns=(1, 5, 3)))
    assert isinstance(errors[1], JournalMismatch)
    assert (errors[1].code, errors[1].party) == ("E1504", "beta")
    assert "nothing was sent" in errors[1].message
    # who has everything already may come to the old end
    assert all(isinstance(error, MpcStatsError) or (at == 45 and error == [0, 18]) for error in errors)
    assert attempts.ambiguous == []
    assert {key for key, payloads in attempts.wire.items() if len(payloads) > before.get(key, 0)} <= {
        key for key in attempts.wire if key[0] != 2
    }


def test_another_run_is_not_taken_up() -> None:
    journals, attempts = whole()
    other = hashlib.sha256(b"other").digest()
    errors = attempts.attempt(parts(journals, study=other))
    assert all(isinstance(error, MpcStatsError) for error in errors)
    assert any(isinstance(error, JournalMismatch) and "another run" in error.message for error in errors)
    mixed: list[Journal] = [MemoryJournal(), *journals[1:]]

    async def part(channel: Channel) -> Any:
        return await parts(mixed, study=other if channel.index == 1 else STUDY)(channel)

    errors = attempts.attempt(part)
    assert all(isinstance(error, Divergence) for error in errors)


def test_an_old_copy_of_a_journal_is_noticed() -> None:
    """It would not know what was sent under which mask."""
    journals, attempts = whole()
    errors = attempts.attempt(parts([journals[0], MemoryJournal(journals[1].seed), journals[2]]))
    assert isinstance(errors[1], JournalMismatch)
    assert errors[1].party == "beta"
    assert "old copy" in errors[1].message
    assert all(message.step < FIRST_STEP for message in attempts.seen if message.sender == 2)
    assert attempts.ambiguous == []


def test_a_journal_with_other_messages_is_noticed() -> None:
    journals, attempts = whole()
    step = min(journals[0].received(2))
    journals[0].record(2, step, bytes(len(journals[0].message(2, step) or b"")))
    errors = attempts.attempt(parts(journals))
    assert isinstance(errors[1], JournalMismatch)
    assert errors[1].party == "alpha"
    assert all(message.step < FIRST_STEP for message in attempts.seen)


def test_a_message_of_another_length_is_not_used() -> None:
    async def run() -> None:
        network, journal = MemoryNetwork(NAMES[:2]), MemoryJournal()
        journal.record(2, 0, b"12345")
        channel = JournaledChannel(network.channel(1), journal)
        assert bytes(await channel.receive(2, 0, 5)) == b"12345"
        with pytest.raises(JournalMismatch, match="waits for 6 bytes of beta"):
            await channel.receive(2, 0, 6)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("steps", "error"),
    [([1, 0], FrameRejected), ([0, 0], FrameRejected), ([7], JournalMismatch), ([0, 1, 2], JournalMismatch)],
)
def test_a_party_that_claims_to_hold_something_else_is_refused(steps: list[int], error: type[Exception]) -> None:
    async def run() -> None:
        network, journal = MemoryNetwork(NAMES[:2], 2.0), MemoryJournal()
        for step in (0, 1):
            journal.record_sent(2, step, bytes(32))
        peer = network.channel(2)
        await peer.send(
            1, 0, hashlib.sha256(b"mpcstats/v1/attempt" + STUDY).digest() + bytes(32) + len(steps).to_bytes(8, "little")
        )
        await peer.send(1, 1, np.array(steps, "<u8").tobytes())
        with pytest.raises(error):
            async with JournaledChannel.attach(network.channel(1), journal, STUDY):
                pass

    asyncio.run(run())


def test_a_replay_is_not_silence() -> None:
    """While one party replays, the others hear that it computes, and do not lose patience."""

    async def run() -> None:
        network, journal = MemoryNetwork(NAMES[:2], 0.05), MemoryJournal()
        journal.record(2, 0, b"first")
        journal.record_sent(2, 0, hashlib.sha256(b"mine").digest())
        one, other = network.channel(1), network.channel(2)

        async def peer() -> bytes:
            await other.send(
                1,
                0,
                hashlib.sha256(b"mpcstats/v1/attempt" + STUDY).digest()
                + hashlib.sha256(b"mpcstats/v1/held").digest()
                + bytes(8),
            )
            assert len(await other.receive(1, 0, 72)) == 72
            await other.receive(1, 1, 8)
            late = bytes(await other.receive(1, 0 + FIRST_STEP, 4))  # longer than its patience
            await other.send(1, 1 + FIRST_STEP, b"second")
            return late

        async def replaying() -> None:
            async with JournaledChannel.attach(one, journal, STUDY) as channel:
                assert bytes(await channel.receive(2, 0, 5)) == b"first"
                await asyncio.sleep(0.3)
                await channel.send(2, 0, b"mine")
                assert network._at_work == 1
                assert bytes(await channel.receive(2, 1, 6)) == b"second"
                assert network._at_work == 0

        late, _ = await asyncio.gather(peer(), replaying())
        assert late == b"mine"

    asyncio.run(run())


def test_programs_under_mpyc_are_replayed() -> None:
    """MPyC draws the coins of its sharings from the party's own."""

    async def smallest(mpc: Any, x: Any) -> Any:
        return mpc.np_amin(x * x)

    journals, attempts = fresh(), Attempts(NAMES)

    async def part(channel: Channel) -> int:
        i = channel.index
        async with JournaledChannel.attach(channel, journals[i - 1], STUDY) as journaled:
            session = Session(journaled, Committee(3, 1), None)  # type: ignore[arg-type]
            await agree_on_keys(session, STUDY, journals[i - 1].seed)
            shared = await sum_of_inputs(session, M127, M127.from_int64(np.array([i, i + 1])), (1, 2, 3), (2,))
            session.openings.declare("least", 1, "test")
            least = await run_mpyc(session, smallest, shared, bits=16)
            assert isinstance(least, Shared)
            return int(M127.to_signed(await open_declared(session, least.reshape(1), "least"))[0])

    assert isinstance(attempts.attempt(part, 2, 60)[1], Killed)
    assert attempts.attempt(part) == [36] * 3
    assert attempts.ambiguous == []
    assert len(attempts.wire) > 60


async def test_over_real_connections(keys: Any) -> None:
    """Mutual TLS on loopback: a party dies, all go on over new connections, and part."""
    journals, deaths = fresh(), [20]

    async def program(channel: Any) -> Any:
        mortal = MortalChannel(channel, deaths.pop() if channel.index == 2 and deaths else None)
        try:
            async with JournaledChannel.attach(mortal, journals[channel.index - 1], STUDY) as journaled:
                session = Session(journaled, Committee(3, 1), None)  # type: ignore[arg-type]
                await agree_on_keys(session, STUDY, journals[channel.index - 1].seed)
                result = await large_program(session, channel.index)
                return result, await journaled.part(STUDY)
        except Exception as error:
            await channel.abort(error)
            raise

    async with running_parties(keys) as parties:
        broken = await in_session(parties, program)
        assert isinstance(broken[1], Killed)
        assert all(isinstance(error, MpcStatsError | Killed) for error in broken)
        for _ in range(2):
            whole = await in_session(parties, program)
            assert [result for result, _ in whole] == [[0, 18]] * 3
            assert [len(told) for _, told in whole] == [2] * 3


async def large_program(session: Session, own: int) -> list[int]:
    """Messages of many frames before those of `program`."""
    size = 1 << 18
    shared = await sum_of_inputs(session, M61, M61.from_int64(np.full(size, own)), (1, 2, 3), (size,))
    await multiply(session, shared, shared)
    return await program(session, own)
