"""Roots against exact integer square roots, with the error bounds that the docstrings state."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127
from mpcstats.protocols import normalise
from mpcstats.protocols.declare import Case
from mpcstats.protocols.roots import (
    DECLARED_FORMAT,
    DECLARED_KAPPA,
    inverse_square_root,
    inverse_square_root_work,
    root_precision,
    square_root,
    square_root_work,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import headroom_bits
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import (
    COMMITTEES,
    HarshTruncation,
    Program,
    declared_cost,
    evaluate,
    measured,
    plan_for,
    trace,
)

ONE, THREE = Committee(1, 0), Committee(3, 1)
GUARD = 200
"""Bits of the reference."""


def boundaries(width: int) -> list[int]:
    rng = np.random.default_rng(width)
    top = (1 << width) - 1
    powers = [p + d for k in range(width) for p in [1 << k] for d in ((-1, 0, 1) if k % 6 == 0 else (0,))]
    some = [int(v) for v in np.exp2(rng.uniform(0, width, 20))]
    return [0, -1, -top, *sorted({v for v in [*powers, top, top - 1, *some] if 0 < v <= top})]


def root(value: Fraction) -> Fraction:
    """sqrt, to GUARD bits."""
    return Fraction(isqrt((value.numerator << (2 * GUARD)) // value.denominator), 1 << GUARD)


def check(
    committee: Committee, integer_bits: int, fraction_bits: int, kappa: int, out: int | None = None, subsets: int = 0
) -> None:
    values = boundaries(integer_bits + fraction_bits)
    fo, subsets = fraction_bits if out is None else out, subsets or len(committee.subsets)

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        one = await square_root(session, x[0], integer_bits, out)
        two = await inverse_square_root(session, x[0], integer_bits, out)
        assert one.value.fraction_bits == two.value.fraction_bits == fo
        return one.value, one.undefined, two.value, two.undefined

    roots, negative, inverses, undefined = evaluate(
        committee, M127, program, values, fraction_bits=fraction_bits, kappa=kappa
    )
    F = root_precision(headroom_bits(M127, len(committee.subsets), kappa), integer_bits, fraction_bits)
    assert negative.tolist() == [int(v < 0) for v in values]
    assert undefined.tolist() == [int(v <= 0) for v in values]
    for v, r, s in zip(values, roots, inverses, strict=True):
        if v <= 0:
            assert (r, s) == (0, 0)
            continue
        exact = root(Fraction(v, 1 << fraction_bits))
        ulp = Fraction(subsets + 1, 2 << fo)
        assert abs(Fraction(r, 1 << fo) - exact) < exact * 2 * (subsets + 2) / (1 << F) + ulp, v
        assert abs(Fraction(s, 1 << fo) - 1 / exact) < (subsets + 2) / exact / (1 << F) + ulp, v


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_roots_are_within_their_bound(committee: Committee) -> None:
    check(committee, *DECLARED_FORMAT, DECLARED_KAPPA)


@pytest.mark.parametrize(
    ("integer_bits", "fraction_bits", "kappa", "out"),
    [(20, 32, 40, None), (12, 24, 64, None), (4, 40, 40, None), (20, 0, 40, 30), (3, 11, 40, 20), (0, 16, 64, None)],
)
def test_roots_in_other_formats(integer_bits: int, fraction_bits: int, kappa: int, out: int | None) -> None:
    check(THREE, integer_bits, fraction_bits, kappa, out)


@pytest.mark.parametrize("subsets", [1, 35, 126])
def test_bounds_and_promises_hold_when_every_rounding_goes_wrong(subsets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """126 subsets: nine parties. All roundings are off by as much as they can be."""
    plan_for(monkeypatch, "roots", subsets)
    for seed in range(3):
        harsh = HarshTruncation(subsets, seed)
        monkeypatch.setattr(normalise, "truncate", harsh)
        check(ONE, *DECLARED_FORMAT, 40, subsets=subsets)
        check(ONE, 20, 0, 40, 36, subsets=subsets)
        assert harsh.calls > 15


def test_shapes_are_kept() -> None:
    async def program(session: Session, x: Any) -> Shared:
        return (await square_root(session, x[0], 10, 16)).value

    got = evaluate(THREE, M127, program, [[4, 9], [16, 1023]])[0]
    assert np.abs(got / 2**16 - np.sqrt([[4, 9], [16, 1023]])).max() < 3 * 2.0**-16


def test_formats_without_headroom_are_refused_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((2,)), 1, 32)
        for f in (square_root, inverse_square_root):
            with pytest.raises(RangeError, match=r"headroom.*has 85 at kappa = 40"):
                await f(session, x, 21)
            with pytest.raises(RangeError, match="headroom"):
                await f(session, x.with_fraction_bits(0), 20, 70)
            with pytest.raises(RangeError, match="not a format"):
                await f(session, x, 100)
            with pytest.raises(RangeError, match="headroom"):
                await f(session, Shared(M61, M61.zeros((2,)), 1), 20)
        assert session.accounts.rounds == 0

    run_parties(THREE, program, observe=sent.append, kappa=40)
    assert sent == []


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "square_root": lambda s, x: square_root(s, x, DECLARED_FORMAT[0]),
    "inverse_square_root": lambda s, x: inverse_square_root(s, x, DECLARED_FORMAT[0]),
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
        await square_root(session, x[0], 11)

    async def two(session: Session, x: Any) -> None:
        await inverse_square_root(session, x[0], 11, 20)

    case, values = Case(THREE, M127, 5), [1, 2, 3, 4, 0]
    for program, work in ((one, square_root_work), (two, inverse_square_root_work)):
        cost = measured(THREE, M127, program, values, fraction_bits=24, kappa=kappa)
        assert cost == work(case, 11, 24, kappa)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    inputs = ([0] * 5, [1, 2, 2**20, -7, 11])
    traces = [trace(THREE, M127, _program(name), v, fraction_bits=DECLARED_FORMAT[1]) for v in inputs]
    assert traces[0] == traces[1]
