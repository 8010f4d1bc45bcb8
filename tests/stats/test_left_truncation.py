"""Curves and tests of people who come under observation late."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpcstats.stats.kaplan_meier import (
    derived_tables,
    hazard_table,
    log_standard_error,
    quantiles,
    restricted_mean,
    survival_at,
    tables_from_counts,
)
from mpcstats.stats.lattice import at_risk_before, at_risk_counts
from mpcstats.stats.logrank import logrank_test

from .r_truth import entries_of, everything, numbers, same, shipped

COLUMNS = (
    ("time", "time"),
    ("at_risk", "n_risk"),
    ("events", "n_event"),
    ("censored", "n_censor"),
    ("survival", "surv"),
    ("standard_error", "std_err_surv"),
)


def check_against_r(truth: dict[str, Any], entered: np.ndarray, events: np.ndarray, censored: np.ndarray) -> None:
    for conf_type in ("log", "log-log"):
        curve = tables_from_counts(events[None], censored[None], entered=entered[None], conf_type=conf_type)["curve"]
        for ours, theirs in (*COLUMNS, ("lower", f"lower_{conf_type}"), ("upper", f"upper_{conf_type}")):
            same(curve[ours], truth[theirs])
    same(hazard_table(curve)["cumulative_hazard"], truth["cumhaz"])


@pytest.mark.parametrize("entry", shipped("left_truncation.json"))
def test_equals_r(entry: dict[str, Any]) -> None:
    """Entries are what the numbers at risk grow by between R's rows."""
    truth = entry["result"]["table"]
    time, n, d, c = (numbers(truth[name]).astype(int) for name in ("time", "n_risk", "n_event", "n_censor"))
    entered, events, censored = np.zeros((3, time[-1] + 1), dtype=int)
    entered[np.append(0, time[:-1])] = n - np.append(0, (n - d - c)[:-1])
    events[time], censored[time] = d, c
    check_against_r(truth, entered, events, censored)


@pytest.mark.parametrize("entry", everything("left_truncation.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    entry_time, time, event = entries_of(entry)
    entered, events, censored = (
        np.bincount(values, minlength=time.max() + 1) for values in (entry_time, time[event], time[~event])
    )
    check_against_r(entry["result"]["table"], entered, events, censored)


def test_entry_at_zero_changes_nothing() -> None:
    events, censored = np.array([[0, 2, 0, 3, 1]]), np.array([[0, 0, 4, 1, 2]])
    everybody = np.array([[13, 0, 0, 0, 0]])
    plain = tables_from_counts(events, censored)
    late = tables_from_counts(events, censored, entered=everybody)
    for name, table in plain.items():
        np.testing.assert_array_equal(table.to_numpy()[:, 1:].astype(float), late[name].to_numpy()[:, 1:].astype(float))


def test_nobody_is_left_for_a_while() -> None:
    """Censored to 0 at risk: the curve waits and goes on."""
    events, censored = np.array([[0, 0, 1, 0, 0, 1, 0]]), np.array([[0, 0, 1, 0, 0, 0, 1]])
    entered = np.array([[2, 0, 0, 2, 0, 0, 0]])
    assert at_risk_counts(events, censored, entered)[0].tolist() == [0, 2, 2, 0, 2, 2, 1]
    curve = tables_from_counts(events, censored, entered=entered)["curve"]
    assert curve["survival"].tolist() == [0.5, 0.25, 0.25]
    assert curve["standard_error"].iloc[1] == pytest.approx(0.25 * np.sqrt(1 / 2 + 1 / 2))


def test_a_curve_that_reached_zero_stays_there() -> None:
    """All at risk die, others enter later: S stays 0, the hazard grows on, as in R."""
    events, censored = np.array([[0, 0, 1, 0, 0, 1, 0]]), np.array([[0, 0, 0, 0, 0, 0, 1]])
    entered = np.array([[1, 0, 0, 2, 0, 0, 0]])
    tables = tables_from_counts(events, censored, entered=entered)
    curve = tables["curve"].drop(columns="group")
    assert curve["survival"].tolist() == [0, 0, 0]
    assert curve[["standard_error", "lower", "upper"]].isna().all(axis=None)
    assert hazard_table(curve)["cumulative_hazard"].tolist() == [1, 1.5, 1.5]
    assert np.isinf(log_standard_error(curve)).all()
    assert restricted_mean(curve, 6)["restricted_mean"] == 2
    assert restricted_mean(curve, 6)["standard_error"] == 0
    assert quantiles(curve, [0.5])["quantile"].item() == 2
    assert tables["medians"]["records"].tolist() == [3]


def test_at_risk_between_rows_counts_nobody_who_entered_later() -> None:
    """R lists the number of the next row there; the number at the time itself comes from the counts."""
    events, censored = np.array([[0, 0, 1, 0, 0, 1, 0]]), np.array([[0, 0, 0, 0, 0, 0, 3]])
    entered = np.array([[2, 0, 0, 0, 3, 0, 0]])
    n = at_risk_counts(events, censored, entered)
    tables = tables_from_counts(events, censored, entered=entered)
    labels = tables["medians"][["group"]]
    assert survival_at(tables["curve"].drop(columns="group"), [3])["at_risk"].item() == 4
    times = [3, 4, 4.5, 7]
    found = derived_tables(tables["curve"], labels, times=times, at_risk=at_risk_before(n, times))["at_times"]
    assert found["at_risk"].tolist() == [1, 1, 4, 0]
    assert found["events"].tolist() == [1, 0, 0, 1]


def test_logrank_with_late_entry() -> None:
    """By hand: at 2 one of each group at risk, at 4 two against one."""
    events = np.array([[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
    censored = np.array([[0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0]])
    entered = np.array([[1, 0, 0, 2, 0, 0], [1, 0, 0, 0, 0, 0]])
    n = at_risk_counts(events, censored, entered)
    test = logrank_test(events, n, ["a", "b"], records=entered.sum(axis=1))
    assert test.table["records"].tolist() == [3, 1]
    assert test.table["expected"].tolist() == pytest.approx([1 / 2 + 2 / 3, 1 / 2 + 1 / 3])
    assert test.variance[0, 0] == pytest.approx(1 / 4 + 2 / 9)
    assert test.chi_square == pytest.approx((1 / 6) ** 2 / (1 / 4 + 2 / 9))
