"""What is read off a curve: hazards, number at risk, restricted means, all groups at once, exact and rounded."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.kaplan_meier import (
    ROUNDED_NOTE,
    compare_restricted_means,
    derived_tables,
    hazard_table,
    log_standard_error,
    quantiles,
    restricted_mean,
    rounded_tables,
    survival_at,
    survival_table,
    tables_from_counts,
    upper_limit,
)

from .r_truth import at_risk, counts, everything, numbers, records, same, shipped


def table_of(truth: dict[str, Any], conf_type: str = "log") -> pd.DataFrame:
    return survival_table(*(numbers(truth[name]) for name in ("time", "n_risk", "n_event", "n_censor")), conf_type)


def check_hazards(truth: dict[str, Any], table: pd.DataFrame, rows: np.ndarray) -> None:
    same(log_standard_error(table)[rows], truth["table"]["std_err_cumhaz_scale"])
    for kind, name, survival in (
        ("nelson-aalen", "nelson_aalen", "breslow_surv"),
        ("fleming-harrington", "fleming_harrington_tiecorrected", "surv"),
    ):
        ours, theirs = hazard_table(table, kind).iloc[rows], truth[name]
        same(ours["cumulative_hazard"], theirs["cumhaz"])
        same(ours["standard_error"], theirs["std_chaz"])
        same(ours["survival"], theirs[survival])


def check_means(truth: dict[str, Any], table: pd.DataFrame) -> None:
    """R's print(fit, rmean = tau) and rmean = "common"."""
    own = restricted_mean(table, truth["rmean_tau"])
    same([own["restricted_mean"], own["standard_error"]], [truth["rmean"], truth["se_rmean"]])
    assert upper_limit([table], "common") == truth["common_end"]
    common = restricted_mean(table, truth["common_end"])
    same([common["restricted_mean"], common["standard_error"]], [truth["rmean_common"], truth["se_rmean_common"]])
    assert table["at_risk"].iloc[0] == truth["n_start"]
    assert table["events"].sum() == truth["events"]
    same(quantiles(table, [0.5])["quantile"], [truth["median"]])


def check_times(truth: dict[str, Any], table: pd.DataFrame, conf_type: str) -> None:
    ours = survival_at(table, truth["times"])
    for name, theirs in (
        ("time", "times"),
        ("at_risk", "n_risk"),
        ("events", "n_event_since_previous"),
        ("censored", "n_censor_since_previous"),
        ("survival", "surv"),
        ("standard_error", "std_err"),
        ("lower", f"lower_{conf_type}"),
        ("upper", f"upper_{conf_type}"),
    ):
        same(ours[name], truth[theirs])
    cumulative = survival_at(table, truth["times"], cumulative=True)
    same(cumulative["events"], np.cumsum(truth["n_event_since_previous"]).tolist())


@pytest.mark.parametrize("entry", shipped("survfit.json"))
def test_equals_r(entry: dict[str, Any]) -> None:
    truth = entry["result"]
    check_means(truth["summary"], table_of(truth["table"]))
    for conf_type in ("log", "log-log", "plain"):
        check_times(truth["at_times"], table_of(truth["table"], conf_type), conf_type)
    if "nelson_aalen" in truth:
        check_hazards(truth, table_of(truth["table"]), np.arange(len(truth["table"]["time"])))


def test_hazards_are_among_the_shipped_truth() -> None:
    assert sum("nelson_aalen" in p.values[0]["result"] for p in shipped("survfit.json")) >= 4


@pytest.mark.parametrize("entry", everything("survfit.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    truth = entry["result"]
    who, event, _ = records(entry)
    times, d, c = counts(who, event, np.full(len(who), "all"), ["all"])
    for conf_type in ("log", "log-log", "plain"):
        table = survival_table(times, at_risk(d, c)[0], d[0], c[0], conf_type)
        check_times(truth["at_times"], table, conf_type)
    rows = np.searchsorted(table["time"], numbers(truth["table"]["time"]) - 1e-9)
    check_hazards(truth, table, rows)
    check_means(truth["summary"], table)


def test_hazard_equals_lifelines() -> None:
    from lifelines import NelsonAalenFitter

    rng = np.random.default_rng(3)
    who, event = rng.integers(1, 30, 200), rng.random(200) < 0.5
    times, d, c = counts(who.astype(float), event, np.full(200, "all"), ["all"])
    table = survival_table(times, at_risk(d, c)[0], d[0], c[0])
    for kind, smoothing in (("nelson-aalen", False), ("fleming-harrington", True)):
        fitter = NelsonAalenFitter(nelson_aalen_smoothing=smoothing).fit(who, event)
        ours = hazard_table(table, kind)
        np.testing.assert_allclose(ours["cumulative_hazard"], fitter.cumulative_hazard_.iloc[1:, 0], rtol=1e-12)
        if smoothing:  # the other variance differs, as the docstring says
            limits = fitter.confidence_interval_.iloc[1:].to_numpy()
            np.testing.assert_allclose(ours[["lower", "upper"]], limits, rtol=1e-10)


def test_limits_of_a_hazard() -> None:
    table = survival_table([1, 2, 3], [10, 9, 8], [0, 1, 2], [1, 0, 6])
    log, plain = hazard_table(table), hazard_table(table, conf_type="plain", conf_level=0.9)
    assert log["lower"].isna().tolist() == [True, False, False]
    assert plain["lower"].tolist()[0] == 0
    assert plain["lower"].iloc[1] == 0  # 1/9 less 1.64 times as much
    assert plain["upper"].iloc[1] == pytest.approx((1 + 1.6448536269514722) / 9, rel=1e-14, abs=0)
    assert (log["lower"] * log["upper"])[1:].tolist() == pytest.approx((log["cumulative_hazard"] ** 2)[1:].tolist())


@pytest.mark.parametrize(
    ("n", "d"), [(1, 1), (7, 3), (64, 64), (65, 2), (70, 10), (129, 128), (1000, 1000), (4000, 17), (10**8, 3)]
)
def test_tied_events_one_after_the_other(n: int, d: int) -> None:
    """The harmonic sums of Fleming and Harrington, against exact fractions."""
    found = hazard_table(survival_table([1], [n], [d], [n - d]), "fleming-harrington")
    first = float(sum((Fraction(1, k) for k in range(n - d + 1, n + 1)), Fraction(0)))
    second = float(sum((Fraction(1, k * k) for k in range(n - d + 1, n + 1)), Fraction(0)))
    assert found["cumulative_hazard"].item() == pytest.approx(first, rel=2e-14, abs=0)
    assert found["standard_error"].item() == pytest.approx(math.sqrt(second), rel=2e-14, abs=0)


def test_ties_of_millions_need_no_memory() -> None:
    found = hazard_table(survival_table([1], [5 * 10**8], [4 * 10**8], [10**8]), "fleming-harrington")
    assert found["cumulative_hazard"].item() == pytest.approx(math.log(5), rel=1e-8, abs=0)


def test_before_the_first_and_after_the_last_row() -> None:
    table = survival_table([3, 8], [4, 2], [1, 1], [1, 1], "log-log")
    found = survival_at(table, [0, 2.9, 3, 7, 8, 100])
    assert found["at_risk"].tolist() == [4, 4, 4, 2, 2, 0]
    assert found["events"].tolist() == [0, 0, 1, 0, 1, 0]
    assert found["censored"].tolist() == [0, 0, 1, 0, 1, 0]
    assert found["survival"].tolist() == [1, 1, 0.75, 0.75, 0.375, 0.375]
    assert found["lower"].tolist()[:2] == [1, 1]
    assert found["lower"].iloc[5] == table["lower"].iloc[1]


def test_after_the_end_of_a_cut_curve_nothing_is_known() -> None:
    cut = survival_table([30, 60], [40, 30], [5, 5], [5, 0])
    found = survival_at(cut, [0, 60, 61])
    assert found.iloc[2, 1:].isna().all()
    assert found["survival"].iloc[1] == pytest.approx(35 / 40 * 25 / 30)
    assert math.isnan(restricted_mean(cut, 61)["restricted_mean"])
    assert restricted_mean(cut, 60)["restricted_mean"] == 30 + 30 * 35 / 40
    assert survival_at(cut, [61], complete=True)["survival"].notna().all()


def test_nobody_was_observed() -> None:
    empty = survival_table([1], [0], [0], [0])
    assert survival_at(empty, [0, 5]).iloc[:, 1:].isna().all(axis=None)
    assert math.isnan(restricted_mean(empty, 10)["restricted_mean"])
    assert hazard_table(empty).empty
    assert log_standard_error(empty).size == 0
    assert math.isnan(upper_limit([empty], "common"))


def test_nobody_has_the_event() -> None:
    table = survival_table([4, 9], [5, 2], [0, 0], [3, 2])
    found = restricted_mean(table, 20)
    assert (found["restricted_mean"], found["standard_error"]) == (20, 0)
    assert hazard_table(table)["cumulative_hazard"].tolist() == [0, 0]


def test_last_person_at_risk_has_the_event() -> None:
    """S reaches 0: no area after it, and its infinite variance stays out. Without censoring it is the sample mean."""
    table = survival_table([3, 8], [2, 1], [1, 1], [0, 0])
    found = restricted_mean(table, 20)
    assert found["restricted_mean"] == 5.5
    assert found["standard_error"] == pytest.approx(np.std([3, 8]) / math.sqrt(2), rel=1e-15, abs=0)
    assert log_standard_error(table).tolist() == [pytest.approx(math.sqrt(1 / 2)), math.inf]
    assert hazard_table(table)["cumulative_hazard"].tolist() == [0.5, 1.5]


def test_everybody_at_time_zero() -> None:
    table = survival_table([0], [5], [5], [0])
    assert restricted_mean(table, 10)["restricted_mean"] == 0
    assert survival_at(table, [0])["survival"].tolist() == [0]
    assert survival_at(table, [0])["events"].tolist() == [5]


def test_mean_without_censoring_is_the_mean_of_the_cut_times() -> None:
    who = np.array([1, 1, 2, 4, 6, 9, 9, 12, 15, 20])
    times, d = np.unique(who, return_counts=True)
    table = survival_table(times, at_risk(d, np.zeros_like(d)), d, np.zeros_like(d))
    for tau in (0.5, 6, 7.5, 20, 30):
        cut = np.minimum(who, tau)
        found = restricted_mean(table, tau, conf_level=0.9)
        assert found["restricted_mean"] == pytest.approx(cut.mean(), rel=1e-14, abs=0)
        assert found["standard_error"] == pytest.approx(cut.std() / math.sqrt(10), rel=1e-13, abs=1e-15)
        assert found["upper"] - found["lower"] == pytest.approx(2 * 1.6448536269514722 * found["standard_error"])


def test_contrasts_of_means() -> None:
    means = pd.DataFrame(
        {"group": ["a", "b", "c"], "restricted_mean": [10.0, 12.0, 10.0], "standard_error": [0.6, 0.8, 0]}
    )
    found = compare_restricted_means(means, "a")
    assert found["group"].tolist() == ["b", "b", "c", "c"]
    assert found["contrast"].tolist() == ["difference", "ratio"] * 2
    difference, ratio = found.iloc[0], found.iloc[1]
    assert difference["estimate"] == 2
    assert difference["standard_error"] == pytest.approx(1)
    assert difference["upper"] == pytest.approx(2 + 1.959963984540054)
    assert difference["p_value"] == pytest.approx(0.04550026389635842)
    spread = math.hypot(0.06, 0.8 / 12)
    assert ratio["estimate"] == pytest.approx(1.2)
    assert ratio["lower"] == pytest.approx(1.2 * math.exp(-1.959963984540054 * spread))
    assert ratio["z"] == pytest.approx(math.log(1.2) / spread)
    assert ratio["log_p_value"] == pytest.approx(math.log(ratio["p_value"]))
    assert found["p_value"].iloc[2] == 1
    assert compare_restricted_means(means.assign(standard_error=0.0))["p_value"].isna().all()
    assert compare_restricted_means(means, "b")["reference"].unique().tolist() == ["b"]


def test_upper_limits_of_several_curves() -> None:
    one, two = survival_table([1, 5], [2, 1], [1, 0], [0, 1]), survival_table([9], [1], [0], [1])
    assert upper_limit([one, two], "common") == 9
    assert upper_limit([one, two], "shortest") == 5
    assert upper_limit([one, two], 7) == 7


def test_everything_of_all_groups() -> None:
    events = np.array([[0, 2, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    censored = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 3], [0, 0, 0, 0, 0]])
    tables = tables_from_counts(events, censored, groups=["a", "b", "empty"])
    labels = tables["medians"][["group"]]
    assert derived_tables(tables["curve"], labels) == {}
    found = derived_tables(
        tables["curve"],
        labels,
        probabilities=(0.25, 0.5),
        times=(0, 3),
        tau="shortest",
        hazard_type="nelson-aalen",
    )
    assert list(found) == ["quantiles", "at_times", "restricted_means", "contrasts", "hazard"]
    own = tables["curve"].query("group == 'a'").drop(columns="group")
    assert found["quantiles"]["group"].tolist() == ["a", "a", "b", "b", "empty", "empty"]
    assert found["quantiles"]["quantile"].iloc[1] == quantiles(own, [0.5])["quantile"].item()
    assert found["at_times"]["at_risk"].tolist()[:4] == [5, 2, 4, 3]
    assert found["at_times"].query("group == 'empty'")["survival"].isna().all()
    means = found["restricted_means"]
    assert means["tau"].tolist() == [4, 4, 4]
    assert means["restricted_mean"].iloc[0] == restricted_mean(own, 4)["restricted_mean"]
    assert math.isnan(means["restricted_mean"].iloc[2])
    assert found["contrasts"]["group"].tolist() == ["b", "b", "empty", "empty"]
    assert found["hazard"]["group"].tolist() == tables["curve"]["group"].tolist()
    assert all("note" not in table.attrs for table in found.values())


def test_a_curve_per_stratum_and_group() -> None:
    rng = np.random.default_rng(5)
    events, censored = rng.integers(0, 4, (2, 2, 3, 9))
    tables = tables_from_counts(events, censored, groups=["x", "y", "z"], strata=["north", "south"])
    assert list(tables["curve"].columns[:2]) == ["stratum", "group"]
    assert tables["medians"][["stratum", "group"]].to_numpy().tolist() == [
        [stratum, group] for stratum in ("north", "south") for group in "xyz"
    ]
    alone = tables_from_counts(events[1, 2:], censored[1, 2:], groups=["z"])["curve"]
    ours = tables["curve"].query("stratum == 'south' and group == 'z'")
    pd.testing.assert_frame_equal(ours.drop(columns="stratum").reset_index(drop=True), alone)
    found = derived_tables(tables["curve"], tables["medians"][["stratum", "group"]], tau=6, times=(2,), reference="y")
    assert len(found["at_times"]) == 6
    contrasts = found["contrasts"]
    assert contrasts["stratum"].tolist() == ["north"] * 4 + ["south"] * 4
    south = found["restricted_means"].query("stratum == 'south'").drop(columns="stratum")
    again = compare_restricted_means(south, "y")
    np.testing.assert_array_equal(contrasts["estimate"][4:], again["estimate"])
    with pytest.raises(RangeError, match="2 strata of 2 groups"):
        tables_from_counts(events, censored, groups=["x", "y"], strata=["north", "south"])


def test_rounded_curves_are_read_as_far_as_they_go_and_say_so() -> None:
    tables = rounded_tables(
        [30, 60, 90], [100, 60], [[7, 22, 27], [0, 7, 12]], [[0, 7, 7], [0, 0, 7]], [3, 2], groups=["a", "b"]
    )
    found = derived_tables(
        tables["curve"],
        tables["medians"][["group"]],
        probabilities=(0.1,),
        times=(30, 60, 90, 120),
        tau=80,
        hazard_type="nelson-aalen",
    )
    assert len(found) == 5
    assert all(table.attrs["note"] == f"read off the rounded curve: {ROUNDED_NOTE}" for table in found.values())
    at = found["at_times"]
    assert at["survival"].notna().tolist() == [True, True, True, False, True, True, False, False]
    assert at["at_risk"].tolist()[:3] == [100, 93, 71]
    assert at["events"].tolist()[:3] == [7, 15, 5]
    means = found["restricted_means"]["restricted_mean"]
    assert means[0] == pytest.approx(30 + 30 * 0.93 + 20 * 0.93 * 78 / 93)
    assert math.isnan(means[1])  # its curve ends at 60
    assert found["contrasts"]["estimate"].isna().all()
    assert found["hazard"]["cumulative_hazard"].iloc[1] == pytest.approx(7 / 100 + 15 / 93)
    assert found["quantiles"]["quantile"].tolist() == [60, 60]
    late = derived_tables(
        tables["curve"], tables["medians"][["group"]], probabilities=(0.1, 0.9), quantile_rule="lifelines"
    )["quantiles"]
    assert late["quantile"].isna().tolist() == [False, True, False, True]  # beyond the end, not "never"


def test_a_rounded_curve_that_happens_to_end_at_nobody_is_still_cut() -> None:
    tables = rounded_tables([30, 60], [20], [[12, 12]], [[2, 2]], [1])
    tables["curve"].loc[0, "at_risk"] = 14
    found = derived_tables(tables["curve"], tables["medians"][["group"]], times=(45,), tau=45)
    assert found["at_times"].drop(columns=["group", "time"]).isna().all(axis=None)
    assert found["restricted_means"]["restricted_mean"].isna().all()


def test_a_hundred_thousand_times_are_fast() -> None:
    rng = np.random.default_rng(8)
    events, censored = rng.integers(0, 3, (2, 2, 100_000))
    began = time.process_time()
    tables = tables_from_counts(events, censored, groups=["a", "b"])
    found = derived_tables(
        tables["curve"],
        tables["medians"][["group"]],
        probabilities=np.linspace(0.01, 0.99, 99).tolist(),
        times=np.arange(0, 100_000, 50.0).tolist(),
        tau=80_000,
        hazard_type="fleming-harrington",
    )
    assert time.process_time() - began < 5  # 0.3 s without a loop over times
    assert np.isfinite(found["restricted_means"]["standard_error"]).all()
    assert len(found["hazard"]) == len(tables["curve"]) > 150_000


def test_wrong_requests_are_refused() -> None:
    table = survival_table([1, 2], [5, 2], [1, 1], [2, 1])
    with pytest.raises(SpecError, match="increasing"):
        survival_at(table, [2, 1])
    with pytest.raises(SpecError, match="not negative"):
        survival_at(table, [-1, 1])
    with pytest.raises(SpecError, match="above 0"):
        restricted_mean(table, 0)
    with pytest.raises(SpecError, match="above 0"):
        restricted_mean(table, math.inf)
    with pytest.raises(SpecError, match="'common' or 'shortest'"):
        upper_limit([table], "longest")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="fleming-harrington"):
        hazard_table(table, "breslow")
    with pytest.raises(SpecError, match="plain"):
        hazard_table(table, conf_type="logit")
    with pytest.raises(SpecError, match="no group is called 'z'"):
        compare_restricted_means(pd.DataFrame({"group": ["a"], "restricted_mean": [1.0], "standard_error": [0.1]}), "z")
