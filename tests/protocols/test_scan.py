"""Running sums, products and ORs against plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, small_field
from mpcstats.protocols.declare import Case
from mpcstats.protocols.scan import (
    cumulative_product,
    cumulative_product_exact,
    cumulative_product_exact_work,
    cumulative_product_fixed,
    cumulative_product_fixed_work,
    cumulative_product_work,
    prefix_or,
    prefix_sum,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.protocols.kit import COMMITTEES, Program, declared_cost, evaluate, measured, trace

THREE = Committee(3, 1)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 8, 13])
def test_running_values_of_integers(committee: Committee, length: int) -> None:
    rng = np.random.default_rng(length)
    table = rng.integers(-7, 8, (length, 3))
    bits = (rng.random((length, 3)) < 0.3).astype(int)

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return (
            prefix_sum(x[0], 0),
            await cumulative_product(session, x[0], 0),
            await cumulative_product(session, x[0], 1),
            await prefix_or(session, x[1], -2),
        )

    sums, down, across, seen = evaluate(committee, M61, program, table.tolist(), bits.tolist())
    assert np.array_equal(sums, np.cumsum(table, axis=0))
    assert np.array_equal(down, np.cumprod(table, axis=0))
    assert np.array_equal(across, np.cumprod(table, axis=1))
    assert np.array_equal(seen, np.maximum.accumulate(bits, axis=0))


def test_products_are_exact_to_the_end_of_the_field_and_modulo_p_beyond() -> None:
    for field in (M61, M127, small_field(7)):
        values = [2] * (field.bits + 3)

        async def program(session: Session, x: Any) -> Shared:
            return await cumulative_product(session, x[0])

        got = evaluate(THREE, field, program, values)[0]
        assert [int(v) % field.modulus for v in got] == [pow(2, k + 1, field.modulus) for k in range(len(values))]


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_running_products_of_fractions_are_within_their_bound(committee: Committee) -> None:
    f, length, subsets = 24, 33, len(committee.subsets)
    factors = np.random.default_rng(3).integers(int(0.8 * 2**f), 2**f + 1, length)
    factors[5] = 2**f  # exactly 1
    factors[20] = -(2**f)

    async def program(session: Session, x: Any) -> Shared:
        result = await cumulative_product_fixed(session, x[0], 1)
        assert result.fraction_bits == f
        return result

    got = evaluate(committee, M127, program, factors.tolist(), fraction_bits=f)[0].astype(float)
    exact = np.cumprod(factors / 2.0**f) * 2.0**f
    bound = np.arange(length) * (subsets + 1) / 2
    assert got[0] == factors[0]
    assert (np.abs(got - exact)[1:] < bound[1:]).all()


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_running_products_without_masks_are_within_their_bound(committee: Committee) -> None:
    f, length = 50, 9
    factors = np.random.default_rng(4).integers(int(0.3 * 2**f), 2**f + 1, (2, length))
    factors[0, 5], factors[1, 3], factors[1, 7] = 2**f, 0, -(2**f)

    async def program(session: Session, x: Any) -> Shared:
        result = await cumulative_product_exact(session, x[0], 1)
        assert result.fraction_bits == f
        return result

    got = evaluate(committee, M127, program, factors.tolist(), fraction_bits=f)[0]
    for row, line in zip(factors.tolist(), got.tolist(), strict=True):
        exact = 1
        for k, (factor, value) in enumerate(zip(row, line, strict=True)):
            exact *= factor
            assert 0 <= abs(exact - (value << (f * k))) < k << (f * k) or k == 0


def test_refusals() -> None:
    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((3,)), 1, 40)
        with pytest.raises(RangeError, match="cumulative_product_fixed"):
            await cumulative_product(session, x)
        with pytest.raises(RangeError, match=r"85 bits of headroom.*61 at kappa = 64"):
            await cumulative_product_fixed(session, x, 4)
        with pytest.raises(RangeError, match="have no room"):
            await cumulative_product_exact(session, x.with_fraction_bits(63))
        empty = Shared(M127, M127.zeros((0, 2)), 1)
        assert (await cumulative_product(session, empty, 0)).shape == (0, 2)
        assert session.accounts.rounds == 0

    run_parties(THREE, program)


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "cumulative_product": cumulative_product,
    "cumulative_product_exact": lambda s, x: cumulative_product_exact(s, x.with_fraction_bits(24)),
    "cumulative_product_fixed": lambda s, x: cumulative_product_fixed(s, x.with_fraction_bits(8), 20),
    "prefix_or": prefix_or,
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    assert measured(committee, M127, _program(name), [1] * 11) == declared_cost(name, committee, M127, 11)


def test_cost_along_an_axis() -> None:
    async def plain(session: Session, x: Any) -> None:
        await cumulative_product(session, x[0], 0)

    async def fixed(session: Session, x: Any) -> None:
        await cumulative_product_fixed(session, x[0].with_fraction_bits(8), 20, 0)

    async def exact(session: Session, x: Any) -> None:
        await cumulative_product_exact(session, x[0].with_fraction_bits(30), 0)

    table, case = [[1, 1]] * 9, Case(THREE, M127, 18)
    assert measured(THREE, M127, exact, table) == cumulative_product_exact_work(case, 9, 30)
    assert measured(THREE, M127, plain, table) == cumulative_product_work(case, 9)
    assert measured(THREE, M127, fixed, table) == cumulative_product_fixed_work(case, 9)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    traces = [trace(THREE, M127, _program(name), values) for values in ([0] * 6, [1, 0, 1, 1, 0, 0])]
    assert traces[0] == traces[1]
