"""Sessions: openings, keys, digests, deadlines."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import (
    DeadlineExceeded,
    Divergence,
    FrameRejected,
    InconsistentShares,
    MpcStatsError,
    PartyUnreachable,
    UndeclaredOpening,
)
from mpcstats.field import M61
from mpcstats.protocols import deal, is_negative
from mpcstats.runtime import Session, Shared, agree_on_keys, confirm, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import MemoryNetwork, Message

THREE = Committee(3, 1)


async def shared(session: Session, values: list[int]) -> Shared:
    own = M61.from_ints(values) if session.index == 1 else None
    return (await deal(session, M61, own, (1,), (len(values),)))[1]


def test_an_undeclared_value_is_not_opened_and_nothing_is_sent() -> None:
    seen: list[Message] = []

    async def program(session: Session) -> int:
        x = await shared(session, [1, 2, 3])
        session.openings.declare("two values", 2, "test")
        before = len(seen)
        for name in ("two values", "anything"):
            with pytest.raises(UndeclaredOpening):
                await open_declared(session, x, name)
        return len(seen) - before

    assert max(run_parties(THREE, program, observe=seen.append)) <= 2  # what other parties still dealt


def test_what_is_declared_again_comes_on_top() -> None:
    async def program(session: Session) -> tuple[int, int]:
        x = await shared(session, [1, 2, 3])
        session.openings.declare("x", 3, "test")
        await open_declared(session, x, "x")
        session.openings.declare("x", 2, "test")
        entry = session.openings.manifest["x"]
        with pytest.raises(UndeclaredOpening, match="would open 6 values where 5"):
            await open_declared(session, x, "x")
        with pytest.raises(UndeclaredOpening, match="for different reasons"):
            session.openings.declare("x", 3, "another reason")
        return entry.limit, entry.values

    assert run_parties(THREE, program) == [(5, 3)] * 3


@pytest.mark.parametrize("liar", [1, 2, 3])
def test_a_wrong_share_is_seen_by_the_others(liar: int) -> None:
    async def program(session: Session) -> str:
        x = await shared(session, [5])
        session.openings.declare("x", 1, "test")
        if session.index == liar:
            x = x.plus_int(1)
        with pytest.raises(InconsistentShares) as caught:
            await open_declared(session, x, "x")
        return str(caught.value)

    assert all("one polynomial" in text for text in run_parties(THREE, program))


def test_a_party_that_opens_differently_to_two_others_is_caught_by_the_digest() -> None:
    """At degree t with m = 5 the liar's two stories must each be consistent: here the digest decides."""

    async def program(session: Session) -> str:
        x = await shared(session, [5])
        session.openings.declare("x", 1, "test")
        await open_declared(session, x, "x")
        if session.index == 2:
            session.openings.record("x", b"another story")
        with pytest.raises(Divergence) as caught:
            await confirm(session)
        return caught.value.party or ""

    assert run_parties(THREE, program) == ["party2", "party1", "party2"]


def test_parties_with_different_studies_do_not_start() -> None:
    async def everybody() -> list[Any]:
        network = MemoryNetwork(("a", "b", "c"), 5)

        async def party(i: int) -> None:
            session = Session(network.channel(i), THREE, None)  # type: ignore[arg-type]
            study = hashlib.sha256(b"the study" if i != 3 else b"another study").digest()
            await agree_on_keys(session, study)

        return await asyncio.gather(*(party(i) for i in (1, 2, 3)), return_exceptions=True)

    results = asyncio.run(everybody())
    assert all(isinstance(result, Divergence) for result in results)
    assert [result.party for result in results] == ["c", "c", "a"]


def test_keys_are_fresh_in_every_session() -> None:
    async def program(session: Session) -> bytes:
        return session.randomness.subset((1, 2), "x").words(2).tobytes() if session.index in (1, 2) else b""

    first, second = run_parties(THREE, program), run_parties(THREE, program)
    assert first[0] == first[1] != second[0] == second[1]


def test_a_silent_party_is_named_within_the_deadline() -> None:
    async def program(session: Session) -> float:
        if session.index == 3:
            await asyncio.sleep(3)
            return 0.0
        session.channel.patience_seconds = 0.3
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(DeadlineExceeded) as caught:
            await session.exchange({}, {3: 8})
        assert caught.value.party == "party3"
        return loop.time() - started

    assert max(run_parties(THREE, program)) < 2


def test_a_party_that_stops_is_named_to_everybody() -> None:
    async def program(session: Session) -> str:
        if session.index == 2:
            error = MpcStatsError("disk full", party="party2")
            await session.channel.abort(error)
            return "party2"
        with pytest.raises(PartyUnreachable) as caught:
            await session.exchange(dict.fromkeys(session.others, b"x" * 8), dict.fromkeys(session.others, 8))
        return caught.value.party or ""

    assert set(run_parties(THREE, program)) == {"party2"}


def test_a_message_of_another_length_is_rejected() -> None:
    async def program(session: Session) -> None:
        if session.index == 1:
            await session.exchange(dict.fromkeys(session.others, b"123"), {})
        else:
            with pytest.raises(FrameRejected, match="3 bytes came where 8 were due") as caught:
                await session.exchange({}, {1: 8})
            assert caught.value.party == "party1"

    run_parties(THREE, program)


def test_secrets_have_no_truth_value_and_no_telling_repr() -> None:
    x = Shared(M61, M61.from_ints([123456789]), 1)
    with pytest.raises(TypeError, match="truth value"):
        bool(x)
    with pytest.raises(TypeError, match="needs a round"):
        x * x
    assert "123456789" not in repr(x)


def test_every_byte_that_a_party_receives_looks_uniform() -> None:
    """Shares of very unlike secrets: chi-square on the bytes of all messages to one party, with fresh keys."""

    def bytes_received(values: list[int]) -> np.ndarray:
        seen: list[Message] = []

        async def program(session: Session) -> None:
            await is_negative(session, await shared(session, values))

        run_parties(THREE, program, observe=seen.append)
        # whole low bytes of 61-bit elements and packed bits; the top byte of an element has 5 bits and is left out
        elements = [np.frombuffer(m.payload, np.uint8).reshape(-1, 8)[:, :7].ravel() for m in seen if m.receiver == 3]
        return np.concatenate(elements)

    for values in ([0] * 4000, [2**59] * 4000):
        counts = np.bincount(bytes_received(values), minlength=256)
        chi_square = float(((counts - counts.mean()) ** 2 / counts.mean()).sum())
        assert chi_square < 255 + 8 * np.sqrt(2 * 255)
