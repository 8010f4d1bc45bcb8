"""Fine-Gray regression through embedded parties: R's answers, requests, what is withheld, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import mpcstats as ms
from mpcstats.cli.main import app
from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.sdk.results import FineGrayResult
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import parse_spec
from mpcstats.study.spec import AnalysisSpec
from tests.stats.competing_truth import cohort as truth_cohort
from tests.stats.r_truth import everything, shipped

from .survival_truth import NAMES, dictionary_of, sites_of, unit_of


def cohort(people: int = 240, seed: int = 7) -> pd.DataFrame:
    """Two causes that depend on age and arm, weeks, a category."""
    rng = np.random.default_rng(seed)
    age, arm = rng.integers(40, 80, people), rng.choice(["A", "B", "C"], people)
    risk = 0.04 * (age - 60) + np.select([arm == "B", arm == "C"], [0.5, -0.4], 0.0)
    time = np.ceil(rng.exponential(12 * np.exp(-risk))).astype(int)
    leave = rng.integers(5, 30, people)
    status = np.where(time <= leave, rng.choice(["relapse", "death", "toxicity"], people, p=[0.6, 0.25, 0.15]), "alive")
    return pd.DataFrame({"time": np.minimum(time, leave), "status": status, "age": age, "arm": arm})


REQUEST: dict[str, Any] = {"time": "time", "event": "status", "cause": "relapse", "censored": "alive"}


# --- R -------------------------------------------------------------------------------------------------------------


def people_of(entry: dict[str, Any]) -> pd.DataFrame:
    """One row per person, with R's codes."""
    found = truth_cohort(entry)
    codes = np.array([entry["censor_value"], *entry["cause_values"]])
    columns = {entry["time"]: found.times[found.time], entry["status"]: codes[found.status]}
    columns |= {name: found.covariates[:, k] for k, name in enumerate(entry["covariates"])}
    frame = pd.DataFrame(columns)
    return frame.astype({name: int for name in columns if not (frame[name] % 1).any()})


def close(ours: Any, theirs: Any, rtol: float, loose: Any = 0.0) -> None:
    """Relative, or within `loose`: R's crr stops when its score is small, not when it is 0."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    assert (np.abs(ours - theirs) <= np.maximum(rtol * np.abs(theirs), loose)).all(), f"{ours} is not {theirs}"


def at_one_site(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The first of three sites and the last have nobody."""
    return {NAMES[0]: frame.iloc[:0], NAMES[1]: frame, NAMES[2]: frame.iloc[:0]}


VARIANTS: tuple[dict[str, Any], ...] = (
    {"variant": "crr"},
    {"variant": "finegray", "ties": "breslow"},
    {"variant": "finegray"},
)


def check(entry: dict[str, Any], row: dict[str, Any], wanted: dict[str, Any], sites: dict[str, pd.DataFrame]) -> None:
    frame = pd.concat(sites.values())
    with ms.local(sites, dictionary=dictionary_of(frame, {"event": entry["status"]})) as consortium:
        result = consortium.fine_gray(
            time=entry["time"],
            event=entry["status"],
            cause=row["cause"],
            censored=entry["censor_value"],
            covariates=entry["covariates"],
            time_unit=unit_of(frame[entry["time"]]),
            **wanted,
        )
    table, scale = result.table, result.table["robust_se"].to_numpy()
    if wanted["variant"] == "crr":
        close(table["coef"], row["coef"], 1e-6, 1e-5 * scale)
        close(table["robust_se"], row["se"], 1e-6)
        close(table["p_value"], row["p"], 1e-4)
        close([result.log_likelihood], [row["loglik"]], 1e-9)
    elif "ties" in wanted:
        close(table["coef"], row["finegray_coxph_breslow_coef"], 1e-6, 1e-6 * scale)
        close(table["robust_se"], row["finegray_coxph_breslow_model_se"], 1e-6)
    else:
        close(table["coef"], row["finegray_coxph_efron_coef"], 1e-6, 1e-6 * scale)


MODELS = [
    pytest.param(p.values[0], row, id=f"{p.id}-{row['cause']}")
    for p in shipped("competing_risks.json")
    for row in p.values[0]["result"].get("fine_gray_crr", [])
]


@pytest.mark.long
@pytest.mark.parametrize(("entry", "row"), MODELS)
def test_any_split_equals_r(entry: dict[str, Any], row: dict[str, Any]) -> None:
    wanted = VARIANTS[0] if row["cause"] == 1 else VARIANTS[2]
    check(entry, row, wanted | {"by_site": False}, sites_of(people_of(entry), 2 + row["cause"], row["cause"]))


@pytest.mark.parametrize("wanted", VARIANTS)
@pytest.mark.parametrize(("entry", "row"), MODELS)
def test_one_site_with_people_equals_r(entry: dict[str, Any], row: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Strata by site, and a single one has people."""
    check(entry, row, wanted, at_one_site(people_of(entry)))


@pytest.mark.long
@pytest.mark.parametrize("sites", [2, 5, 7])
@pytest.mark.parametrize("entry", everything("competing_risks.json"))
def test_every_split_equals_r(entry: dict[str, Any], sites: int) -> None:
    for number, row in enumerate(entry["result"]["fine_gray_crr"]):
        wanted = VARIANTS[(sites + number) % 3] | {"by_site": False}
        check(entry, row, wanted, sites_of(people_of(entry), sites, sites))


CAUSES = [p for p in shipped("competing_risks.json") if "cause_specific_cox" in p.values[0]["result"]]


@pytest.mark.parametrize("entry", CAUSES)
def test_cause_specific_cox_regression_equals_r(entry: dict[str, Any]) -> None:
    """The values of one cause are the events of `cox`, and all others are censorings."""
    with ms.local(at_one_site(people_of(entry))) as consortium:
        for row in entry["result"]["cause_specific_cox"]:
            result = consortium.cox(
                time=entry["time"],
                event=entry["status"],
                event_values=row["cause"],
                covariates=entry["covariates"],
                ties=row["ties"],
                concordance=False,
                transforms=(),
            )
            close(result.table["coef"], row["coef"], 1e-6)
            close(result.table["se_coef"], row["se"], 1e-6)


# --- requests ------------------------------------------------------------------------------------------------------


def opened(result: FineGrayResult) -> set[str]:
    return {entry["name"] for entry in result.run["opened"]}


def test_what_comes_back() -> None:
    frame = cohort()
    frame.loc[5:9, "age"] = np.nan
    with ms.local(sites_of(frame, 2, 1)) as consortium:
        result = consortium.fine_gray(**REQUEST, covariates=["age", "arm"], conf_level=0.9)
    complete = frame.dropna()
    assert result.table["term"].tolist() == ["age", "arm=B", "arm=C"]
    assert result.outcome.values["people"] == len(complete)
    assert result.outcome.values["events"] == (complete["status"] == "relapse").sum()
    assert result.conventions["event"] == ("status = relapse; competing: death or toxicity; all others are censorings")
    robust = np.sqrt(np.diag(result.covariance.drop(columns="term")))
    np.testing.assert_allclose(result.table["robust_se"], robust, rtol=1e-12)
    assert (result.table["se_coef"] != result.table["robust_se"]).all()
    summary = result.summary()
    assert "Pseudo likelihood ratio test" in summary
    assert "Robust Wald test" in summary
    (figure,) = result.figures().values()
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert ax.get_xlabel() == "Subdistribution hazard ratio (log scale)"
    assert "SHR (90% CI)" in [text.get_text() for text in ax.texts]


def test_causes_can_be_joined_and_competing_ones_named() -> None:
    frame = cohort()
    with ms.local(sites_of(frame, 2, 1)) as consortium:
        joined = consortium.fine_gray(**{**REQUEST, "cause": ["relapse", "toxicity"]}, covariates="age")
        coded = frame.replace({"status": {"toxicity": "relapse"}})
        lone = consortium.fine_gray(
            time="time", event="status", cause="relapse", competing=(), covariates="age", variant="finegray"
        )
        cox = consortium.cox(
            time="time", event="status", event_values="relapse", covariates="age", concordance=False, transforms=()
        )
    with ms.local(sites_of(coded, 2, 1)) as consortium:
        same = consortium.fine_gray(**REQUEST, covariates="age")
    close(joined.table["coef"], same.table["coef"], 1e-9)
    close(joined.table["robust_se"], same.table["robust_se"], 1e-9)
    assert joined.conventions["event"].startswith("status = relapse or toxicity; competing: death;")
    # without competing events it is the cause-specific model
    close(lone.table["coef"], cox.table["coef"], 1e-9)
    close(lone.table["se_coef"], cox.table["se_coef"], 1e-9)


def test_requests_that_fit_no_column_are_refused() -> None:
    frame = cohort(60).assign(years=lambda table: table["age"] / 12, code=lambda table: 2 * table["age"])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cause": "cured"}, "not a level"),
        ({"cause": "alive"}, "is the cause of interest"),
        ({"competing": ["cured"]}, "not a level"),
        ({"competing": ["relapse"]}, "both the cause of interest"),
        ({"competing": ["alive"]}, "among the causes"),
        ({"event": "years"}, "cannot be the event"),
        ({"cause": []}, "fine-gray.cause"),
        ({"covariates": []}, "fine-gray.covariates"),
        ({"covariates": ["age", "time"]}, "named twice"),
        ({"factors": "arm"}, "not among the covariates"),
        ({"time": "arm"}, "a number is needed"),
        ({"time_unit": 2}, "whole multiple"),
        ({"ties": "efron"}, "does not exist in the variant 'crr'"),
        ({"variant": "cmprsk"}, "variant"),
        ({"covariates": ["age", "code"]}, "collinear"),
    ]
    with ms.local(sites_of(frame, 2, 1)) as consortium:
        for change, words in wrong:
            with pytest.raises(SpecError, match=words):
                consortium.fine_gray(**({**REQUEST, "covariates": ["age"]} | change))
    for field in ("strata", "entry", "by"):
        with pytest.raises(SpecError, match=f"fine-gray.{field}"):
            parse_spec({"type": "fine-gray", **REQUEST, "covariates": ["age"], field: "arm"})


def test_rows_that_lack_something_are_refused_at_their_owner() -> None:
    frame = cohort(60)
    frame["time"] = frame["time"].astype(float)
    frame.loc[7, "time"] = np.nan
    with ms.local(sites_of(frame, 2, 1)) as consortium:
        with pytest.raises(DataError, match="no value of column 'time'"):
            consortium.fine_gray(**REQUEST, covariates="age")
        assert consortium.fine_gray(**REQUEST, covariates="age", missing="drop").outcome.values["people"] == 59
    frame.loc[7, "time"] = -1
    with ms.local(sites_of(frame, 2, 1)) as consortium, pytest.raises(DataError, match="negative"):
        consortium.fine_gray(**REQUEST, covariates="age", missing="drop")


# --- what is withheld ----------------------------------------------------------------------------------------------


def test_standard_rules() -> None:
    frame = cohort(600)
    noise = pd.DataFrame(np.random.default_rng(1).normal(size=(600, 25)).round(3)).add_prefix("x")
    with ms.local(sites_of(frame.join(noise), 3, 1), policy="standard") as consortium:
        result = consortium.fine_gray(**REQUEST, covariates=["age", "arm"])
        with pytest.raises(DisclosureRefused, match="260 events are too few for 26 columns"):
            consortium.fine_gray(**REQUEST, covariates=["age", *noise], where="age < 70")
        young = {"where": "age < 50", "covariates": "age"}
        assert consortium.fine_gray(**REQUEST, **young).table["robust_se"].notna().all()
        with pytest.raises(DisclosureRefused, match="too few people, events or competing events"):
            consortium.fine_gray(**REQUEST, **young, competing="toxicity")
    assert result.table[["coef", "robust_se", "p_value"]].notna().all(axis=None)
    assert result.outcome.values["people"] % 5 == result.outcome.values["events"] % 5 == 0
    assert opened(result) == {
        "enough people and events",
        "enough events for the model",
        "people and events",
        "sizes of variances",
        "rough means",
        "scores",
        "informations",
        "log-likelihoods",
        "products of score residuals",
    }


@pytest.mark.long
def test_standard_withholds_standard_errors_of_pooled_risk_sets() -> None:
    with ms.local(sites_of(cohort(600), 3, 1), policy="standard") as consortium:
        result = consortium.fine_gray(**REQUEST, covariates=["age", "arm"], by_site=False)
    assert result.table["coef"].notna().all()
    assert result.table[["robust_se", "p_value", "exp_coef_lower"]].isna().all(axis=None)
    assert any("standard errors of pooled risk sets" in line for line in result.withheld)
    (figure,) = result.figures().values()
    assert any("no interval" in text.get_text() for text in figure.axes[0].texts)


# --- the command line ----------------------------------------------------------------------------------------------


@contextmanager
def own_node(monkeypatch: pytest.MonkeyPatch, sites: dict[str, pd.DataFrame]) -> Iterator[list[AnalysisSpec]]:
    """A node that answers at once: the consortium is in this process."""
    asked: list[AnalysisSpec] = []
    with ms.local(sites) as consortium:

        class Node:
            def __init__(self, party: Path) -> None:
                assert party.name == "uppsala"

            def run(self, spec: AnalysisSpec, _progress: Any) -> Outcome:
                asked.append(spec)
                return consortium._run(spec)

        monkeypatch.setattr("mpcstats.sdk.connect.NodeClient", Node)
        yield asked


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fixed = ["run", "fine-gray", "--party", "uppsala", "--time", "time", "--event", "status", "--censored", "alive"]
    chosen = [
        "--cause",
        "relapse",
        "--cause",
        "toxicity",
        "--covariate",
        "age",
        "--no-by-site",
        "--variant",
        "finegray",
    ]
    with own_node(monkeypatch, sites_of(cohort(120), 2, 1)) as asked:
        done = CliRunner().invoke(app, [*fixed, *chosen, "--out", str(tmp_path / "out" / "model")])
    assert done.exit_code == 0, done.output
    assert "Fine-Gray regression of competing risks" in done.output
    (spec,) = asked
    assert spec == parse_spec(
        {"type": "fine-gray", **REQUEST, "cause": ("relapse", "toxicity"), "covariates": ("age",)}
        | {"variant": "finegray", "by_site": False}
    )
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.coefficients.csv", "model.tests.csv", "model.covariance.csv", "model.png", "model.txt"} <= written
    assert json.loads((tmp_path / "out" / "model.json").read_text())["analysis"] == "fine-gray"


def test_the_help_of_the_command() -> None:
    done = CliRunner().invoke(app, ["run", "fine-gray", "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for option in ("--cause", "--competing", "--censored", "--covariate", "--variant", "--ties", "--by-site"):
        assert option in done.output
    assert "--stratum" not in done.output
    assert CliRunner().invoke(app, ["run", "fine-gray", "--party", "x", "--strata", "arm"]).exit_code == 2
