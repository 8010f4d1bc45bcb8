"""R's answers as requests to embedded parties: sites with random rows, their dictionary, what is compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mpcstats.sdk.results import KaplanMeierResult, LogrankResult
from mpcstats.study.dictionary import Dictionary, infer_dictionary
from tests.stats.r_truth import _read, numbers, text

NAMES = ("northfield", "lakeside", "westbay", "eastham", "southport", "hillcrest", "riverside")


def sites_of(frame: pd.DataFrame, number: int, seed: int) -> dict[str, pd.DataFrame]:
    """Rows to sites at random; the last of three or more has none."""
    target = np.random.default_rng(seed).integers(0, number - (number > 2), len(frame))
    return {NAMES[k]: frame[target == k].reset_index(drop=True) for k in range(number)}


def people_of(entry: dict[str, Any]) -> pd.DataFrame:
    """The rows and columns of an entry, complete cases as R's; one row per person."""
    frame = _read(entry["file"])
    for column, value in (entry.get("filter") or {}).items():
        frame = frame[frame[column] == value]
    grouping = entry.get("group") or entry.get("complete_on")
    names = [entry["time"], entry["event"], entry.get("entry"), grouping, entry.get("strata")]
    frame = frame[[name for name in dict.fromkeys(names) if name]].dropna()
    if "entry" in entry:
        frame = frame[frame[entry["time"]] > frame[entry["entry"]]]
    assert len(frame) == entry["rows_used"]
    if entry.get("group_value") is not None:
        frame = frame[frame[entry["group"]].map(text) == text(entry["group_value"])]
    return frame.reset_index(drop=True)


def unit_of(times: pd.Series) -> float:
    """1, 0.1, ...: the unit in which times were recorded."""
    return next(unit for unit in (1.0, 0.1, 0.01, 0.001) if np.allclose(times / unit, np.rint(times / unit), atol=1e-6))


def dictionary_of(frame: pd.DataFrame, entry: dict[str, Any]) -> Dictionary:
    """As inferred, and levels wherever groups, strata and events are numbers with a decimal point."""
    plain = frame.copy()
    for name in (entry["event"], entry.get("group"), entry.get("strata")):
        if name and plain[name].dtype.kind == "f":
            plain[name] = plain[name].astype(int)
    return infer_dictionary({"all": plain})


def close(ours: Any, theirs: list[Any], rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(ours, dtype=float), numbers(theirs), rtol=rtol, atol=1e-15, equal_nan=True)


CURVE = (
    ("time", "time"),
    ("at_risk", "n_risk"),
    ("events", "n_event"),
    ("censored", "n_censor"),
    ("survival", "surv"),
    ("standard_error", "std_err_surv"),
)


def check_curve(curve: pd.DataFrame, truth: dict[str, Any], conf_type: str) -> None:
    """The rows that R's answer lists."""
    shown = np.searchsorted(curve["time"].to_numpy(), numbers(truth["time"]) - 1e-9)
    rows = curve.iloc[shown]
    for ours, theirs in (*CURVE, ("lower", f"lower_{conf_type}"), ("upper", f"upper_{conf_type}")):
        close(rows[ours], truth[theirs])


def check_survfit(result: KaplanMeierResult, truth: dict[str, Any], conf_type: str) -> None:
    """Curve, quantiles, chosen times, restricted mean and hazard of one group."""
    assert len(result.curve) == truth["n_distinct_times"]
    check_curve(result.curve, truth["table"], conf_type)
    if conf_type in truth["quantiles"]:
        for column in ("quantile", "lower", "upper"):
            close(result.outcome.tables["quantiles"][column], truth["quantiles"][conf_type][column])
    at = result.outcome.tables["at_times"]
    for ours, theirs in (
        ("at_risk", "n_risk"),
        ("events", "n_event_since_previous"),
        ("censored", "n_censor_since_previous"),
        ("survival", "surv"),
        ("standard_error", "std_err"),
    ):
        close(at[ours], truth["at_times"][theirs])
    summary = truth["summary"]
    mean = result.restricted_mean.iloc[0]
    close([mean["restricted_mean"], mean["standard_error"]], [summary["rmean"], summary["se_rmean"]])
    close(result.medians["median"], [summary["median"]])
    assert result.medians[["records", "events"]].iloc[0].tolist() == [summary["records"], summary["events"]]
    if "nelson_aalen" in truth:  # not among the entries that ship with the tests
        shown = np.searchsorted(result.curve["time"].to_numpy(), numbers(truth["table"]["time"]) - 1e-9)
        close(result.hazard["cumulative_hazard"].iloc[shown], truth["nelson_aalen"]["cumhaz"])


FAMILY: dict[str, dict[str, Any]] = {
    "survdiff_rho0": {"weights": "logrank"},
    "survdiff_rho1_peto_peto": {"weights": "peto-peto-R"},
    "gehan_wilcoxon": {"weights": "gehan-breslow"},
    "tarone_ware": {"weights": "tarone-ware"},
    "peto_prentice_S_tilde": {"weights": "peto-peto-lifelines"},
    "fleming_harrington_1_0_leftcont": {"weights": "fleming-harrington", "p": 1.0},
    "fleming_harrington_0_1_leftcont": {"weights": "fleming-harrington", "q": 1.0},
    "fleming_harrington_05_05_leftcont": {"weights": "fleming-harrington", "p": 0.5, "q": 0.5},
    "unstratified": {"weights": "logrank"},
    "stratified": {"weights": "logrank"},
    "stratified_gehan": {"weights": "wilcoxon"},
}


def check_test(result: LogrankResult, truth: dict[str, Any], rtol: float = 1e-9) -> None:
    """p is sharper than chi-square by a factor of about chi-square / 2."""
    close([result.chi_square], [truth["chisq"]], rtol)
    close([result.p_value], [truth["p"]], rtol * max(10.0, truth["chisq"]))
    assert result.degrees_of_freedom == truth["df"]
    if "obs" in truth and result.outcome.values["mode"] == "table":
        assert result.table["records"].tolist() == truth["n"]
        close(result.table["observed"], truth["obs"])
        close(result.table["expected"], truth["exp"])
