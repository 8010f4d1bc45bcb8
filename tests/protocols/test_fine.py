"""Fine reciprocals and roots against exact fractions, with the error bounds that the docstrings state."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127
from mpcstats.protocols import normalise
from mpcstats.protocols.declare import Case
from mpcstats.protocols.fine import (
    DECLARED_KAPPA,
    DECLARED_WIDTH,
    fine_inverse,
    fine_inverse_work,
    fine_precision,
    fine_reciprocal,
    fine_reciprocal_work,
    fine_square_root,
    fine_square_root_work,
)
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import headroom_bits
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import COMMITTEES, HarshTruncation, Program, declared_cost, evaluate, measured, trace

ONE, THREE = Committee(1, 0), Committee(3, 1)


def boundaries(width: int) -> list[int]:
    top = (1 << width) - 1
    powers = [p + d for k in range(width) for p in [1 << k] for d in ((-1, 0, 1) if k % 5 == 0 else (0,))]
    return [0, -1, -top, *sorted({v for v in [*powers, 3, 11, top // 3, top, top - 1] if 0 < v <= top})]


def bound(subsets: int, kappa: int, committee: Committee) -> Fraction:
    F = fine_precision(headroom_bits(M127, len(committee.subsets), kappa))
    return Fraction(8 * (subsets + 3), 1 << F) ** 2


def check_reciprocals(committee: Committee, width: int, precision: int, kappa: int, subsets: int = 0) -> None:
    values = boundaries(width)

    async def program(session: Session, x: Any) -> tuple[Shared, ...]:
        found = await fine_reciprocal(session, x[0], width, precision)
        return found.factor, found.normal, found.inverse, found.nonzero

    factors, normals, inverses, nonzero = evaluate(committee, M127, program, values, kappa=kappa)
    limit = bound(subsets or len(committee.subsets), kappa, committee) + Fraction(1, 1 << precision)
    assert nonzero.tolist() == [int(v != 0) for v in values]
    for v, g, c, y in zip(values, factors, normals, inverses, strict=True):
        assert 1 << (width - 1) <= c < 1 << width
        assert g * v == (c if v else 0)
        assert abs(g) == (abs(g) & -abs(g))
        assert abs(Fraction(int(c) * int(y), 1 << (width + precision)) - 1) < limit, v


def check_roots(committee: Committee, width: int, out: int, kappa: int, subsets: int = 0) -> None:
    values = boundaries(width)

    async def program(session: Session, x: Any) -> Shared:
        return await fine_square_root(session, x[0], width, out)

    (roots,) = evaluate(committee, M127, program, values, kappa=kappa)
    limit = bound(subsets or len(committee.subsets), kappa, committee)
    for v, r in zip(values, roots, strict=True):
        exact = Fraction(isqrt(max(v, 0) << 200), 1 << 100)
        assert abs(Fraction(int(r), 1 << out) - exact) <= exact * limit + Fraction(1 if v > 0 else 0, 1 << out), v


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_reciprocals_are_within_their_bound(committee: Committee) -> None:
    check_reciprocals(committee, DECLARED_WIDTH, 60, DECLARED_KAPPA)


@pytest.mark.parametrize(("width", "precision", "kappa"), [(4, 30, 64), (29, 60, 40), (50, 50, 64), (28, 20, 57)])
def test_reciprocals_in_other_formats(width: int, precision: int, kappa: int) -> None:
    check_reciprocals(THREE, width, precision, kappa)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_roots_are_within_their_bound(committee: Committee) -> None:
    check_roots(committee, DECLARED_WIDTH + 1, 35, DECLARED_KAPPA)


@pytest.mark.parametrize(("width", "out", "kappa"), [(4, 10, 64), (52, 25, 64), (30, 35, 40)])
def test_roots_in_other_formats(width: int, out: int, kappa: int) -> None:
    check_roots(THREE, width, out, kappa)


@pytest.mark.parametrize("subsets", [1, 35, 126])
def test_bounds_and_promises_hold_when_every_rounding_goes_wrong(subsets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """126 subsets: nine parties. All roundings are off by as much as they can be."""
    for seed in range(3):
        harsh = HarshTruncation(subsets, seed)
        monkeypatch.setattr(normalise, "truncate", harsh)
        check_reciprocals(ONE, 29, 60, 64, subsets)
        check_reciprocals(ONE, 50, 50, 64, subsets)
        check_roots(ONE, 30, 35, 64, subsets)
        check_roots(ONE, 52, 25, 64, subsets)
        assert harsh.calls > 20


@pytest.mark.parametrize("subsets", [1, 126])
def test_inverses_of_anything_from_a_quarter_on(subsets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [(1 << 48) + k * ((3 << 48) // 97) for k in range(97)] + [(1 << 50) - 1]
    monkeypatch.setattr(normalise, "truncate", HarshTruncation(subsets, 5))

    async def program(session: Session, x: Any) -> Shared:
        return await fine_inverse(session, x[0], 50, 50, quarter=True)

    (inverses,) = evaluate(ONE, M127, program, values, kappa=64)
    limit = bound(subsets, 64, ONE) + Fraction(1, 1 << 50)
    for c, y in zip(values, inverses, strict=True):
        assert abs(Fraction(c * int(y), 1 << 100) - 1) < limit


def test_refusals_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        x = Shared(M127, M127.zeros((2,)), 1)
        with pytest.raises(RangeError, match=r"headroom.*has 61 at kappa = 64"):
            await fine_reciprocal(session, x, 61)
        with pytest.raises(RangeError, match="headroom"):
            await fine_reciprocal(session, Shared(M61, M61.zeros((2,)), 1), 20)
        with pytest.raises(RangeError, match="integers"):
            await fine_reciprocal(session, x.with_fraction_bits(3), 20)
        with pytest.raises(RangeError, match="even"):
            await fine_square_root(session, x, 29, 20)
        assert session.accounts.rounds == 0

    run_parties(THREE, program, observe=sent.append)
    assert sent == []


CALLS: dict[str, Callable[[Session, Shared], Any]] = {
    "fine_reciprocal": lambda s, x: fine_reciprocal(s, x, DECLARED_WIDTH),
    "fine_square_root": lambda s, x: fine_square_root(s, x, DECLARED_WIDTH + 1, 35),
}


def _program(name: str) -> Program:
    async def program(session: Session, x: Any) -> None:
        await CALLS[name](session, x[0])

    return program


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_cost_is_as_declared(name: str, committee: Committee) -> None:
    cost = measured(committee, M127, _program(name), [1, 2, 3], kappa=DECLARED_KAPPA)
    assert cost == declared_cost(name, committee, M127, 3)


def test_cost_of_other_formats() -> None:
    async def wide(session: Session, x: Any) -> None:
        await fine_reciprocal(session, x[0], 50, 50)

    async def near(session: Session, x: Any) -> None:
        await fine_inverse(session, x[0].plus_int(1 << 48), 50, 50, quarter=True)

    async def root(session: Session, x: Any) -> None:
        await fine_square_root(session, x[0], 52, 25)

    case, values = Case(THREE, M127, 4), [1, 2, 3, 0]
    assert measured(THREE, M127, wide, values) == fine_reciprocal_work(case, 50, 50, 40)
    assert measured(THREE, M127, near, values) == fine_inverse_work(case, 50, 50, True, 40)
    assert measured(THREE, M127, root, values) == fine_square_root_work(case, 52, 25, 40)


@pytest.mark.parametrize("name", CALLS)
def test_messages_do_not_depend_on_the_data(name: str) -> None:
    traces = [trace(THREE, M127, _program(name), values) for values in ([0] * 5, [1, 2, 2**20, 7, 11])]
    assert traces[0] == traces[1]
