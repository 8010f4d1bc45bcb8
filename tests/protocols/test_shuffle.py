"""Secret permutations: right rows, uniform order, and nothing seen; exactly, in a small field."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest

from mpcstats.field import M61, M127, PrimeField, small_field
from mpcstats.protocols.shuffle import _permuted, random_permutation, shuffle
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee, Subset
from mpcstats.testing.enumerate import Enumeration
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import COMMITTEES, declared_cost, evaluate, measured, trace

THREE = Committee(3, 1)


@pytest.mark.parametrize("committee", [*COMMITTEES, Committee(6, 2)], ids=str)
@pytest.mark.parametrize("field", [M61, M127, small_field(31)], ids=str)
def test_rows_stay_together(committee: Committee, field: PrimeField) -> None:
    rows = [[[k, -k], [k + 1, 7]] for k in range(12)]

    async def program(session: Session, x: Any) -> Shared:
        result = await shuffle(session, x[0])
        assert result.degree == committee.t
        assert result.fraction_bits == 5
        return result

    got = evaluate(committee, field, program, rows, fraction_bits=5)[0].tolist()
    assert sorted(got) == rows
    assert got != rows  # one order in 479 million


@pytest.mark.long
def test_the_order_is_uniform() -> None:
    """240 shuffles of three rows: every order as often as the others (chi-square on 5 degrees, one in 10^6)."""

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return tuple([await shuffle(session, x[0]) for _ in range(240)])

    orders = Counter(tuple(order.tolist()) for order in evaluate(THREE, M61, program, [1, 2, 3]))
    assert set(orders) == set(itertools.permutations([1, 2, 3]))
    assert sum((count - 40) ** 2 / 40 for count in orders.values()) < 35.9


def test_two_shuffles_differ_and_one_or_no_row_is_left_alone() -> None:
    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        empty = Shared(M61, M61.zeros((0, 3)), 1)
        assert (await shuffle(session, empty)).shape == (0, 3)
        return await shuffle(session, x[0]), await shuffle(session, x[0]), await shuffle(session, x[0][:1])

    first, second, one = evaluate(THREE, M61, program, list(range(30)))
    assert first.tolist() != second.tolist()
    assert one.tolist() == [0]


# --- the permutation ------------------------------------------------------------------------------------------------


class Scripted:
    """Words from a list."""

    def __init__(self, *batches: list[int]) -> None:
        self.batches = list(batches)

    def words(self, count: int) -> np.ndarray:
        batch = np.array(self.batches.pop(0), np.uint64)
        assert len(batch) == count
        return batch


def test_permutations_are_exactly_uniform_over_all_keys() -> None:
    """All 5^3 keys: equal ones are drawn again, the others give every order equally often."""
    orders = Counter(
        tuple(random_permutation(Scripted(list(keys), [9, 8, 7]), 3).tolist())
        for keys in itertools.product(range(5), repeat=3)
        if len(set(keys)) == 3
    )
    assert set(orders.values()) == {10}
    assert len(orders) == 6


def test_equal_keys_are_drawn_again() -> None:
    coins = Scripted([4, 1, 4], [2, 2, 2], [30, 10, 20])
    assert random_permutation(coins, 3).tolist() == [1, 2, 0]
    assert coins.batches == []


@pytest.mark.parametrize("committee", [THREE, Committee(4, 1), Committee(5, 2), Committee(6, 2)], ids=str)
def test_every_coalition_misses_one_permutation(committee: Committee) -> None:
    async def program(session: Session) -> list[Subset]:
        asked: list[Subset] = []
        inner = session.randomness

        class Watched:
            def private(self, label: str) -> Any:
                return inner.private(label)

            def pair(self, one: int, other: int, label: str) -> Any:
                return inner.pair(one, other, label)

            def subset(self, members: Subset, label: str) -> Any:
                assert session.index in members
                asked.append(members)
                return inner.subset(members, label)

        session.randomness = Watched()
        await shuffle(session, Shared(M61, M61.zeros((4,)), committee.t))
        return asked

    asked = run_parties(committee, program)
    for coalition in itertools.combinations(committee.members, committee.t):
        known = {members for i in coalition for members in asked[i - 1]}
        missed = set(committee.subsets) - known
        assert missed == {tuple(i for i in committee.members if i not in coalition)}


# --- exact privacy of a pass ----------------------------------------------------------------------------------------


class Wide:
    """Coins for two rows of all runs: one enumerated coin for each row."""

    def __init__(self, world: Enumeration, source: Any) -> None:
        self.world, self.source = world, source

    def words(self, count: int) -> np.ndarray:
        return np.concatenate([self.source.words(self.world.runs) for _ in range(count // self.world.runs)])


def _pass_views(A: Subset, order: list[int]) -> tuple[Enumeration, list[np.ndarray], dict[int, np.ndarray]]:
    """One pass over two rows in GF(5), m = 3: results and views under all inputs and coins (390,625 runs)."""
    world = Enumeration(5, THREE, digits=8)
    p = 5
    secrets = [world.coin("x0"), world.coin("x1")]
    slopes = [world.coin("c0"), world.coin("c1")]
    seen: dict[int, list[np.ndarray]] = {1: [], 2: [], 3: []}

    async def program(session: Session) -> np.ndarray:
        me = session.index
        rows = np.stack([(s + np.uint64(me) * c) % np.uint64(p) for s, c in zip(secrets, slopes, strict=True)])
        seen[me] += list(rows)

        class Coins:
            def pair(self, one: int, other: int, label: str) -> Any:
                name = f"pair/{one}/{other}/{label}"

                class Column:
                    used = 0

                    def words(self, count: int) -> np.ndarray:
                        assert count == world.runs
                        self.used += 1
                        column = world.coin(f"{name}/{self.used}")
                        seen[me].append(column)
                        return column

                return Wide(world, Column())

        session.randomness = Coins()  # type: ignore[assignment]
        known = np.array(order) if me in A else None
        return (await _permuted(session, Shared(world.field, rows, 1), A, known)).values

    def observe(message: Message) -> None:
        payload = np.frombuffer(message.payload, "<u8")
        seen[message.receiver] += list(payload.reshape(-1, world.runs))

    results = run_parties(THREE, program, coins=[None] * 3, observe=observe)  # type: ignore[list-item]
    views = {}
    for i, columns in seen.items():
        code = np.zeros(world.runs, np.int64)
        for column in columns:
            code = code * p + column.astype(np.int64)
        views[i] = code
    return world, results, views


def distributions_by_secret(view: np.ndarray, secrets: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The distribution of a view for each of the 25 secrets."""
    order = np.lexsort((view, secrets[1], secrets[0]))
    return [np.unique(part, return_counts=True) for part in np.split(view[order], 25)]


def same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("A", THREE.subsets, ids=str)
def test_a_pass_shows_neither_rows_nor_order(A: Subset) -> None:
    (outsider,) = set(THREE.members) - set(A)
    seen_outside = []
    for order in ([0, 1], [1, 0]):
        world, results, views = _pass_views(A, order)
        secrets = [world.coin("x0"), world.coin("x1")]
        opened = (3 * results[0] + 2 * results[1] + results[2]) % 5  # Lagrange: 3, -3, 1
        assert np.array_equal(opened, np.stack([secrets[k] for k in order]))
        for party in (1, 2, 3):
            first, *others = distributions_by_secret(views[party], secrets)
            assert all(same(first, other) for other in others)
            if party == outsider:
                seen_outside.append(first)
    assert same(*seen_outside)


def test_the_harness_sees_rows_that_are_not_dealt_again() -> None:
    """Planted bug: members send their permuted additive shares in the clear."""
    world = Enumeration(5, THREE, digits=4)
    rows = [(world.coin(f"x{k}") + world.coin(f"c{k}")) % np.uint64(5) for k in (0, 1)]  # shares of party 1
    third = [(world.coin(f"x{k}") + np.uint64(3) * world.coin(f"c{k}")) % np.uint64(5) for k in (0, 1)]
    view = np.zeros(world.runs, np.int64)
    for column in (*rows, *third):
        view = view * 5 + column.astype(np.int64)
    first, *others = distributions_by_secret(view, [world.coin("x0"), world.coin("x1")])
    assert not any(same(first, other) for other in others)


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(committee: Committee) -> None:
    async def program(session: Session, x: Any) -> None:
        await shuffle(session, x[0])

    assert measured(committee, M61, program, [[1, 2]] * 10) == declared_cost("shuffle", committee, M61, 20)


def test_messages_do_not_depend_on_the_data() -> None:
    async def program(session: Session, x: Any) -> None:
        await shuffle(session, x[0])

    assert trace(THREE, M61, program, [0] * 9) == trace(THREE, M61, program, list(range(9)))
