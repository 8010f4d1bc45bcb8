"""Adjusted p-values: R's p.adjust."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.p_adjust import P_ADJUST_METHODS, p_adjust

from .r_truth import shipped

TRUTH = shipped("p_adjust.json")[0].values[0]


@pytest.mark.parametrize("method", sorted(TRUTH["result"]))
def test_equals_r(method: str) -> None:
    p, expected = np.array(TRUTH["p"]), TRUTH["result"][method]
    np.testing.assert_allclose(p_adjust(p, method), expected, rtol=1e-15)
    np.testing.assert_allclose(np.exp(p_adjust(np.log(p), method, log=True)), expected, rtol=1e-14)
    shuffled = np.random.default_rng(2).permutation(p.size)
    np.testing.assert_allclose(p_adjust(p[shuffled], method), np.array(expected)[shuffled], rtol=1e-15)


def test_every_method_has_an_answer_of_r() -> None:
    assert set(TRUTH["result"]) | {"none"} == set(P_ADJUST_METHODS)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_bounds_and_order(values: list[float]) -> None:
    found = {method: p_adjust(values, method) for method in P_ADJUST_METHODS}
    for adjusted in found.values():
        assert (adjusted >= np.array(values) * (1 - 1e-15)).all()
        assert (adjusted <= 1).all()
        assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()
    for weaker, stronger in (("bonferroni", "holm"), ("holm", "hochberg"), ("hochberg", "hommel"), ("hommel", "BH")):
        assert (found[stronger] <= found[weaker] * (1 + 1e-12)).all(), (weaker, stronger)
    assert (found["BH"] <= found["BY"] * (1 + 1e-12)).all()


def test_missing_tests_are_not_counted() -> None:
    found = p_adjust([0.01, math.nan, 0.04], "holm")
    assert found[[0, 2]].tolist() == [0.02, 0.04]
    assert math.isnan(found[1])
    assert p_adjust([], "BH").size == 0
    assert p_adjust([math.nan], "hommel").size == 1
    assert p_adjust([0.2], "BY").tolist() == [0.2]


def test_below_the_smallest_double() -> None:
    found = p_adjust([-2000.0, -1.0, -3000.0], "holm", log=True)
    assert found.tolist() == pytest.approx([-2000 + math.log(2), -1, -3000 + math.log(3)], rel=1e-15)
    assert p_adjust([-math.inf, -1.0], "BH", log=True)[0] == -math.inf


def test_the_input_is_left_alone() -> None:
    p = np.array([0.3, 0.01])
    p_adjust(p, "bonferroni")
    assert p.tolist() == [0.3, 0.01]


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(SpecError, match="bonferroni"):
        p_adjust([0.1], "fdr")
    with pytest.raises(RangeError, match="1 of 2"):
        p_adjust([0.1, 1.1])
    with pytest.raises(RangeError, match="logarithms"):
        p_adjust([0.1], log=True)
