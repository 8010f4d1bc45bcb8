"""Exact privacy in GF(7) with m = 3, t = 1: all inputs and all coins, no sampling."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.errors import InconsistentShares, UndeclaredOpening
from mpcstats.field import M61
from mpcstats.protocols import deal, multiply, random_bits
from mpcstats.protocols.arithmetic import local_product
from mpcstats.runtime import Session, Shared, open_declared, open_to
from mpcstats.sharing import shamir
from mpcstats.sharing.committee import Committee
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.testing.network import run_parties

THREE = Committee(3, 1)
P = 7


async def dealt_product(world: Enumeration, session: Session) -> tuple[Shared, Shared]:
    x, y = world.coin("x"), world.coin("y")
    own = {1: x, 2: y}.get(session.index)
    shares = await deal(session, world.field, own, (1, 2), (world.runs,))
    return shares[1], shares[2]


def test_deal_hides_the_secret_from_every_single_party() -> None:
    world = Enumeration(P, THREE, digits=2)

    async def program(session: Session) -> None:
        x = world.coin("x") if session.index == 1 else None
        await deal(session, world.field, x, (1,), (world.runs,))

    _, views = world.views(program)
    for receiver in (2, 3):
        assert distinguishable(views[receiver], [], [world.coin("x")]) == 0


def test_two_parties_together_do_learn_the_secret() -> None:
    world = Enumeration(P, THREE, digits=2)

    async def program(session: Session) -> None:
        await deal(session, world.field, world.coin("x") if session.index == 1 else None, (1,), (world.runs,))

    _, views = world.views(program)
    together = views[2] * P**3 + views[3]
    assert distinguishable(together, [], [world.coin("x")]) > 0


@pytest.mark.long
def test_multiply_and_open_show_the_product_and_nothing_else() -> None:
    world = Enumeration(P, THREE, digits=7)  # two inputs, two deals, three re-deals: 823,543 runs

    async def program(session: Session) -> np.ndarray:
        x, y = await dealt_product(world, session)
        session.openings.declare("product", world.runs, "test")
        return await open_declared(session, await multiply(session, x, y), "product")

    results, views = world.views(program)
    x, y = world.coin("x"), world.coin("y")
    product = (x * y) % np.uint64(P)
    for opened in results:
        assert np.array_equal(opened, product)
    assert distinguishable(views[1], [x, product], [y]) == 0
    assert distinguishable(views[2], [y, product], [x]) == 0
    assert distinguishable(views[3], [product], [x, y]) == 0


def test_the_harness_sees_a_missing_re_randomisation() -> None:
    """Planted bug: opening the raw product of degree 2t, as no code of the package can."""
    world = Enumeration(P, THREE, digits=4)

    async def program(session: Session) -> None:
        x, y = await dealt_product(world, session)
        raw = local_product(x, y)
        await session.exchange_elements(world.field, dict.fromkeys(session.others, raw), session.others, raw.shape)

    _, views = world.views(program)
    x, y = world.coin("x"), world.coin("y")
    assert distinguishable(views[3], [(x * y) % np.uint64(P)], [x, y]) > 0


def test_the_package_refuses_to_open_a_raw_product() -> None:
    world = Enumeration(P, THREE, digits=4)

    async def program(session: Session) -> None:
        x, y = await dealt_product(world, session)
        session.openings.declare("product", world.runs, "test")
        await open_declared(session, local_product(x, y), "product")

    with pytest.raises(Exception, match="degree t"):
        world.views(program)


@pytest.mark.parametrize("bias", ["a coefficient that is never zero", "a coefficient below p - 1"])
def test_the_harness_sees_a_biased_coin(bias: str) -> None:
    world = Enumeration(P, THREE, digits=2)
    x, coin = world.coin("x"), world.coin("coin")
    kept = coin > 0 if "zero" in bias else coin < P - 1
    share = (x + coin) % np.uint64(P)
    assert distinguishable(share.astype(np.int64), [], [x]) == 0
    assert distinguishable(share[kept].astype(np.int64), [], [x[kept]]) > 0


@pytest.mark.parametrize(("p", "committee"), [(7, THREE), (11, Committee(4, 1))], ids=str)
def test_an_opening_to_one_party_shows_nothing_to_the_others(p: int, committee: Committee) -> None:
    world = Enumeration(p, committee, digits=2)  # an input and the coin of its deal

    async def program(session: Session) -> np.ndarray | None:
        x = world.coin("x") if session.index == 1 else None
        shares = await deal(session, world.field, x, (1,), (world.runs,))
        session.openings.declare("x", world.runs, "test")
        return await open_to(session, shares[1], "x", 3)

    results, views = world.views(program)
    assert np.array_equal(results[2], world.coin("x"))
    assert [result is None for result in results] == [party != 3 for party in committee.members]
    for party in committee.members:
        if party not in {1, 3}:
            assert distinguishable(views[party], [], [world.coin("x")]) == 0
    assert distinguishable(views[3], [], [world.coin("x")]) > 0


def test_an_opening_to_one_party_is_declared_and_checked() -> None:
    async def program(session: Session) -> np.ndarray | None:
        x = (await deal(session, M61, M61.from_ints([5, 6]) if session.index == 1 else None, (1,), (2,)))[1]
        with pytest.raises(UndeclaredOpening):
            await open_to(session, x, "x", 2)
        session.openings.declare("x", 4, "test")
        first = await open_to(session, x, "x", 2)
        if session.index == 3:
            x = x.plus_int(1)
        if session.index == 2:
            with pytest.raises(InconsistentShares):
                await open_to(session, x, "x", 2)
        else:
            assert await open_to(session, x, "x", 2) is None
        return first

    results = run_parties(THREE, program)
    assert results[0] is results[2] is None
    assert M61.to_int64(results[1]).tolist() == [5, 6]


@pytest.mark.parametrize("committee", [THREE, Committee(4, 1)], ids=str)
def test_nobody_knows_a_random_bit(committee: Committee) -> None:
    def of(world: Enumeration):
        async def program(session: Session) -> Shared:
            return await random_bits(session, world.field, (world.runs,))

        return program

    for party in committee.members:
        world = Enumeration.of(7, committee, of, coalition=(party,), seed=party)
        results, views = world.views(of(world))
        shares = {i: results[i - 1].values for i in committee.members}
        bits = shamir.reconstruct(world.field, shares, committee.t)
        assert set(np.unique(bits).tolist()) == {0, 1}
        assert distinguishable(world.joined([views[party], shares[party]]), [], [bits]) == 0
