"""Merging and sorting against Python's stable sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, small_field
from mpcstats.protocols.declare import Case
from mpcstats.protocols.merge import merge, merge_work, network, sort
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.protocols.kit import COMMITTEES, Program, declared_cost, evaluate, measured, trace

THREE = Committee(3, 1)
Rows = list[list[int]]


def sorted_rows(rng: np.random.Generator, length: int, keys: int, tag: int) -> Rows:
    """Rows (key, where from, place), few different keys, stable."""
    return [[int(k), tag, i] for i, k in enumerate(np.sort(rng.integers(-keys, keys, length)))]


def merged(committee: Committee, lists: list[Rows], field: Any = M61) -> Rows:
    async def program(session: Session, x: Any) -> Shared:
        return await merge(session, x)

    shaped = [np.array(rows, object).reshape(len(rows), len(lists[0][0]) if lists[0] else 3) for rows in lists]
    return evaluate(committee, field, program, *shaped)[0].tolist()


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("lengths", [(3, 5, 2)], ids=str)
def test_merge_is_a_stable_sort(committee: Committee, lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(11)
    lists = [sorted_rows(rng, n, 2, tag) for tag, n in enumerate(lengths)]
    assert merged(committee, lists) == sorted((r for rows in lists for r in rows), key=lambda r: r[0])


@pytest.mark.parametrize("lengths", [(1, 1), (1, 7), (0, 3), (3, 0, 4), (17,), (1, 2, 3, 4, 5), (16, 16)], ids=str)
def test_any_lengths(lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    lists = [sorted_rows(rng, n, 4, tag) for tag, n in enumerate(lengths)]
    assert merged(THREE, lists) == sorted((r for rows in lists for r in rows), key=lambda r: r[0])


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_sort_is_stable(committee: Committee) -> None:
    keys = [3, -1, 3, 0, -1, 3, 7, 0, 0]
    rows = [[k, i] for i, k in enumerate(keys)][: 4 if committee.m == 7 else 9]

    async def program(session: Session, x: Any) -> Shared:
        return await sort(session, x[0])

    assert evaluate(committee, M61, program, rows)[0].tolist() == sorted(rows, key=lambda r: r[0])


@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_the_largest_keys(field: Any) -> None:
    """|key| < p / (4 N) - 1 for N = 6 rows."""
    top = (field.modulus // 24) - 2
    assert merged(THREE, [[[-top], [0], [top]], [[-top], [top - 1], [top]]], field) == [
        [v] for v in sorted([-top, 0, top, -top, top - 1, top])
    ]


def test_fraction_bits_are_kept() -> None:
    async def program(session: Session, x: Any) -> Shared:
        result = await merge(session, x)
        assert result.fraction_bits == 8
        return result

    assert evaluate(THREE, M127, program, [[-300, 1], [5, 2]], [[4, 3]], fraction_bits=8)[0].tolist() == [
        [-300, 1],
        [4, 3],
        [5, 2],
    ]


def test_networks_sort_by_the_zero_one_principle() -> None:
    """A network that merges all sorted lists of zeros and ones merges everything (Knuth 5.3.4, theorem Z)."""
    for first in range(11):
        for second in range(11):
            plan = network((first, second))
            assert sorted(plan.order.tolist()) == list(range(first + second))
            for ones in range(first + 1):
                for others in range(second + 1):
                    v = np.array([0] * (first - ones) + [1] * ones + [0] * (second - others) + [1] * others)
                    for low, high in plan.levels:
                        v[low], v[high] = np.minimum(v[low], v[high]), np.maximum(v[low], v[high])
                    assert (np.diff(v[plan.order]) >= 0).all()


def test_networks_are_as_small_as_batchers() -> None:
    """Knuth 5.3.4: (q - 1) 2^(q - 1) + 1 comparators in q levels; (p^2 - p + 4) 2^(p - 2) - 1 to sort."""
    merging, sorting = network((512, 512)), network((1,) * 256)
    assert len(merging.levels) == 10
    assert sum(len(low) for low, _ in merging.levels) == 9 * 512 + 1
    assert len(sorting.levels) == 36
    assert sum(len(low) for low, _ in sorting.levels) == (64 - 8 + 4) * 64 - 1


def test_refusals() -> None:
    async def program(session: Session) -> None:
        flat, table = Shared(M61, M61.zeros((3,)), 1), Shared(M61, M61.zeros((3, 2)), 1)
        for lists in ([], [flat], [table, flat]):
            with pytest.raises(RangeError, match="tables of rows"):
                await merge(session, lists)
        with pytest.raises(RangeError, match="different numbers of columns"):
            await merge(session, [table, table[:, :1]])
        with pytest.raises(TypeError, match="same format"):
            await merge(session, [table, table.with_fraction_bits(3)])
        with pytest.raises(RangeError, match="no room"):
            await merge(session, [Shared(small_field(31), small_field(31).zeros((4, 1)), 1)])
        with pytest.raises(RangeError, match="table"):
            await sort(session, flat)
        assert (await sort(session, table[:0])).shape == (0, 2)
        assert session.accounts.rounds == 0

    run_parties(THREE, program)


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "merge": lambda s, x: merge(s, [x[: x.shape[0] - x.shape[0] // 2], x[x.shape[0] - x.shape[0] // 2 :]]),
    "sort": sort,
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    rows = [[k] for k in range(3 if committee.m == 7 else 5)]
    assert measured(committee, M61, _program(name), rows) == declared_cost(name, committee, M61, len(rows))


def test_cost_of_several_lists_with_payload() -> None:
    async def program(session: Session, x: Any) -> None:
        await merge(session, x)

    lists = [np.zeros((n, 3), object) for n in (4, 1, 6)]
    assert measured(THREE, M61, program, *lists) == merge_work(Case(THREE, M61, 33), (4, 1, 6), 3)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    inputs = ([[0]] * 5, [[5], [4], [3], [2], [1]])
    traces = [trace(THREE, M61, _program(name), rows) for rows in inputs]
    assert traces[0] == traces[1]
