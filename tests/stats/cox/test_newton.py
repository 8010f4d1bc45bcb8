"""Newton's method on likelihoods in the clear."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from mpcstats.errors import SpecError
from mpcstats.stats.cox.newton import EVALUATIONS, Fit, inverse, newton
from mpcstats.stats.cox.partial import OwnLikelihood
from tests.stats.cox import kit, reference


def run(z: np.ndarray, time: np.ndarray, event: np.ndarray, names: list[str] | None = None) -> tuple[Fit, int]:
    own = OwnLikelihood(z, time, event, np.zeros(len(time), np.int64), None, "efron")
    calls = 0

    async def evaluate(beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal calls
        calls += 1
        at = own.at(beta)
        return at.score, at.information

    widths = z.max(axis=0) - z.min(axis=0)
    fit = asyncio.run(newton(evaluate, names or [f"x{k}" for k in range(z.shape[1])], widths, 2.0**-40, 1e-10))
    assert calls <= EVALUATIONS
    return fit, calls


def test_ends_at_the_maximum() -> None:
    p = kit.simulated(11, people=150, order=3)
    fit, _ = run(p.covariates, p.time, p.event)
    beta, *_ = reference.estimate(p.covariates, p.time, p.event, p.stratum)
    assert fit.converged
    assert fit.halvings == 0
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    assert (fit.beta * 2**40 % 1 == 0).all()


def test_halves_a_step_that_goes_too_far() -> None:
    """A few people with very large values: the first step from 0 leads far beyond the maximum."""
    rng = np.random.default_rng(4)
    x = rng.exponential(size=80) ** 3
    time = np.ceil(rng.exponential(20 * np.exp(-1.5 * np.log1p(x)))).astype(np.int64)
    fit, calls = run(((x - x.mean()) / x.std())[:, None], time, np.ones(80, bool))
    assert fit.converged
    assert fit.halvings >= 1
    assert calls >= fit.iterations


def test_a_monotone_likelihood_is_found_and_the_other_columns_are_fitted() -> None:
    """Nobody with x = 1 has the event: its coefficient goes to minus infinity."""
    p = kit.simulated(2, people=200)
    x = p.covariates.copy()
    x[:, 0] = np.where(p.event, 0.0, x[:, 0])
    fit, _ = run(x, p.time, p.event)
    assert fit.monotone == [0]
    assert not fit.converged
    assert fit.beta[0] < -8
    without, *_ = reference.estimate(x[x[:, 0] == 0][:, 1:], *(v[x[:, 0] == 0] for v in (p.time, p.event, p.stratum)))
    assert fit.beta[1] == pytest.approx(without[0], abs=1e-3)


def test_a_very_strong_effect_is_not_taken_for_a_monotone_one() -> None:
    """One event in one of two large groups."""
    rng = np.random.default_rng(6)
    x = np.repeat([0.0, 1.0], 3000)
    time = rng.integers(1, 50, 6000)
    event = (x == 0) & (rng.random(6000) < 0.8)
    event[4000] = True
    fit, _ = run(x[:, None], time, event)
    assert fit.converged
    assert fit.monotone == []
    assert -9 < fit.beta[0] < -6


@pytest.mark.parametrize(("column", "named"), [("sum", "x0, x1, x2"), ("copy", "x0, x2")])
def test_collinear_columns_are_named(column: str, named: str) -> None:
    p = kit.simulated(8, people=60)
    x = p.covariates
    third = x[:, 0] + x[:, 1] if column == "sum" else 2 * x[:, 0] - 1
    with pytest.raises(SpecError, match=f"covariates {named} are collinear"):
        run(np.column_stack([x, third]), p.time, p.event)


def test_a_column_without_difference_at_any_event_is_named() -> None:
    """Only people who leave before the first event differ."""
    p = kit.simulated(9, people=60)
    time = p.time + 1
    time[:4] = 1
    event = p.event.copy()
    event[:4] = False
    odd = np.zeros(60)
    odd[:4] = 1
    with pytest.raises(SpecError, match=r"no difference among the people at risk at any event: early"):
        run(np.column_stack([p.covariates, odd]), time, event, ["x0", "x1", "early"])


def test_inverse_of_badly_scaled_and_singular_matrices() -> None:
    scale = np.diag([1e6, 1e-4])
    matrix = scale @ np.array([[1.0, 0.3], [0.3, 1.0]]) @ scale
    np.testing.assert_allclose(
        inverse(matrix), np.linalg.inv(scale) @ [[1, -0.3], [-0.3, 1]] @ np.linalg.inv(scale) / 0.91
    )
    assert np.isnan(inverse(np.zeros((2, 2)))).all()
