"""Every protocol against plain integers, for several committees and fields, at the boundaries; declared costs exact."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError, StatisticalSecurityError
from mpcstats.field import M61, M127, Elements, PrimeField, fused, small_field
from mpcstats.protocols import (
    at_least,
    bit_decompose,
    deal,
    floor_divide,
    inner_product,
    is_negative,
    multiply,
    multiply_fixed,
    resharing,
    select,
    sum_of_inputs,
    truncate,
)
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.protocols.boolean import bit_and, deal_planes, to_arithmetic
from mpcstats.protocols.declare import REGISTRY, Case
from mpcstats.protocols.solve import masked_openings, solve_near_identity
from mpcstats.runtime import BooleanShared, Session, Shared, open_declared
from mpcstats.sharing import blocks, boolean
from mpcstats.sharing.boolean import lanes, pack_bits
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

COMMITTEES = [Committee(1, 0), Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)]
SMALL = [Committee(3, 1), Committee(5, 2)]
Program = Callable[[Session], Awaitable[Any]]


async def opened(session: Session, x: Shared) -> Elements:
    """Open for the test."""
    name = session.label("test")
    session.openings.declare(name, x.size, "test")
    return await open_declared(session, x, name)


async def dealt(
    session: Session, field: PrimeField, values: Elements, dealer: int = 1, fraction_bits: int = 0
) -> Shared:
    """Values dealt by one party."""
    own = values if session.index == dealer else None
    return (await deal(session, field, own, (dealer,), field.shape(values), fraction_bits))[dealer]


def boundaries(field: PrimeField) -> list[int]:
    half = field.modulus // 2
    powers = [1 << k for k in range(1, field.bits - 1, max(1, field.bits // 9))]
    return sorted({v for v in [0, 1, 2, half, half - 1, *powers] if v <= half} | {0})


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127, small_field(127)], ids=str)
def test_products(committee: Committee, field: PrimeField) -> None:
    values = [*boundaries(field), *(-v for v in boundaries(field))]
    other = values[::-1]
    p = field.modulus

    async def program(session: Session) -> list[Any]:
        x = await dealt(session, field, field.from_ints(values))
        y = await dealt(session, field, field.from_ints(other), committee.m)
        table = await multiply(session, x.reshape(x.size, 1), y.reshape(1, y.size))
        bit = await dealt(session, field, field.from_ints([k % 2 for k in range(x.size)]))
        return [
            field.to_ints(await opened(session, r)).tolist()
            for r in (table, await inner_product(session, x, y), await select(session, bit, x, y))
        ]

    for table, inner, chosen in run_parties(committee, program):
        assert table == [[a * b % p for b in other] for a in values]
        assert inner == sum(a * b for a, b in zip(values, other, strict=True)) % p
        assert chosen == [(a if k % 2 else b) % p for k, (a, b) in enumerate(zip(values, other, strict=True))]


def test_sum_of_inputs_and_a_party_without_input() -> None:
    async def program(session: Session) -> list[int]:
        own = M61.from_ints([session.index, 10 * session.index]) if session.index != 2 else None
        return M61.to_ints(await opened(session, await sum_of_inputs(session, M61, own, (1, 3), (2,)))).tolist()

    assert run_parties(Committee(3, 1), program) == [[4, 40]] * 3


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_comparison_at_the_boundaries(committee: Committee, field: PrimeField) -> None:
    values = [*boundaries(field), *(-v for v in boundaries(field))]

    async def program(session: Session) -> list[Any]:
        x = await dealt(session, field, field.from_ints(values))
        near = await dealt(session, field, field.from_ints([9, 10, 11, 12, 0, -5, 10**6]))
        return [
            field.to_ints(await opened(session, r)).tolist()
            for r in (await is_negative(session, x), await at_least(session, near, 11))
        ]

    for negative, enough in run_parties(committee, program):
        assert negative == [int(v < 0) for v in values]
        assert enough == [0, 0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize("bound", [2**61 - 1, 2**60 + 11, -(2**60), 2**59])
def test_a_bound_that_would_wrap_around_is_refused(bound: int) -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        await at_least(session, Shared(M61, M61.zeros((3,)), 1), bound)

    with pytest.raises(RangeError, match="too large for comparisons"):
        run_parties(Committee(3, 1), program, observe=sent.append)
    assert sent == []


@pytest.mark.parametrize("committee", SMALL, ids=str)
@pytest.mark.parametrize("modulus", [7, 31, 127])
def test_comparison_and_bits_for_every_element_of_a_small_field(committee: Committee, modulus: int) -> None:
    field = small_field(modulus)
    everything = list(range(modulus)) * 40  # many masks each

    async def program(session: Session) -> list[Any]:
        x = await dealt(session, field, field.from_ints(everything))
        return [
            field.to_ints(await opened(session, r))
            for r in (await is_negative(session, x), await bit_decompose(session, x, 0, field.bits))
        ]

    negative, bits = run_parties(committee, program)[0]
    assert negative.tolist() == [int(v > modulus // 2) for v in everything]
    assert (bits * [[1 << k] for k in range(field.bits)]).sum(axis=0).tolist() == everything


@pytest.mark.parametrize("divisor", [1, 2, 3, 5, 7, 10, 64, 1000])
def test_floor_division_is_exact(divisor: int) -> None:
    top = 2**29
    values = sorted(
        {
            v
            for q in (0, 1, 2, 77, top // divisor)
            for v in (q * divisor - 1, q * divisor, q * divisor + 1)
            if 0 <= v < top
        }
        | {top - 1}
    )

    async def program(session: Session) -> list[int]:
        x = await dealt(session, M61, M61.from_ints(values))
        return M61.to_ints(await opened(session, await floor_divide(session, x, divisor, 29))).tolist()

    assert run_parties(Committee(3, 1), program)[0] == [v // divisor for v in values]


def test_floor_division_refuses_numbers_that_do_not_fit() -> None:
    async def program(session: Session) -> None:
        await floor_divide(session, Shared(M61, M61.zeros((1,)), 0), 1000, 40)

    with pytest.raises(RangeError, match="cannot be divided"):
        run_parties(Committee(1, 0), program)


@pytest.mark.parametrize("committee", [Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)], ids=str)
def test_truncation_error_is_bounded_and_unbiased(committee: Committee) -> None:
    fraction, count = 20, 4000
    integers = np.linspace(-(2**25), 2**25, count).astype(np.int64)
    subsets = len(committee.subsets)

    async def program(session: Session) -> list[int]:
        z = await dealt(session, M127, M127.from_int64(integers * (2**fraction) + 2 ** (fraction - 2)), 1, 2 * fraction)
        r = await truncate(session, z, fraction, 8)
        assert r.fraction_bits == fraction
        assert session.accounts.masked_openings == count
        return M127.to_int64(await opened(session, r)).tolist()

    error = np.array(run_parties(committee, program)[0]) - integers - 0.25
    assert np.abs(error).max() < (subsets + 1) / 2
    # standard deviation of the error is about sqrt(subsets / 12 + 1 / 12)
    assert abs(error.mean()) < 6 * np.sqrt((subsets + 1) / 12 / count)


def test_fixed_point_products() -> None:
    x = np.linspace(-7.9, 7.9, 500)

    async def program(session: Session) -> np.ndarray:
        a = await dealt(session, M127, encode(M127, x, 24, 4), 1, 24)
        product = await multiply_fixed(session, a, a, 7)
        return decode(M127, await opened(session, product), product.fraction_bits)

    assert np.abs(run_parties(Committee(3, 1), program)[0] - x * x).max() < 12 * 2.0**-24


def test_no_headroom_and_no_statistical_security_are_refused_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def wide(session: Session) -> None:
        await multiply_fixed(session, *[Shared(M127, M127.zeros((2,)), 1, 40)] * 2, 10)

    with pytest.raises(RangeError, match="no headroom at kappa = 64"):
        run_parties(Committee(3, 1), wide, observe=sent.append)

    async def many(session: Session) -> None:
        await truncate(session, Shared(M127, M127.zeros((9,)), 1, 20), 10, 3)

    with pytest.raises(StatisticalSecurityError, match="less than 40 bits"):
        run_parties(Committee(3, 1), many, observe=sent.append, kappa=43)
    assert sent == []


@pytest.mark.parametrize("order", [1, 2, 5])
def test_systems_near_the_identity(order: int) -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(40, order, order)) * 0.1
    a = np.eye(order) + (noise + noise.transpose(0, 2, 1)) / 2
    # push one matrix to the edge of the promise: eigenvalues 1/2 and 3/2
    a[0] = np.diag(np.where(np.arange(order) % 2, 1.49, 0.51))
    b = rng.normal(size=(40, order, 2))

    async def program(session: Session) -> np.ndarray:
        shared_a = await dealt(session, M127, encode(M127, a, 26, 3), 1, 26)
        shared_b = await dealt(session, M127, encode(M127, b, 26, 4), 1, 26)
        before = session.accounts.masked_openings
        w = await solve_near_identity(session, shared_a, shared_b, 6)
        assert session.accounts.masked_openings - before == masked_openings(order, 40, 2)
        return decode(M127, await opened(session, w), 26)

    solved = run_parties(Committee(3, 1), program, kappa=60)[0]
    assert np.abs(solved - np.linalg.solve(a, b)).max() < 2.0**-20


# --- declared costs -------------------------------------------------------------------------------------------------

SIZE = 130
# the other protocols have their costs tested beside them
NAMES = (
    "bit_and",
    "inner_product",
    "is_negative",
    "multiply",
    "multiply_fixed",
    "reshare",
    "select",
    "sum_of_inputs",
    "to_arithmetic",
    "truncate",
)


async def _planes(session: Session, field: PrimeField, count: int) -> BooleanShared:
    own = pack_bits((np.arange(count)[None, :] % 2).astype(np.uint8)) if session.index == 1 else None
    return (await deal_planes(session, own, (1,), (1, lanes(count)), count))[1]


async def _run(name: str, session: Session, x: Shared, bits: BooleanShared, field: PrimeField) -> None:
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "multiply": lambda: multiply(session, x, x),
        "inner_product": lambda: inner_product(session, x.reshape(SIZE, 1), x.reshape(SIZE, 1)),
        "select": lambda: select(session, x, x, x),
        "reshare": lambda: reshare(session, local_product(x, x)),
        "sum_of_inputs": lambda: sum_of_inputs(session, field, x.values, tuple(session.committee.members), (SIZE,)),
        "is_negative": lambda: is_negative(session, x),
        "bit_and": lambda: bit_and(session, bits, bits),
        "to_arithmetic": lambda: to_arithmetic(session, bits, field),
        "truncate": lambda: truncate(session, x, 5, 20),
        "multiply_fixed": lambda: multiply_fixed(session, x, Shared(field, x.values, x.degree, 5), 20),
    }
    await calls[name]()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    field = M127 if "truncate" in name or "fixed" in name else M61

    async def program(session: Session) -> tuple[int, int, int]:
        x = await dealt(session, field, field.zeros((SIZE,)))
        bits = await _planes(session, field, SIZE)
        accounts = session.accounts
        before = accounts.rounds, sum(accounts.bytes_sent.values()), accounts.masked_openings
        await _run(name, session, x, bits, field)
        return (
            accounts.rounds - before[0],
            sum(accounts.bytes_sent.values()) - before[1],
            accounts.masked_openings - before[2],
        )

    measured = run_parties(committee, program)
    cost, case = REGISTRY[name], Case(committee, field, SIZE)
    assert {rounds for rounds, _, _ in measured} == {cost.rounds(case)}
    assert sum(sent for _, sent, _ in measured) == cost.bytes_sent(case)
    assert {masks for _, _, masks in measured} == {cost.masked_openings(case)}


@pytest.mark.parametrize("name", NAMES)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    field = M127 if "truncate" in name or "fixed" in name else M61

    def trace(values: Elements) -> list[tuple[int, int, int, int]]:
        seen: list[Message] = []

        async def program(session: Session) -> None:
            x = await dealt(session, field, values)
            await _run(name, session, x, await _planes(session, field, SIZE), field)

        run_parties(Committee(3, 1), program, observe=seen.append)
        return sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen)

    assert trace(field.zeros((SIZE,))) == trace(field.from_int64(np.arange(SIZE) % 2))


# --- fast paths beside their slow twins -----------------------------------------------------------------------------


class Hurried:
    """A channel that is slow to send: peers are ahead of this party all the time."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, receiver: int, step: int, payload: Any) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await self._inner.send(receiver, step, payload)


@pytest.mark.parametrize("slow", [0, 1, 3])
@pytest.mark.parametrize("committee", [Committee(3, 1), Committee(4, 1), Committee(5, 2)], ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_products_in_blocks_equal_their_slow_twin(field: PrimeField, committee: Committee, slow: int) -> None:
    count = 3 * (1 << 20) // field.item_bytes + 77 if slow else resharing.SMALLEST
    values = np.arange(count, dtype=np.int64) * 104729 - 10**6

    async def program(session: Session) -> tuple[bool, int]:
        if session.index == slow:
            session.channel = Hurried(session.channel)
        x = await dealt(session, field, field.from_int64(values))
        before = session.accounts.rounds
        fast = await multiply(session, x, x[::-1])
        rounds = session.accounts.rounds - before
        twin = await reshare(session, local_product(x, x[::-1]))
        return np.array_equal(await opened(session, fast), await opened(session, twin)), rounds

    assert run_parties(committee, program) == [(True, 1)] * committee.m


@pytest.mark.parametrize("slow", [0, 2])
@pytest.mark.parametrize("committee", [Committee(1, 0), Committee(3, 1), Committee(5, 2)], ids=str)
def test_fixed_point_products_in_blocks_equal_their_slow_twin(committee: Committee, slow: int) -> None:
    count = 2 * (1 << 16) + 99 if slow else resharing.SMALLEST
    x = np.linspace(-7.9, 7.9, count)

    async def program(session: Session) -> list[np.ndarray]:
        if session.index == slow:
            session.channel = Hurried(session.channel)
        a = await dealt(session, M127, encode(M127, x, 24, 4), 1, 24)
        b = a[::-1]
        fast = await multiply_fixed(session, a, b, 7)
        twin = await truncate(session, local_product(a, b), 24, 7)
        assert fast.fraction_bits == twin.fraction_bits == 24
        assert session.accounts.masked_openings == 2 * count
        return [decode(M127, await opened(session, r), 0) for r in (fast, twin)]

    fast, twin = run_parties(committee, program, kappa=60)[0]
    subsets = len(committee.subsets)
    assert np.abs(fast - twin).max() <= subsets + 1  # units in the last place, (C + 1) / 2 each
    assert abs((fast - twin).mean()) < 6 * np.sqrt((subsets + 1) / 6 / count)


def test_a_coin_that_is_no_element_is_drawn_again() -> None:
    """One in 2^61: planted here, in the first block of a stream."""

    class Planted:
        def __init__(self) -> None:
            self.later = iter(range(100, 200))

        def fill(self, out: np.ndarray) -> None:
            out[...] = 2**64 - 1

        def words(self, count: int) -> np.ndarray:
            return np.array([next(self.later) for _ in range(count)], np.uint64)

    for field in (M61, M127):
        coins = blocks.draw(field, [Planted()], 3)
        weights = field.from_ints([[0, 1]])
        out = field.zeros((1, 3))
        mix = fused.mix61 if field is M61 else fused.mix127
        zero = field.zeros((3,))
        assert mix(zero, zero, coins, blocks.uniform_masks(field, 1), weights, out)
        blocks.redraw(field, [Planted()], coins)
        assert not mix(zero, zero, coins, blocks.uniform_masks(field, 1), weights, out)
        assert field.is_canonical(out[0])
        assert out[0].any()


@pytest.mark.parametrize("field", [M61, M127], ids=str)
@pytest.mark.parametrize("count", [256, 300, 1000])
def test_packing_by_transposition_equals_its_slow_twin(field: PrimeField, count: int, monkeypatch: Any) -> None:
    values = field.from_ints([pow(3, k, field.modulus) for k in range(count)])
    fast = boolean.pack(field, values)
    monkeypatch.setattr(boolean, "_FAST_FROM", 10**9)
    assert np.array_equal(fast, boolean.pack(field, values))
