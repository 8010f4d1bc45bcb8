"""Kaplan-Meier from counts: R's digits, lifelines as second oracle, every edge."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.kaplan_meier import (
    CONFIDENCE_TYPES,
    ROUNDED_NOTE,
    TABLE_COLUMNS,
    at_risk_at,
    lattice_times,
    quantiles,
    rounded_survival_table,
    rounded_tables,
    survival_table,
    tables_from_counts,
)

from .r_truth import at_risk, counts, everything, numbers, records, same, shipped


def check_against_r(entry: dict[str, Any], times: np.ndarray, n: np.ndarray, d: np.ndarray, c: np.ndarray) -> None:
    truth = entry["result"]["table"]
    shown = np.searchsorted(times[(d > 0) | (c > 0)], numbers(truth["time"]) - 1e-9)
    for conf_type in CONFIDENCE_TYPES:
        table = survival_table(times, n, d, c, conf_type)
        assert tuple(table.columns) == TABLE_COLUMNS
        assert len(table) == entry["result"]["n_distinct_times"]
        rows = table.iloc[shown]
        for ours, theirs in (
            ("time", "time"),
            ("at_risk", "n_risk"),
            ("events", "n_event"),
            ("censored", "n_censor"),
            ("survival", "surv"),
            ("standard_error", "std_err_surv"),
            ("lower", f"lower_{conf_type}"),
            ("upper", f"upper_{conf_type}"),
        ):
            same(rows[ours], truth[theirs])
        if conf_type in entry["result"]["quantiles"]:
            expected = entry["result"]["quantiles"][conf_type]
            found = quantiles(table, expected["prob"])
            for column in ("quantile", "lower", "upper"):
                same(found[column], expected[column])
    rows = survival_table(times, n, d, c, "log-log", 0.99).iloc[shown]
    same(rows["lower"], truth["lower_log-log_99"])
    same(rows["upper"], truth["upper_log-log_99"])


@pytest.mark.parametrize("entry", shipped("survfit.json"))
def test_equals_r(entry: dict[str, Any]) -> None:
    table = entry["result"]["table"]
    n, d, c = (numbers(table[name]).astype(np.int64) for name in ("n_risk", "n_event", "n_censor"))
    assert n[0] == entry["result"]["n"]
    check_against_r(entry, numbers(table["time"]), n, d, c)


@pytest.mark.parametrize("entry", everything("survfit.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    time, event, _ = records(entry)
    times, events, censored = counts(time, event, np.full(len(time), "all"), ["all"])
    check_against_r(entry, times, at_risk(events, censored)[0], events[0], censored[0])


@pytest.mark.parametrize("entry", everything("km_grid.json"))
def test_equals_r_on_a_grid(entry: dict[str, Any]) -> None:
    time, event, _ = records(entry)
    bins = np.maximum(1, np.ceil(time / entry["width"])).astype(np.int64)
    d, c = (np.bincount(bins[chosen], minlength=bins.max() + 1)[None, :] for chosen in (event, ~event))
    truth = entry["result"]
    for conf_type in ("log", "log-log"):
        table = tables_from_counts(d, c, unit=entry["width"], conf_type=conf_type)["curve"]
        same(table["time"] / entry["width"], truth["bin"])
        for ours, theirs in (
            ("at_risk", "n_risk"),
            ("events", "n_event"),
            ("censored", "n_censor"),
            ("survival", "surv"),
            ("standard_error", "std_err_surv"),
            ("lower", f"lower_{conf_type}"),
            ("upper", f"upper_{conf_type}"),
        ):
            same(table[ours], truth[theirs])


@pytest.mark.parametrize("entry", [p for p in shipped("survfit.json") if p.id in {"waltons", "ovarian", "lung-sex-1"}])
def test_equals_lifelines(entry: dict[str, Any]) -> None:
    from lifelines import KaplanMeierFitter
    from lifelines.utils import qth_survival_times

    truth = entry["result"]["table"]
    t, n, d, c = (numbers(truth[name]) for name in ("time", "n_risk", "n_event", "n_censor"))
    fitter = KaplanMeierFitter().fit(
        np.repeat(np.tile(t, 2), np.concatenate([d, c]).astype(int)), np.repeat([1, 0], [int(d.sum()), int(c.sum())])
    )
    table = survival_table(t, n, d, c, "log-log")
    np.testing.assert_allclose(table["survival"], fitter.survival_function_.iloc[1:, 0], rtol=1e-12, atol=1e-15)
    alive = (table["survival"] > 0) & (table["survival"] < 1)
    limits = fitter.confidence_interval_.iloc[1:]
    np.testing.assert_allclose(table.loc[alive, ["lower", "upper"]], limits[alive.to_numpy()], rtol=1e-9)
    levels = (0.1, 0.25, 0.4, 0.6, 0.8)
    ours = quantiles(table, levels, rule="lifelines")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lifelines warns that its answer lies on the time grid
        theirs = [fitter.percentile(1 - p) for p in levels]
    np.testing.assert_array_equal(ours["quantile"], theirs)
    for column, limit in (("lower", limits.iloc[:, 0]), ("upper", limits.iloc[:, 1])):
        np.testing.assert_array_equal(ours[column], [qth_survival_times(1 - p, limit) for p in levels])


def test_median_of_a_flat_part_exactly_at_one_half() -> None:
    table = survival_table([1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1, 1], [0, 0, 0, 0], "plain")
    assert quantiles(table, [0.5])["quantile"].item() == 2.5
    assert quantiles(table, [0.5], rule="lifelines")["quantile"].item() == 2
    # products of (n - d) / n that miss one half by a rounding error are still on it
    sevenths = survival_table(np.arange(1, 15), np.arange(14, 0, -1), np.ones(14, int), np.zeros(14, int))
    assert quantiles(sevenths, [0.5])["quantile"].item() == 7.5


def test_median_of_a_curve_that_ends_flat_at_one_half() -> None:
    table = survival_table([1, 2, 7], [4, 3, 2], [1, 1, 0], [0, 0, 2])
    assert quantiles(table, [0.5])["quantile"].item() == 4.5
    assert quantiles(table, [0.5], rule="lifelines")["quantile"].item() == 2


def test_quantiles_that_are_not_reached_and_the_start() -> None:
    table = survival_table([2, 5], [10, 6], [4, 0], [0, 6])
    found = quantiles(table, [0, 0.4, 0.5])
    np.testing.assert_array_equal(found["quantile"], [0, 3.5, np.nan])
    np.testing.assert_array_equal(quantiles(table, [0, 0.4, 0.5], rule="lifelines")["quantile"], [0, 2, np.inf])


def test_last_person_at_risk_has_the_event() -> None:
    table = survival_table([3, 8], [2, 1], [1, 1], [0, 0])
    assert table["survival"].tolist() == [0.5, 0.0]
    assert table.iloc[1][["standard_error", "lower", "upper"]].isna().all()
    assert np.isfinite(table.iloc[0][["standard_error", "lower", "upper"]].to_numpy(float)).all()


@pytest.mark.parametrize("conf_type", CONFIDENCE_TYPES)
def test_nobody_has_the_event(conf_type: str) -> None:
    table = survival_table([4, 9], [5, 2], [0, 0], [3, 2], conf_type)
    assert table["survival"].tolist() == [1, 1]
    assert table["standard_error"].tolist() == [0, 0]
    limits = table[["lower", "upper"]].to_numpy()
    assert (limits == 1).all() if conf_type in {"log", "plain"} else np.isnan(limits).all()
    assert quantiles(table, [0.5])[["quantile", "lower", "upper"]].isna().all(axis=None)


@pytest.mark.parametrize("conf_type", CONFIDENCE_TYPES)
def test_everybody_at_one_time(conf_type: str) -> None:
    gone = survival_table([6], [9], [9], [0], conf_type)
    assert gone["survival"].tolist() == [0]
    assert gone[["standard_error", "lower", "upper"]].isna().all(axis=None)
    assert quantiles(gone, [0.5])["quantile"].item() == 6
    partly = survival_table([6], [9], [5], [4], conf_type)
    assert partly["survival"].item() == pytest.approx(4 / 9, rel=1e-15)
    assert 0 <= partly["lower"].item() < 4 / 9 < partly["upper"].item() <= 1


def test_limits_are_clipped_as_r_clips_them() -> None:
    early = survival_table([1], [50], [1], [0], "plain")
    assert early["upper"].item() == 1
    late = survival_table([1, 2], [4, 3], [1, 2], [0, 1], "plain")
    assert late["lower"].iloc[1] == 0
    assert survival_table([1], [50], [1], [0], "log")["upper"].item() == 1
    arcsin = survival_table([1, 2], [100, 2], [98, 1], [0, 1], "arcsin", 0.99)
    assert arcsin["lower"].iloc[1] == 0


def test_nobody_at_all() -> None:
    table = survival_table([0, 1, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0])
    assert table.empty
    assert tuple(table.columns) == TABLE_COLUMNS
    assert quantiles(table, [0.5])["quantile"].isna().all()
    assert np.isnan(at_risk_at(table, [0, 1])).all()


def test_a_million_people_over_many_times_keep_their_digits() -> None:
    """Without censoring S is the share still there, exactly; its standard error the binomial one."""
    d = np.full(50_000, 20)
    n = at_risk(d, np.zeros_like(d))
    table = survival_table(np.arange(d.size), n, d, np.zeros_like(d))
    share = (n - d) / n[0]
    np.testing.assert_allclose(table["survival"][:-1], share[:-1], rtol=1e-12)
    np.testing.assert_allclose(table["standard_error"][:-1], np.sqrt(share * (1 - share) / n[0])[:-1], rtol=1e-12)


def test_tables_from_counts() -> None:
    events = np.array([[0, 2, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    censored = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 3], [0, 0, 0, 0, 0]])
    tables = tables_from_counts(events, censored, groups=["a", "b", "empty"], unit=0.1)
    curve, medians = tables["curve"], tables["medians"]
    assert list(curve.columns) == ["group", *TABLE_COLUMNS]
    assert curve["group"].tolist() == ["a", "a", "a", "b", "b"]
    assert curve["time"].tolist() == [0.1, 0.3, 0.4, 0.0, 0.4]
    assert curve["at_risk"].tolist() == [5, 2, 1, 4, 3]
    assert curve["at_risk"].dtype == np.int64
    assert medians["group"].tolist() == ["a", "b", "empty"]
    assert medians["records"].tolist() == [5, 4, 0]
    assert medians["events"].tolist() == [3, 1, 0]
    assert medians["median"].iloc[0] == 0.3
    assert medians["median"].iloc[1:].isna().all()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(hnp.arrays(np.int64, (2, 2, 12), elements=st.integers(0, 4)))
def test_invariants(cells: np.ndarray) -> None:
    events, censored = cells
    curve = tables_from_counts(events, censored, groups=["x", "y"])["curve"]
    for name, row in (("x", 0), ("y", 1)):
        table = curve[curve["group"] == name]
        assert table["events"].sum() == events[row].sum()
        assert table["censored"].sum() == censored[row].sum()
        assert (np.diff(table["survival"], prepend=1.0) <= 0).all()
        alive = table[table["survival"].between(0, 1, inclusive="neither")]
        assert (alive["lower"] <= alive["survival"]).all()
        assert (alive["survival"] <= alive["upper"]).all()
        assert at_risk_at(table, [0, 100]).tolist() == [cells[:, row].sum(), 0] or table.empty


def test_at_risk_is_just_before_each_time() -> None:
    table = survival_table([2, 5, 5.5], [10, 7, 3], [3, 2, 0], [0, 2, 3])
    assert at_risk_at(table, [0, 2, 2.1, 5, 5.5, 6]).tolist() == [10, 10, 7, 7, 3, 0]
    cut = survival_table([2, 5], [10, 7], [3, 2], [0, 2])
    assert np.isnan(at_risk_at(cut, [6]).item())


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (1, [0, 1, 2, 3]),
        (0.1, [0, 0.1, 0.2, 0.3]),
        (7, [0, 7, 14, 21]),
        (0.25, [0, 0.25, 0.5, 0.75]),
    ],
)
def test_lattice_times_are_the_nearest_doubles(unit: float, expected: list[float]) -> None:
    assert lattice_times(4, unit).tolist() == expected


def test_rounding_to_one_changes_nothing() -> None:
    events, censored = np.array([3, 0, 2, 4, 1]), np.array([0, 1, 0, 2, 2])
    exact = survival_table(np.arange(1, 6), at_risk(events, censored), events, censored, "log-log")
    rounded = rounded_survival_table(np.arange(1, 6), 15, events.cumsum(), censored.cumsum(), 5, "log-log")
    pd.testing.assert_frame_equal(exact, rounded)
    assert rounded.attrs["note"] == ROUNDED_NOTE


def test_rounded_curve_shows_every_visible_point_and_nothing_beyond() -> None:
    table = rounded_survival_table([30, 60, 90, 120], 100, [7, 7, 12, 999], [0, 7, 7, 999], 3)
    assert table["time"].tolist() == [30, 60, 90]
    assert table["at_risk"].tolist() == [100, 93, 86]
    assert table["events"].tolist() == [7, 0, 5]
    assert table["censored"].tolist() == [0, 7, 0]
    np.testing.assert_allclose(table["survival"], [0.93, 0.93, 0.93 * 81 / 86], rtol=1e-15)
    root = np.sqrt(7 / (100 * 93) + 5 / (86 * 81))
    assert table["standard_error"].iloc[2] == pytest.approx(0.93 * 81 / 86 * root, rel=1e-14)
    assert np.isnan(at_risk_at(table, [120]).item())


def test_rounding_never_makes_more_events_than_people() -> None:
    table = rounded_survival_table([1, 2, 3], 10, [7, 7, 12], [0, 2, 7], 3)
    assert table["at_risk"].tolist() == [10, 3, 5]
    assert table["survival"].iloc[-1] == 0


def test_rounded_tables_hide_a_suppressed_group() -> None:
    tables = rounded_tables([30, 60], [40, 0], [[7, 27], [0, 0]], [[0, 0], [0, 0]], [2, 0], groups=["a", "b"])
    assert set(tables["curve"]["group"]) == {"a"}
    medians = tables["medians"]
    assert medians["records"].tolist() == [40, pd.NA]
    assert medians["events"].isna().tolist() == [False, True]
    assert medians["median"].iloc[0] == 60
    assert np.isnan(medians["median"].iloc[1])


def test_wrong_requests_and_impossible_counts_are_refused() -> None:
    good = ([1, 2], [5, 2], [1, 1], [2, 1])
    with pytest.raises(SpecError, match="log-log"):
        survival_table(*good, "loglog")
    with pytest.raises(SpecError, match="between 0 and 1"):
        survival_table(*good, "log", 95)
    with pytest.raises(SpecError, match="probabilities"):
        quantiles(survival_table(*good), [50])
    with pytest.raises(SpecError, match="lifelines"):
        quantiles(survival_table(*good), [0.5], rule="sas")  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="1 of 2 times"):
        survival_table([1, 2], [5, 2], [6, 1], [0, 1])
    with pytest.raises(RangeError, match="differ in shape"):
        survival_table([1, 2], [5, 2], [1], [0, 1])
    with pytest.raises(RangeError, match="2 groups"):
        tables_from_counts([[1]], [[1]], groups=["a", "b"])
    with pytest.raises(RangeError, match="decrease"):
        rounded_survival_table([1, 2], 10, [5, 4], [0, 0], 2)
    with pytest.raises(RangeError, match="3 visible"):
        rounded_survival_table([1, 2], 10, [4, 5], [0, 0], 3)
