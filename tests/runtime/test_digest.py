"""A party that tells two others different things: where shares have no redundancy, the digest of openings decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import Divergence, InconsistentShares
from mpcstats.field import M61, M127
from mpcstats.protocols import deal, is_negative, multiply_fixed, truncate
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.boolean import deal_planes, to_arithmetic
from mpcstats.protocols.resharing import SMALLEST
from mpcstats.runtime import Session, Shared, confirm, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties

THREE, FIVE = Committee(3, 1), Committee(5, 2)
LIAR = 2


class TwoTongued:
    """A channel that changes one word of the messages to one half of the parties, in rounds chosen by their number."""

    def __init__(self, inner: Any, betrayed: tuple[int, ...]) -> None:
        self._inner, self._betrayed = inner, betrayed
        self.lies = False
        self.told = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, receiver: int, step: int, payload: Any) -> None:
        """Send; with a lie."""
        if self.lies and receiver in self._betrayed:
            words = np.frombuffer(bytes(payload), "<u8").copy()
            words[0] ^= np.uint64(1)
            payload = words.tobytes()
            self.told += 1
        await self._inner.send(receiver, step, payload)


async def _fixed(session: Session, count: int, f: int = 8) -> Shared:
    own = M127.from_int64(np.arange(1, count + 1)) if session.index == 1 else None
    return (await deal(session, M127, own, (1,), (count,), f))[1]


async def _truncate(session: Session, line: TwoTongued | None) -> None:
    x = await _fixed(session, 5)
    z = local_product(x, x)
    _start(line)
    await truncate(session, z, 8, 20)


async def _multiply(session: Session, line: TwoTongued | None) -> None:
    x = await _fixed(session, 5)
    _start(line)
    await multiply_fixed(session, x, x, 20)


async def _multiply_in_blocks(session: Session, line: TwoTongued | None) -> None:
    x = await _fixed(session, SMALLEST)
    _start(line)
    await multiply_fixed(session, x, x, 20)


async def _convert(session: Session, line: TwoTongued | None) -> None:
    """The opened bit of a conversion; what goes before it is told honestly."""
    own = np.full((1, 1), 5, np.uint64) if session.index == 1 else None
    bits = (await deal_planes(session, own, (1,), (1, 1), 64))[1]
    real = session.exchange
    rounds = {3: 4, 5: 5}[session.committee.m]
    count = 0

    async def counted(outgoing: Any, expected: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == rounds - 1:
            _start(line)
        return await real(outgoing, expected, **options)

    session.exchange = counted  # type: ignore[method-assign]
    await to_arithmetic(session, bits, M61)
    session.exchange = real  # type: ignore[method-assign]


def _start(line: TwoTongued | None) -> None:
    if line is not None:
        line.lies = True


def run(committee: Committee, betrayed: tuple[int, ...], work: Callable[..., Awaitable[None]]) -> list[str | None]:
    """Whom each party names when digests are compared; None where it finds nothing."""

    async def program(session: Session) -> str | None:
        line = None
        if session.index == LIAR:
            line = session.channel = TwoTongued(session.channel, betrayed)  # type: ignore[assignment]
        await work(session, line)
        if line is not None:
            line.lies = False
            assert line.told
        try:
            await confirm(session)
        except Divergence as error:
            return error.party
        return None

    return run_parties(committee, program)


@pytest.mark.parametrize("work", [_truncate, _multiply, _multiply_in_blocks], ids=lambda work: work.__name__)
def test_two_stories_at_degree_2t_are_caught_by_the_digest(work: Callable[..., Awaitable[None]]) -> None:
    """Such an opening has no redundancy at m = 2t + 1: no party sees the lie itself."""
    # parties 1 and 2 opened one thing, party 3 another: everybody knows that something is wrong, nobody by whom
    assert run(THREE, (3,), work) == ["party3", "party3", "party1"]
    assert run(FIVE, (4, 5), work) == ["party4", "party4", "party4", "party1", "party1"]


@pytest.mark.parametrize(("committee", "betrayed"), [(THREE, (1,)), (FIVE, (4, 5))], ids=str)
def test_two_stories_about_a_bit_are_caught_by_the_digest(committee: Committee, betrayed: tuple[int, ...]) -> None:
    """Boolean shares are sent to those who lack them: at m = 3 the liar tells its one listener something else."""
    named = run(committee, betrayed, _convert)
    assert all(named)


def test_without_a_lie_the_digests_agree() -> None:
    async def honest(session: Session, line: TwoTongued | None) -> None:
        if line is not None:
            line.told = 1
        await _truncate(session, None)
        await _convert(session, None)

    assert run(FIVE, (4, 5), honest) == [None] * 5


@pytest.mark.parametrize("committee", [THREE, FIVE], ids=str)
def test_a_lie_about_a_share_of_degree_t_is_seen_by_the_betrayed_alone(committee: Committee) -> None:
    """The others hear from the digest, or from the party that stops."""

    async def program(session: Session) -> str:
        x = await _fixed(session, 3)
        session.openings.declare("x", 3, "test")
        if session.index == LIAR:
            session.channel = TwoTongued(session.channel, (3,))  # type: ignore[assignment]
            session.channel.lies = True  # type: ignore[attr-defined]
        try:
            await open_declared(session, x, "x")
        except InconsistentShares:
            return "seen"
        return "opened"

    expected = ["opened"] * committee.m
    expected[2] = "seen"
    assert run_parties(committee, program) == expected


def test_a_lie_in_a_comparisons_mask_is_seen() -> None:
    """The masked opening of a comparison is of degree t: it lies on a polynomial, or not."""

    async def program(session: Session) -> None:
        x = await _fixed(session, 3)
        if session.index == LIAR:
            session.channel = TwoTongued(session.channel, (1, 3))  # type: ignore[assignment]
            session.channel.lies = True  # type: ignore[attr-defined]
        await is_negative(session, x)

    with pytest.raises(InconsistentShares):
        run_parties(THREE, program)
