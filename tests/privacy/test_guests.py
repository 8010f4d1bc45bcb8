"""Exact privacy with guests: what t members learn about a guest's numbers and bits, and what a guest learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpcstats as ms
from mpcstats.protocols import deal, multiply
from mpcstats.protocols.boolean import bit_and, deal_planes
from mpcstats.runtime import Session, open_declared, open_declared_bits
from mpcstats.sdk import local as local_module
from mpcstats.sharing import boolean
from mpcstats.sharing.committee import Committee
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.transport.memory import MemoryNetwork, Message
from tests.privacy.test_traces import ANALYSES, cohort

THREE, FOUR, FIVE = Committee(3, 1), Committee(4, 1), Committee(5, 2)


@pytest.mark.parametrize(("p", "committee"), [(7, THREE), (11, FOUR), (7, FIVE), (11, FIVE)], ids=str)
def test_t_members_learn_nothing_about_a_number_that_a_guest_deals(p: int, committee: Committee) -> None:
    world = Enumeration(p, committee, digits=1 + committee.t, guests=2)  # the input, and t coins of its deal
    guest = committee.m + 1

    async def program(session: Session) -> None:
        x = world.coin("x") if session.index == guest else None
        await deal(session, world.field, x, (guest,), (world.runs,))

    _, views = world.views(program)
    x = world.coin("x")
    for coalition in itertools.combinations(committee.members, committee.t):
        together = world.joined([*(views[i] for i in coalition), views[guest + 1]])
        assert distinguishable(together, [], [x]) == 0
    more = world.joined([views[i] for i in range(1, committee.t + 2)])
    assert distinguishable(more, [], [x]) > 0


def bits_of_a_guest(world: Enumeration, guest: int) -> Callable[[Session], Any]:
    async def program(session: Session) -> None:
        own = world.packed(world.bit("x")).reshape(1, -1) if session.index == guest else None
        await deal_planes(session, own, (guest,), (1, boolean.lanes(world.runs)), world.runs)

    return program


@pytest.mark.parametrize("committee", [THREE, FOUR, FIVE], ids=str)
def test_t_members_learn_nothing_about_a_bit_that_a_guest_deals(committee: Committee) -> None:
    guest = committee.m + 1
    world = Enumeration.of(3, committee, lambda world: bits_of_a_guest(world, guest), guests=2)
    _, views = world.views(bits_of_a_guest(world, guest))
    x = world.bit("x")
    for coalition in itertools.combinations(committee.members, committee.t):
        together = world.joined([*(views[i] for i in coalition), views[guest + 1]])
        assert distinguishable(together, [], [x]) == 0
    more = world.joined([views[i] for i in range(1, committee.t + 2)])
    assert distinguishable(more, [], [x]) > 0


def test_a_product_of_two_guests_numbers_shows_the_product_and_nothing_else() -> None:
    """To a guest, to each member, and to a member with the third guest."""

    def of(world: Enumeration) -> Callable[[Session], Any]:
        async def program(session: Session) -> np.ndarray:
            own = {4: world.coin("x"), 5: world.coin("y")}.get(session.index)
            dealt = await deal(session, world.field, own, (4, 5), (world.runs,))
            session.openings.declare("product", world.runs, "test")
            return await open_declared(session, await multiply(session, dealt[4], dealt[5]), "product")

        return program

    for member in THREE.members:
        world = Enumeration.of(5, THREE, of, coalition=(member,), seed=member, guests=3)
        results, views = world.views(of(world))
        x, y = world.coin("x"), world.coin("y")
        product = (x * y) % np.uint64(5)
        assert all(np.array_equal(result, product) for result in results)
        assert distinguishable(world.joined([views[member], views[6]]), [product], [x, y]) == 0


def test_bits_of_two_guests_show_their_product_and_nothing_else() -> None:
    def of(world: Enumeration) -> Callable[[Session], Any]:
        async def program(session: Session) -> np.ndarray:
            name = {4: "x", 5: "y"}.get(session.index)
            own = None if name is None else world.packed(world.bit(name)).reshape(1, -1)
            shape = (1, boolean.lanes(world.runs))
            dealt = await deal_planes(session, own, (4, 5), shape, world.runs)
            session.openings.declare("product", world.runs, "test")
            return await open_declared_bits(session, await bit_and(session, dealt[4], dealt[5]), "product")

        return program

    for member in THREE.members:
        world = Enumeration.of(3, THREE, of, coalition=(member,), seed=member, guests=3)
        results, views = world.views(of(world))
        x, y = world.bit("x"), world.bit("y")
        assert all(np.array_equal(result[0], x & y) for result in results)
        assert distinguishable(world.joined([views[member], views[6]]), [x & y], [x, y]) == 0


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_traffic_with_guests_is_the_same_for_any_records(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Message] = []

    def observed(parties: tuple[str, ...], patience: float) -> MemoryNetwork:
        return MemoryNetwork(parties, patience, observe=seen.append)

    monkeypatch.setattr(local_module, "MemoryNetwork", observed)
    traces = []
    for seed, deaths in ((1, 0.9), (2, 0.05)):
        seen.clear()
        more = {f"{name} 2": frame for name, frame in cohort(seed + 7, deaths).items()}
        with ms.local(cohort(seed, deaths) | more, policy="standard", committee=3) as consortium:
            ANALYSES[name](consortium)
        traces.append(sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen))
    assert traces[0] == traces[1]
    assert {sender for _, sender, _, _ in traces[0]} == set(range(1, 7))
    assert not [m for m in seen if min(m.sender, m.receiver) > 3]
