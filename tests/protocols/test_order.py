"""Order against plain integers at the boundaries of the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, PrimeField, small_field
from mpcstats.protocols.order import (
    absolute,
    amax,
    amin,
    equal,
    equal_zero,
    less,
    less_than_public,
    maximum,
    minimum,
    sign,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.protocols.kit import COMMITTEES, PRIVATE, Program, declared_cost, evaluate, measured, trace

SIZE = 70


def boundaries(field: PrimeField) -> list[int]:
    """0, +-1, +-2^k, and the largest numbers of both signs."""
    half = field.modulus // 2
    sizes = [0, 1, 2, half, half - 1, *(1 << k for k in range(1, field.bits - 1, max(1, field.bits // 7)))]
    return sorted({s * v for v in sizes for s in (1, -1)})


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_sign_zero_and_size_over_the_full_range(committee: Committee, field: PrimeField) -> None:
    values = boundaries(field)

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return await sign(session, x[0]), await equal_zero(session, x[0]), await absolute(session, x[0])

    signs, zeros, sizes = evaluate(committee, field, program, values)
    assert signs.tolist() == [(v > 0) - (v < 0) for v in values]
    assert zeros.tolist() == [int(v == 0) for v in values]
    assert sizes.tolist() == [abs(v) for v in values]


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_comparing_secrets_with_broadcasting(committee: Committee) -> None:
    quarter = M61.modulus // 4
    values = [0, 1, -1, 5, -7, quarter, -quarter, 2**40, -(2**40)]
    column = [[v] for v in values]

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return (
            await less(session, x[0], x[1]),
            await equal(session, x[0], x[1]),
            await minimum(session, x[0], x[1]),
            await maximum(session, x[0], x[1]),
        )

    smaller, same, low, high = evaluate(committee, M61, program, column, values)
    assert smaller.tolist() == [[int(a < b) for b in values] for a in values]
    assert same.tolist() == [[int(a == b) for b in values] for a in values]
    assert low.tolist() == [[min(a, b) for b in values] for a in values]
    assert high.tolist() == [[max(a, b) for b in values] for a in values]


def test_a_difference_beyond_the_promise_is_documented_to_wrap() -> None:
    half = M61.modulus // 2

    async def program(session: Session, x: Any) -> Shared:
        return await less(session, x[0], x[1])

    # -half < half, but the difference is not below p/2
    assert evaluate(Committee(3, 1), M61, program, [-half], [half])[0].tolist() == [0]


@pytest.mark.parametrize("bound", [0, -3, 11, 2**59])
def test_a_public_bound(bound: int) -> None:
    values = [bound + d for d in (-2, -1, 0, 1, 2)]

    async def program(session: Session, x: Any) -> Shared:
        return await less_than_public(session, x[0], bound)

    assert evaluate(Committee(3, 1), M61, program, values)[0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(("committee", "length"), [*((c, 3) for c in COMMITTEES), *((PRIVATE[0], n) for n in (1, 7))])
def test_extremes_along_an_axis(committee: Committee, length: int) -> None:
    table = np.random.default_rng(length).integers(-1000, 1000, (3, length, 2))

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return await amin(session, x[0], 1), await amax(session, x[0], -2), await amax(session, x[0], 0)

    low, high, front = evaluate(committee, M127, program, table.tolist())
    assert np.array_equal(low, table.min(axis=1))
    assert np.array_equal(high, table.max(axis=1))
    assert np.array_equal(front, table.max(axis=0))


def test_fraction_bits_are_kept_where_a_number_comes_back_and_dropped_from_bits() -> None:
    async def program(session: Session, x: Any) -> Shared:
        a = x[0]
        results = await absolute(session, a), await minimum(session, a, -a), await amax(session, a)
        assert [r.fraction_bits for r in results] == [8, 8, 8]
        bits = await less(session, a, -a), await sign(session, a), await equal_zero(session, a)
        assert [b.fraction_bits for b in bits] == [0, 0, 0]
        return results[1]

    assert evaluate(Committee(3, 1), M127, program, [3, -5], fraction_bits=8)[0].tolist() == [-3, -5]


@pytest.mark.parametrize("committee", [Committee(1, 0), Committee(3, 1), Committee(5, 2)], ids=str)
@pytest.mark.parametrize("modulus", [7, 31])
def test_every_element_of_a_small_field_under_many_masks(committee: Committee, modulus: int) -> None:
    field = small_field(modulus)
    if committee.m >= modulus:
        pytest.skip("more parties than points")
    everything = list(range(-(modulus // 2), modulus // 2 + 1)) * 300

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return await sign(session, x[0]), await equal_zero(session, x[0])

    signs, zeros = evaluate(committee, field, program, everything)
    assert signs.tolist() == np.sign(everything).tolist()
    assert zeros.tolist() == [int(v == 0) for v in everything]


def test_bits_need_a_mersenne_prime() -> None:
    field = small_field(11)

    async def program(session: Session) -> None:
        await equal_zero(session, Shared(field, field.zeros((2,)), 1))

    with pytest.raises(RangeError, match="Mersenne"):
        run_parties(Committee(3, 1), program)


def test_empty_arrays_and_empty_axes() -> None:
    async def program(session: Session) -> None:
        empty = Shared(M61, M61.zeros((0, 2)), 1)
        assert (await sign(session, empty)).shape == (0, 2)
        assert (await equal_zero(session, empty)).shape == (0, 2)
        with pytest.raises(ValueError, match="empty axis"):
            await amin(session, empty, 0)
        assert session.accounts.rounds == 0

    run_parties(Committee(3, 1), program)


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "less": lambda s, x: less(s, x, x),
    "less_than_public": lambda s, x: less_than_public(s, x, 3),
    "equal_zero": equal_zero,
    "equal": lambda s, x: equal(s, x, x),
    "sign": sign,
    "absolute": absolute,
    "minimum": lambda s, x: minimum(s, x, x),
    "maximum": lambda s, x: maximum(s, x, x),
    "amin": amin,
    "amax": amax,
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    size = 3 if name in ("amin", "amax") else SIZE
    for field in (M61, M127) if committee.m == 3 else (M61,):
        cost = measured(committee, field, _program(name), list(range(size)))
        assert cost == declared_cost(name, committee, field, size)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    traces = [trace(PRIVATE[0], M61, _program(name), values) for values in ([0] * 9, list(range(-4, 5)))]
    assert traces[0] == traces[1]
