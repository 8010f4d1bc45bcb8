"""Cumulative incidence and Gray's test from counts: R's digits, and cases worked out by hand or by brute force."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.competing_risks.gray import gray_test
from mpcstats.stats.competing_risks.incidence import (
    INCIDENCE_COLUMNS,
    incidence_at,
    incidence_table,
    incidence_tables,
    rounded_incidence_tables,
)
from mpcstats.stats.kaplan_meier import survival_table
from mpcstats.stats.lattice import at_risk_counts
from mpcstats.stats.logrank import logrank_test

from .competing_truth import cohort, columns_of
from .r_truth import everything, same, shipped, text

ENTRIES = shipped("competing_risks.json") + everything("competing_risks.json")


@pytest.mark.parametrize("entry", ENTRIES)
def test_incidence_equals_r(entry: dict[str, Any]) -> None:
    people, truth = cohort(entry), entry["result"]
    events, censored = (x.sum(axis=-2, keepdims=True) for x in people.counts())
    at_risk = at_risk_counts(events.sum(axis=0), censored)[0]
    table = incidence_table(people.times, at_risk, events[:, 0], censored[0], causes=people.causes)
    shown = np.isin(people.times, truth["table"]["time"])  # long tables of the truth leave rows out
    for k, cause in enumerate(people.causes):
        part = table[table["cause"] == cause][shown]
        assert part["time"].tolist() == truth["table"]["time"]
        assert part["at_risk"].tolist() == truth["table"]["n_risk"]
        assert part["events"].tolist() == columns_of(truth["table"]["n_event"], [k])[0]
        for ours, theirs in (
            ("incidence", "pstate"),
            ("standard_error", "std_err"),
            ("lower", "lower_log"),
            ("upper", "upper_log"),
        ):
            same(part[ours], columns_of(truth["table"][theirs], [k + 1])[0], rtol=1e-12)


@pytest.mark.parametrize("entry", ENTRIES)
def test_incidence_by_group_and_the_event_free_equal_r(entry: dict[str, Any]) -> None:
    people, truth = cohort(entry), entry["result"]
    names = [text(level) for level in people.levels]
    events, censored = people.counts()
    lattice = np.zeros((len(people.causes), len(names), int(people.times[-1]) + 1), np.int64)
    late = np.zeros(lattice.shape[1:], np.int64)
    lattice[:, :, people.times.astype(int)], late[:, people.times.astype(int)] = events, censored
    tables = incidence_tables(lattice, late, causes=people.causes, groups=names)
    times = truth["at_times"]["times"]
    for group in truth["by_group_at_times"]:
        name = text(group["group_value"])
        part = tables["incidence"][tables["incidence"]["group"] == name]
        assert tables["causes"].set_index(["group", "cause"]).loc[(name, people.causes[0]), "records"] == group["n"]
        at = incidence_at(part, times)
        for k, cause in enumerate(people.causes):
            found = at[at["cause"] == cause]
            same(found["incidence"], columns_of(group["pstate"], [k + 1])[0])
            same(found["standard_error"], columns_of(group["std_err"], [k + 1])[0])
        free = tables["event_free"][tables["event_free"]["group"] == name]
        place = np.searchsorted(free["time"], times, side="right")
        for ours, theirs, before in (("survival", "pstate", 1.0), ("standard_error", "std_err", 0.0)):
            theirs_at = np.array(columns_of(group[theirs], [0])[0], float)
            ours_at = np.concatenate([[before], free[ours]])[place]
            alive = ~np.isnan(ours_at)  # our curve has no standard error once S is 0
            np.testing.assert_allclose(ours_at[alive], theirs_at[alive], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("entry", ENTRIES)
def test_variance_of_cmprsk(entry: dict[str, Any]) -> None:
    people, truth = cohort(entry), entry["result"]["cmprsk_cuminc_overall"]
    events, censored = (x.sum(axis=-2, keepdims=True) for x in people.counts())
    at_risk = at_risk_counts(events.sum(axis=0), censored)[0]
    table = incidence_table(people.times, at_risk, events[:, 0], censored[0], causes=people.causes, variance="gray")
    at = incidence_at(table, truth["times"])
    for k, cause in enumerate(people.causes):
        found = at[at["cause"] == cause]
        same(found["incidence"], truth["est"][k])
        same(found["standard_error"] ** 2, truth["var"][k])


@pytest.mark.parametrize("entry", ENTRIES)
def test_gray_equals_r(entry: dict[str, Any]) -> None:
    people, truth = cohort(entry), entry["result"]["gray_test"]
    events, censored = people.counts()
    for k in range(len(people.causes)):
        test = gray_test(events, censored, k, groups=[str(level) for level in people.levels])
        assert test.chi_square == pytest.approx(truth["stat"][k], rel=1e-11)
        assert test.p_value == pytest.approx(truth["p"][k], rel=1e-11)
        assert test.log_p_value == pytest.approx(math.log(truth["p"][k]), rel=1e-11)
        assert test.degrees_of_freedom == truth["df"][k]
        assert test.table["observed"].sum() == events[k].sum()


# ---------------------------------------------------------------- incidence


def test_by_hand() -> None:
    """Ten people: 2 leave by a and 1 by b of 10, 1 is censored, then 1 by b of 6; F_b = 1/10 + 7/10 / 6."""
    table = incidence_table([1, 2], [10, 6], [[2, 0], [1, 1]], [1, 0], causes=["a", "b"], conf_type="plain")
    assert list(table.columns) == list(INCIDENCE_COLUMNS)
    assert table["incidence"].tolist() == pytest.approx([0.2, 0.2, 0.1, 0.1 + 0.7 / 6])
    assert table["cumulative_hazard"].tolist() == pytest.approx([0.2, 0.2, 0.1, 0.1 + 1 / 6])
    assert table["standard_error"].iloc[0] == pytest.approx(math.sqrt(0.2 * 0.8 / 10))
    # cov(S, F_b) after the first time is -S F_b / n
    variance = 0.09 / 10 + 2 / 6 * (-0.7 * 0.1 / 10) + 0.21 / 10 / 36 + 0.49 * 5 / 36 / 6
    assert table["standard_error"].iloc[3] == pytest.approx(math.sqrt(variance), rel=1e-14)


def people_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time and status of everybody behind counts (K+1, T), censorings last."""
    kind, time = (np.repeat(place.ravel(), cells.ravel()) for place in np.indices(cells.shape))
    return time, np.where(kind == len(cells) - 1, 0, kind + 1)


def influences(time: np.ndarray, status: np.ndarray, causes: int, horizon: int) -> np.ndarray:
    """What one person more or less changes in each F_k(t): the infinitesimal jackknife, person by person. (n, K, T)."""
    n = len(time)
    free, curves, survival = np.zeros(n), np.zeros((n, causes)), 1.0
    result = np.zeros((n, causes, horizon))
    for t in range(horizon):
        at = time >= t
        if at.any():
            hazards = np.array([np.sum((time == t) & (status == k + 1)) for k in range(causes)]) / at.sum()
            change = (
                np.stack([((time == t) & (status == k + 1)) - at * hazards[k] for k in range(causes)], 1) / at.sum()
            )
            curves = curves + free[:, None] * hazards + survival * change
            free = free * (1 - hazards.sum()) - survival * change.sum(axis=1)
            survival *= 1 - hazards.sum()
        result[:, :, t] = curves
    return result


@settings(derandomize=True, deadline=None, max_examples=25)
@given(hnp.arrays(np.int64, (4, 9), elements=st.integers(0, 3)))
def test_standard_error_is_the_infinitesimal_jackknife(cells: np.ndarray) -> None:
    time, status = people_of(cells)
    if len(time) == 0:
        return
    tables = incidence_tables(cells[:3, None], cells[3:], causes=["a", "b", "c"])
    errors = np.sqrt(np.sum(influences(time, status, 3, 9) ** 2, axis=0))
    for k, cause in enumerate("abc"):
        part = tables["incidence"][tables["incidence"]["cause"] == cause]
        np.testing.assert_allclose(part["standard_error"], errors[k, part["time"].astype(int)], rtol=1e-9, atol=1e-8)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(hnp.arrays(np.int64, (4, 2, 12), elements=st.integers(0, 3)))
def test_causes_and_the_event_free_add_up_to_one(cells: np.ndarray) -> None:
    tables = incidence_tables(cells[:3], cells[3], causes=["a", "b", "c"], groups=["x", "y"], conf_type="log-log")
    wide = tables["incidence"].pivot(index=["group", "time"], columns="cause", values="incidence")
    free = tables["event_free"].set_index(["group", "time"])["survival"]
    np.testing.assert_allclose(wide.sum(axis=1) + free, 1, rtol=1e-12)
    assert (tables["incidence"].groupby(["group", "cause"])["incidence"].diff().dropna() >= 0).all()
    limits = tables["incidence"].dropna()
    assert (limits["lower"] <= limits["incidence"]).all()
    assert (limits["incidence"] <= limits["upper"]).all()


def test_a_single_cause_is_one_minus_kaplan_meier() -> None:
    rng = np.random.default_rng(5)
    d, c = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
    n = at_risk_counts(d, c)
    ours = incidence_table(np.arange(30), n, d[None], c, causes=["dead"], conf_type="plain")
    curve = survival_table(np.arange(30), n, d, c, "plain")
    np.testing.assert_allclose(ours["incidence"], 1 - curve["survival"], rtol=1e-12)
    alive = curve["survival"] > 0
    np.testing.assert_allclose(ours["standard_error"][alive.to_numpy()], curve["standard_error"][alive], rtol=1e-10)


def test_late_entries_equal_products_over_people() -> None:
    """Entry and exit of 60 people; the covariance of the state probabilities by matrices, time by time."""
    rng = np.random.default_rng(11)
    entry = rng.integers(0, 15, 60)
    entry[:20] = 0
    leave = entry + rng.integers(1, 16, 60)
    status = rng.integers(0, 3, 60)
    events, censored, entries = np.zeros((2, 1, 31), int), np.zeros((1, 31), int), np.zeros((1, 31), int)
    np.add.at(entries[0], entry, 1)
    np.add.at(censored[0], leave[status == 0], 1)
    for k in (1, 2):
        np.add.at(events[k - 1, 0], leave[status == k], 1)
    table = incidence_tables(events, censored, entries, causes=["a", "b"])["incidence"]
    state, covariance = np.array([1.0, 0.0, 0.0]), np.zeros((3, 3))
    for t in range(31):
        size = int(np.sum((entry < t) & (leave >= t)))
        if size == 0:
            continue
        hazards = np.array([np.sum((leave == t) & (status == k)) for k in (1, 2)]) / size
        move = np.eye(3)
        move[0] = [1 - hazards.sum(), *hazards]
        noise = np.diag([1 - hazards.sum(), *hazards]) - np.outer(move[0], move[0])
        covariance = move.T @ covariance @ move + state[0] ** 2 * noise / size
        state = state @ move
        for k, cause in enumerate("ab"):
            row = table[(table["cause"] == cause) & (table["time"] == t)]
            if len(row):
                assert row["at_risk"].item() == size
                assert row["incidence"].item() == pytest.approx(state[k + 1], rel=1e-12, abs=1e-15)
                assert row["standard_error"].item() == pytest.approx(
                    math.sqrt(covariance[k + 1, k + 1]), rel=1e-9, abs=1e-15
                )


def test_edges() -> None:
    gone = incidence_tables([[[0, 3]], [[0, 2]]], [[0, 0]], causes=["a", "b"])
    assert gone["incidence"]["incidence"].tolist() == [0.6, 0.4]
    assert gone["event_free"]["survival"].tolist() == [0]
    nobody = incidence_tables([[[0, 0]], [[0, 0]]], [[0, 0]], causes=["a", "b"])
    assert nobody["incidence"].empty
    assert nobody["causes"]["events"].tolist() == [0, 0]
    censored = incidence_table([1, 2], [5, 2], [[0, 0]], [3, 2], causes=["a"])
    assert censored["incidence"].tolist() == [0, 0]
    assert censored[["lower", "upper"]].isna().all(axis=None)
    only = incidence_table([0, 7], [4, 2], [[1, 1], [0, 1]], [1, 0], causes=["a", "b"], variance="gray")
    assert only["incidence"].tolist() == [0.25, 0.625, 0, 0.375]
    assert np.isfinite(only["standard_error"]).all()


def test_many_times_keep_their_digits() -> None:
    """Without censoring F_k is a share of the people, with the binomial standard error."""
    d = np.tile([[3], [2]], (1, 20_000))
    n = at_risk_counts(d.sum(axis=0), np.zeros(20_000, int))
    table = incidence_table(np.arange(20_000), n, d, np.zeros(20_000, int), causes=["a", "b"])
    share = np.cumsum(d[0]) / n[0]
    ours = table[table["cause"] == "a"]
    np.testing.assert_allclose(ours["incidence"], share, rtol=1e-11)
    np.testing.assert_allclose(ours["standard_error"], np.sqrt(share * (1 - share) / n[0]), rtol=1e-9)


def test_readings_between_and_beyond_the_rows() -> None:
    table = incidence_table([2, 5], [10, 6], [[1, 2]], [3, 4], causes=["a"])
    at = incidence_at(table, [0, 2, 4.9, 5, 9])
    assert at["incidence"].tolist() == pytest.approx([0, 0.1, 0.1, 0.4, 0.4])
    assert at["standard_error"].iloc[0] == 0
    assert np.isnan(at["lower"].iloc[0])
    cut = incidence_at(table, [4, 9], truncated=True)
    assert np.isnan(cut["incidence"].iloc[1])
    assert cut["incidence"].iloc[0] == pytest.approx(0.1)


def test_rounding_to_one_changes_nothing() -> None:
    cells = np.array([[[3, 0, 2], [1, 1, 0]], [[0, 2, 1], [0, 1, 4]], [[1, 0, 2], [0, 0, 3]]])
    people = cells.sum(axis=(0, 2))
    total = cells.cumsum(axis=2)
    rounded = rounded_incidence_tables(
        [1, 2, 3], people, total[:2], total[2], [3, 3], causes=["a", "b"], groups=["x", "y"]
    )
    lattice = np.concatenate([np.zeros((3, 2, 1), int), cells], axis=2)
    exact = incidence_tables(lattice[:2], lattice[2], causes=["a", "b"], groups=["x", "y"])
    for name in ("incidence", "event_free"):
        pd.testing.assert_frame_equal(exact[name], rounded[name])


def test_rounded_tables_show_nothing_beyond_the_cut_and_hide_groups() -> None:
    total = np.array([[[7, 12, 999], [0, 0, 0]], [[0, 7, 999], [0, 0, 0]]])
    tables = rounded_incidence_tables(
        [30, 60, 90], [100, 0], total, [[0, 7, 7], [0, 0, 0]], [2, 0], causes=["a", "b"], groups=["x", "y"]
    )
    shown = tables["incidence"]
    assert shown["time"].tolist() == [30, 60, 30, 60]
    assert shown["at_risk"].tolist() == [100, 93, 100, 93]
    assert shown["events"].tolist() == [7, 5, 0, 7]
    assert shown["incidence"].tolist() == pytest.approx([0.07, 0.07 + 0.93 * 5 / 93, 0, 0.93 * 7 / 93])
    assert set(tables["event_free"]["group"]) == {"x"}
    assert tables["causes"]["records"].isna().tolist() == [False, False, True, True]


def test_wrong_requests_and_impossible_counts_are_refused() -> None:
    good = ([1, 2], [5, 2], [[1, 1]], [2, 1])
    with pytest.raises(SpecError, match="gray"):
        incidence_table(*good, causes=["a"], variance="delta")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="log-log"):
        incidence_table(*good, causes=["a"], conf_type="loglog")
    with pytest.raises(RangeError, match="1 of 2 times"):
        incidence_table([1, 2], [5, 2], [[6, 1]], [0, 1], causes=["a"])
    with pytest.raises(RangeError, match="2 causes"):
        incidence_table(*good, causes=["a", "b"])
    with pytest.raises(RangeError, match="1 people enter and 2 leave"):
        incidence_tables([[[0, 1]]], [[0, 1]], [[1, 0]], causes=["a"])
    with pytest.raises(RangeError, match="decrease"):
        rounded_incidence_tables([1, 2], [9], [[[5, 4]]], [[0, 0]], [2], causes=["a"])


# ---------------------------------------------------------------- Gray's test


def test_without_competing_events_the_scores_are_those_of_the_logrank_test() -> None:
    rng = np.random.default_rng(3)
    events, censored = rng.integers(0, 3, (1, 3, 15)), rng.integers(0, 3, (3, 15))
    ours = gray_test(events, censored, 0)
    theirs = logrank_test(events[0], at_risk_counts(events.sum(axis=0), censored))
    np.testing.assert_allclose(ours.table["score"], theirs.table["observed"] - theirs.table["expected"], rtol=1e-11)


def test_scores_add_up_to_zero_and_the_order_of_groups_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    events, censored = rng.integers(0, 3, (2, 4, 20)), rng.integers(0, 2, (4, 20))
    test = gray_test(events, censored, 1, rho=1)
    assert test.table["score"].sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(test.variance.sum(axis=0), 0, atol=1e-12)
    turned = gray_test(events[:, ::-1], censored[::-1], 1, rho=1)
    assert turned.chi_square == pytest.approx(test.chi_square, rel=1e-10)
    assert test.degrees_of_freedom == 3


def test_chi_square_is_as_large_as_its_degrees_of_freedom_when_groups_are_alike() -> None:
    """200 cohorts of 3 x 60 people: mean 2 (standard error 0.14), and 5% beyond the 95% point (1.5%)."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(200):
        time, cause, group = rng.exponential(10, 180), rng.integers(1, 3, 180), np.repeat(np.arange(3), 60)
        leave = rng.uniform(0, 25, 180)
        place = np.minimum(time, leave).astype(int)
        kind = np.where(time <= leave, cause, 0)
        cells = np.zeros((3, 3, 26), int)
        np.add.at(cells, (kind, group, place), 1)
        found.append(gray_test(cells[1:], cells[0], 0).chi_square)
    assert np.mean(found) == pytest.approx(2, abs=0.4)
    assert np.mean(np.array(found) > 5.99) == pytest.approx(0.05, abs=0.04)


def test_strata_add_up() -> None:
    rng = np.random.default_rng(6)
    events, censored = rng.integers(0, 3, (2, 2, 20)), rng.integers(0, 2, (2, 20))
    one = gray_test(events, censored, 0)
    twice = gray_test(np.stack([events, events]), np.stack([censored, censored]), 0)
    assert twice.chi_square == pytest.approx(2 * one.chi_square, rel=1e-12)
    # a group of another level does not matter once it is compared within strata
    empty = np.zeros_like(events)
    empty[:, 0] = events[:, 0]
    alone = gray_test(np.stack([events, empty]), np.stack([censored, censored * [[1], [0]]]), 0)
    assert alone.chi_square == pytest.approx(one.chi_square, rel=1e-12)


def test_groups_without_people_and_causes_without_events() -> None:
    rng = np.random.default_rng(7)
    events, censored = rng.integers(0, 3, (2, 3, 12)), rng.integers(0, 2, (3, 12))
    events[:, 1] = censored[1] = 0
    test = gray_test(events, censored, 0)
    assert test.degrees_of_freedom == 1
    kept = gray_test(events[:, [0, 2]], censored[[0, 2]], 0)
    assert test.chi_square == pytest.approx(kept.chi_square, rel=1e-12)
    events[0] = 0
    none = gray_test(events, censored, 0)
    assert math.isnan(none.chi_square)
    assert math.isnan(none.p_value)
    events[:, 2] = censored[2] = 0
    alone = gray_test(events, censored, 1)
    assert (alone.chi_square, alone.degrees_of_freedom, alone.p_value) == (0.0, 0, 1.0)


def test_the_last_people_at_risk_have_the_event() -> None:
    """Nobody is left: the survival of a group is 0 and nothing is divided by it."""
    test = gray_test([[[0, 1, 2], [0, 2, 0]], [[1, 0, 0], [0, 0, 1]]], [[0, 0, 0], [1, 0, 0]], 0)
    assert np.isfinite([test.chi_square, test.p_value]).all()
    assert np.isfinite(test.variance).all()


def test_gray_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(RangeError, match="two groups"):
        gray_test(np.ones((2, 1, 4), int), np.ones((1, 4), int), 0)
    with pytest.raises(SpecError, match="cause number 2"):
        gray_test(np.ones((2, 2, 4), int), np.ones((2, 4), int), 2)
    with pytest.raises(RangeError):
        gray_test(-np.ones((2, 2, 4), int), np.ones((2, 4), int), 0)
