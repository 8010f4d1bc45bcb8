"""Descriptions of numeric columns from Python: R's digits, what is withheld, edges."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import FrameRejected, SpecError
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_json
from mpcstats.stats.descriptives.ranks import TYPES
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import Dictionary, infer_dictionary
from mpcstats.study.plan import make_plan
from tests.stats.r_truth import SHARED, SHIPPED, everything, shipped

LUNG = SHIPPED.parent / "lung.csv"


@cache
def _column(file: str, name: str) -> pd.DataFrame:
    path = LUNG if file == "survival_lung.csv" else SHARED / "data" / "clinical" / file
    return pd.read_csv(path)[[name]]


def split(frame: pd.DataFrame, seed: str, sites: int) -> dict[str, pd.DataFrame]:
    """Rows at random sites, reproducibly."""
    site = np.random.default_rng(list(seed.encode())).integers(0, sites, len(frame))
    return {f"site{k}": frame[site == k] for k in range(sites)}


def close(ours: float, theirs: float | None) -> None:
    ours = math.nan if pd.isna(ours) else ours  # a row with <NA> has it for NaN
    assert ours == pytest.approx(math.nan if theirs is None else theirs, rel=1e-9, abs=1e-12, nan_ok=True)


def compare(entry: dict[str, Any], sites: int, kinds: tuple[int, ...]) -> None:
    frame, r = _column(entry["file"], entry["value"]), entry["result"]
    inner = [(k, p) for k, p in enumerate(r["probs"]) if 0 < p < 1]
    with ms.local(split(frame, entry["id"], sites)) as consortium:
        for kind in kinds:
            found = consortium.describe(
                entry["value"],
                quantiles=[p for _, p in inner],
                quantile_type=kind,
                mad=kind == 7,
                shape=kind == 7,
                breaks=r["hist_breaks_left_closed"] if kind == 7 else (),
            )
            row = found.table.iloc[0]
            for k, p in inner:
                close(row[f"quantile_{p:g}"], r["quantiles"][f"type{kind}"][k])
            if kind != 7:
                continue
            assert found.histogram["count"].tolist() == r["hist_counts"]
            names = {"n": "n", "missing": "missing", "sum": "sum", "mean": "mean", "variance": "var", "sd": "sd"}
            names |= {"standard_error": "se", "skewness": "skew_g1", "kurtosis": "kurtosis_g2", "mad": "mad"}
            for ours, theirs in names.items():
                close(row[ours], r[theirs])
            close(row["lower"], r["ci95"][0])
            close(row["upper"], r["ci95"][1])


@pytest.mark.parametrize("entry", shipped("descriptives.json"))
def test_descriptions_have_rs_digits(entry: dict[str, Any]) -> None:
    compare(entry, 3, (7,))


@pytest.mark.parametrize("kind", [k for k in TYPES if k != 7])
def test_quantiles_of_all_types_are_rs(kind: int) -> None:
    entry = json.loads((SHIPPED / "descriptives.json").read_text())["entries"][1]
    compare(entry, 2, (kind,))


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("descriptives.json"))
def test_all_descriptions_of_the_shared_truth(entry: dict[str, Any]) -> None:
    compare(entry, 2 + sum(entry["id"].encode()) % 6, tuple(TYPES))


def odd_sites() -> dict[str, pd.DataFrame]:
    """One site without rows, a group at one site only, a group of one person, a constant column, a missing value."""
    frame = pd.DataFrame(
        {
            "g": ["a"] * 5 + ["b"] * 4 + ["c"],
            "x": [1e9 + 0.25, 1e9 + 0.5, 1e9 + 0.75, 1e9, math.nan, 1e9 + 3, 1e9 + 1, 1e9 + 1, 1e9 + 2, 1e9 + 2.5],
            "same": [0.1] * 10,
            "flag": [True, False] * 5,
        }
    )
    return {"none": frame.iloc[:0], "one": frame.iloc[:3], "two": frame.iloc[3:7], "three": frame.iloc[7:]}


def test_odd_sites_and_groups() -> None:
    sites = odd_sites()
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        found = consortium.describe(["x", "same", "flag"], by="g", mad=True)
        alone = consortium.describe("x", where="x < 0")
    table = found.table.set_index(["variable", "g"])
    theirs = pooled.assign(flag=pooled["flag"].astype(float)).groupby("g")
    for name in ("x", "same", "flag"):
        for g in "abc":
            row, column = table.loc[name, g], theirs[name].get_group(g).dropna()
            assert (row["n"], row["missing"]) == (len(column), int(pooled.loc[pooled["g"] == g, name].isna().sum()))
            close(row["mean"], column.mean())
            close(row["quantile_0.25"], column.quantile(0.25))
            close(row["mad"], 1.4826 * (column - column.median()).abs().median())
            centred = column - column.iloc[0]  # a double of 1e9 has 7 digits behind the point
            close(row["sd"], centred.std() if len(column) > 1 else None)
            close(row["skewness"], _skewness(centred))
    assert alone.table["n"].tolist() == [0]
    assert alone.table[["mean", "sd", "quantile_0.5", "kurtosis"]].isna().all(axis=None)


def _skewness(x: pd.Series) -> float | None:
    d = x - x.mean()
    return None if len(x) < 2 or (d == 0).all() else float((d**3).mean() / (d**2).mean() ** 1.5)


@pytest.mark.parametrize("sites", [2, pytest.param(5, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long)])
def test_the_answer_does_not_depend_on_the_split(sites: int) -> None:
    frame = pd.read_csv(LUNG)
    with ms.local(split(frame, "split", sites)) as consortium:
        found = consortium.describe(["age", "wt.loss"], by="sex", quantiles=[0.5])
    theirs = frame.groupby("sex")
    for row in found.table.to_dict("records"):
        column = theirs[row["variable"]].get_group(row["sex"])
        close(row["mean"], column.mean())
        close(row["variance"], column.var())
        close(row["quantile_0.5"], column.median())


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, math.nan])
def test_minimum_and_maximum_are_refused(share: float) -> None:
    with ms.local(odd_sites()) as consortium, pytest.raises(SpecError, match=r"percentiles, such as 0\.01"):
        consortium.describe("x", quantiles=[share])


def test_requests_that_make_no_sense() -> None:
    with ms.local(odd_sites()) as consortium:
        for request, text in (
            ({"columns": "g"}, "a number or a boolean"),
            ({"columns": "nothing"}, "has no column"),
            ({"columns": []}, "columns"),
            ({"columns": ["x", "x"]}, "named twice"),
            ({"columns": "x", "by": "x"}, "named twice"),
            ({"columns": "same", "by": "x"}, "no levels"),
            ({"columns": "x", "breaks": [1, 1]}, "ascending"),
            ({"columns": "x", "breaks": [1]}, "ascending"),
            ({"columns": "x", "quantile_type": 10}, "quantile_type"),
            ({"columns": "x", "where": "y > 1"}, "has no column"),
        ):
            with pytest.raises(SpecError, match=text):
                consortium.describe(**request)
    without_range = Dictionary.model_validate({"id": "d", "columns": [{"name": "x", "type": "decimal"}]})
    with ms.local(odd_sites(), dictionary=without_range) as consortium, pytest.raises(SpecError, match="range"):
        consortium.describe("x")


def test_plans_travel_as_json() -> None:
    dictionary = infer_dictionary({name: frame for name, frame in odd_sites().items() if len(frame)})
    for request in (
        {"type": "describe", "columns": ("x", "flag", "same"), "by": ("g",)},
        {"type": "ttest", "column": "x", "paired": "same"},
        {"type": "anova", "column": "x", "by": "g"},
        {"type": "missingness", "columns": ("x", "g"), "by": ("flag",)},
    ):
        plan = make_plan(parse_spec(request), dictionary, None)
        assert plan_from_json(plan_to_json(plan), "peer") == plan
        broken = plan_to_json(plan).replace('"levels":[', '"levels":[[1],') if plan.kind != "missingness" else "{}"
        with pytest.raises(FrameRejected):
            plan_from_json(broken, "peer")


def test_what_standard_withholds() -> None:
    frame = pd.read_csv(LUNG).assign(smoker=lambda f: f["ph.ecog"] > 1)
    breaks = [38, 62, 90]
    with ms.local(split(frame, "standard", 3), policy="standard") as consortium:
        found = consortium.describe(["age", "smoker"], by="status", quantiles=[0.05, 0.5], breaks=breaks)
    table = found.table.set_index(["variable", "status"])
    for status, part in frame.groupby("status"):
        row = table.loc["age", status]
        assert row["n"] == 5 * round(len(part) / 5)
        assert abs(row["mean"] - part["age"].mean()) < 5 * part["age"].std() / len(part)
        assert row["sd"] == pytest.approx(part["age"].std(), rel=5 / len(part))
        assert row["quantile_0.5"] == part["age"].quantile(0.5, interpolation="inverted_cdf")
        assert pd.isna(row["quantile_0.05"])  # 63 and 165 people: fewer than 11 below
        assert pd.isna(row["missing"])
        assert pd.isna(row["sum"])
        bins = found.histogram.query("variable == 'age' and status == @status")["count"]
        counts = np.histogram(part["age"], breaks)[0]
        assert bins.tolist() == [5 * round(n / 5) for n in counts]
    assert pd.isna(table.loc["smoker", 0]["n"])  # 6 of 63 people
    assert pd.isna(table.loc["smoker", 0]["mean"])
    assert table.loc["smoker", 1]["mean"] == pytest.approx(45 / 165, abs=0.02)
    # 0/1 has no bins with enough people
    assert found.histogram.query("variable == 'smoker'")["count"].isna().all()
    assert not {"skewness", "kurtosis", "mad"} & set(found.table.columns)
    withheld = " ".join(found.withheld)
    for text in ("1 of 4 groups hidden", "4 of 4 numbers of missing", "quantiles hidden", "2 of 4 histograms"):
        assert text in withheld
    assert "suppressed" in found.summary()


def test_one_party_cannot_subtract_itself_to_a_few() -> None:
    # 30 people, 5 of them elsewhere than at the large site
    sites = {
        "large": pd.DataFrame({"x": np.arange(25.0)}),
        "small": pd.DataFrame({"x": np.arange(5.0)}),
        "none": pd.DataFrame({"x": np.zeros(0)}),
    }
    with ms.local(sites, policy="standard") as consortium:
        assert consortium.describe("x").table["n"].isna().all()


def test_results_are_saved_and_drawn(tmp_path: Path) -> None:
    frame = pd.read_csv(LUNG)
    with ms.local(split(frame, "files", 2)) as consortium:
        found = consortium.describe("age", by="sex", breaks=[30, 50, 70, 90])
        means = consortium.describe(["age", "wt.loss"])
    names = {path.name for path in found.save(tmp_path / "age")}
    assert names == {"age.descriptives.csv", "age.histogram.csv", "age.json", "age.txt", "age.png"}
    assert "quantile_0.5" in found._repr_html_()
    assert means.figures()["plot"].axes
    with pytest.raises(SpecError, match="breaks"):
        _ = means.histogram
    assert found.conventions["variance"] == "over n - 1"
