"""Matrix products on shares against plain integers, fast paths beside their slow twins, costs, privacy and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, PrimeField, small_field
from mpcstats.protocols import matmul, matmul_fixed, truncate
from mpcstats.protocols.arithmetic import deal, reshare
from mpcstats.protocols.matrix import _local_matmul
from mpcstats.protocols.resharing import fits
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import COMMITTEES, dealt, declared_cost, evaluate, measured, opened, trace

FIELDS = [M61, M127, small_field(127)]
SIDE = 65
"""Side of a result that goes the fast way."""


def numbers(field: PrimeField, shape: tuple[int, ...], seed: int = 1) -> Any:
    """Signed integers over the whole range, with boundaries among them."""
    rng, half = np.random.default_rng(seed), field.modulus // 2
    values = [int.from_bytes(rng.bytes(20), "big") % field.modulus - half for _ in range(int(np.prod(shape)))]
    values[::2] = [(0, 1, -1, half, -half)[k % 5] for k in range(len(values[::2]))]
    return np.array(values, object).reshape(shape)


def exact(field: PrimeField, x: Any, y: Any) -> Any:
    """The slow twin, centred."""
    product = (x[..., :, :, None] * y[..., None, :, :]).sum(axis=-2) % field.modulus
    return field.to_signed(field.from_ints(product))


@pytest.mark.parametrize(
    ("left", "right"),
    [((1, 1), (1, 1)), ((2, 3), (3, 4)), ((2, 0), (0, 3)), ((0, 2), (2, 1)), ((3, 1, 2, 3), (2, 3, 1))],
    ids=str,
)
@pytest.mark.parametrize("field", FIELDS, ids=str)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_products(committee: Committee, field: PrimeField, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x, y = numbers(field, left), numbers(field, right, 2)
    product = evaluate(committee, field, lambda s, v: matmul(s, *v), x, y)[0]
    assert np.array_equal(product, exact(field, x, y))


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_large_products_equal_their_slow_twin(field: PrimeField, committee: Committee) -> None:
    x, y = numbers(field, (SIDE, 3)), numbers(field, (3, SIDE), 2)

    async def both(session: Session, v: Any) -> tuple[Shared, Shared]:
        fast = await matmul(session, *v)
        assert fits(field, fast.size)
        assert (fast.degree, fast.shape) == (committee.t, (SIDE, SIDE))
        return fast, await reshare(session, _local_matmul(session, *v))

    fast, twin = evaluate(committee, field, both, x, y)
    assert np.array_equal(fast, twin)
    assert np.array_equal(fast, exact(field, x, y))


def test_fraction_bits_add_up_or_stay() -> None:
    async def program(session: Session) -> list[int]:
        x, y = (Shared(M127, M127.zeros((2, 2)), session.committee.t, f) for f in (20, 8))
        products = [await matmul(session, x, y), await matmul_fixed(session, x, y, 10)]
        return [z.fraction_bits for z in products]

    assert run_parties(Committee(3, 1), program) == [[28, 20]] * 3


@pytest.mark.parametrize("side", [3, SIDE])
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_fixed_point_products(committee: Committee, side: int) -> None:
    rng = np.random.default_rng(7)
    f, inner = 24, 9
    x, y = (np.rint(np.ldexp(rng.uniform(-2, 2, shape), f)) for shape in ((side, inner), (inner, side)))

    async def program(session: Session) -> Any:
        a, b = [await dealt(session, M127, encode(M127, v, 0, 40), 1, f) for v in (x, y)]
        product = await matmul_fixed(session, a, b, 6)
        assert (product.degree, product.fraction_bits, product.shape) == (committee.t, f, (side, side))
        assert session.accounts.masked_openings == side * side
        return decode(M127, await opened(session, product), 0)

    exactly = np.ldexp(np.array(x.astype(object) @ y.astype(object)).astype(float), -f)  # units; 53 bits are plenty
    subsets = len(committee.subsets)
    for result in run_parties(committee, program, kappa=60):
        error = result - exactly
        assert np.abs(error).max() < (subsets + 1) / 2
        # unbiased: one rounding has a variance of at most (C + 1) / 12 units
        assert abs(error.mean()) < 6 * np.sqrt((subsets + 1) / 12) / side


def test_the_fast_fixed_point_product_equals_its_slow_twin() -> None:
    x, y = (np.random.default_rng(k).integers(-(2**25), 2**25, (SIDE, SIDE)).astype(object) for k in (1, 2))

    async def both(session: Session, v: Any) -> tuple[Shared, Shared]:
        fast = await matmul_fixed(session, *v, 9)
        return fast, await truncate(session, _local_matmul(session, *v), 20, 9)

    fast, twin = evaluate(Committee(3, 1), M127, both, x, y, fraction_bits=20)
    assert np.abs(fast - twin).max() <= 4  # each within 2 units of the same number
    assert np.abs(fast - np.array(x @ y) / 2**20).max() < 2


# --- cost -----------------------------------------------------------------------------------------------------------

PROGRAMS: dict[str, Any] = {
    "matmul": lambda session, v: matmul(session, *v),
    "matmul_fixed": lambda session, v: matmul_fixed(session, *v, 6),
}


@pytest.mark.parametrize("shape", [(2, 5, 3), (SIDE, 2, SIDE)], ids=str)
@pytest.mark.parametrize(("name", "field"), [("matmul", M61), ("matmul", M127), ("matmul_fixed", M127)], ids=str)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(committee: Committee, field: PrimeField, name: str, shape: tuple[int, int, int]) -> None:
    n, k, m = shape
    x, y = np.zeros((n, k), object), np.zeros((k, m), object)
    work = measured(committee, field, PROGRAMS[name], x, y, fraction_bits=10)
    assert work == declared_cost(name, committee, field, n * m)


@pytest.mark.parametrize("side", [2, SIDE])
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_messages_do_not_depend_on_the_data(name: str, side: int) -> None:
    zeros = np.zeros((side, 2), object)
    traces = [trace(Committee(3, 1), M127, PROGRAMS[name], x, x.T, fraction_bits=10) for x in (zeros, zeros + 1000 - 7)]
    assert traces[0] == traces[1]
    assert len(traces[0]) == 2 + (3 if name == "matmul" else 6)  # the two deals before it send one message each


# --- privacy --------------------------------------------------------------------------------------------------------


def test_a_product_and_its_opening_show_the_product_and_nothing_else() -> None:
    """All inputs and coins in GF(5), three parties: two inputs, two deals, three re-deals."""
    world = Enumeration(5, Committee(3, 1), digits=7)

    async def program(session: Session) -> np.ndarray:
        x, y = world.coin("x"), world.coin("y")
        own = {1: x, 2: y}.get(session.index)
        dealt = await deal(session, world.field, own, (1, 2), (world.runs,))
        session.openings.declare("product", world.runs, "test")
        product = await matmul(session, *(dealt[k].reshape(world.runs, 1, 1) for k in (1, 2)))
        return await open_declared(session, product.reshape(world.runs), "product")

    results, views = world.views(program)
    x, y = world.coin("x"), world.coin("y")
    product = x * y % np.uint64(5)
    assert all(np.array_equal(opened, product) for opened in results)
    assert distinguishable(views[1], [x, product], [y]) == 0
    assert distinguishable(views[2], [y, product], [x]) == 0
    assert distinguishable(views[3], [product], [x, y]) == 0


def test_large_products_are_dealt_anew_every_time() -> None:
    async def program(session: Session) -> int:
        x = await dealt(session, M61, M61.zeros((SIDE, 1)))
        first, second = [await matmul(session, x, x.reshape(1, SIDE)) for _ in range(2)]
        return int((first.values == second.values).sum())

    assert run_parties(Committee(3, 1), program) == [0, 0, 0]


# --- refusals -------------------------------------------------------------------------------------------------------


def _refused(left: Shared, right: Shared, integer_bits: int | None, error: type[Exception], match: str) -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        if integer_bits is None:
            await matmul(session, left, right)
        else:
            await matmul_fixed(session, left, right, integer_bits)

    with pytest.raises(error, match=match):
        run_parties(Committee(3, 1), program, observe=sent.append)
    assert sent == []


def _shared(field: PrimeField, shape: tuple[int, ...], degree: int = 1, fraction_bits: int = 0) -> Shared:
    return Shared(field, field.zeros(shape), degree, fraction_bits)


@pytest.mark.parametrize("side", [2, SIDE])
def test_what_does_not_fit_is_refused_before_anything_is_sent(side: int) -> None:
    square, wide = (side, side), (side, side + 1)
    for bits in (None, 5):
        y = _shared(M127, square, 1, 10)
        _refused(_shared(M127, wide), y, bits, RangeError, "no matrix product of shapes")
        _refused(_shared(M127, (side,)), y, bits, RangeError, "no matrix product of shapes")
        _refused(_shared(M127, square, 2), y, bits, RangeError, "has degree 3; 2 is the most")
        _refused(_shared(M61, square), y, bits, TypeError, "different fields")
    _refused(_shared(M127, square), _shared(M127, square), 5, RangeError, "no fraction bits to drop")
    _refused(_shared(M127, square, 1, 40), _shared(M127, square, 1, 40), 5, RangeError, "no headroom at kappa = 64")
