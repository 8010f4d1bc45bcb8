"""Numbers split between two parties: truncation in halves, fast and slow, and who may see what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpcstats.errors import FrameRejected, RangeError
from mpcstats.field import M127, Elements
from mpcstats.protocols import deal, split
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import KeyRing
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import dealt, measured, opened

THREE, FOUR = Committee(3, 1), Committee(4, 1)
COUNT = 70_001  # more than a block


def rings(committee: Committee) -> list[KeyRing]:
    """The same keys in every run."""
    subset_keys = {A: bytes(A).ljust(32, b"s") for A in committee.subsets}
    return [
        KeyRing(
            committee,
            i,
            {A: subset_keys[A] for A in committee.subsets_of(i)},
            {j: bytes(sorted((i, j))).ljust(32, b"p") for j in committee.members if j != i},
        )
        for i in committee.members
    ]


def factors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    edges = [0, 1, -1, 2, -2, 2**29, -(2**29)]
    a, b = (rng.integers(-(2**29), 2**29, COUNT) for _ in range(2))
    a[:49], b[:49] = np.repeat(edges, 7), np.tile(edges, 7)
    return a, b


@pytest.mark.parametrize("committee", [THREE, FOUR], ids=str)
def test_the_fast_path_and_its_slow_twin_round_to_less_than_one_unit(committee: Committee) -> None:
    a, b = factors()

    def run(fast: bool) -> list[tuple[Elements, Any]]:
        async def program(session: Session) -> tuple[Elements, Any]:
            x = await dealt(session, M127, M127.from_int64(a))
            y = await dealt(session, M127, M127.from_int64(b), 2)
            if fast:
                result = await split.split_cut(session, x, y, 24, 59, -(2**50))
            else:
                result = await split.split_truncate(session, local_product(x, y).plus_int(-(2**50)), 24)
            return result.values, M127.to_int64(await opened(session, result))

        return run_parties(committee, program, coins=rings(committee), kappa=60)

    # 2^-24 (a b - 2^50), whole part and rest apart: all in 64 bits
    exact, rest = np.divmod(a * b - 2**50, 2**24)
    for outcome in (run(True), run(False)):
        for _, numbers in outcome[1:]:
            assert np.array_equal(numbers, outcome[0][1])
        error = outcome[0][1] - exact - rest / 2**24
        assert np.abs(error).max() < 1
        assert abs(error.mean()) < 6 * 0.41 / np.sqrt(COUNT)


def test_truncation_of_shares_of_degree_t_takes_one_round() -> None:
    numbers = [0, 1, -1, 2**80 + 12345, -(2**80) - 12345] * 40

    async def program(session: Session, x: Any) -> Any:
        return await split.split_truncate(session, x[0], 40)

    assert measured(THREE, M127, program, numbers).rounds == 1

    async def values(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints(numbers))
        return M127.to_signed(await opened(session, await split.split_truncate(session, x, 40)))

    got = run_parties(THREE, values)[0]
    assert all(abs(int(v) * 2**40 - n) < 2**40 for v, n in zip(got, numbers, strict=True))


@pytest.mark.parametrize("committee", [THREE, FOUR], ids=str)
def test_cost_is_as_declared(committee: Committee) -> None:
    async def program(session: Session, x: Any) -> None:
        await split.split_cut(session, x[0], x[0], 24, 40)

    cost = measured(committee, M127, program, list(range(5000)))
    assert cost == split.split_cut_work(Case(committee, M127, 5000))
    masked = Work(1, Case(committee, M127, 5000).open, 5000)
    assert cost.bytes_sent * 2 <= masked.bytes_sent
    assert cost.masked_openings == masked.masked_openings


def test_numbers_without_headroom_are_refused_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((5,)), 1)
        with pytest.raises(RangeError, match="62 bits needed, 61 there"):
            await split.split_cut(session, x, x, 24, 61)
        for bits in (0, 127):
            with pytest.raises(RangeError, match="cannot be divided"):
                await split.split_cut(session, x, x, bits, 50)
        assert session.accounts.masked_openings == 0

    run_parties(THREE, program, observe=sent.append)
    assert sent == []


@pytest.mark.parametrize("liar", [1, 3])
def test_what_is_no_field_element_is_not_taken_in(liar: int) -> None:
    class Wrong:
        """Sends the string of all ones, from the first block on."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        async def send(self, receiver: int, step: int, payload: Any) -> None:
            await self._inner.send(receiver, step, b"\xff" * len(payload))

    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((5,)), 1)
        if session.index == liar:
            session.channel = Wrong(session.channel)
        await split.split_cut(session, x, x, 24, 50)

    with pytest.raises((RangeError, FrameRejected), match="not below the modulus"):
        run_parties(THREE, program)


# --- privacy, with every coin in GF(7) ------------------------------------------------------------------------------


def cut_product_of_two(world: Enumeration) -> Any:
    """x of party 1 times y of party 2, truncated in halves: all of it but the inputs' deals is `split_truncate`."""

    async def program(session: Session) -> Elements:
        own = {1: "x", 2: "y"}.get(session.index)
        shares = await deal(session, world.field, own and world.coin(own), (1, 2), (world.runs,))
        return (await split.split_truncate(session, local_product(shares[1], shares[2]), 1)).values

    return program


@pytest.mark.long
def test_a_product_cut_in_halves_shows_nothing_to_any_single_party() -> None:
    """Inputs, masks and deals; what a party has at the end counts as seen."""
    world = Enumeration.of(7, THREE, cut_product_of_two)
    results, views = world.views(cut_product_of_two(world))
    inputs = {1: world.coin("x"), 2: world.coin("y")}
    for party in THREE.members:
        view = world.joined([views[party], results[party - 1]])
        known = [v for i, v in inputs.items() if i == party]
        assert distinguishable(view, known, [v for i, v in inputs.items() if i != party]) == 0
    # parties 1 and 2 have both halves
    both = world.joined([views[2], views[3]])
    assert distinguishable(both, [inputs[2]], [inputs[1]]) > 0


@pytest.mark.parametrize("party", FOUR.members)
def test_so_does_it_with_four_parties(party: int) -> None:
    world = Enumeration.of(7, FOUR, cut_product_of_two, coalition=(party,), seed=5)
    results, views = world.views(cut_product_of_two(world))
    inputs = {1: world.coin("x"), 2: world.coin("y")}
    known = [v for i, v in inputs.items() if i == party]
    view = world.joined([views[party], results[party - 1]])
    assert distinguishable(view, known, [v for i, v in inputs.items() if i != party]) == 0


def test_halves_of_shares_of_degree_t_are_uniform() -> None:
    def of(world: Enumeration) -> Any:
        async def program(session: Session) -> Elements:
            own = world.coin("x") if session.index == 3 else None
            x = (await deal(session, world.field, own, (3,), (world.runs,)))[3]
            return await split.halves(session, x)

        return program

    world = Enumeration.of(7, THREE, of)
    parts, views = world.views(of(world))
    x = world.coin("x")
    assert np.array_equal((parts[0] + parts[1]) % np.uint64(7), x)
    for party in (1, 2):
        assert distinguishable(world.joined([views[party], parts[party - 1]]), [], [x]) == 0
        counts = np.bincount(parts[party - 1].astype(np.int64), minlength=7)
        assert (counts == world.runs // 7).all()


def test_the_harness_sees_a_half_without_a_mask() -> None:
    """Planted bug: party 3 sends its share of the product as it is."""

    class Zeros:
        """No masks from subset keys."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def subset(self, members: Any, label: str) -> Any:
            return self

        def words(self, count: int) -> np.ndarray:
            return np.zeros(count, np.uint64)

    def of(world: Enumeration) -> Any:
        async def program(session: Session) -> None:
            own = {1: "x", 2: "y"}.get(session.index)
            shares = await deal(session, world.field, own and world.coin(own), (1, 2), (world.runs,))
            session.randomness = Zeros(session.randomness)
            await split.halves(session, local_product(shares[1], shares[2]))

        return program

    world = Enumeration.of(7, THREE, of)
    _, views = world.views(of(world))
    assert distinguishable(views[2], [world.coin("y")], [world.coin("x")]) > 0
