"""Upper tails and their logarithms: R's digits, far beyond the smallest double."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mpcstats.stats.tails import chi_square_tail, log_chi_square_tail, log_normal_two_sided, normal_two_sided

from .r_truth import shipped

TRUTH = shipped("tails.json")[0].values[0]["result"]


def test_chi_square_equals_r() -> None:
    for q, p1, log_p, p5 in zip(TRUTH["q"], TRUTH["chisq1"], TRUTH["chisq1_log"], TRUTH["chisq5"], strict=True):
        assert chi_square_tail(q, 1) == pytest.approx(p1, rel=2e-14, abs=0)
        assert chi_square_tail(q, 5) == pytest.approx(p5, rel=2e-14, abs=0)
        assert log_chi_square_tail(q, 1) == pytest.approx(log_p, rel=1e-13, abs=0)
        assert log_chi_square_tail(q, 5) == pytest.approx(math.log(p5), rel=1e-12, abs=0)


def test_normal_equals_r() -> None:
    np.testing.assert_allclose(normal_two_sided(TRUTH["q"]), TRUTH["norm_two"], rtol=1e-14)
    np.testing.assert_allclose(log_normal_two_sided(TRUTH["q"]), TRUTH["norm_two_log"], rtol=1e-14)
    np.testing.assert_array_equal(normal_two_sided([-1.5]), normal_two_sided([1.5]))


@pytest.mark.parametrize("x", [0.5, 30.0, 600.0, 1300.0, 1290.0, 5000.0, 1e6])
def test_tail_of_two_degrees_is_exponential(x: float) -> None:
    assert log_chi_square_tail(x, 2) == pytest.approx(-x / 2, rel=1e-14, abs=0)


@pytest.mark.parametrize("z", [1e-9, 0.3, 1.0, 5.0, 37.0, 1e3])
def test_a_squared_normal_is_chi_square_of_one_degree(z: float) -> None:
    assert float(log_normal_two_sided(z)) == pytest.approx(log_chi_square_tail(z * z, 1), rel=1e-12, abs=0)


def test_ends() -> None:
    assert chi_square_tail(0, 3) == 1
    assert log_chi_square_tail(0, 3) == 0
    assert log_chi_square_tail(math.inf, 3) == -math.inf
    assert math.isnan(log_chi_square_tail(math.nan, 3))
    assert math.isnan(chi_square_tail(math.nan, 3))
    assert log_normal_two_sided([0, math.inf]).tolist() == [0, -math.inf]
    assert np.isnan(log_normal_two_sided(math.nan))
