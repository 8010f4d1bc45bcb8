"""R's survival answers from embedded parties: curves and tests over random splits, and what `standard` withholds."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused
from tests.stats.r_truth import everything, numbers, shipped

from .survival_truth import (
    FAMILY,
    check_curve,
    check_survfit,
    check_test,
    close,
    dictionary_of,
    people_of,
    sites_of,
    unit_of,
)

SITES = (3, 7, 2, 5, 4, 6)


def consortium_of(entry: dict[str, Any], frame: pd.DataFrame, policy: str = "open", sites: int | None = None) -> Any:
    """A split that is the entry's own: 2 to 7 sites."""
    seed = zlib.crc32(f"{entry['id']} {entry.get('group_value')} {entry.get('width')}".encode())
    parts = sites_of(frame, sites or SITES[seed % 6], seed)
    return ms.local(parts, policy=policy, dictionary=dictionary_of(frame, entry))


def request_of(entry: dict[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "time": entry["time"],
        "event": entry["event"],
        "event_values": entry["event_values"],
        "time_unit": unit_of(frame[entry["time"]]),
    }


# --- curves --------------------------------------------------------------------------------------------------------


def curve_equals_r(entry: dict[str, Any], conf_types: tuple[str, ...]) -> None:
    frame, truth = people_of(entry), entry["result"]
    with consortium_of(entry, frame) as consortium:
        for conf_type in conf_types:
            result = consortium.kaplan_meier(
                **request_of(entry, frame),
                conf_type=conf_type,
                quantiles=truth["quantiles"]["log"]["prob"],
                times=truth["at_times"]["times"],
                tau=truth["summary"]["rmean_tau"],
                hazard="nelson-aalen",
            )
            check_survfit(result, truth, conf_type)


@pytest.mark.parametrize("entry", [p for p in shipped("survfit.json") if p.id == "lung-sex-2"])
def test_curve_equals_r(entry: dict[str, Any]) -> None:
    shipped_without = {"time": "time", "event": "status", "event_values": [2], "rows_used": 228}
    curve_equals_r(entry | shipped_without, ("log-log",))


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("survfit.json"))
def test_every_curve_equals_r(entry: dict[str, Any]) -> None:
    curve_equals_r(entry, ("log", "log-log", "plain", "logit", "arcsin"))


def grid_equals_r(entry: dict[str, Any]) -> None:
    frame, truth = people_of(entry), entry["result"]
    with consortium_of(entry, frame) as consortium:
        request = request_of(entry, frame) | {"grid": entry["width"]}
        result = consortium.kaplan_meier(**request, conf_type="log", life_table=entry["width"])
    assert result.outcome.run["opened"][0]["values"] <= 2 * (truth["n_bins"] + 1)
    close(result.curve["time"] / entry["width"], truth["bin"])
    check_curve(result.curve, truth | {"time": result.curve["time"].tolist()}, "log")
    for ours, theirs in (
        ("at_start", "nsubs"),
        ("events", "nevent"),
        ("survival", "surv"),
        ("standard_error", "se_surv"),
    ):
        close(result.life_table[ours], truth["lifetable"][theirs])


@pytest.mark.parametrize("entry", [p for p in shipped("km_grid.json") if p.id.endswith("30")])
def test_curve_on_a_grid_equals_r(entry: dict[str, Any]) -> None:
    grid_equals_r(entry)


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("km_grid.json"))
def test_every_curve_on_a_grid_equals_r(entry: dict[str, Any]) -> None:
    grid_equals_r(entry)


def people_behind(truth: dict[str, Any]) -> pd.DataFrame:
    """Rows that make R's table of a left-truncated cohort: entries are what the numbers at risk grow by."""
    time, n, d, c = (numbers(truth[name]).astype(int) for name in ("time", "n_risk", "n_event", "n_censor"))
    entry = np.repeat(np.append(0, time[:-1]), n - np.append(0, (n - d - c)[:-1]))
    status = np.concatenate([[1] * dead + [0] * left for dead, left in zip(d, c, strict=True)])
    return pd.DataFrame({"start": entry, "stop": np.repeat(time, d + c), "status": status})


@pytest.mark.parametrize("entry", shipped("left_truncation.json"))
def test_late_entry_equals_r(entry: dict[str, Any]) -> None:
    truth = entry["result"]["table"]
    frame = people_behind(truth)
    request = {"time": "stop", "event": "status", "entry": "start"}
    with ms.local(sites_of(frame, 4, 1)) as consortium:
        result = consortium.kaplan_meier(**request, times=[0, 50, 100])
    check_curve(result.curve, truth, "log")
    at_risk = [((frame["start"] < t) & (frame["stop"] >= t)).sum() for t in (0, 50, 100)]
    assert result.outcome.tables["at_times"]["at_risk"].tolist() == at_risk


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("left_truncation.json"))
def test_every_late_entry_equals_r(entry: dict[str, Any]) -> None:
    frame = people_of(entry)
    with consortium_of(entry, frame) as consortium:
        for conf_type in ("log", "log-log"):
            request = request_of(entry, frame) | {"entry": entry["entry"], "conf_type": conf_type}
            result = consortium.kaplan_meier(**request, hazard="nelson-aalen")
            check_curve(result.curve, entry["result"]["table"], conf_type)
            close(result.hazard["cumulative_hazard"], entry["result"]["table"]["cumhaz"])
        # Cox's score test with Breslow ties and one binary covariate is the log-rank test up to ties: same people
        test = consortium.logrank(**request_of(entry, frame), entry=entry["entry"], by=entry["group"])
        assert test.table["records"].sum() == entry["rows_used"]
        assert test.chi_square == pytest.approx(entry["result"]["cox_score_chisq_efron"], rel=0.02)


# --- tests ---------------------------------------------------------------------------------------------------------


def compare_tests(entry: dict[str, Any], names: set[str]) -> None:
    frame, truth = people_of(entry), entry["result"]
    with consortium_of(entry, frame) as consortium:
        for name in sorted(names & set(truth)):
            strata = [entry["strata"]] if name.startswith("stratified") else []
            request = request_of(entry, frame) | {"by": entry["group"], "strata": strata}
            check_test(consortium.logrank(**request, **FAMILY[name]), truth[name])


@pytest.mark.parametrize("entry", [p for p in shipped("logrank.json") if p.id in {"lung-sex", "lung_sex_by_ecog-sex"}])
def test_tests_equal_r(entry: dict[str, Any]) -> None:
    compare_tests(entry, {"gehan_wilcoxon", "fleming_harrington_05_05_leftcont", "stratified"})


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_every_test_equals_r(entry: dict[str, Any]) -> None:
    compare_tests(entry, set(FAMILY))


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_every_statistic_equals_r(entry: dict[str, Any]) -> None:
    """The same tests with counts that stay on shares: 1e-6 relative."""
    frame, truth = people_of(entry), entry["result"]
    with consortium_of(entry, frame, sites=3) as consortium:
        for name in sorted({"survdiff_rho0", "gehan_wilcoxon", "stratified"} & set(truth)):
            strata = [entry["strata"]] if name == "stratified" else []
            request = request_of(entry, frame) | {"by": entry["group"], "strata": strata, "mode": "statistic"}
            check_test(consortium.logrank(**request, **FAMILY[name]), truth[name], rtol=1e-6)


# --- the same under `standard` --------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [pytest.param("open", marks=pytest.mark.long), "standard"])
def test_pairs_and_trend_of_three_groups_from_shares(policy: str) -> None:
    """The same table of pairs as from counts, adjusted; no number that was not opened is printed."""
    rng = np.random.default_rng(5)
    arm = rng.choice(["a", "b", "c"], 300)
    time = np.ceil(rng.exponential(5 + 3 * (arm == "b"))).clip(1, 20).astype(int)
    frame = pd.DataFrame({"time": time, "status": rng.random(300) < 0.7, "arm": arm})
    request = {"time": "time", "event": "status", "by": "arm", "trend": True, "pairwise": "holm"}
    with ms.local(sites_of(frame, 3, 3)) as consortium:
        oracle = consortium.logrank(**request)
    with ms.local(sites_of(frame, 3, 3), policy=policy) as consortium:
        result = consortium.logrank(**request, mode="statistic")
    pd.testing.assert_frame_equal(result.pairwise, oracle.pairwise, rtol=1e-5, check_dtype=False)
    assert (result.pairwise["p_adjusted"] >= result.pairwise["p_value"]).all()
    pd.testing.assert_frame_equal(result.trend, oracle.trend.drop(columns="z"), rtol=1e-5)
    opened = {item["name"]: item["values"] for item in result.run["opened"]}
    under_rules = policy == "standard"  # rules make sure that all groups take part
    assert opened == {
        "test can be released": int(under_rules),
        "groups in the test": 0 if under_rules else 4,
        "test exists": 5,
        "chi-square": 10,
    }
    text = result.summary()
    assert f"Chisq= {oracle.chi_square:.4g}  on 2 degrees of freedom" in text
    assert f"Trend: Chisq= {oracle.trend['chi_square'].item():.4g}  on 1 degrees of freedom" in text
    assert not {"NA", "nan", "NaN"} & set(text.split())
    assert "nan" not in [label.get_text() for label in result.plot().axes[0].texts]


@pytest.fixture(scope="module")
def lung() -> pd.DataFrame:
    entry = next(p.values[0] for p in shipped("logrank.json") if p.id == "lung_sex_by_ecog-sex")
    return people_of(entry).assign(entry=0)


def test_standard_withholds_what_stands_for_few(lung: pd.DataFrame) -> None:
    """Strata and groups alike: each curve is rounded, cut and hidden by itself; life table and contrasts' tests go."""
    request = {"time": "time", "event": "status", "by": "sex", "strata": "ph.ecog"}
    with ms.local(sites_of(lung, 4, 3), policy="standard") as consortium:
        result = consortium.kaplan_meier(**request, times=[90, 900], tau="shortest", life_table=90, quantiles=[0.5])
        with pytest.raises(DisclosureRefused, match="late entry"):
            consortium.kaplan_meier(time="time", event="status", entry="entry", where="time > 0")
    assert result.rounded
    hidden = result.medians[result.medians["records"].isna()]
    assert hidden["stratum"].tolist() == ["3", "3"]  # one man has ECOG 3, no woman
    people = lung.groupby(["ph.ecog", "sex"]).size()
    for row in result.medians.dropna(subset=["records"]).itertuples():
        assert row.records % 5 == 0
        assert abs(row.records - people[int(row.stratum), int(row.group)]) <= 2
    assert set(result.curve["stratum"]) <= {"0", "1", "2"}
    steps = result.curve["events"][result.curve["events"] > 0]
    assert (steps >= 5).all()
    assert (result.curve["at_risk"] >= 11).all()
    assert (result.curve["time"] % 30 == 0).all()
    assert result.contrasts[["lower", "upper", "z", "p_value"]].isna().all(axis=None)
    assert result.outcome.tables["at_times"]["at_risk"][1::2].isna().all()  # beyond the end of each curve
    assert "life_table" not in result.outcome.tables
    assert any("life table needs exact counts" in line for line in result.withheld)
    assert any("contrasts" in line for line in result.withheld)


def test_standard_releases_a_stratified_statistic(lung: pd.DataFrame) -> None:
    request = {"time": "time", "event": "status", "by": "sex", "strata": "ph.ecog", "grid": 60, "trend": True}
    with ms.local(sites_of(lung, 3, 3)) as consortium:
        oracle = consortium.logrank(**request)
    with ms.local(sites_of(lung, 4, 3), policy="standard") as consortium:
        result = consortium.logrank(**request, pairwise="holm")
        with pytest.raises(DisclosureRefused, match="exact_curve"):
            consortium.logrank(**request, mode="table")
    assert [x.outcome.values["mode"] for x in (oracle, result)] == ["table", "statistic"]
    assert result.chi_square == pytest.approx(oracle.chi_square, rel=1e-6)
    assert result.trend["chi_square"].item() == pytest.approx(oracle.chi_square, rel=1e-6)
    opened = {item["name"]: item["values"] for item in result.run["opened"]}
    assert opened == {"test can be released": 1, "groups in the test": 0, "test exists": 3, "chi-square": 6}
    assert result.table[["observed", "expected"]].isna().all(axis=None)
    assert result.outcome.tables["pairwise"]["chi_square"].tolist() == pytest.approx([oracle.chi_square], rel=1e-6)
    assert {"strata", "grid", "trend", "event", "pairwise"} <= set(result.conventions)
