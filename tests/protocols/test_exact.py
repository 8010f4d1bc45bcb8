"""Exact truncation, random bits and numbers from bits, against plain integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, PrimeField, small_field
from mpcstats.protocols.declare import Case
from mpcstats.protocols.exact import (
    DECLARED_BITS,
    bit_compose,
    floor_shift,
    floor_shift_work,
    random_bits,
    truncate_exact,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.enumerate import Enumeration, distinguishable
from mpcstats.testing.network import run_parties
from tests.protocols.kit import COMMITTEES, Program, declared_cost, evaluate, measured, trace

SIZE = 70


def boundaries(field: PrimeField, bits: int) -> list[int]:
    half, step = field.modulus // 2, 1 << bits
    near = [q * step + d for q in (0, 1, 2, 1000) for d in (-1, 0, 1)]
    return sorted({s * v for v in [*near, half, half - 1, half - step] for s in (1, -1) if abs(v) <= half})


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_floor_is_exact_over_the_full_range(committee: Committee, field: PrimeField) -> None:
    for bits in (1, 24, field.bits - 1):
        values = boundaries(field, bits)

        async def program(session: Session, x: Any, bits: int = bits) -> Shared:
            return await floor_shift(session, x[0], bits)

        assert evaluate(committee, field, program, values)[0].tolist() == [v >> bits for v in values]


def test_every_shift_of_both_limbs() -> None:
    values = [-(2**126) + 1, -(2**100) - 12345, -1, 0, 1, 2**90 + 17, 2**126 - 1]
    for bits in (0, 2, 40, 63, 64, 65, 100, 125):

        async def program(session: Session, x: Any, bits: int = bits) -> Shared:
            return await floor_shift(session, x[0], bits)

        assert evaluate(Committee(3, 1), M127, program, values)[0].tolist() == [v >> bits for v in values]


@pytest.mark.parametrize("committee", [Committee(1, 0), Committee(3, 1), Committee(5, 2)], ids=str)
@pytest.mark.parametrize("modulus", [7, 31, 127])
def test_every_element_of_a_small_field_under_many_masks(committee: Committee, modulus: int) -> None:
    field = small_field(modulus)
    everything = list(range(-(modulus // 2), modulus // 2 + 1)) * 60
    for bits in range(1, field.bits):

        async def program(session: Session, x: Any, bits: int = bits) -> Shared:
            return await floor_shift(session, x[0], bits)

        assert evaluate(committee, field, program, everything)[0].tolist() == [v >> bits for v in everything]


def test_truncation_rounds_down_and_spends_no_statistical_security() -> None:
    async def program(session: Session, x: Any) -> Shared:
        result = await truncate_exact(session, x[0], 20)
        assert result.fraction_bits == 4
        assert session.accounts.masked_openings == 0
        return result

    values = [[2**20, 2**20 - 1], [-1, -(2**20)]]
    result = evaluate(Committee(3, 1), M127, program, values, fraction_bits=24)[0]
    assert result.tolist() == [[1, 0], [-1, -1]]


def test_shifts_that_do_not_fit_are_refused_before_anything_is_sent() -> None:
    async def program(session: Session) -> None:
        x = Shared(M61, M61.zeros((2,)), 1, 10)
        for bits in (-1, 61):
            with pytest.raises(RangeError, match="cannot be shifted"):
                await floor_shift(session, x, bits)
        with pytest.raises(RangeError, match="cannot lose 11"):
            await truncate_exact(session, x, 11)
        with pytest.raises(RangeError, match="Mersenne"):
            await floor_shift(session, Shared(small_field(11), small_field(11).zeros((2,)), 1), 1)
        assert session.accounts.rounds == 0

    run_parties(Committee(3, 1), program)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127, small_field(11)], ids=str)
def test_random_bits_are_fair_bits_and_never_the_same_twice(committee: Committee, field: PrimeField) -> None:
    async def program(session: Session, _: Any) -> tuple[Shared, ...]:
        return await random_bits(session, field, (40, 50)), await random_bits(session, field, (40, 50))

    first, second = evaluate(committee, field, program)
    assert set(first.ravel()) == set(second.ravel()) == {0, 1}
    for bits in (first, second, (first + second) % 2):
        # 2000 fair bits: mean 1/2 with standard deviation 0.011
        assert abs(bits.astype(float).mean() - 0.5) < 0.06


@pytest.mark.long
def test_no_single_party_knows_a_random_bit() -> None:
    """All coins of GF(7), m = 3: what a party sees has one distribution, whatever the bit is."""
    for curious in (1, 2, 3):
        world = Enumeration(7, Committee(3, 1), digits=6)

        async def program(session: Session, world: Enumeration = world) -> Any:
            coins = session.randomness

            class Lowest:
                """Words of which only the lowest bit of the first is an enumerated coin."""

                def __init__(self, source: Any) -> None:
                    self.source = source

                def words(self, count: int) -> np.ndarray:
                    bits = (self.source.words(world.runs) % 2).astype(np.uint8)
                    packed = np.packbits(bits, bitorder="little")
                    padded = np.zeros(8 * count, np.uint8)
                    padded[: len(packed)] = packed
                    return padded.view("<u8")

            class Coins:
                """Coins of bits are packed; all others are elements."""

                def private(self, label: str) -> Any:
                    return Lowest(coins.private(label))

                def subset(self, members: Any, label: str) -> Any:
                    return Lowest(coins.subset(members, label))

                def pair(self, one: int, two: int, label: str) -> Any:
                    return coins.pair(one, two, label)

            session.randomness = Coins()
            return (await random_bits(session, world.field, (world.runs,))).values

        shares, views = world.views(program)
        private, common = (
            next(c for name, c in world._columns.items() if name.startswith(kind)) for kind in ("private", "subset")
        )
        bit = (private + common) % np.uint64(2)
        secret = (3 * shares[0].astype(np.int64) - 3 * shares[1].astype(np.int64) + shares[2].astype(np.int64)) % 7
        assert np.array_equal(secret, bit.astype(np.int64))
        fair = (private < 6) & (common < 6)  # as many even as odd digits
        known = (private if curious == 1 else common) % np.uint64(2)
        assert distinguishable(views[curious][fair], [known[fair]], [bit[fair]]) == 0
        # the harness sees what there is: this party's own part together with the other part is the bit
        other = (common if curious == 1 else private).astype(np.int64) % 2
        assert distinguishable((views[curious] * 2 + other)[fair], [known[fair]], [bit[fair]]) > 0


def test_numbers_from_bits() -> None:
    bits = [[1, 0, 1], [0, 1, 1], [0, 0, 1]]

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        return bit_compose(x[0]), bit_compose(x[0], signed=True)

    plain, signed = evaluate(Committee(3, 1), M127, program, bits)
    assert plain.tolist() == [1, 2, 7]
    assert signed.tolist() == [1, 2, -1]


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "floor_shift": lambda s, x: floor_shift(s, x, DECLARED_BITS),
    "truncate_exact": lambda s, x: truncate_exact(s, x, DECLARED_BITS),
    "random_bits": lambda s, x: random_bits(s, x.field, x.shape),
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    for field in (M61, M127) if committee.m < 5 else (M61,):
        cost = measured(committee, field, _program(name), list(range(SIZE)), fraction_bits=24)
        assert cost == declared_cost(name, committee, field, SIZE)


@pytest.mark.parametrize("bits", [1, 7, 64, 126])
def test_cost_of_other_shifts(bits: int) -> None:
    async def program(session: Session, x: Any) -> None:
        await floor_shift(session, x[0], bits)

    for committee in COMMITTEES[:4]:
        assert measured(committee, M127, program, [1, 2, 3]) == floor_shift_work(Case(committee, M127, 3), bits)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    inputs = ([0] * SIZE, list(range(-35, 35)))
    traces = [trace(Committee(3, 1), M61, _program(name), values, fraction_bits=24) for values in inputs]
    assert traces[0] == traces[1]
