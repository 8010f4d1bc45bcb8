"""Reciprocals and quotients against exact fractions, with the error bounds that the docstrings state."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError, StatisticalSecurityError
from mpcstats.field import M61, M127, small_field
from mpcstats.protocols import normalise
from mpcstats.protocols.declare import Case
from mpcstats.protocols.divide import (
    DECLARED_FORMAT,
    DECLARED_KAPPA,
    divide,
    divide_work,
    floor_quotient,
    floor_quotient_work,
    quotient_precision,
    reciprocal,
    reciprocal_precision,
    reciprocal_work,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import headroom_bits
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import COMMITTEES, HarshTruncation, Program, declared_cost, evaluate, measured, plan_for, trace

ONE, THREE = Committee(1, 0), Committee(3, 1)


def headroom(committee: Committee, kappa: int) -> int:
    return headroom_bits(M127, len(committee.subsets), kappa)


def boundaries(width: int) -> list[int]:
    """0, +-1, +-2^k and neighbours, the largest of `width` bits, and some in between."""
    rng = np.random.default_rng(width)
    top = (1 << width) - 1
    powers = [p + d for k in range(0, width, 5) for p in [1 << k] for d in (-1, 0, 1)]
    some = [int(v) for v in np.exp2(rng.uniform(0, width, 20))]
    sizes = [v for v in [*powers, top, top - 1, (1 << (width - 1)) + 1, *some] if 0 < v <= top]
    return [0, *(s * v for v in sorted(set(sizes)) for s in (1, -1))]


def check_reciprocals(
    committee: Committee, integer_bits: int, fraction_bits: int, kappa: int, out: int | None = None, subsets: int = 0
) -> None:
    values = boundaries(integer_bits + fraction_bits)
    fo, subsets = fraction_bits if out is None else out, subsets or len(committee.subsets)

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        result = await reciprocal(session, x[0], integer_bits, out)
        assert result.value.fraction_bits == fo
        assert result.undefined.fraction_bits == 0
        return result.value, result.undefined

    got, undefined = evaluate(committee, M127, program, values, fraction_bits=fraction_bits, kappa=kappa)
    F = reciprocal_precision(headroom(committee, kappa), integer_bits + fraction_bits)
    assert undefined.tolist() == [int(v == 0) for v in values]
    for v, r in zip(values, got, strict=True):
        if v == 0:
            assert r == 0
            continue
        exact = Fraction(1 << fraction_bits, v)
        bound = abs(exact) * (subsets + 2) / (1 << F) + Fraction(subsets + 1, 2 << fo)
        assert abs(Fraction(r, 1 << fo) - exact) < bound, v


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_reciprocals_are_within_their_bound(committee: Committee) -> None:
    check_reciprocals(committee, *DECLARED_FORMAT, DECLARED_KAPPA)


@pytest.mark.parametrize(
    ("integer_bits", "fraction_bits", "kappa", "out"),
    [(20, 32, 40, None), (12, 24, 64, None), (4, 40, 40, None), (20, 0, 40, 40), (3, 10, 40, 20), (0, 8, 64, 20)],
)
def test_reciprocals_in_other_formats(integer_bits: int, fraction_bits: int, kappa: int, out: int | None) -> None:
    check_reciprocals(THREE, integer_bits, fraction_bits, kappa, out)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_quotients_are_within_their_bound(committee: Committee) -> None:
    check_quotients(committee, len(committee.subsets))


def check_quotients(committee: Committee, subsets: int) -> None:
    integer_bits, f = DECLARED_FORMAT
    rng = np.random.default_rng(7)
    b = [v for v in boundaries(integer_bits + f) for _ in range(2)]
    # numerators that keep the promise |a / b| < 2^15, up to the edge of it
    limits = [min((1 << (integer_bits + f)) - 1, (abs(v) << integer_bits) - 1) if v else 1 << 46 for v in b]
    a = [limit if k % 4 == 0 else int(rng.uniform(-1, 1) * limit) for k, limit in enumerate(limits)]

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        result = await divide(session, x[0], x[1], integer_bits)
        return result.value, result.undefined

    got, undefined = evaluate(committee, M127, program, a, b, fraction_bits=f)
    room = headroom(committee, 40)
    F = quotient_precision(room, integer_bits + f, integer_bits)
    kept = room - 2 - integer_bits - F
    assert undefined.tolist() == [int(v == 0) for v in b]
    for x, y, q in zip(a, b, got, strict=True):
        if y == 0:
            assert q == 0
            continue
        exact = Fraction(x, y)
        bound = (
            abs(exact) * (subsets + 2) / (1 << F)
            + Fraction(subsets + 1, 1 << kept)
            + Fraction(subsets + 1, 1 << (f + 1))
        )
        assert abs(Fraction(q, 1 << f) - exact) < bound, (x, y)


def test_quotients_of_different_formats_with_broadcasting() -> None:
    numerators, denominators = [[1], [-5], [1000]], [1, 3, -7, 0, 100, 1023]

    async def program(session: Session, x: Any) -> Shared:
        a, b = x[0].with_fraction_bits(0), x[1].with_fraction_bits(6)
        result = await divide(session, a, b, 4, quotient_bits=17, fraction_bits=20)
        assert result.value.fraction_bits == 20
        assert result.undefined.shape == (6,)
        return result.value

    got = evaluate(THREE, M127, program, numerators, denominators)[0]
    for i, (a,) in enumerate(numerators):
        for j, b in enumerate(denominators):
            exact = a * 64 / b if b else 0.0
            assert abs(got[i, j] / 2**20 - exact) < 10 * 2.0**-20 + abs(exact) * 2.0**-28


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("bits", [1, 24])
def test_whole_quotients_are_exact(committee: Committee, bits: int) -> None:
    check_whole_quotients(committee, bits)


def check_whole_quotients(committee: Committee, bits: int) -> None:
    top = (1 << bits) - 1
    divisors = sorted({d for d in (0, 1, 2, 3, 7, top // 2, top // 2 + 1, top - 1, top) if 0 <= d <= top})
    pairs = [
        (a, d)
        for d in divisors
        for q in sorted({0, 1, top // max(d, 1) // 2, top // max(d, 1)})
        for a in (q * d - 1, q * d, q * d + 1, q * d + d - 1, top)
        if 0 <= a <= top
    ]

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        result = await floor_quotient(session, x[0], x[1], bits)
        return result.value, result.undefined

    got, undefined = evaluate(committee, M127, program, [a for a, _ in pairs], [d for _, d in pairs])
    assert got.tolist() == [a // d if d else 0 for a, d in pairs]
    assert undefined.tolist() == [int(d == 0) for _, d in pairs]


@pytest.mark.parametrize("subsets", [1, 35, 126])
def test_bounds_and_promises_hold_when_every_rounding_goes_wrong(subsets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """126 subsets: nine parties. All roundings are off by as much as they can be."""
    plan_for(monkeypatch, "divide", subsets)
    for seed in range(3):
        harsh = HarshTruncation(subsets, seed)
        monkeypatch.setattr(normalise, "truncate", harsh)
        check_reciprocals(ONE, *DECLARED_FORMAT, 40, subsets=subsets)
        check_reciprocals(ONE, 20, 0, 40, 36, subsets=subsets)
        check_quotients(ONE, subsets)
        assert harsh.calls > 15


def test_whole_quotients_are_exact_when_every_rounding_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    divide_module = importlib.import_module("mpcstats.protocols.divide")  # the package has the function
    whole = divide_module._whole
    monkeypatch.setattr(divide_module, "_whole", lambda subsets, bits: whole(126, bits))
    for bits in (1, 2, 3, 24):
        monkeypatch.setattr(normalise, "truncate", HarshTruncation(126, bits))
        check_whole_quotients(ONE, bits)


def test_the_widest_whole_quotients_and_one_bit_more() -> None:
    """36 bits fit M127 with three parties at kappa = 40."""
    top = 2**36 - 1

    async def program(session: Session, x: Any) -> Shared:
        return (await floor_quotient(session, x[0], x[1], 36)).value

    a, d = [top, top, top - 1, 2**35, top], [1, top, top, 2**17 - 1, 2]
    assert evaluate(THREE, M127, program, a, d)[0].tolist() == [x // y for x, y in zip(a, d, strict=True)]

    async def wider(session: Session, x: Any) -> None:
        await floor_quotient(session, x[0], x[1], 37)

    with pytest.raises(RangeError, match="division of integers of 37 bits"):
        evaluate(THREE, M127, wider, a, d)


def test_formats_without_headroom_are_refused_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((2,)), 1, 32)
        with pytest.raises(RangeError, match=r"headroom.*has 85 at kappa = 40"):
            await reciprocal(session, x, 21)
        with pytest.raises(RangeError, match="headroom"):
            await reciprocal(session, x.with_fraction_bits(0), 20, 70)
        for call in ((21, None), (20, 24)):
            with pytest.raises(RangeError, match="headroom"):
                await divide(session, x, x, *call)
        with pytest.raises(RangeError, match="not a format"):
            await reciprocal(session, x, 100)
        with pytest.raises(RangeError, match="integers"):
            await floor_quotient(session, x, x)
        narrow = Shared(M61, M61.zeros((2,)), 1)
        with pytest.raises(RangeError, match="headroom"):
            await reciprocal(session, narrow, 20)
        assert session.accounts.rounds == 0

    run_parties(THREE, program, observe=sent.append, kappa=40)

    async def at_64(session: Session) -> None:
        with pytest.raises(RangeError, match="kappa = 64"):
            await reciprocal(session, Shared(M127, M127.zeros((2,)), 1, 32), 20)

    run_parties(THREE, at_64, observe=sent.append, kappa=64)
    assert sent == []


def test_a_run_that_would_use_up_its_statistical_security_is_stopped() -> None:
    async def program(session: Session, x: Any) -> None:
        await reciprocal(session, x[0], 20)

    with pytest.raises(StatisticalSecurityError):
        evaluate(THREE, M127, program, [1, 2, 3], fraction_bits=32, kappa=40, kappa_floor=38)


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "reciprocal": lambda s, x: reciprocal(s, x, DECLARED_FORMAT[0]),
    "divide": lambda s, x: divide(s, x, x, DECLARED_FORMAT[0]),
    "floor_quotient": lambda s, x: floor_quotient(s, x.with_fraction_bits(0), x.with_fraction_bits(0)),
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    cost = measured(committee, M127, _program(name), [1, 2, 3], fraction_bits=DECLARED_FORMAT[1])
    assert cost == declared_cost(name, committee, M127, 3)


@pytest.mark.parametrize("kappa", [40, 64])
def test_cost_of_other_formats(kappa: int) -> None:
    async def one(session: Session, x: Any) -> None:
        await reciprocal(session, x[0], 12)

    async def two(session: Session, x: Any) -> None:
        await divide(session, x[0].with_fraction_bits(3), x[0], 12, 10, 20)

    async def three(session: Session, x: Any) -> None:
        await floor_quotient(session, x[0].with_fraction_bits(0), x[0].with_fraction_bits(0), 9)

    case, values = Case(THREE, M127, 5), [1, 2, 3, 4, 0]
    costs = [measured(THREE, M127, p, values, fraction_bits=24, kappa=kappa) for p in (one, two, three)]
    assert costs[0] == reciprocal_work(case, 12, 24, kappa)
    assert costs[1] == divide_work(case, 12, 3, 24, 10, kappa)
    assert costs[2] == floor_quotient_work(case, 9)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    inputs = ([0] * 5, [1, 2, 2**20, 7, 11])
    traces = [trace(THREE, M127, _program(name), v, fraction_bits=DECLARED_FORMAT[1]) for v in inputs]
    assert traces[0] == traces[1]


def test_fields_without_bits_are_refused() -> None:
    async def program(session: Session) -> None:
        await reciprocal(session, Shared(small_field(11), small_field(11).zeros((1,)), 1), 2)

    with pytest.raises(RangeError):
        run_parties(THREE, program)
