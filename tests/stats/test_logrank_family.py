"""Weighted, stratified, trend and pairwise tests; and the same verdict from scores that come from elsewhere."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.logrank import (
    GROUP_COLUMNS,
    PAIRWISE_COLUMNS,
    WEIGHTS,
    LogrankTest,
    event_weights,
    logrank_from_chi_square,
    logrank_from_scores,
    logrank_test,
    pairwise_tests,
    pooled_scores,
    stratum_scores,
    trend_from_scores,
    trend_test,
    weights_text,
)
from mpcstats.stats.p_adjust import p_adjust

from .r_truth import (
    at_risk,
    counts,
    everything,
    numbers,
    records,
    same,
    shipped,
    shipped_counts,
    strata_of,
    stratified_counts,
)

FAMILY: dict[str, dict[str, Any]] = {
    "survdiff_rho0": {"weights": "logrank"},
    "survdiff_rho1_peto_peto": {"weights": "peto-peto-R"},
    "gehan_wilcoxon": {"weights": "wilcoxon"},
    "tarone_ware": {"weights": "tarone-ware"},
    "peto_prentice_S_tilde": {"weights": "peto-peto-lifelines"},
    "fleming_harrington_1_0_leftcont": {"weights": "fleming-harrington", "p": 1},
    "fleming_harrington_0_1_leftcont": {"weights": "fleming-harrington", "q": 1},
    "fleming_harrington_05_05_leftcont": {"weights": "fleming-harrington", "p": 0.5, "q": 0.5},
}
STRATIFIED = {"stratified": "logrank", "stratified_gehan": "wilcoxon"}


def check_against_r(truth: dict[str, Any], test: LogrankTest) -> None:
    """1e-12 relative; p is sharper than chi-square by a factor of about chi-square / 2, so it gets 1e-11."""
    variance = np.array(truth["var"] if "var" in truth else truth["V"])
    scale = np.sqrt(np.diag(variance).max())
    np.testing.assert_allclose(test.variance, variance, rtol=1e-12, atol=1e-13 * scale**2)
    if "U" in truth:
        score = test.table["observed"] - test.table["expected"]
        np.testing.assert_allclose(score, truth["U"], rtol=1e-12, atol=1e-12 * scale)
    else:
        assert test.table["records"].tolist() == truth["n"]
        same(test.table["observed"], truth["obs"])
        same(test.table["expected"], truth["exp"])
    observed, expected = test.table["observed"], test.table["expected"]
    np.testing.assert_allclose(test.table["(O-E)^2/E"], (observed - expected) ** 2 / expected, rtol=1e-12)
    np.testing.assert_allclose(test.table["(O-E)^2/V"], (observed - expected) ** 2 / np.diag(variance), rtol=1e-9)
    assert test.chi_square == pytest.approx(truth["chisq"], rel=1e-12, abs=0)
    assert test.degrees_of_freedom == truth["df"]
    assert test.p_value == pytest.approx(truth["p"], rel=1e-11, abs=0)
    assert test.log_p_value == pytest.approx(math.log(truth["p"]), rel=1e-12, abs=0)


def check_strata(truth: dict[str, Any], test: LogrankTest) -> None:
    assert test.strata is not None
    for name, theirs in (("observed", "strata_obs"), ("expected", "strata_exp")):
        table = np.array(truth[theirs])  # groups by strata
        np.testing.assert_allclose(test.strata[name], table.T.ravel(), rtol=1e-12, atol=1e-14)
    assert test.strata["records"].sum() == test.table["records"].sum()


def check_stratified(entry: dict[str, Any], who: np.ndarray, event: np.ndarray, group: np.ndarray) -> None:
    truth, levels = entry["result"], entry["group_levels"]
    if "strata" in entry:
        events, censored = stratified_counts(who, event, group, strata_of(entry), levels, entry["strata_levels"])
        for name, weights in STRATIFIED.items():
            n = at_risk(events, censored)
            test = logrank_test(events, n, levels, weights=weights, strata=entry["strata_levels"])
            check_against_r(truth[name], test)
        check_strata(truth["stratified"], logrank_test(events, n, levels, strata=entry["strata_levels"]))
    if "stratified_by_row_index_mod_3" in truth:
        row = (np.arange(len(who)) % 3).astype(str)
        events, censored = stratified_counts(who, event, group, row, levels, ["0", "1", "2"])
        test = logrank_test(events, at_risk(events, censored), levels)
        check_against_r(truth["stratified_by_row_index_mod_3"], test)
        check_strata(truth["stratified_by_row_index_mod_3"], test)


@pytest.mark.parametrize("entry", [p for p in shipped("logrank.json") if "strata" not in p.values[0]])
def test_equals_r(entry: dict[str, Any]) -> None:
    events, censored = shipped_counts(entry)
    assert set(FAMILY) <= set(entry["result"])
    for name, how in FAMILY.items():
        check_against_r(entry["result"][name], logrank_test(events, at_risk(events, censored), **how))


@pytest.mark.parametrize("entry", [p for p in shipped("logrank.json") if p.id.startswith("lung")])
def test_stratified_equals_r(entry: dict[str, Any]) -> None:
    check_stratified(entry, *records(entry))


@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    who, event, group = records(entry)
    _, events, censored = counts(who, event, group, entry["group_levels"])
    for name in set(FAMILY) & set(entry["result"]):
        check_against_r(entry["result"][name], logrank_test(events, at_risk(events, censored), **FAMILY[name]))
    check_stratified(entry, who, event, group)


def test_equals_lifelines() -> None:
    from lifelines.statistics import multivariate_logrank_test, pairwise_logrank_test

    rng = np.random.default_rng(11)
    who, event, group = rng.integers(1, 40, 300), rng.random(300) < 0.6, rng.integers(0, 3, 300).astype(str)
    _, events, censored = counts(who.astype(float), event, group, ["0", "1", "2"])
    n = at_risk(events, censored)
    for weights, theirs, more in (
        ("logrank", None, {}),
        ("wilcoxon", "wilcoxon", {}),
        ("tarone-ware", "tarone-ware", {}),
        ("peto-peto-lifelines", "peto", {}),
        ("fleming-harrington", "fleming-harrington", {"p": 0.7, "q": 1.3}),
    ):
        expected = multivariate_logrank_test(who, group, event, weightings=theirs, **more)
        ours = logrank_test(events, n, weights=weights, **more)
        assert ours.chi_square == pytest.approx(expected.test_statistic, rel=1e-9, abs=0), weights
    pairs = pairwise_logrank_test(who, group, event)
    np.testing.assert_allclose(pairwise_tests(events, n)["chi_square"], pairs.test_statistic, rtol=1e-10)


def test_weights_by_hand() -> None:
    d, n = np.array([1.0, 2.0, 1.0]), np.array([8.0, 6.0, 1.0])
    s = [1, 7 / 8, 7 / 8 * 4 / 6]
    assert event_weights("logrank", d, n).tolist() == [1, 1, 1]
    assert event_weights("wilcoxon", d, n).tolist() == [8, 6, 1]
    assert event_weights("tarone-ware", d, n).tolist() == np.sqrt(n).tolist()
    assert event_weights("peto-peto-R", d, n) == pytest.approx(s)
    assert event_weights("peto-peto-lifelines", d, n) == pytest.approx([8 / 9, 8 / 9 * 5 / 7, 8 / 9 * 5 / 7 / 2])
    expected = [x**0.5 * (1 - x) ** 2 for x in s]
    assert event_weights("fleming-harrington", d, n, 0.5, 2) == pytest.approx(expected)
    assert event_weights("fleming-harrington", d, n).tolist() == [1, 1, 1]


def test_every_weight_is_described() -> None:
    assert len({weights_text(name) for name in WEIGHTS}) == len(WEIGHTS)
    assert "0.5" in weights_text("fleming-harrington", 0.5, 1)


@pytest.mark.parametrize("name", WEIGHTS)
def test_last_person_at_risk_has_the_event(name: str) -> None:
    """Who is alone at risk adds as much to the expected as to the observed events, and no variance."""
    events = np.array([[0, 0, 1, 1], [0, 1, 0, 0]])
    n = at_risk(events, np.zeros_like(events))
    assert n[:, 3].tolist() == [1, 0]
    test = logrank_test(events, n, weights=name)
    # at 1 two against one, then 1 is alone: its events are certain
    w = event_weights(name, np.ones(3), np.array([3.0, 2.0, 1.0]))[0]
    assert test.variance[0, 0] == pytest.approx(w * w * 2 / 9)
    difference = float((test.table["observed"] - test.table["expected"]).iloc[0])
    assert difference == pytest.approx(-w * 2 / 3)
    if w:
        assert test.chi_square == pytest.approx(2)


def test_mpycs_demonstration_is_wrong_where_the_last_person_has_the_event() -> None:
    """Seven people of alternating groups, the fifth censored, the last one with the event: 0.3651.

    With the last term taken as d_1 - 0 instead of d_1 - d n_1 / n, as in MPyC's demonstration, it would be 0.0874.
    """
    events = np.array([[0, 1, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 1, 0]])
    censored = np.array([[0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
    test = logrank_test(events, at_risk(events, censored))
    expected = 4 / 7 + 3 / 6 + 3 / 5 + 2 / 4 + 1 / 2 + 1
    variance = 12 / 49 + 1 / 4 + 6 / 25 + 1 / 4 + 1 / 4
    assert test.table["expected"].iloc[0] == pytest.approx(expected)
    assert test.chi_square == pytest.approx((3 - expected) ** 2 / variance, rel=1e-14, abs=0)
    assert round(test.chi_square, 4) == 0.3651
    assert round((3 - expected + 1) ** 2 / variance, 4) == 0.0874


def test_a_weight_of_zero_removes_a_time() -> None:
    """Fleming-Harrington (0, 1) gives the first event time weight 0: a group gone by then leaves the test."""
    events = np.array([[0, 1, 1, 1], [0, 1, 2, 0], [0, 1, 0, 0]])
    n = at_risk(events, np.zeros_like(events))
    test = logrank_test(events, n, weights="fleming-harrington", q=1)
    assert test.table["expected"].iloc[2] == 0
    assert test.degrees_of_freedom == 1
    assert np.isnan(test.table["(O-E)^2/E"].iloc[2])
    assert logrank_test(events, n).degrees_of_freedom == 2


@pytest.mark.parametrize("name", WEIGHTS)
def test_edges(name: str) -> None:
    none = np.zeros((3, 5), int)
    all_censored = logrank_test(none, np.full((3, 5), 2), weights=name)
    assert (all_censored.chi_square, all_censored.degrees_of_freedom, all_censored.p_value) == (0, 0, 1)
    nobody = logrank_test(none, none, weights=name)
    assert nobody.p_value == 1
    events = np.array([[0, 4, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]])
    censored = np.array([[0, 1, 1, 0], [0, 2, 0, 3], [0, 0, 0, 0]])
    test = logrank_test(events, at_risk(events, censored), weights=name)  # no events in one, nobody in another
    assert test.degrees_of_freedom == 1
    assert test.chi_square > 0
    assert test.table["records"].tolist() == [8, 5, 0]
    tied = logrank_test([[3], [1]], [[5], [5]], weights=name)  # all at one time
    if name == "fleming-harrington":
        assert tied.chi_square == pytest.approx(5 * 1 / (4 * 0.25 * 6 / 9) / 5)
    else:
        assert tied.chi_square == pytest.approx(1 / (4 * 0.25 * 6 / 9))


def test_a_stratum_with_one_group_alone_adds_nothing() -> None:
    events = np.array([[[0, 1, 2], [0, 3, 1]], [[0, 4, 1], [0, 0, 0]]])
    censored = np.array([[[0, 1, 2], [0, 0, 2]], [[0, 1, 1], [0, 0, 0]]])
    n = at_risk(events, censored)
    both, one = logrank_test(events, n, strata=["a", "b"]), logrank_test(events[0], n[0])
    assert both.chi_square == pytest.approx(one.chi_square, rel=1e-14, abs=0)
    assert both.strata is not None
    assert both.strata["stratum"].tolist() == ["a", "a", "b", "b"]
    assert both.strata.iloc[2]["observed"] == both.strata.iloc[2]["expected"] == 5
    assert one.strata is None


def test_strata_in_which_no_two_groups_meet_give_no_test() -> None:
    events = np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]])
    test = logrank_test(events, at_risk(events, np.zeros_like(events)))
    assert math.isnan(test.chi_square)
    assert math.isnan(test.log_p_value)


def test_groups_that_are_compared_in_different_strata_only_give_no_test() -> None:
    """a meets b in one stratum, c meets d in the other: R stops here, rounding must not make a test of it."""
    rng = np.random.default_rng(12)
    for _ in range(50):
        events, censored = rng.integers(0, 5, (2, 2, 4, 30))
        for cells in (events, censored):
            cells[0, 2:] = cells[1, :2] = 0
        test = logrank_test(events, at_risk(events, censored), weights="tarone-ware")
        assert test.degrees_of_freedom == 3
        assert math.isnan(test.chi_square)


def test_groups_that_meet_by_way_of_a_third_are_tested() -> None:
    """a and c are never in one stratum, b is in both."""
    rng = np.random.default_rng(13)
    events, censored = rng.integers(0, 5, (2, 2, 3, 30))
    for cells in (events, censored):
        cells[0, 2] = cells[1, 0] = 0
    test = logrank_test(events, at_risk(events, censored))
    u, v = (test.table["observed"] - test.table["expected"]).to_numpy(), test.variance
    assert v[0, 2] == 0
    assert test.degrees_of_freedom == 2
    assert test.chi_square == pytest.approx(u @ np.linalg.pinv(v) @ u, rel=1e-9, abs=0)


CELLS = hnp.arrays(np.int64, (2, 2, 3, 6), elements=st.integers(0, 4))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(CELLS, st.sampled_from(WEIGHTS))
def test_the_verdict_is_the_same_from_scores_alone(cells: np.ndarray, name: str) -> None:
    """What is computed on shares ends in the same step: U and V are enough, O and E are for the table."""
    events, censored = cells
    n = at_risk(events, censored)
    direct = logrank_test(events, n, ["a", "b", "c"], weights=name)
    total = pooled_scores([stratum_scores(d, m, name) for d, m in zip(events, n, strict=True)])
    if not math.isnan(direct.chi_square):
        alone = logrank_from_scores(total.score, total.variance, groups=["a", "b", "c"])
        assert alone.degrees_of_freedom == direct.degrees_of_freedom
        assert alone.chi_square == pytest.approx(direct.chi_square, rel=1e-9, abs=1e-12)
        assert alone.p_value == pytest.approx(direct.p_value, rel=1e-6)
        np.testing.assert_allclose(alone.table["(O-E)^2/V"], direct.table["(O-E)^2/V"], rtol=1e-6, atol=1e-12)
        assert alone.table[["records", "observed", "expected", "(O-E)^2/E"]].isna().all(axis=None)
        assert tuple(alone.table.columns) == tuple(direct.table.columns) == GROUP_COLUMNS
    assert float(total.score.sum()) == pytest.approx(0, abs=1e-9)


def test_fixed_point_noise_is_no_variance() -> None:
    """A third group that was never at risk, with entries of the size of the arithmetic's error."""
    noise = 1e-10
    variance = np.array([[2.0, -2.0, noise], [-2.0, 2.0, -noise], [noise, -noise, noise]])
    test = logrank_from_scores([1.0, -1.0, noise], variance, resolution=1e-9)
    assert test.degrees_of_freedom == 1
    assert test.chi_square == pytest.approx(0.5)
    assert test.table["(O-E)^2/V"].isna().tolist() == [False, False, True]
    singular = logrank_from_scores([1.0, -1.0], np.full((2, 2), 5e-10) * [[1, -1], [-1, 1]], resolution=1e-9)
    assert (singular.degrees_of_freedom, singular.p_value) == (0, 1)
    known = logrank_from_scores([0.0, 0.0], np.full((2, 2), noise), expected=[1.0, 2.0], resolution=1e-9)
    assert math.isnan(known.chi_square)


def test_only_chi_square_was_opened() -> None:
    test = logrank_from_chi_square(10.326741954885632, 1, ["1", "2"], [138, 90])
    assert test.p_value == pytest.approx(0.0013111645203554882, rel=1e-12, abs=0)
    assert test.log_p_value == pytest.approx(math.log(0.0013111645203554882), rel=1e-12, abs=0)
    assert test.table["records"].tolist() == [138, 90]
    assert tuple(test.table.columns) == GROUP_COLUMNS
    assert test.table[["observed", "expected", "(O-E)^2/E", "(O-E)^2/V"]].isna().all(axis=None)
    assert np.isnan(test.variance).all()


def test_trend_of_the_larynx_cohort() -> None:
    """Klein and Moeschberger 2003, example 7.6: stages 1 to 4, z = 3.72. Times in tenths of a year."""
    deaths = {
        1: [6, 13, 24, 32, 33, 35, 35, 40, 40, 43, 53, 60, 64, 65, 74],
        2: [2, 18, 20, 36, 40, 62, 70],
        3: [3, 3, 5, 7, 8, 10, 13, 16, 18, 19, 19, 32, 35, 50, 63, 64, 78],
        4: [1, 3, 4, 8, 8, 10, 15, 20, 23, 36, 38],
    }
    alive = {
        1: [25, 32, 33, 45, 45, 55, 59, 59, 61, 62, 65, 67, 70, 74, 81, 81, 96, 107],
        2: [22, 26, 33, 36, 43, 43, 50, 75, 76, 93],
        3: [37, 45, 48, 48, 50, 51, 65, 80, 93, 101],
        4: [29, 43],
    }
    events, censored = (
        np.array([np.bincount(part[stage], minlength=108) for stage in (1, 2, 3, 4)]) for part in (deaths, alive)
    )
    n = at_risk(events, censored)
    test = trend_test(events, n)
    assert round(test.z, 2) == 3.72
    assert (test.degrees_of_freedom, test.chi_square) == (1, pytest.approx(test.z**2))
    assert trend_test(events, n, [10, 20, 30, 40]).z == pytest.approx(test.z, rel=1e-12, abs=0)
    assert trend_test(events, n, [4, 3, 2, 1]).z == pytest.approx(-test.z, rel=1e-12, abs=0)
    assert trend_test(events, n, [0, 0, 1, 1]).chi_square == pytest.approx(
        logrank_test(events.reshape(2, 2, -1).sum(1), n.reshape(2, 2, -1).sum(1)).chi_square, rel=1e-12
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_trend_of_two_groups_is_the_test_itself(name: str) -> None:
    rng = np.random.default_rng(4)
    events, censored = rng.integers(0, 3, (2, 3, 2, 12))
    n = at_risk(events, censored)
    trend, test = trend_test(events, n, weights=name), logrank_test(events, n, weights=name)
    assert trend.chi_square == pytest.approx(test.chi_square, rel=1e-12, abs=0)
    assert trend.p_value == pytest.approx(test.p_value, rel=1e-10)
    assert trend.log_p_value == pytest.approx(test.log_p_value, rel=1e-10)
    u = test.table["observed"] - test.table["expected"]
    assert trend_from_scores(u, test.variance).z == pytest.approx(trend.z)
    assert (trend.z > 0) == (u.iloc[1] > 0)


def test_trend_without_a_test_and_wrong_scores() -> None:
    events = np.zeros((3, 4), int)
    nothing = trend_test(events, np.full((3, 4), 2))
    assert math.isnan(nothing.z)
    assert math.isnan(nothing.p_value)
    alone = np.array([[1, 2, 1], [0, 0, 0]])
    assert math.isnan(trend_test(alone, at_risk(alone, np.zeros_like(alone))).z)
    with pytest.raises(SpecError, match="differ"):
        trend_test(events, events, [1, 1, 1])
    with pytest.raises(RangeError, match="fit"):
        trend_test(events, events, [1, 2])


@pytest.mark.parametrize("adjust", ["holm", "bonferroni", "BH"])
def test_pairs_are_tests_of_two_groups(adjust: str) -> None:
    rng = np.random.default_rng(6)
    events, censored = rng.integers(0, 4, (2, 2, 4, 10))
    n = at_risk(events, censored)
    found = pairwise_tests(events, n, ["a", "b", "c", "d"], adjust=adjust, weights="tarone-ware")
    assert tuple(found.columns) == PAIRWISE_COLUMNS
    assert found[["group_1", "group_2"]].to_numpy().tolist() == [
        list(pair) for pair in ("ab", "ac", "ad", "bc", "bd", "cd")
    ]
    pair = logrank_test(events[:, [1, 3]], n[:, [1, 3]], weights="tarone-ware")
    assert found["chi_square"].iloc[4] == pair.chi_square
    np.testing.assert_array_equal(found["p_adjusted"], p_adjust(found["p_value"], adjust))
    np.testing.assert_allclose(np.exp(found["log_p_adjusted"]), found["p_adjusted"], rtol=1e-12)


def test_a_pair_without_events_is_not_counted() -> None:
    events = np.array([[0, 3, 1], [0, 0, 0], [0, 0, 0]])
    censored = np.array([[0, 1, 1], [0, 0, 4], [0, 1, 4]])
    found = pairwise_tests(events, at_risk(events, censored), ["a", "b", "c"], adjust="bonferroni")
    assert found["p_value"].isna().tolist() == [False, False, True]
    assert found["p_adjusted"].iloc[0] == pytest.approx(2 * found["p_value"].iloc[0])


def test_tiny_p_values_keep_their_logarithm() -> None:
    events = np.array([[0, 900, 0, 90], [0, 0, 0, 1000], [0, 0, 10, 1000]]) * 100
    found = pairwise_tests(events, at_risk(events, np.zeros_like(events)))
    assert found["p_adjusted"].iloc[0] == 0
    assert found["log_p_adjusted"].iloc[0] < -1000
    assert np.isfinite(found["log_p_adjusted"]).all()


def test_a_hundred_thousand_times_are_fast() -> None:
    rng = np.random.default_rng(9)
    events, censored = rng.integers(0, 3, (2, 3, 100_000))
    n = at_risk(events, censored)
    began = time.process_time()
    found = [logrank_test(events, n, weights=name) for name in WEIGHTS]
    assert time.process_time() - began < 3  # 0.3 s without a loop over times
    assert all(math.isfinite(test.chi_square) for test in found)


def test_wrong_requests_are_refused() -> None:
    events = np.array([[1, 0], [0, 1]])
    n = at_risk(events, np.zeros_like(events))
    for name in ("peto", "peto-peto"):
        with pytest.raises(SpecError, match="peto-peto-R or peto-peto-lifelines"):
            logrank_test(events, n, weights=name)
    with pytest.raises(SpecError, match="tarone-ware"):
        logrank_test(events, n, weights="gehan")
    with pytest.raises(SpecError, match="0 or more"):
        logrank_test(events, n, weights="fleming-harrington", p=-1)
    with pytest.raises(RangeError, match="records"):
        logrank_test(events, n, records=[1])
    with pytest.raises(RangeError, match="2 names for 1 strata"):
        logrank_test(events[None], n[None], strata=["a", "b"])
    with pytest.raises(RangeError, match="names"):
        logrank_test(events, n, ["only one"])
    with pytest.raises(RangeError, match="covariance"):
        logrank_from_scores([1.0, -1.0], [[1.0]])
    with pytest.raises(RangeError, match="no strata"):
        pooled_scores([])
    assert numbers([None, "Infinity"])[1] == math.inf
