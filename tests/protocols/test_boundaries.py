"""Properties at the boundaries, against plain integers: 0, +-1, +-2^k, the largest number, and one beyond: refused.

Secrets cannot be checked, so what is refused is the public part: formats, bounds, and numbers at their owner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError, StatisticalSecurityError
from mpcstats.field import M61, M127, PrimeField, small_field
from mpcstats.protocols import (
    at_least,
    bit_decompose,
    divide,
    equal_zero,
    floor_divide,
    floor_shift,
    is_negative,
    less,
    maximum,
    minimum,
    multiply_fixed,
    truncate,
)
from mpcstats.protocols.divide import quotient_precision
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode, encode, headroom_bits
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import dealt, evaluate, integers, opened

THREE, FOUR, FIVE, SEVEN = Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)
FIELDS = pytest.mark.parametrize("field", [M61, M127], ids=str)
few, some, many = (settings(max_examples=n, deadline=None, derandomize=True) for n in (3, 5, 60))


def near(top: int) -> st.SearchStrategy[int]:
    """Integers within +-top, mostly 0, +-1, +-2^k and their neighbours, and the ends."""
    powers = [1 << k for k in range(top.bit_length())]
    edges = {v for q in (0, top, *powers) for v in (q - 1, q, q + 1) if 0 <= v <= top}
    one_sided = st.one_of(st.sampled_from(sorted(edges)), st.integers(0, top))
    return st.builds(lambda size, sign: sign * size, one_sided, st.sampled_from([1, -1]))


def lists(top: int, size: int = 12) -> st.SearchStrategy[list[int]]:
    """Lists of such integers, the ends always among them."""
    return st.lists(near(top), min_size=1, max_size=size).map(lambda values: [*values, top, -top, 0, 1, -1])


# --- dealing and encoding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [M61, M127, small_field(11)], ids=str)
@some
@given(data=st.data())
def test_every_signed_element_is_dealt_and_opened(field: PrimeField, data: st.DataObject) -> None:
    committee = data.draw(st.sampled_from([THREE, FOUR, FIVE, SEVEN]))
    values = data.draw(lists(field.modulus // 2))
    dealer = data.draw(st.integers(1, committee.m))

    async def program(session: Session) -> list[int]:
        return field.to_signed(
            await opened(session, await dealt(session, field, integers(field, values), dealer))
        ).tolist()

    assert run_parties(committee, program) == [values] * committee.m


@st.composite
def formats(draw: Any, field: PrimeField) -> tuple[int, int]:
    """Integer and fraction bits that fit."""
    integer_bits = draw(st.integers(0, min(60, field.bits - 2)))
    return integer_bits, draw(st.integers(0, min(100, field.bits - 2 - integer_bits)))


@FIELDS
@many
@given(data=st.data())
def test_encoding_is_rounding(field: PrimeField, data: st.DataObject) -> None:
    """Up to the largest double below the promise; the error is at most half a unit in the last place."""
    integer_bits, fraction_bits = data.draw(formats(field))
    largest = math.nextafter(2.0**integer_bits, 0)
    edges = [0.0, largest, 2.0**-fraction_bits, 2.0 ** -(fraction_bits + 1), 1.5 * 2.0**-fraction_bits, 5e-324]
    inside = st.one_of(st.sampled_from(edges), st.floats(0, largest)).filter(lambda v: v <= largest)
    x = np.array(data.draw(st.lists(inside, min_size=1, max_size=6)))
    x = np.concatenate([x, -x, [largest, -largest, 0.0]])
    encoded = field.to_signed(encode(field, x, fraction_bits, integer_bits))
    assert all(abs(Fraction(float(v)) * 2**fraction_bits - int(e)) * 2 <= 1 for v, e in zip(x, encoded, strict=True))
    back = decode(field, encode(field, x, fraction_bits, integer_bits), fraction_bits)
    assert (np.abs(back - x) <= 2.0 ** -(fraction_bits + 1) + np.abs(x) * 2.0**-52).all()


@FIELDS
@many
@given(data=st.data())
def test_one_beyond_is_not_encoded(field: PrimeField, data: st.DataObject) -> None:
    integer_bits, fraction_bits = data.draw(formats(field))
    beyond = data.draw(st.sampled_from([2.0**integer_bits, -(2.0**integer_bits), np.inf, -np.inf, np.nan]))
    with pytest.raises(RangeError):
        encode(field, np.array([0.0, beyond]), fraction_bits, integer_bits)
    with pytest.raises(RangeError, match="does not fit"):
        encode(field, np.array([0.0]), field.bits - 1 - integer_bits, integer_bits)


# --- comparisons and bits ---------------------------------------------------------------------------------------------


@FIELDS
@few
@given(data=st.data())
def test_signs_over_the_whole_range(field: PrimeField, data: st.DataObject) -> None:
    values = data.draw(lists(field.modulus // 2))

    async def program(session: Session, x: Any) -> Any:
        return await is_negative(session, x[0]), await equal_zero(session, x[0]), await floor_shift(session, x[0], 3)

    negative, zero, eighth = evaluate(data.draw(st.sampled_from([THREE, FIVE])), field, program, values)
    assert negative.tolist() == [int(v < 0) for v in values]
    assert zero.tolist() == [int(v == 0) for v in values]
    assert eighth.tolist() == [v // 8 for v in values]


@FIELDS
@few
@given(data=st.data())
def test_order_of_two_secrets_up_to_the_promise(field: PrimeField, data: st.DataObject) -> None:
    """|x - y| < p/2 holds for |x|, |y| <= p/4."""
    x, y = data.draw(lists(field.modulus // 4)), data.draw(lists(field.modulus // 4))
    size = min(len(x), len(y))
    x, y = x[-size:], y[:size]

    async def program(session: Session, v: Any) -> Any:
        return await less(session, *v), await minimum(session, *v), await maximum(session, *v)

    smaller, low, high = evaluate(THREE, field, program, x, y)
    assert smaller.tolist() == [int(a < b) for a, b in zip(x, y, strict=True)]
    assert low.tolist() == list(map(min, x, y))
    assert high.tolist() == list(map(max, x, y))


@FIELDS
@few
@given(data=st.data())
def test_public_bounds_up_to_a_quarter_of_the_field(field: PrimeField, data: st.DataObject) -> None:
    top = (field.modulus - 1) // 4
    bound, values = data.draw(near(top)), data.draw(lists(top, 6))

    async def program(session: Session, x: Any) -> Any:
        for beyond in (top + 1, -top - 1):
            with pytest.raises(RangeError, match="too large for comparisons"):
                await at_least(session, x[0], beyond)
        return await at_least(session, x[0], bound)

    assert evaluate(THREE, field, program, values)[0].tolist() == [int(v >= bound) for v in values]


@FIELDS
@few
@given(data=st.data())
def test_bits_of_every_element(field: PrimeField, data: st.DataObject) -> None:
    values = [abs(v) for v in data.draw(lists(field.modulus - 1, 6))]
    start = data.draw(st.integers(0, field.bits - 1))
    stop = data.draw(st.integers(start + 1, field.bits))

    async def program(session: Session, x: Any) -> Any:
        return await bit_decompose(session, x[0], start, stop)

    got = evaluate(THREE, field, program, values)[0]
    assert got.tolist() == [[v >> k & 1 for v in values] for k in range(start, stop)]


@some
@given(data=st.data())
def test_whole_quotients_by_any_divisor_that_fits(data: st.DataObject) -> None:
    bits = data.draw(st.integers(1, 40))
    # ceil(2^s / d) 2^bits < p with s = bits + ceil(log2 d) holds while 2 bits + 1 <= 60
    widest = bits <= 29
    divisor = data.draw(st.one_of(st.sampled_from([1, 2, 3, 7, 2**20, 2**20 - 1]), st.integers(1, 2**20)))
    top = (1 << bits) - 1
    multiples = st.integers(0, top // divisor).flatmap(lambda q: st.sampled_from([q * divisor - 1, q * divisor, top]))
    values = [max(0, v) for v in data.draw(st.lists(multiples, min_size=1, max_size=8))]

    async def program(session: Session, x: Any) -> Any:
        return await floor_divide(session, x[0], divisor, bits)

    try:
        got = evaluate(THREE, M61, program, values)[0]
    except RangeError:
        assert not widest
    else:
        assert got.tolist() == [v // divisor for v in values]


# --- fixed point ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("committee", [THREE, FOUR, FIVE, pytest.param(SEVEN, marks=pytest.mark.long)], ids=str)
@few
@given(data=st.data())
def test_truncation_up_to_its_headroom(committee: Committee, data: st.DataObject) -> None:
    """The widest format that is accepted, with its largest numbers; one bit more is refused before anything is sent."""
    kappa = data.draw(st.sampled_from([40, 64]))
    subsets = len(committee.subsets)
    size_bits = headroom_bits(M127, subsets, kappa) - 1
    drop = data.draw(st.integers(1, size_bits))
    values = data.draw(lists((1 << size_bits) - 1))

    async def program(session: Session, x: Any) -> Any:
        return await truncate(session, x[0].with_fraction_bits(drop), drop, size_bits - drop)

    got = evaluate(committee, M127, program, values, kappa=kappa)[0]
    for v, r in zip(values, got, strict=True):
        assert abs(Fraction(v, 1 << drop) - int(r)) < Fraction(subsets + 1, 2)

    sent: list[Message] = []

    async def beyond(session: Session) -> None:
        x = Shared(M127, M127.zeros((1,)), committee.t, drop)
        with pytest.raises(RangeError, match="no headroom"):
            await truncate(session, x, drop, size_bits - drop + 1)

    run_parties(committee, beyond, kappa=kappa, observe=sent.append)
    assert sent == []


@few
@given(data=st.data())
def test_products_up_to_the_promise(data: st.DataObject) -> None:
    """(12, 24) at kappa = 64, the products next to +-2^12."""
    f, top = 24, 1 << (12 + 2 * 24)
    values = [v for v in data.draw(lists(top - 1)) if v]
    factors = [data.draw(st.sampled_from([1, 2, 3, 1 << f, (1 << 30) - 1])) for _ in values]
    others = [v // d for v, d in zip(values, factors, strict=True)]

    async def program(session: Session, x: Any) -> Any:
        return await multiply_fixed(session, x[0], x[1], 12)

    got = evaluate(THREE, M127, program, factors, others, fraction_bits=f, kappa=64)[0]
    for a, b, r in zip(factors, others, got, strict=True):
        assert abs(Fraction(a * b, 1 << f) - int(r)) < 2


@few
@given(data=st.data())
def test_quotients_at_the_ends_of_their_format(data: st.DataObject) -> None:
    """a / b with b from one unit to the largest number, both signs, and 0 / 0, within the documented error bound."""
    integer_bits, f = 12, 24
    top = (1 << (integer_bits + f)) - 1
    b = [*data.draw(lists(top, 4)), 0]
    quotient = [data.draw(near((1 << integer_bits) - 1)) for _ in b]
    # |a / b| stays below 2^integer_bits, as promised
    a = [max(-top, min(top, q * d)) for q, d in zip(quotient, b, strict=True)]

    async def program(session: Session, x: Any) -> Any:
        result = await divide(session, x[0], x[1], integer_bits)
        return result.value, result.undefined

    value, undefined = evaluate(THREE, M127, program, a, b, fraction_bits=f, kappa=64)
    assert undefined.tolist() == [int(d == 0) for d in b]
    subsets, headroom = 3, headroom_bits(M127, 3, 64)
    F = quotient_precision(headroom, integer_bits + f, integer_bits)
    K = headroom - 2 - integer_bits - F
    for x, d, r in zip(a, b, value, strict=True):
        true = Fraction(x, d) if d else Fraction(0)
        bound = abs(true) * (subsets + 2) / 2**F + Fraction(subsets + 1, 2**K) + Fraction(subsets + 1, 2 ** (f + 1))
        assert abs(Fraction(int(r), 1 << f) - true) < bound


# --- the ledger of bounded masks --------------------------------------------------------------------------------------

FIXED: dict[str, Callable[[Session, Shared], Any]] = {
    "truncate": lambda s, x: truncate(s, x, 8, 20),
    "multiply_fixed": lambda s, x: multiply_fixed(s, x, x, 20),
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("bits", [3, 13])
def test_kappa_total_is_reported_and_its_floor_holds_to_the_last_mask(name: str, bits: int) -> None:
    """2^bits openings at kappa = 40 + bits leave 40; one more, in the same batch or later, is refused unsent.

    8192 numbers go through the blocks of the fused path, 8 do not.
    """

    async def program(session: Session) -> list[float | None]:
        def zeros(count: int) -> Shared:
            return Shared(M127, M127.zeros((count,)), 1, 8)

        totals = [session.kappa_total]
        with pytest.raises(StatisticalSecurityError, match="leave less than 40 bits"):
            await FIXED[name](session, zeros((1 << bits) + 1))
        assert session.accounts.rounds == 0
        await FIXED[name](session, zeros(1 << (bits - 1)))
        totals.append(session.kappa_total)
        await FIXED[name](session, zeros(1 << (bits - 1)))
        totals.append(session.kappa_total)
        before = session.accounts.rounds
        with pytest.raises(StatisticalSecurityError):
            await FIXED[name](session, zeros(1))
        assert session.accounts.rounds == before
        return [*totals, session.kappa_total]

    totals = run_parties(THREE, program, kappa=40 + bits)
    assert totals == [[None, 41.0, 40.0, 40.0]] * 3


def test_full_range_masks_spend_nothing() -> None:
    async def program(session: Session) -> float | None:
        x = Shared(M127, M127.zeros((5,)), 1)
        await is_negative(session, x)
        await equal_zero(session, x)
        await floor_shift(session, x, 5)
        await bit_decompose(session, x, 0, 3)
        return session.kappa_total

    assert run_parties(THREE, program) == [None] * 3
