"""Guests: parties outside of the committee deal, hear what is opened by declaration, and take part in nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import ConfigurationError, Divergence, InconsistentShares, ProtocolError
from mpcstats.field import M61, M127
from mpcstats.protocols import deal, less, multiply
from mpcstats.protocols.boolean import deal_planes, to_arithmetic
from mpcstats.protocols.deals import deal_together, elements, planes
from mpcstats.protocols.resharing import SMALLEST
from mpcstats.protocols.truncate import multiply_fixed
from mpcstats.runtime import (
    BooleanShared,
    Session,
    Shared,
    confirm,
    open_declared,
    open_declared_bits,
    open_to,
    tell_everybody,
)
from mpcstats.runtime.lanes import in_blocks, side_by_side
from mpcstats.runtime.mpyc import run_mpyc
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import KeyRing
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

COMMITTEES = [Committee(3, 1), Committee(4, 1), Committee(5, 2)]
committees = pytest.mark.parametrize("committee", COMMITTEES, ids=str)


async def opened(session: Session, x: Shared, name: str = "x") -> list[int]:
    session.openings.declare(name, x.size, "test")
    return (
        M61.to_signed(await open_declared(session, x, name)).tolist()
        if x.field == M61
        else (M127.to_signed(await open_declared(session, x, name)).tolist())
    )


def everybody(committee: Committee, guests: int) -> tuple[int, ...]:
    return tuple(range(1, committee.m + guests + 1))


@committees
def test_members_and_guests_deal_numbers_and_bits(committee: Committee) -> None:
    dealers = everybody(committee, 2)

    async def program(session: Session) -> Any:
        me = session.index
        own = M61.from_ints([me, -me, 10**me])
        bits = np.array([[1 << me]], np.uint64)
        numbers, words = await deal_together(
            session, elements(session, M61, own, dealers, (3,)), planes(session, bits, dealers, (1, 1), 64)
        )
        total, union = numbers[1], words[1]
        for d in dealers[1:]:
            total, union = total + numbers[d], union ^ words[d]
        session.openings.declare("bits", 64, "test")
        found = await open_declared_bits(session, union, "bits")
        assert session.accounts.rounds == 2
        await confirm(session)
        return await opened(session, total), np.flatnonzero(found[0]).tolist()

    results = run_parties(committee, program, guests=2)
    expected = [sum(dealers), -sum(dealers), sum(10**d for d in dealers)], list(dealers)
    assert all(result == expected for result in results)


@committees
def test_arithmetic_on_what_guests_dealt(committee: Committee) -> None:
    """Small and large batches: fused kernels, blocks under way, halves of products, lanes."""
    n = SMALLEST + 5
    first, second = committee.m + 1, committee.m + 2

    async def program(session: Session) -> Any:
        x_own = np.arange(n) - 1000 if session.index == first else None
        y_own = np.arange(n)[::-1].copy() if session.index == second else None
        x = (await deal(session, M61, None if x_own is None else M61.from_int64(x_own), (first,), (n,)))[first]
        y = (await deal(session, M61, None if y_own is None else M61.from_int64(y_own), (second,), (n,)))[second]
        product = await opened(session, await multiply(session, x, y), "product")
        fewer = await in_blocks(session, less, x, y, block=1024)
        below, same = await side_by_side(
            session, lambda lane: less(lane, x[:9], y[:9]), lambda lane: multiply(lane, x[:9], x[:9])
        )
        bits = [await opened(session, z, name) for z, name in ((fewer, "less"), (below, "below"), (same, "same"))]
        await confirm(session)
        accounts = session.accounts
        return product, *bits, (accounts.rounds, accounts.masked_openings, session.steps_taken)

    results = run_parties(committee, program, guests=2, kappa_floor=20)
    x, y = np.arange(n) - 1000, np.arange(n)[::-1]
    assert results[0][:2] == ((x * y).tolist(), (x < y).astype(int).tolist())
    assert results[0][2:4] == ([1] * 9, (x[:9] ** 2).tolist())
    assert all(result == results[0] for result in results)


@committees
def test_guests_deal_within_lanes(committee: Committee) -> None:
    """Lanes send in turn: a guest's deal leaves when it is due, whatever the other lanes do."""
    first, second = committee.m + 1, committee.m + 2

    async def program(session: Session) -> Any:
        async def squared(lane: Session, dealer: int, times: int) -> Shared:
            own = M61.from_ints([dealer]) if lane.index == dealer else None
            x = (await deal(lane, M61, own, (dealer,), (1,)))[dealer]
            for _ in range(times):
                x = await multiply(lane, x, x)
            return x

        parts = await side_by_side(
            session,
            lambda lane: squared(lane, first, 1),
            lambda lane: squared(lane, 1, 3),
            lambda lane: squared(lane, second, 2),
        )
        return [await opened(session, part, f"part {k}") for k, part in enumerate(parts)], session.steps_taken

    results = run_parties(committee, program, guests=2)
    assert results[0][0] == [[first**2], [1], [second**4]]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("size", [3, SMALLEST, 1 << 15])
@committees
def test_fixed_point_on_what_guests_dealt(committee: Committee, size: int) -> None:
    guest = committee.m + 1

    async def program(session: Session) -> Any:
        own = M127.from_int64(np.full(size, 3 << 20)) if session.index == guest else None
        x = (await deal(session, M127, own, (guest,), (size,), 20))[guest]
        product = await multiply_fixed(session, x, x, 10)
        return await opened(session, product), session.accounts.rounds, session.accounts.masked_openings

    results = run_parties(committee, program, guests=1, kappa_floor=20)
    assert all(result == results[0] for result in results)
    assert np.abs(np.array(results[0][0], float) - (9 << 20)).max() < 20


@committees
def test_what_a_guest_sends_and_receives(committee: Committee) -> None:
    """Its own deal, and as many shares as are opened: nothing of the rounds between."""
    guest, seen = committee.m + 1, list[Message]()

    async def program(session: Session) -> None:
        own = M61.from_ints([1, 2]) if session.index == guest else None
        x = (await deal(session, M61, own, (guest,), (2,)))[guest]
        fewer = await less(session, x, x)
        await to_arithmetic(session, (await _bits(session, 1)), M61)
        await opened(session, fewer)

    run_parties(committee, program, observe=seen.append, guests=2)
    sent = Counter((m.sender, len(m.payload)) for m in seen if m.sender > committee.m)
    assert sent == {(guest, 16): committee.m - committee.t}
    received = Counter((m.receiver, len(m.payload)) for m in seen if m.receiver > committee.m)
    assert received == {(guest, 16): committee.m, (guest + 1, 16): committee.m}
    assert not [m for m in seen if m.sender > committee.m and m.receiver > committee.m]


async def _bits(session: Session, dealer: int) -> BooleanShared:
    own = np.array([[5]], np.uint64) if session.index == dealer else None
    return (await deal_planes(session, own, (dealer,), (1, 1), 3))[dealer]


@committees
def test_openings_to_one_party_reach_members_and_guests(committee: Committee) -> None:
    async def program(session: Session) -> Any:
        x = (await deal(session, M61, M61.from_ints([7]) if session.index == 1 else None, (1,), (1,)))[1]
        session.openings.declare("x", 2, "test")
        to_member = await open_to(session, x, "x", 2)
        to_guest = await open_to(session, x, "x", committee.m + 2)
        await confirm(session)
        return [None if value is None else M61.to_signed(value).tolist() for value in (to_member, to_guest)]

    results = run_parties(committee, program, guests=2)
    assert results == [
        [[7] if i == 2 else None, [7] if i == committee.m + 2 else None] for i in everybody(committee, 2)
    ]


@committees
@pytest.mark.parametrize("kind", ["numbers", "bits"])
def test_a_guest_notices_a_wrong_share(committee: Committee, kind: str) -> None:
    guest = committee.m + 1

    async def program(session: Session) -> str:
        lies = session.index == 1
        session.openings.declare("x", 3, "test")
        try:
            if kind == "bits":
                bits = await _bits(session, guest)
                shift = np.uint64(lies)
                await open_declared_bits(session, BooleanShared(bits.words ^ shift, 3), "x")
            else:
                x = await deal(session, M61, M61.from_ints([4]) if session.index == guest else None, (guest,), (1,))
                await open_declared(session, x[guest].plus_int(int(lies)), "x")
        except InconsistentShares:
            return "noticed"
        return "fine"

    assert run_parties(committee, program, guests=1)[-1] == "noticed"


def test_a_guest_that_was_told_another_value_is_found() -> None:
    """All members lie to it alike: its digest differs from theirs."""
    committee = Committee(3, 1)

    class Liar:
        def __init__(self, channel: Any) -> None:
            self.__dict__ |= {"channel": channel, "lies": True}

        def __getattr__(self, name: str) -> Any:
            return getattr(self.channel, name)

        async def send(self, receiver: int, step: int, payload: Any) -> None:
            if receiver == 4 and self.__dict__["lies"]:
                payload = M61.to_bytes(M61.from_ints([6]))
            await self.channel.send(receiver, step, payload)

    async def program(session: Session) -> str | None:
        x = (await deal(session, M61, M61.from_ints([7]) if session.index == 1 else None, (1,), (1,)))[1]
        line = None
        if not session.is_guest:
            line = session.channel = Liar(session.channel)  # type: ignore[assignment]
        found = await opened(session, x)
        assert found == [6 if session.is_guest else 7]
        if line is not None:
            line.__dict__["lies"] = False
        try:
            await confirm(session)
        except Divergence as error:
            return error.party
        return None

    assert run_parties(committee, program, guests=1) == ["party4", "party4", "party4", "party1"]


@pytest.mark.parametrize("guests", [0, 1, 3])
@committees
def test_everybody_hears_everybody(committee: Committee, guests: int) -> None:
    parties = everybody(committee, guests)
    words = {i: b"word" * (i % 3) for i in parties}  # some say nothing

    async def program(session: Session) -> Any:
        sizes = {j: len(words[j]) for j in parties if j != session.index}
        told = await tell_everybody(session, words[session.index], sizes)
        return {j: bytes(text) for j, text in told.items()}, session.accounts.rounds

    for i, (told, rounds) in zip(parties, run_parties(committee, program, guests=guests), strict=True):
        assert told == {j: text for j, text in words.items() if j != i and text}
        assert rounds == (1 if guests < 2 else 2)


def test_a_member_that_passes_on_something_else_is_found() -> None:
    class Liar:
        def __init__(self, channel: Any) -> None:
            self.channel, self.steps = channel, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.channel, name)

        async def send(self, receiver: int, step: int, payload: Any) -> None:
            changed = bytes(payload).replace(b"word5", b"lying") if receiver == 4 else payload
            await self.channel.send(receiver, step, changed)

    async def program(session: Session) -> str | None:
        if session.index == 1:
            session.channel = Liar(session.channel)  # type: ignore[assignment]
        sizes = {j: 5 for j in range(1, 6) if j != session.index}
        try:
            await tell_everybody(session, b"word%d" % session.index, sizes)
        except Divergence as error:
            return error.party
        return None

    assert run_parties(Committee(3, 1), program, guests=2)[3] == "party1"


def test_a_guest_is_lost() -> None:
    async def program(session: Session) -> Any:
        if session.index == 5:
            raise OSError("gone")
        x = (await deal(session, M61, None, (5,), (1,)))[5]
        return await opened(session, x)

    async def waits(session: Session) -> Any:
        if session.index == 5:
            await asyncio.sleep(0.6)
        return await program(session)

    from mpcstats.errors import DeadlineExceeded

    with pytest.raises(DeadlineExceeded) as caught:
        run_parties(Committee(3, 1), waits, guests=2, patience_seconds=0.3)
    assert caught.value.party == "party5"


def test_keys_of_a_guest() -> None:
    committee = Committee(3, 1)
    groups = {A: bytes(32) for A in committee.keys_of(4, (4, 5))}
    assert set(groups) == {(1, 2, 4), (1, 3, 4), (2, 3, 4)}
    ring = KeyRing(committee, 4, groups, dict.fromkeys((1, 2, 3), bytes(32)), None, (4, 5))
    assert ring.subset((1, 2), "x").words(1) != ring.subset((1, 3), "x").words(1)  # placeholders
    with pytest.raises(ProtocolError):
        KeyRing(committee, 4, groups, dict.fromkeys((1, 2, 3, 5), bytes(32)), None, (4, 5))
    with pytest.raises(ProtocolError):
        KeyRing(
            committee, 1, {A: bytes(32) for A in committee.subsets_of(1)}, dict.fromkeys((2, 3), bytes(32)), None, (4,)
        )


def test_programs_of_mpyc_are_refused() -> None:
    async def program(session: Session) -> None:
        x = (await deal(session, M61, M61.from_ints([7]) if session.index == 1 else None, (1,), (1,)))[1]
        with pytest.raises(ConfigurationError, match="all parties compute"):
            await run_mpyc(session, lambda mpc, a: a, x)

    run_parties(Committee(3, 1), program, guests=1)
