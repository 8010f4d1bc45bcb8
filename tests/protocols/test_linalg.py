"""Small linear algebra, inverse roots, logarithms and exponentials: the stated error bounds, costs and refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpcstats.errors import RangeError, StatisticalSecurityError
from mpcstats.field import M61, M127
from mpcstats.protocols import deal
from mpcstats.protocols.elementary import exponential, exponential_precision, inverse_root, logarithm, precision
from mpcstats.protocols.linalg import (
    _steps,
    cholesky,
    cholesky_masks,
    inverse,
    inverse_masks,
    inverse_square_root,
    inverse_square_root_bits,
    inverse_square_root_masks,
    solve,
    solve_masks,
)
from mpcstats.protocols.normalise import Checked
from mpcstats.runtime import Session, Shared, confirm, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

Floats = NDArray[np.float64]
THREE, FIVE = Committee(3, 1), Committee(5, 2)
FORMATS = [(THREE, 64, 20), (THREE, 40, 32), (FIVE, 64, 20)]
"""Committee, kappa, fraction bits."""


async def _opened(session: Session, x: Shared) -> Floats:
    name = session.label("test")
    session.openings.declare(name, x.size, "test")
    return decode(M127, await open_declared(session, x, name), x.fraction_bits)


async def _dealt(session: Session, values: Floats, f: int) -> Shared:
    own = encode(M127, values, f, 20) if session.index == 1 else None
    return (await deal(session, M127, own, (1,), values.shape, f))[1]


def _on_grid(values: Any, f: int) -> Floats:
    return np.ldexp(np.rint(np.ldexp(np.asarray(values, np.float64), f)), -f)


def _run(
    committee: Committee,
    kappa: int,
    f: int,
    inputs: list[Floats],
    protocol: Callable[..., Awaitable[Any]],
) -> tuple[Any, int, int]:
    """Opened results, bounded masks used, rounds; the same at all parties, and nothing opened on the way."""

    async def program(session: Session) -> Any:
        shared = [await _dealt(session, x, f) for x in inputs]
        masks, rounds = session.accounts.masked_openings, session.accounts.rounds
        result = await protocol(session, *shared)
        assert not session.openings.manifest
        cost = session.accounts.masked_openings - masks, session.accounts.rounds - rounds
        await confirm(session)
        parts = [result.value, result.undefined] if isinstance(result, Checked) else [result]
        assert all(part.degree == committee.t for part in parts)
        return [await _opened(session, part) for part in parts], *cost

    results = run_parties(committee, program, kappa=kappa, kappa_floor=20)
    for other in results[1:]:
        for ours, theirs in zip(results[0][0], other[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    values, masks, rounds = results[0]
    return (values if len(values) > 1 else values[0]), masks, rounds


def _headroom(committee: Committee, kappa: int) -> int:
    from mpcstats.sharing.fixedpoint import headroom_bits

    return headroom_bits(M127, len(committee.subsets), kappa)


# --- elementary functions -------------------------------------------------------------------------------------------

_POSITIVE = np.concatenate(
    [np.exp(np.linspace(-9, 6.9, 60)), [2.0**-20, 2.0**-19, 3 * 2.0**-20, 0.5, 1, 2, 4, 1 - 2.0**-20, 1023.999]]
)


@pytest.mark.parametrize(("committee", "kappa", "f"), FORMATS, ids=str)
def test_inverse_root(committee: Committee, kappa: int, f: int) -> None:
    a = np.append(_on_grid(_POSITIVE, f), [0.0, -1.0, -(2.0**-f), -1000.0])
    (value, undefined), masks, rounds = _run(committee, kappa, f, [a], lambda s, x: inverse_root(s, x, 10))
    c, g = len(committee.subsets), precision(_headroom(committee, kappa))
    good = a > 0
    exact = 1 / np.sqrt(a[good])
    assert (np.abs(value[good] - exact) < 3 * (c + 1) * 2.0**-g * exact + (c + 1) / 2 * 2.0**-f).all()
    np.testing.assert_array_equal(value[~good], 0)
    np.testing.assert_array_equal(undefined, ~good)
    assert masks <= 13 * a.size
    assert rounds <= 48


@pytest.mark.parametrize(("committee", "kappa", "f"), FORMATS, ids=str)
def test_logarithm(committee: Committee, kappa: int, f: int) -> None:
    a = np.append(_on_grid(_POSITIVE, f), [0.0, -1.0, -1000.0])
    (value, undefined), _, rounds = _run(committee, kappa, f, [a], lambda s, x: logarithm(s, x, 10))
    c, g = len(committee.subsets), precision(_headroom(committee, kappa))
    good = a > 0
    bound = 4 * (c + 1) * 2.0**-g + (10 + f) * 2.0**-g + (c + 1) / 2 * 2.0**-f
    assert (np.abs(value[good] - np.log(a[good])) < bound).all()
    np.testing.assert_array_equal(value[~good], 0)
    np.testing.assert_array_equal(undefined, ~good)
    assert rounds <= 40


@pytest.mark.parametrize(("committee", "kappa", "f"), FORMATS, ids=str)
def test_exponential(committee: Committee, kappa: int, f: int) -> None:
    a = _on_grid(np.append(np.linspace(-7.999, 7.999, 60), [0.0, 1.0, -1.0, 2.0**-f, np.log(2)]), f)
    value, _, rounds = _run(committee, kappa, f, [a], lambda s, x: exponential(s, x, 3))
    c, g = len(committee.subsets), exponential_precision(_headroom(committee, kappa), 3)
    bound = np.exp(a) * (8 + 3 * (c + 1)) * 2.0**-g + (c + 1) / 2 * 2.0**-f
    assert (np.abs(value - np.exp(a)) < bound).all()
    assert rounds <= 32


def test_shapes_and_the_way_back() -> None:
    a = _on_grid([[0.25, 3.0, 1.0], [7.5, 2.0**-6, 100.0]], 24)

    async def there_and_back(session: Session, x: Shared) -> Shared:
        return await exponential(session, (await logarithm(session, x, 8)).value, 3)

    value, _, _ = _run(THREE, 64, 24, [a], there_and_back)
    # the last rounding is off by (C + 1) / 2 = 2 units of 2^-24 at most
    np.testing.assert_allclose(value, a, rtol=1e-6, atol=2 * 2.0**-24)


# --- linear algebra -------------------------------------------------------------------------------------------------


def _matrix(order: int, condition_bits: int, f: int, seed: int) -> Floats:
    """Symmetric, eigenvalues from a bit above 2^-condition_bits to 1, on the grid."""
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.normal(size=(order, order)))
    a = _on_grid(q @ np.diag(np.geomspace(1.3 * 2.0**-condition_bits, 1, order)) @ q.T, f)
    return np.asarray(np.tril(a) + np.tril(a, -1).T)


CASES = [
    (THREE, 64, 20, 1, 0),
    (THREE, 64, 20, 4, 6),
    (THREE, 64, 24, 7, 8),
    (THREE, 40, 32, 5, 12),
    (FIVE, 64, 20, 3, 10),
]


@pytest.mark.parametrize(("committee", "kappa", "f", "order", "condition_bits"), CASES, ids=str)
def test_cholesky(committee: Committee, kappa: int, f: int, order: int, condition_bits: int) -> None:
    a = _matrix(order, condition_bits, f, seed=order)
    lower, masks, rounds = _run(committee, kappa, f, [a], cholesky)
    c = len(committee.subsets)
    assert np.abs(lower @ lower.T - a).max() < 3 * (c + 1) * order * 2.0**-f
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_allclose(lower, np.linalg.cholesky(a), atol=2.0 ** (condition_bits - f + 4))
    assert masks <= cholesky_masks(order)
    assert rounds <= 52 * order


@pytest.mark.parametrize(("committee", "kappa", "f", "order", "condition_bits"), CASES, ids=str)
def test_inverse_and_solve(committee: Committee, kappa: int, f: int, order: int, condition_bits: int) -> None:
    a = _matrix(order, condition_bits, f, seed=order)
    x = np.random.default_rng(order).uniform(-3, 3, (order, 2))
    b = _on_grid(a @ x, f)
    c, exact = len(committee.subsets), np.linalg.inv(a)

    inverted, masks, _ = _run(committee, kappa, f, [a], lambda s, u: inverse(s, u, condition_bits))
    assert masks == inverse_masks(order, condition_bits, f)
    assert np.linalg.norm(inverted - exact, 2) < order * 2.0**condition_bits * (c + 1) * 2.0**-f
    np.testing.assert_array_equal(inverted, inverted.T)

    solved, masks, rounds = _run(committee, kappa, f, [a, b], lambda s, u, v: solve(s, u, v, condition_bits))
    assert masks == solve_masks(order, condition_bits, f, 2)
    assert rounds == 2 * _steps(order, condition_bits, f) + 3
    norm = np.abs(exact).sum(1).max()
    assert np.abs(solved - np.linalg.solve(a, b)).max() < (c + 1) / 2 * (norm + 2) * 2.0**-f


@pytest.mark.parametrize(
    ("committee", "order", "condition_bits"), [(THREE, 1, 6), (THREE, 8, 14), (FIVE, 5, 14), (Committee(1, 0), 6, 6)]
)
def test_inverse_square_root(committee: Committee, order: int, condition_bits: int) -> None:
    rng = np.random.default_rng(order)
    f = inverse_square_root_bits(_headroom(committee, 64), condition_bits)
    q = np.linalg.qr(rng.normal(size=(order, order)))[0]
    values = np.geomspace(2.0 ** (1 - condition_bits), 0.99, order)
    a = _on_grid(q @ np.diag(values) @ q.T, f)
    a = np.tril(a) + np.tril(a, -1).T
    z, masks, rounds = _run(committee, 64, f, [a], lambda s, x: inverse_square_root(s, x, condition_bits))
    bound = order * 2.0 ** (1.5 * condition_bits - f) * (len(committee.subsets) + 1)
    np.testing.assert_allclose(z, q @ np.diag(values**-0.5) @ q.T, atol=bound)
    assert masks == inverse_square_root_masks(order, condition_bits)
    assert rounds <= 2 * (condition_bits + 5)


def test_thirty_columns() -> None:
    a = _matrix(30, 7, 24, seed=3)
    b = _on_grid(a @ np.linspace(-1, 1, 30), 24)
    solved, _, rounds = _run(THREE, 64, 24, [a, b], lambda s, u, v: solve(s, u, v, 7))
    assert solved.shape == (30,)
    norm = np.abs(np.linalg.inv(a)).sum(1).max()
    assert np.abs(solved - np.linalg.solve(a, b)).max() < 2 * (norm + 2) * 2.0**-24
    assert rounds < 50


def test_a_regression_by_cholesky_and_by_solve_is_the_same() -> None:
    generator = np.random.default_rng(5)
    data = generator.normal(size=(200, 4))
    data[:, 3] += data[:, 0]
    z = (data - data.mean(0)) / data.std(0)
    a, b = _on_grid(z.T @ z / 200 * (1 - 2.0**-20), 24), _on_grid(z.T @ (z @ [1.0, -2.0, 0.5, 0.25]) / 200, 24)
    a = np.tril(a) + np.tril(a, -1).T
    solved, _, _ = _run(THREE, 64, 24, [a, b], lambda s, u, v: solve(s, u, v, 6))
    lower, _, _ = _run(THREE, 64, 24, [a], cholesky)
    np.testing.assert_allclose(np.linalg.solve(lower @ lower.T, b), solved, atol=1e-5)
    np.testing.assert_allclose(solved, [1.0, -2.0, 0.5, 0.25], atol=1e-5)


# --- refusals and privacy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocol",
    [
        lambda s, x: cholesky(s, x[:, :1]),
        lambda s, x: cholesky(s, x.with_fraction_bits(40)),
        lambda s, x: inverse(s, x, 40),
        lambda s, x: solve(s, x, x[:2, 0], 4),
        lambda s, x: solve(s, x, x[:, 0].with_fraction_bits(4), 4),
        lambda s, x: solve(s, x, x[:, 0], 4, 30),
        lambda s, x: inverse_root(s, x, 90),
        lambda s, x: logarithm(s, x.with_fraction_bits(50), 4),
        lambda s, x: exponential(s, x, 6),
        lambda s, x: cholesky(s, Shared(M61, M61.zeros((2, 2)), 1, 20)),
    ],
)
def test_formats_without_headroom_are_refused_before_anything_is_sent(
    protocol: Callable[..., Awaitable[Any]],
) -> None:
    async def program(session: Session) -> None:
        x = await _dealt(session, np.eye(3), 20)
        before = session.accounts.rounds, session.accounts.masked_openings
        with pytest.raises(RangeError):
            await protocol(session, x)
        assert (session.accounts.rounds, session.accounts.masked_openings) == before

    run_parties(THREE, program)


def test_the_ledger_is_asked() -> None:
    async def program(session: Session) -> None:
        x = await _dealt(session, np.eye(4), 20)
        with pytest.raises(StatisticalSecurityError):
            await inverse(session, x, 6)

    run_parties(THREE, program, kappa=45, kappa_floor=40)


def test_traces_do_not_depend_on_the_numbers() -> None:
    def trace(a: Floats) -> list[Any]:
        seen: list[Message] = []

        async def program(session: Session) -> None:
            x = await _dealt(session, a, 20)
            await cholesky(session, x)
            await solve(session, x, x[:, 0], 4)
            await logarithm(session, x, 3)
            await exponential(session, x, 2)

        run_parties(THREE, program, observe=seen.append)
        return sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen)

    assert trace(np.eye(3)) == trace(_matrix(3, 3, 20, seed=9))
