"""Rank tests from Python: R's digits, what stays closed, what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_json
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import infer_dictionary, parse_dictionary
from mpcstats.study.plan import make_plan
from tests.sdk.rank_truth import check, entries

KINDS = ("two-sample", "k-sample")
MODES = [("table", 1e-9), ("statistic", 1e-6)]


@pytest.mark.parametrize("entry", [p for kind in KINDS for p in entries(kind, all_of_them=False)])
def test_rs_digits(entry: dict[str, Any]) -> None:
    check(entry, 4, "table", 1e-9)


@pytest.mark.parametrize("entry", entries("k-sample", all_of_them=False))
def test_rs_digits_on_shares(entry: dict[str, Any]) -> None:
    check(entry, 3, "statistic", 1e-6)


@pytest.mark.long
@pytest.mark.parametrize("entry", entries("two-sample", all_of_them=False))
def test_rs_digits_of_two_groups_on_shares(entry: dict[str, Any]) -> None:
    check(entry, 3, "statistic", 1e-6)


@pytest.mark.long
@pytest.mark.parametrize(("mode", "rtol"), MODES)
@pytest.mark.parametrize("sites", [2, 5, 7])
@pytest.mark.parametrize("entry", [p for kind in (*KINDS, "paired") for p in entries(kind, all_of_them=True)])
def test_all_of_rs_digits(entry: dict[str, Any], sites: int, mode: str, rtol: float) -> None:
    check(entry, sites, mode, rtol)


def tables(rows: int, seed: int = 0, sites: int = 3) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    return {
        f"s{k}": pd.DataFrame(
            {
                "x": rng.integers(0, 20, rows),
                "y": rng.integers(50, 150, rows) / 10,
                "sex": rng.choice(["F", "M"], rows),
                "arm": rng.choice(["a", "b", "c"], rows),
                "note": "text",
            }
        )
        for k in range(sites)
    }


def test_signed_ranks_are_rs() -> None:
    from scipy.stats import rankdata, wilcoxon

    sites = tables(20)
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        found = consortium.wilcoxon_signed_rank("y", "x")
        decimal = consortium.wilcoxon_signed_rank("y", "x", ties="decimal", correct=False)
        one = consortium.wilcoxon_signed_rank("x", mu=7, alternative="greater")
        hidden = consortium.wilcoxon_signed_rank("x", mu=7, alternative="greater", mode="statistic")
    for result, pairs in ((found, pooled["y"] - pooled["x"]), (decimal, (pooled["y"] - pooled["x"]).round(6))):
        difference = pairs[pairs != 0]
        ranks = rankdata(np.abs(difference))
        assert result.table["v"].iloc[0] == ranks[difference > 0].sum()
        assert result.groups["n"].tolist() == [len(difference)]
        other = wilcoxon(difference, correction=result is found, mode="approx").pvalue
        assert result.p_value == pytest.approx(other, rel=1e-12)
    above = pooled["x"] - 7
    expected = wilcoxon(above[above != 0], correction=True, alternative="greater", mode="approx").pvalue
    assert one.p_value == pytest.approx(expected, rel=1e-12)
    assert hidden.p_value == pytest.approx(expected, rel=1e-9)
    assert "signed rank" in found.summary()


@pytest.mark.parametrize(
    "alternative", ["less", *(pytest.param(each, marks=pytest.mark.long) for each in ("two-sided", "greater"))]
)
def test_alternatives_and_corrections(alternative: Any) -> None:
    from scipy.stats import mannwhitneyu

    sites = tables(12, seed=3)
    pooled = pd.concat(sites.values())
    values = [pooled.loc[pooled["sex"] == sex, "x"] for sex in ("F", "M")]
    with ms.local(sites) as consortium:
        for correct in (True, False):
            expected = mannwhitneyu(*values, use_continuity=correct, alternative=alternative, method="asymptotic")
            asked: dict[str, Any] = {"by": "sex", "alternative": alternative, "correct": correct}
            found = consortium.mannwhitney("x", **asked)
            assert found.table["u"].iloc[0] == expected.statistic
            assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
        hidden = consortium.mannwhitney("x", by="sex", alternative=alternative, correct=False, mode="statistic")
        assert hidden.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert set(hidden.table) == {"variable", "auc", "z", "p_value", "log_p_value"}


def test_exact_p_of_small_groups_without_ties() -> None:
    from scipy.stats import mannwhitneyu

    frame = pd.DataFrame({"x": [3, 9, 1, 12, 7, 5, 20, 15, 11, 2], "g": list("aababbabab")})
    values = [frame.loc[frame["g"] == g, "x"] for g in "ab"]
    with ms.local({"n": frame[:4], "s": frame[4:]}) as consortium:
        for alternative in ("two-sided", "greater", "less"):
            found = consortium.mannwhitney("x", by="g", alternative=alternative)  # type: ignore[arg-type]
            expected = mannwhitneyu(*values, alternative=alternative, method="exact").pvalue
            assert found.table["p_value_exact"].iloc[0] == pytest.approx(expected, rel=1e-12)


def test_delongs_interval() -> None:
    sites = tables(15, seed=5)
    pooled = pd.concat(sites.values())
    first, second = (pooled.loc[pooled["sex"] == sex, "x"].to_numpy() for sex in ("F", "M"))
    wins = (first[:, None] > second) + 0.5 * (first[:, None] == second)
    variance = wins.mean(1).var(ddof=1) / len(first) + wins.mean(0).var(ddof=1) / len(second)
    with ms.local(sites) as consortium:
        found = consortium.mannwhitney("x", by="sex", conf_level=0.9).table.iloc[0]
    assert found["auc"] == pytest.approx(wins.mean(), rel=1e-13)
    assert found["auc_standard_error"] == pytest.approx(np.sqrt(variance), rel=1e-12)
    assert found["auc_upper"] - found["auc"] == pytest.approx(1.6448536269514722 * np.sqrt(variance), rel=1e-12)


@pytest.mark.parametrize(("rows", "sex"), [(9, "F"), (10, "F"), (1, "M")])
def test_hodges_lehmann_is_the_median_of_all_differences(rows: int, sex: str) -> None:
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame({"y": rng.integers(-80, 120, 3 * rows) / 10, "sex": rng.choice(["F", "M"], 3 * rows)})
    frame.loc[:1, "sex"] = ["F", "M"]
    first, second = (frame.loc[frame["sex"] == each, "y"].to_numpy() for each in ("F", "M"))
    with ms.local({"n": frame[:1], "m": frame[1 : rows + 1], "s": frame[rows + 1 :]}) as consortium:
        found = consortium.mannwhitney("y", by="sex").table["hodges_lehmann"].iloc[0]
        plain = consortium.mannwhitney("y", by="sex", hodges_lehmann=False)
    assert found == pytest.approx(np.median(np.subtract.outer(first, second)), abs=1e-12)
    assert "hodges_lehmann" not in plain.table


def test_kolmogorov_and_smirnov() -> None:
    from scipy.stats import ks_2samp, kstwobign

    sites = tables(15, seed=6)
    pooled = pd.concat(sites.values())
    values = [pooled.loc[pooled["sex"] == sex, "x"].to_numpy() for sex in ("F", "M")]
    expected = ks_2samp(*values).statistic
    scaled = expected * np.sqrt(len(values[0]) * len(values[1]) / len(pooled))
    with ms.local(sites) as consortium:
        for mode in ("table", "statistic"):
            found = consortium.kolmogorov_smirnov("x", by="sex", mode=mode)  # type: ignore[arg-type]
            assert found.statistic == pytest.approx(expected, rel=1e-12)
            assert found.p_value == pytest.approx(kstwobign.sf(scaled), rel=1e-9)
        nobody = consortium.kolmogorov_smirnov("x", by="sex", where="sex == 'F'")
        assert np.isnan(nobody.p_value)
    distinct = pd.DataFrame({"x": np.random.default_rng(2).permutation(60), "sex": ["F"] * 23 + ["M"] * 37})
    with ms.local({"n": distinct[::2], "s": distinct[1::2]}) as consortium:
        test = consortium.kolmogorov_smirnov("x", by="sex").table.iloc[0]
    exact = ks_2samp(distinct["x"][:23], distinct["x"][23:], method="exact")
    assert test["d"] == pytest.approx(exact.statistic, rel=1e-12)
    assert test["p_value_exact"] == pytest.approx(exact.pvalue, rel=1e-9)


def test_groups_can_be_chosen_and_empty_ones_do_not_count() -> None:
    from scipy.stats import kruskal

    sites = tables(12, seed=2)
    sites["s1"] = sites["s1"].iloc[:0]
    pooled = pd.concat(sites.values())
    arms = {arm: pooled.loc[(pooled["arm"] == arm) & (pooled["x"] > 3), "x"] for arm in "abc"}
    with ms.local(sites) as consortium:
        swapped = consortium.mannwhitney("x", by="arm", groups=("c", "a"), where="x > 3")
        assert swapped.groups["n"].tolist() == [len(arms["c"]), len(arms["a"])]
        for mode in ("table", "statistic"):
            found = consortium.kruskal("x", by="arm", where="x > 3 and arm != 'b'", mode=mode)  # type: ignore[arg-type]
            expected = kruskal(arms["a"], arms["c"])
            assert found.table["degrees_of_freedom"].iloc[0] == 1
            assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
            assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
            empty = consortium.mannwhitney("x", by="arm", groups=("a", "b"), where="arm == 'a'", mode=mode)  # type: ignore[arg-type]
            assert np.isnan(empty.table[["z", "auc", "p_value"]].to_numpy(float)).all()
        assert np.isnan(consortium.kruskal("x", by="arm", where="x == 5", mode="statistic").p_value)


@pytest.mark.long
def test_under_standard_sums_stay_closed() -> None:
    sites = tables(40, seed=7)
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        exact = [consortium.mannwhitney("x", by="sex"), consortium.kruskal("x", by="arm")]
        exact += [consortium.wilcoxon_signed_rank("x", "y"), consortium.kolmogorov_smirnov("x", by="sex")]
    with ms.local(sites, policy="standard") as consortium:
        closed = [consortium.mannwhitney("x", by="sex"), consortium.kruskal("x", by="arm")]
        closed += [consortium.wilcoxon_signed_rank("x", "y"), consortium.kolmogorov_smirnov("x", by="sex")]
        with pytest.raises(DisclosureRefused, match="exact sums are not let out"):
            consortium.kruskal("x", by="arm", mode="table")
        few = int((pooled["x"] == 3).sum())
        assert few < 22
        for refused in ("x == 3", "x == 99 or x == 3 and sex == 'F'"):
            with pytest.raises(DisclosureRefused, match="too few people"):
                consortium.mannwhitney("x", by="sex", where=refused)
            with pytest.raises(DisclosureRefused, match="too few people"):
                consortium.wilcoxon_signed_rank("x", where=refused)
    for ours, theirs in zip(closed, exact, strict=True):
        assert (ours.groups["n"] % 5 == 0).all()
        assert "rank_sum" not in ours.groups
        statistic = next(name for name in ("statistic", "z", "d") if name in ours.table)
        a, b = ours.table[statistic].iloc[0], theirs.table[statistic].iloc[0]
        assert a == pytest.approx(b, rel=5e-7)
        assert a != b
        square = a * a if statistic == "z" else a
        mantissa = np.frexp(square)[0] * 2**21
        assert mantissa == pytest.approx(round(mantissa), abs=1e-6)
        opened = {item["name"] for item in ours.run["opened"]}
        assert opened <= {
            "test can be released",
            "people in groups",
            "statistic",
            "area under the curve",
            "largest distance",
        }
        assert any("on shares" in line for line in ours.withheld)


def test_under_standard_a_column_of_few_values_needs_people_at_each() -> None:
    rng = np.random.default_rng(1)
    sites = {}
    for k in range(3):
        sites[f"s{k}"] = pd.DataFrame({"level": np.arange(150) % 5, "sex": rng.choice(["F", "M"], 150)})
        sites[f"s{k}"]["long"] = rng.integers(0, 100, 150)
        sites[f"s{k}"]["rare"] = np.where(np.arange(150) < 3, 0, 1 + np.arange(150) % 3)
    with ms.local(sites, policy="standard") as consortium:
        assert consortium.kolmogorov_smirnov("level", by="sex").p_value > 0
        assert consortium.correlation("level", "long").p_value > 0
        for call in (
            lambda: consortium.mannwhitney("rare", by="sex"),
            lambda: consortium.kruskal("rare", by="sex"),
            lambda: consortium.kolmogorov_smirnov("rare", by="sex"),
            lambda: consortium.correlation("level", "rare"),
        ):
            with pytest.raises(DisclosureRefused, match="a value of a column with at most 5 of them"):
                call()


def test_what_is_refused_before_anything_runs() -> None:
    with ms.local(tables(5)) as consortium:
        for call, problem in (
            (lambda: consortium.mannwhitney("x", by="arm"), "compares two groups, and column 'arm' has 3"),
            (lambda: consortium.mannwhitney("note", by="sex"), "cannot be ranked"),
            (lambda: consortium.kruskal("x", by="y"), "no levels"),
            (lambda: consortium.kruskal("x", by="arm", groups=("a", "d")), "has no level 'd'"),
            (lambda: consortium.kruskal("x", by="arm", groups=("a",)), "compares two groups or more"),
            (lambda: consortium.kruskal("z", by="arm"), "has no column 'z'"),
            (lambda: consortium.wilcoxon_signed_rank("x", "x"), "named twice"),
            (lambda: consortium.wilcoxon_signed_rank("x", mu=0.5), "no whole multiple"),
        ):
            with pytest.raises(SpecError, match=problem):
                call()


@pytest.mark.parametrize("policy", ["open", pytest.param("standard", marks=pytest.mark.long)])
def test_records_are_merged_where_there_are_too_many_values_for_a_lattice(policy: str) -> None:
    from scipy.stats import kruskal, ks_2samp, mannwhitneyu

    sites = tables(30, seed=9)
    rng = np.random.default_rng(3)
    for frame in sites.values():
        frame["value"] = rng.normal(size=30)
        frame.loc[:15, "value"] = frame.loc[:15, "value"].round(1)  # ties
    pooled = pd.concat(sites.values())
    values = [pooled.loc[pooled["sex"] == sex, "value"].to_numpy() for sex in ("F", "M")]
    expected = mannwhitneyu(*values, method="asymptotic")
    rtol = 1e-11 if policy == "open" else 1e-5
    with ms.local(sites, policy=policy) as consortium:
        found = consortium.mannwhitney("value", by="sex")
        assert found.p_value == pytest.approx(expected.pvalue, rel=rtol)
        assert found.auc == pytest.approx(expected.statistic / len(values[0]) / len(values[1]), rel=rtol)
        assert "hodges_lehmann" not in found.table
        assert ("rows of the largest table" in {item["name"] for item in found.run["opened"]}) == (policy == "open")
        arms = [pooled.loc[pooled["arm"] == arm, "value"] for arm in "abc"]
        assert consortium.kruskal("value", by="arm").statistic == pytest.approx(kruskal(*arms).statistic, rel=rtol)
        distance = consortium.kolmogorov_smirnov("value", by="sex").statistic
        assert distance == pytest.approx(ks_2samp(*values).statistic, rel=rtol)


def test_an_area_of_records_is_delongs() -> None:
    sites = tables(20, seed=9)
    fine = parse_dictionary(
        {
            "id": "d",
            "columns": [
                {"name": "y", "type": "decimal", "range": [0, 200], "resolution": 1e-5},
                {"name": "sex", "type": "category", "levels": ["F", "M"]},
            ],
        }
    )
    with ms.local(sites) as lattice, ms.local(sites, dictionary=fine) as records:
        one, other = (c.mannwhitney("y", by="sex", hodges_lehmann=False).table for c in (lattice, records))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        exact = [c.kolmogorov_smirnov("y", by="sex").table for c in (lattice, records)]
        pd.testing.assert_frame_equal(*exact, check_exact=True)


def test_plans_travel_as_json() -> None:
    sites = tables(9)
    sites["s0"]["fine"] = np.random.default_rng(1).normal(size=9)
    dictionary = infer_dictionary(sites)
    for asked in (
        {"type": "mannwhitney", "column": "fine", "by": "sex"},
        {"type": "kruskal", "column": "y", "by": "arm", "groups": ["b", "a"]},
        {"type": "kolmogorov-smirnov", "column": "x", "by": "sex"},
        {"type": "wilcoxon-signed-rank", "x": "x", "y": "y", "mu": 0.5},
        {"type": "correlation", "x": ["x", "y", "fine"], "method": "kendall"},
    ):
        plan = make_plan(parse_spec(json.dumps(asked)), dictionary, None)
        assert plan.within_limits()
        assert plan_from_json(plan_to_json(plan), "s0") == plan


def test_lattices_that_are_too_long_or_unknown() -> None:
    sites = tables(5)
    column: dict[str, Any] = {"name": "y", "type": "decimal", "range": [0, 20]}
    sex = {"name": "sex", "type": "category", "levels": ["F", "M"]}

    def refused(**more: Any) -> str:
        dictionary = parse_dictionary({"id": "d", "columns": [column | more, sex]})
        with ms.local(sites, dictionary=dictionary) as consortium:
            if more.get("range", 1) is None:
                with pytest.raises(SpecError, match="range is not known"):
                    consortium.mannwhitney("y", by="sex")
            with pytest.raises(SpecError) as caught:
                consortium.wilcoxon_signed_rank("y", ties="decimal")
        return str(caught.value)

    assert "resolution is not known" in refused()
    assert "resolution is not known" in refused(range=None)
    assert "range is not known" in refused(range=None, resolution=0.1)
    assert "20,000,001 possible values" in refused(resolution=1e-6)
    dictionary = parse_dictionary({"id": "d", "columns": [column | {"resolution": 1}, sex]})
    with ms.local(sites, dictionary=dictionary) as consortium, pytest.raises(DataError, match="no whole multiples"):
        consortium.mannwhitney("y", by="sex")
