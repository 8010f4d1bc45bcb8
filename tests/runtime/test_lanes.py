"""Large batches in lanes: the same numbers, declared costs, one order of messages, one ledger, one digest."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from mpcstats import protocols
from mpcstats.errors import InconsistentShares, StatisticalSecurityError
from mpcstats.field import M61, M127
from mpcstats.protocols.declare import REGISTRY, Case
from mpcstats.runtime import Session, Shared, lanes
from mpcstats.runtime.opening import open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

THREE, FIVE = Committee(3, 1), Committee(5, 2)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of 64 elements."""
    monkeypatch.setattr(lanes, "BLOCK", 64)
    return 64


async def dealt(session: Session, values: np.ndarray, field=M61) -> Shared:
    own = field.from_int64(values) if session.index == 1 else None
    return (await protocols.deal(session, field, own, (1,), values.shape))[1]


async def opened(session: Session, x: Shared) -> np.ndarray:
    session.openings.declare("x", x.size, "test")
    return x.field.to_int64(await open_declared(session, x, "x"))


@pytest.mark.parametrize("committee", [Committee(1, 0), THREE, FIVE], ids=str)
@pytest.mark.parametrize("count", [1, 64, 65, 500])
def test_blocks_give_what_the_whole_gives(small_blocks: int, committee: Committee, count: int) -> None:
    values = np.random.default_rng(count).integers(-(2**59), 2**59, count)

    async def program(session: Session) -> tuple[np.ndarray, bytes, int, int]:
        x = await dealt(session, values)
        before = session.accounts.rounds, sum(session.accounts.bytes_sent.values())
        sign = await protocols.is_negative(session, x)
        after = session.accounts.rounds, sum(session.accounts.bytes_sent.values())
        result = await opened(session, sign)  # the session's clock goes on behind the lanes
        return result, session.openings.digest, after[0] - before[0], after[1] - before[1]

    results = run_parties(committee, program)
    cost, case = REGISTRY["is_negative"], Case(committee, M61, count)
    for signs, digest, rounds, _ in results:
        assert np.array_equal(signs, values < 0)
        assert digest == results[0][1]
        assert rounds == cost.rounds(case)
    assert sum(sent for *_, sent in results) == cost.bytes_sent(case)


def test_declared_rounds_count_what_follows_one_another(small_blocks: int) -> None:
    assert [lanes.waves(n) for n in (0, 1, 64, 256, 257, 512, 513)] == [1, 1, 1, 1, 2, 2, 3]


def test_messages_go_out_in_one_order_however_lanes_are_scheduled(small_blocks: int) -> None:
    """Steps of one sender to one receiver only rise, although lanes get their turn at random."""
    sent: list[Message] = []
    waits = np.random.default_rng(3)

    async def block(session: Session, x: Shared) -> Shared:
        for _ in range(3):
            for _ in range(waits.integers(0, 6)):
                await asyncio.sleep(0)
            x = await protocols.multiply(session, x, x)
        return x

    async def program(session: Session) -> np.ndarray:
        x = await dealt(session, np.arange(500) % 3)
        return await opened(session, await lanes.in_blocks(session, block, x))

    for result in run_parties(THREE, program, observe=sent.append):
        assert np.array_equal(result, (np.arange(500) % 3) ** 8)
    for pair in {(message.sender, message.receiver) for message in sent}:
        steps = [message.step for message in sent if (message.sender, message.receiver) == pair]
        assert steps == sorted(set(steps))


def test_the_ledger_of_masks_is_the_session_s(small_blocks: int) -> None:
    async def block(session: Session, x: Shared) -> Shared:
        return await protocols.truncate(session, x, 4, 20)

    async def program(session: Session) -> int:
        x = (await dealt(session, np.arange(200) << 4, M127)).with_fraction_bits(4)
        await lanes.in_blocks(session, block, x)
        assert session.kappa_total == session.kappa - np.log2(200)
        session.accounts.masked_openings = 1 << (session.kappa - session.kappa_floor)
        with pytest.raises(StatisticalSecurityError):
            await lanes.in_blocks(session, block, x)
        return session.accounts.masked_openings

    assert run_parties(THREE, program)


def test_a_wrong_share_in_one_block_ends_the_run(small_blocks: int) -> None:
    async def program(session: Session) -> None:
        x = await dealt(session, np.arange(200))
        if session.index == 2:
            x.values[150] ^= np.uint64(1)
        await protocols.is_negative(session, x)

    with pytest.raises(InconsistentShares):
        run_parties(THREE, program)


def test_labels_of_blocks_are_all_different(small_blocks: int) -> None:
    seen: list[str] = []

    async def block(session: Session, x: Shared) -> Shared:
        seen.extend(session.label("mask") for _ in range(2))
        return x

    async def program(session: Session) -> None:
        x = await dealt(session, np.arange(300))
        for _ in range(2):
            await lanes.in_blocks(session, block, x)

    run_parties(Committee(1, 0), program)
    assert len(seen) == len(set(seen)) == 2 * 2 * 5
