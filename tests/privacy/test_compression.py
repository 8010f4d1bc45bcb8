"""Compressed deals: t shares come from keys of pairs, so nobody but the dealer holds more than one of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.testing.network import run_parties

FIVE, SEVEN = Committee(5, 2), Committee(7, 3)


def dealt_by_one(committee: Committee) -> tuple[Enumeration, dict[int, Any]]:
    """Views of every party while party 1 deals: all secrets, all coins."""
    world = Enumeration(11, committee, digits=1 + committee.t)

    async def program(session: Session) -> None:
        x = world.coin("x") if session.index == 1 else None
        await deal(session, world.field, x, (1,), (world.runs,))

    return world, world.views(program)[1]


@pytest.mark.parametrize("committee", [FIVE, SEVEN], ids=str)
def test_no_coalition_of_t_learns_anything_of_a_dealt_secret(committee: Committee) -> None:
    """Every receiver alone, and all t of them together; one more would know it."""
    world, views = dealt_by_one(committee)
    secret = [world.coin("x")]
    for size in range(1, committee.t + 1):
        for coalition in itertools.combinations(range(2, committee.m + 1), size):
            assert distinguishable(world.joined([views[i] for i in coalition]), [], secret) == 0
    more = range(2, committee.t + 3)
    assert distinguishable(world.joined([views[i] for i in more]), [], secret) > 0


def test_compression_with_a_subset_key_would_be_found() -> None:
    """Planted bug: coins come from a key of m - t parties; its third member knows both receivers' coins."""
    world, views = dealt_by_one(FIVE)
    coins = [column for name, column in world._columns.items() if name.startswith("pair/1/")]
    assert len(coins) == FIVE.t
    secret = [world.coin("x")]
    assert distinguishable(world.joined([views[4]]), [], secret) == 0
    assert distinguishable(world.joined([views[4], coins[0]]), [], secret) == 0
    assert distinguishable(world.joined([views[4], *coins]), [], secret) > 0


@pytest.mark.parametrize("committee", [Committee(3, 1), FIVE, SEVEN], ids=str)
def test_the_key_of_a_compressed_share_is_held_by_two(committee: Committee) -> None:
    """Of the keys that a session really agrees on: dealer and receiver have it, nobody else under any name."""

    async def program(session: Session) -> tuple[dict[int, bytes], set[bytes]]:
        ring: Any = session.randomness
        return ring._pair_keys, {*ring._pair_keys.values(), *ring._subset_keys.values(), ring._private_key}

    rings = run_parties(committee, program)
    for dealer in committee.members:
        for receiver in committee.compressed(dealer):
            key = rings[dealer - 1][0][receiver]
            assert rings[receiver - 1][0][dealer] == key
            assert [i for i in committee.members if key in rings[i - 1][1]] == sorted((dealer, receiver))


def test_a_deal_draws_from_those_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """At m = 5 each receiver draws its own coins, and none of the other's."""
    drawn: list[tuple[int, str, tuple[int, ...]]] = []

    async def program(session: Session) -> None:
        ring: Any = session.randomness
        for kind in ("private", "subset", "pair"):
            real = getattr(ring, kind)

            def recorded(*arguments: Any, kind: str = kind, real: Any = real) -> Any:
                drawn.append((session.index, kind, arguments[:-1]))
                return real(*arguments)

            monkeypatch.setattr(ring, kind, recorded, raising=False)
        own = M61.from_ints([1, 2]) if session.index == 1 else None
        await deal(session, M61, own, (1,), (2,))

    run_parties(FIVE, program)
    assert sorted(drawn) == [(1, "pair", (1, 2)), (1, "pair", (1, 3)), (2, "pair", (1, 2)), (3, "pair", (1, 3))]
