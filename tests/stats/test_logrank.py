"""Log-rank test from counts: R's digits, and the cases that other implementations get wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mpcstats.errors import RangeError
from mpcstats.stats.logrank import GROUP_COLUMNS, logrank_test

from .r_truth import at_risk, counts, everything, records, same, shipped, shipped_counts


def check_against_r(truth: dict[str, Any], events: np.ndarray, censored: np.ndarray, levels: list[str]) -> None:
    test = logrank_test(events, at_risk(events, censored), levels)
    assert test.table["group"].tolist() == levels
    assert tuple(test.table.columns) == GROUP_COLUMNS
    assert test.table["records"].tolist() == truth["n"]
    assert test.table["observed"].tolist() == truth["obs"]
    same(test.table["expected"], truth["exp"])
    np.testing.assert_allclose(test.variance, truth["var"], rtol=1e-12, atol=1e-13 * np.abs(truth["var"]).max())
    assert test.chi_square == pytest.approx(truth["chisq"], rel=1e-12, abs=0)
    assert test.degrees_of_freedom == truth["df"]
    assert test.p_value == pytest.approx(truth["p"], rel=2e-12, abs=0)
    assert test.log_p_value == pytest.approx(math.log(truth["p"]), rel=1e-12, abs=0)


@pytest.mark.parametrize("entry", [p for p in shipped("logrank.json") if "strata" not in p.values[0]])
def test_equals_r(entry: dict[str, Any]) -> None:
    events, censored = shipped_counts(entry)
    check_against_r(entry["result"]["survdiff_rho0"], events, censored, entry["group_levels"])


@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    levels = entry["group_levels"]
    _, events, censored = counts(*records(entry), levels)
    truth = entry["result"].get("survdiff_rho0") or entry["result"]["unstratified"]
    check_against_r(truth, events, censored, levels)


@pytest.mark.parametrize("entry", everything("km_grid.json"))
def test_equals_r_on_a_grid(entry: dict[str, Any]) -> None:
    truth = entry["result"].get("logrank_on_grid")
    group = {"lung": "sex", "ovarian": "rx", "flchain_sex": "sex", "whas500": "gender", "colon_death": "rx"}
    if not truth:
        assert entry["id"] not in group
        return
    time, event, groups = records(entry | {"complete_on": group[entry["id"]]})
    levels = sorted(set(groups))
    bins = np.maximum(1, np.ceil(time / entry["width"]))
    _, events, censored = counts(bins, event, groups, levels)
    check_against_r(truth, events, censored, levels)


def test_equals_lifelines() -> None:
    from lifelines.statistics import multivariate_logrank_test

    rng = np.random.default_rng(7)
    time, event, group = rng.integers(0, 40, 300), rng.random(300) < 0.6, rng.integers(0, 3, 300).astype(str)
    _, events, censored = counts(time.astype(float), event, group, ["0", "1", "2"])
    ours = logrank_test(events, at_risk(events, censored))
    theirs = multivariate_logrank_test(time, group, event)
    assert ours.chi_square == pytest.approx(theirs.test_statistic, rel=1e-10)
    assert ours.p_value == pytest.approx(theirs.p_value, rel=1e-10)


def test_last_person_at_risk_has_the_event() -> None:
    """One person left: no variance, but the expected event counts. E = 2/3 + 1 + 1, V = 2/9 by hand."""
    events = np.array([[0, 0, 1, 1], [0, 1, 0, 0]])
    censored = np.array([[0, 0, 0, 0], [0, 0, 0, 0]])
    n = at_risk(events, censored)
    assert n[:, 1].tolist() == [2, 1]
    test = logrank_test(events, n)
    expected = 2 / 3 + 1 + 1
    variance = 1 * (2 / 3) * (1 / 3)
    assert test.table["expected"].tolist() == pytest.approx([expected, 1 / 3])
    assert test.variance[0, 0] == pytest.approx(variance)
    assert test.chi_square == pytest.approx((2 - expected) ** 2 / variance, rel=1e-14, abs=0)


def test_group_without_events_still_counts() -> None:
    events = np.array([[0, 2, 1, 0], [0, 0, 0, 0]])
    censored = np.array([[0, 0, 1, 2], [0, 0, 2, 3]])
    test = logrank_test(events, at_risk(events, censored))
    assert test.table["observed"].tolist() == [3, 0]
    assert test.degrees_of_freedom == 1
    assert test.chi_square > 0


def test_group_that_is_gone_before_the_first_event_leaves_the_test() -> None:
    events = np.array([[0, 0, 3, 1], [0, 0, 0, 2], [0, 0, 0, 0]])
    censored = np.array([[0, 1, 0, 2], [0, 0, 1, 4], [5, 3, 0, 0]])
    test = logrank_test(events, at_risk(events, censored))
    two = logrank_test(events[:2], at_risk(events, censored)[:2])
    assert test.table["expected"].iloc[2] == 0
    assert test.degrees_of_freedom == 1
    assert test.chi_square == pytest.approx(two.chi_square, rel=1e-14, abs=0)


def test_no_events_at_all() -> None:
    test = logrank_test(np.zeros((3, 4), int), np.full((3, 4), 2))
    assert (test.chi_square, test.degrees_of_freedom, test.p_value, test.log_p_value) == (0.0, 0, 1.0, 0.0)


def test_groups_that_never_meet_have_no_test() -> None:
    """Everybody of one group is gone before the other enters the times with events: nothing to compare."""
    events = np.array([[2, 0], [0, 3]])
    at = np.array([[2, 0], [0, 3]])
    test = logrank_test(events, at)
    assert math.isnan(test.chi_square)
    assert math.isnan(test.p_value)


def test_everybody_at_one_time() -> None:
    events, censored = np.array([[4], [1]]), np.array([[2], [5]])
    test = logrank_test(events, at_risk(events, censored))
    assert test.table["expected"].tolist() == pytest.approx([2.5, 2.5])
    assert test.variance[0, 0] == pytest.approx(5 * 0.25 * (12 - 5) / 11)


def test_large_cohorts_do_not_overflow() -> None:
    """Scaling all counts by k scales chi-square by about k, also where n^3 exceeds 64 bits."""
    events, censored = np.array([[3, 2], [1, 4]]) * 10**8, np.array([[1, 5], [2, 6]]) * 10**8
    test = logrank_test(events, at_risk(events, censored))
    small = logrank_test(events // 10**4, at_risk(events, censored) // 10**4)
    assert test.chi_square == pytest.approx(small.chi_square * 10**4, rel=1e-3)
    assert test.p_value == 0
    assert test.log_p_value < -1e6


@settings(derandomize=True, deadline=None)
@given(hnp.arrays(np.int64, (2, 3, 8), elements=st.integers(0, 5)))
def test_observed_less_expected_sums_to_zero_and_order_does_not_matter(cells: np.ndarray) -> None:
    events, censored = cells
    n = at_risk(events, censored)
    test = logrank_test(events, n)
    assert test.table["expected"].sum() == pytest.approx(events.sum(), abs=1e-9)
    np.testing.assert_allclose(test.variance.sum(axis=0), 0, atol=1e-9)
    other = logrank_test(events[::-1], n[::-1])
    assert other.degrees_of_freedom == test.degrees_of_freedom
    if not (math.isnan(test.chi_square) or math.isnan(other.chi_square)):
        assert other.chi_square == pytest.approx(test.chi_square, rel=1e-6, abs=1e-9)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(RangeError, match="two groups"):
        logrank_test([[1, 0]], [[2, 1]])
    with pytest.raises(RangeError, match="more events than people"):
        logrank_test([[3, 0], [0, 0]], [[2, 1], [1, 1]])
