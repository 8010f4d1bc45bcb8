"""Quadratic forms with a shared covariance against plain linear algebra."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127
from mpcstats.protocols import normalise
from mpcstats.protocols.quadratic import quadratic_form
from mpcstats.runtime import Session, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import COMMITTEES, HarshTruncation, evaluate, trace

ONE, THREE = Committee(1, 0), Committee(3, 1)
SCORE, VARIANCE = 60, 64


def fixed(x: Any, bits: int) -> Any:
    return [fixed(v, bits) for v in x] if isinstance(x, list) else round(Fraction(x) * (1 << bits))


def form(
    u: list[float], v: list[list[float]], wanted: list[int] | None = None, committee: Committee = ONE
) -> tuple[float, int]:
    async def program(session: Session, x: Any) -> tuple[Shared, Shared]:
        found = await quadratic_form(
            session, x[0].with_fraction_bits(SCORE), x[1].with_fraction_bits(VARIANCE), x[2] if wanted else None
        )
        assert found.value.fraction_bits == 80
        return found.value.reshape(1), found.undefined.reshape(1)

    inputs = [fixed(u, SCORE), fixed(v, VARIANCE), *([wanted] if wanted else [])]
    value, undefined = evaluate(committee, M127, program, *inputs, kappa=64)
    return int(value[0]) / 2.0**80, int(undefined[0])


def example(size: int, seed: int, scale: float) -> tuple[list[float], list[list[float]], float]:
    """Scales of the rows differ by up to 10^4; the correlation matrix has a condition number below 10^4."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, size + 6)) * 10 ** rng.uniform(-2, 2, (size, 1))
    v = x @ x.T * scale
    v = np.tril(v) + np.tril(v, -1).T
    u = np.linalg.cholesky(v) @ rng.normal(size=size)
    root = np.sqrt(np.diag(v))
    exact = float((u / root) @ np.linalg.solve(v / np.outer(root, root), u / root))
    return u.tolist(), v.tolist(), exact


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_every_committee(committee: Committee) -> None:
    u, v, exact = example(3 if committee.m < 5 else 2, 1, 1.0)
    value, undefined = form(u, v, committee=committee)
    assert undefined == 0
    assert value == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e9])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_any_size_and_scale(size: int, scale: float) -> None:
    u, v, exact = example(size, size, scale)
    value, undefined = form(u, v)
    assert undefined == 0
    assert value == pytest.approx(exact, rel=1e-7)


def test_promises_on_masked_numbers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    harsh = HarshTruncation(126, 3)
    monkeypatch.setattr(normalise, "truncate", harsh)
    for size in (1, 4):
        u, v, exact = example(size, 7, 1.0)
        assert form(u, v)[0] == pytest.approx(exact, rel=1e-7)
    # what breaks a promise gives a wrong number, but no mask that is too small
    form([3.0, 5e4], [[1.0, 40.0], [40.0, 1e-3]])
    form([3.0, 5.0], [[-1.0, 0.5], [0.5, 2.0]])
    assert harsh.calls > 20


@pytest.mark.parametrize("small", [2.0**-14, 2.0**-29])
def test_large_values_and_near_singular_matrices(small: float) -> None:
    """Correlation 1 - small: what is left of the second pivot is 2 small."""
    v = [[1.0, 1 - small], [1 - small, 1.0]]
    value, undefined = form([1.0, 1.0 + small], v)
    exact = (1 + (1 + Fraction(small)) ** 2 - 2 * (1 - Fraction(small)) * (1 + Fraction(small))) / (
        2 * Fraction(small) - Fraction(small) ** 2
    )
    assert undefined == 0
    assert value == pytest.approx(float(exact), rel=2.0**-40 / small)
    assert form([2.0**16], [[1.0]])[0] == pytest.approx(2.0**32, rel=1e-14)


def test_singular_matrices_have_no_form() -> None:
    assert form([1.0, -1.0], [[2.0, -2.0], [-2.0, 2.0]])[1] == 1
    assert form([0.0], [[0.0]])[1] == 1
    assert form([1.0, 0.0, 2.0], [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 4.0]])[1] == 1


def test_rows_that_are_not_wanted_leave() -> None:
    v = [[1.0, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 4.0]]
    value, undefined = form([1.0, 0.0, 2.0], v, [1, 0, 1])
    assert undefined == 0
    assert value == pytest.approx(float(np.array([1, 2]) @ np.linalg.solve([[1, 0.5], [0.5, 4]], [1, 2])), rel=1e-11)
    assert form([0.0], [[0.0]], [0]) == (0.0, 0)


def test_refusals_before_anything_is_sent() -> None:
    sent: list[Message] = []

    async def program(session: Session) -> None:
        def zeros(*shape: int, f: int = 0, field: Any = M127) -> Shared:
            return Shared(field, field.zeros(shape), 1, f)

        for u, v in [
            (zeros(2, f=60), zeros(3, 3, f=64)),
            (zeros(2, f=60), zeros(2, 2, f=63)),
            (zeros(2, f=0), zeros(2, 2, f=64)),
            (zeros(0), zeros(0, 0)),
            (zeros(2, f=20, field=M61), zeros(2, 2, f=20, field=M61)),
        ]:
            with pytest.raises(RangeError, match="quadratic form"):
                await quadratic_form(session, u, v)
        assert session.accounts.rounds == 0

    run_parties(THREE, program, observe=sent.append)
    assert sent == []


@pytest.mark.long
def test_messages_do_not_depend_on_the_data() -> None:
    async def program(session: Session, x: Any) -> None:
        await quadratic_form(session, x[0].with_fraction_bits(SCORE), x[1].with_fraction_bits(VARIANCE))

    inputs = ([[0, 0], [[0, 0], [0, 0]]], [[5, 7], fixed([[2.0, 1.0], [1.0, 3.0]], VARIANCE)])
    traces = [trace(THREE, M127, program, *values, kappa=64) for values in inputs]
    assert traces[0] == traces[1]
