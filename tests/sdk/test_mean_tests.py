"""t tests, analysis of variance, tests of variances from Python: R's digits, edges, refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.sdk.results import TTestResult
from tests.stats.r_truth import SHARED, SHIPPED, text

LUNG = SHIPPED.parent / "lung.csv"


def shipped() -> list[Any]:
    entries = json.loads((SHIPPED / "mean_tests.json").read_text(encoding="utf-8"))["entries"]
    return [pytest.param(entry, id=entry["id"]) for entry in entries]


def everything() -> list[Any]:
    path = SHARED / "truth" / "tests.json"
    if not path.exists():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason="the shared truth folder is absent"))]
    kinds = ("two-sample", "k-sample", "paired")
    entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    return [pytest.param(e, id=e["id"]) for e in entries if e["analysis"].startswith(kinds)]


def sites_of(entry: dict[str, Any], sites: int) -> dict[str, pd.DataFrame]:
    """The entry's rows at random sites; small tables ship with it."""
    if "rows" in entry:
        frame = pd.DataFrame(entry["rows"])
    else:
        frame = pd.read_csv(LUNG if entry["file"] == "survival_lung.csv" else SHARED / "data/clinical" / entry["file"])
    names = [entry["x"], entry["y"]] if "x" in entry else [entry["value"], entry["group"]]
    frame = frame[names].dropna()
    if "group" in entry:
        frame = frame.assign(group=frame[entry["group"]].map(text))
    site = np.random.default_rng(list(entry["id"].encode())).integers(0, sites, len(frame))
    return {f"site{k}": frame[site == k] for k in range(sites)}


def close(ours: Any, theirs: Any, rel: float = 1e-9) -> None:
    wanted = [math.nan if x is None else float(x) for x in np.atleast_1d(np.array(theirs, dtype=object))]
    np.testing.assert_allclose(np.atleast_1d(np.asarray(ours, dtype=float)), wanted, rtol=rel, atol=1e-300)


def same_t(found: TTestResult, r: dict[str, Any]) -> None:
    close([found.statistic, *found.degrees_of_freedom, found.p_value], [r["statistic"], r["df"], r["p"]])
    close(found.confidence_limits, r["conf_int"])


def compare(entry: dict[str, Any], sites: int) -> None:
    r = entry["result"]
    with ms.local(sites_of(entry, sites)) as consortium:
        if "x" in entry:
            found = consortium.paired_ttest(entry["x"], entry["y"])
            close(found.estimate, r["mean_diff"])
            same_t(found, {**r, "statistic": r["t"]})
        elif "welch" in r:
            two_groups(consortium, entry["value"], r)
        else:
            several_groups(consortium, entry["value"], r)


def two_groups(consortium: Any, column: str, r: dict[str, Any]) -> None:
    request = {"column": column, "by": "group", "groups": r["levels"]}
    welch = consortium.ttest(**request)
    same_t(welch, r["welch"])
    close(welch.table["standard_error"], r["welch"]["stderr"])
    close(welch.table["cohen_d"], r["cohen_d"])
    close(
        welch.groups[["n", "mean", "sd", "variance"]].T.to_numpy().ravel(), [*r["n"], *r["mean"], *r["sd"], *r["var"]]
    )
    same_t(consortium.ttest(**request, equal_variances=True), r["student"])
    for side in ("less", "greater"):
        close(consortium.ttest(**request, alternative=side).p_value, r[f"welch_{side}_p"])
    ratio = consortium.variance_test(**request)
    v = r["var_test"]
    close([ratio.statistic, *ratio.degrees_of_freedom, ratio.p_value], [v["F"], *v["df"], v["p"]])
    close(ratio.table[["lower", "upper"]].iloc[0], v["conf_int"])


def several_groups(consortium: Any, column: str, r: dict[str, Any]) -> None:
    request = {"column": column, "by": "group", "groups": r["levels"]}
    found = consortium.anova(**request, tukey=True, pairwise="holm")
    a = r["anova"]
    close([found.statistic, *found.degrees_of_freedom, found.p_value], [a["F"], *a["df"], a["p"]])
    close(found.outcome.tables["anova"]["sum_of_squares"], a["sumsq"])
    close(found.outcome.tables["anova"]["mean_square"], a["meansq"])
    t = r["tukey_hsd"]
    assert [f"{h}-{g}" for h, g in found.tukey[["group", "other"]].to_numpy()] == t["pairs"]
    close(found.tukey["estimate"], t["diff"])
    # R's quantile of the studentized range has four digits, its tail eleven decimals
    np.testing.assert_allclose(
        found.tukey[["lower", "upper"]], np.array([t["lower"], t["upper"]]).T, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found.tukey["p_adjusted"], t["p_adj"], rtol=1e-6, atol=1e-10)
    if r.get("pairwise_t_pooled_holm") is not None:
        pairs = {(row["group"], row["other"]): row["p_adjusted"] for row in found.pairwise.to_dict("records")}
        for h, line in zip(r["levels"][1:], r["pairwise_t_pooled_holm"], strict=True):
            for g, p in zip(r["levels"], line, strict=False):
                if p is not None:
                    close(pairs[h, g], p)
    welch = consortium.anova(**request, equal_variances=False)
    w = r["welch_anova"]
    close([welch.statistic, *welch.degrees_of_freedom, welch.p_value], [w["F"], *w["df"], w["p"]])
    b = consortium.bartlett(**request)
    close([b.statistic, *b.degrees_of_freedom, b.p_value], [r["bartlett"][name] for name in ("K2", "df", "p")])
    for center in ("median", "mean"):
        levene = consortium.levene(**request, center=center)
        close([levene.statistic, levene.p_value], [r[f"levene_{center}"][name] for name in ("F", "p")])


@pytest.mark.parametrize("entry", shipped())
def test_tests_have_rs_digits(entry: dict[str, Any]) -> None:
    compare(entry, 3)


@pytest.mark.long
@pytest.mark.parametrize("entry", everything())
def test_all_tests_of_the_shared_truth(entry: dict[str, Any]) -> None:
    compare(entry, 2 + sum(entry["id"].encode()) % 6)


def odd_sites() -> dict[str, pd.DataFrame]:
    """A site without rows, groups at one site only, a group of one person and one of nobody, a constant column."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "g": pd.Categorical(list("aaaaaabbbbbbccccd"), categories=list("abcde")).astype(object),
            "x": rng.normal(5, 1, 17).round(2),
            "y": rng.normal(4, 1, 17).round(1),
            "same": np.full(17, 0.3),
            "flag": rng.random(17) < 0.5,
        }
    )
    frame.loc[3, "x"] = math.nan
    return {"none": frame.iloc[:0], "one": frame.iloc[:8], "two": frame.iloc[8:14], "three": frame.iloc[14:]}


def test_odd_sites_and_groups_against_scipy() -> None:
    from scipy import stats

    sites = odd_sites()
    pooled = pd.concat(sites.values())
    x = {g: part["x"].dropna().to_numpy() for g, part in pooled.groupby("g")}
    with ms.local(sites) as consortium:
        theirs = stats.ttest_ind(x["b"], x["a"], equal_var=False)
        ours = consortium.ttest("x", by="g", groups=["b", "a"])
        close([ours.statistic, ours.p_value], [theirs.statistic, theirs.pvalue])
        one = consortium.ttest("x", mu=4.5, alternative="greater", where="g == 'a'")
        theirs = stats.ttest_1samp(x["a"], 4.5, alternative="greater")
        close([one.statistic, one.p_value, one.degrees_of_freedom[0]], [theirs.statistic, theirs.pvalue, 4])
        assert one.confidence_limits[1] == math.inf
        pairs = pooled.dropna()
        paired = consortium.paired_ttest("x", "y")
        theirs = stats.ttest_rel(pairs["x"], pairs["y"])
        close([paired.statistic, paired.p_value, paired.degrees_of_freedom[0]], [theirs.statistic, theirs.pvalue, 15])
        flag = consortium.ttest("flag", by="g", groups=["a", "c"], equal_variances=True)
        theirs = stats.ttest_ind(*(pooled.loc[pooled["g"] == g, "flag"].astype(float) for g in "ac"))
        close([flag.statistic, flag.p_value], [theirs.statistic, theirs.pvalue])
        anova = consortium.anova("x", by="g")
        theirs = stats.f_oneway(x["a"], x["b"], x["c"])
        close([anova.statistic, anova.p_value], [theirs.statistic, theirs.pvalue])
        assert anova.withheld == ["groups with fewer than two people are left out: d"]
        assert anova.groups["n"].tolist() == [5, 6, 4, 1]
        levene = consortium.levene("x", by="g")
        theirs = stats.levene(x["a"], x["b"], x["c"])
        close([levene.statistic, levene.p_value], [theirs.statistic, theirs.pvalue])


def test_where_nothing_varies_there_is_no_test() -> None:
    with ms.local(odd_sites()) as consortium:
        request = {"column": "same", "by": "g"}
        for found in (
            consortium.ttest(**request, groups=["a", "b"]),
            consortium.ttest(**request, groups=["a", "b"], equal_variances=True),
            consortium.anova(**request, tukey=True, pairwise="holm"),
            consortium.anova(**request, equal_variances=False),
            consortium.variance_test(**request, groups=["a", "b"]),
            consortium.bartlett(**request),
            consortium.levene(**request),
            consortium.ttest("same"),
        ):
            assert math.isnan(found.statistic)
            assert math.isnan(found.p_value)
            assert "NA" in found.summary()


def test_requests_that_make_no_sense() -> None:
    with ms.local(odd_sites()) as consortium:
        for request, problem in (
            ({"column": "x", "by": "g"}, "compares two"),
            ({"column": "x", "by": "g", "groups": ["a", "z"]}, "no level"),
            ({"column": "x", "by": "g", "groups": ["a", "a"]}, "named twice"),
            ({"column": "x", "by": "g", "groups": ["a", "d"]}, "two people"),
            ({"column": "x", "by": "g", "paired": "y"}, "not both"),
            ({"column": "x", "groups": ["a", "b"]}, "belong to a test of two groups"),
            ({"column": "g", "by": "flag"}, "a number or a boolean"),
            ({"column": "x", "by": "y"}, "no levels"),
            ({"column": "x", "paired": "x"}, "named twice"),
            ({"column": "x", "where": "x > 100"}, "two people"),
        ):
            with pytest.raises(SpecError, match=problem):
                consortium.ttest(**request)


def test_results_are_printed_saved_and_drawn(tmp_path: Path) -> None:
    with ms.local(odd_sites()) as consortium:
        found = consortium.anova("x", by="g", tukey=True)
        t = consortium.ttest("x", by="g", groups=["a", "b"])
    names = {path.name for path in found.save(tmp_path / "x")}
    assert names == {"x.test.csv", "x.groups.csv", "x.tukey.csv", "x.anova.csv", "x.json", "x.txt", "x.png"}
    assert "One-way analysis of variance: F = " in found.summary()
    assert "Welch two-sample t test: t = " in t._repr_html_()
    with pytest.raises(SpecError, match="pairwise"):
        _ = found.pairwise


def large_sites(seed: int, sites: int, people: int = 240) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "g": rng.choice(["a", "b", "c"], people, p=[0.5, 0.3, 0.2]),
            "two": rng.choice([1, 2], people),
            "x": rng.normal(60, 9, people).round(),
            "y": rng.gamma(2, 3.3, people),
            "far": 1e6 + rng.normal(0, 1, people),
        }
    )
    frame.loc[frame["two"] == 1, "x"] += 3
    site = rng.integers(0, sites, people)
    return {f"site{k}": frame[site == k] for k in range(sites)}


def requests(consortium: Any, mode: str) -> list[Any]:
    return [
        consortium.ttest("x", by="two", mode=mode),
        consortium.ttest("y", by="two", mode=mode, equal_variances=True, mu=0.4, alternative="less"),
        consortium.ttest("far", mu=1e6, mode=mode),
        consortium.paired_ttest("x", "y", mode=mode),
        consortium.anova("x", by="g", mode=mode),
        consortium.variance_test("y", by="g", groups=["c", "a"], mode=mode),
    ]


@pytest.mark.long
@pytest.mark.parametrize("sites", [3])
def test_statistics_on_shares_are_those_of_the_table(sites: int) -> None:
    with ms.local(large_sites(sites, sites)) as consortium:
        for secret, open_ in zip(requests(consortium, "statistic"), requests(consortium, "table"), strict=True):
            close(secret.statistic, open_.statistic, rel=1e-8)
            close(secret.degrees_of_freedom, open_.degrees_of_freedom, rel=1e-8)
            close(secret.p_value, open_.p_value, rel=1e-6)
            assert secret.groups["n"].tolist() != open_.groups["n"].tolist() or (secret.groups["n"] % 5 == 0).all()
            assert not any("sums" in item["name"] for item in secret.run["opened"])


@pytest.mark.long
@pytest.mark.parametrize("sites", [2, 4, 5, 6, 7])
def test_statistics_on_shares_with_more_parties(sites: int) -> None:
    test_statistics_on_shares_are_those_of_the_table(sites)


def test_statistics_of_constant_columns_do_not_exist() -> None:
    sites = {name: part.assign(x=0.7) for name, part in large_sites(3, 2).items()}
    with ms.local(sites) as consortium:
        for found in (
            consortium.ttest("x", by="two", mode="statistic"),
            consortium.anova("x", by="g", mode="statistic"),
            consortium.variance_test("x", by="two", mode="statistic"),
        ):
            assert math.isnan(found.statistic)
            assert math.isnan(found.p_value)


def test_standard_opens_statistics_and_rounded_groups() -> None:
    sites = large_sites(7, 3)
    with ms.local(sites) as consortium:
        theirs = requests(consortium, "table")
    with ms.local(sites, policy="standard") as consortium:
        for ours, exact in zip(requests(consortium, "auto"), theirs, strict=True):
            one = len(exact.groups) == 1
            close(ours.statistic, exact.statistic, rel=2.0**-13 if one else 2.0**-22 * 1.01)
            close(ours.degrees_of_freedom, exact.degrees_of_freedom, rel=0.05)
            assert ours.groups["n"].tolist() == [5 * round(n / 5) for n in exact.groups["n"]]
            assert any("exact numbers" in text for text in ours.withheld)
            assert not {"lower", "estimate"} & set(ours.table.columns) or ours.outcome.analysis == "variance-test"


def test_what_standard_refuses() -> None:
    sites = large_sites(7, 3)
    few = {name: part.assign(g=np.where(np.arange(len(part)) < 3, "d", part["g"])) for name, part in sites.items()}
    alone = {name: part.assign(g="d" if name == "site0" else "e") for name, part in sites.items()}
    alone["site0"].loc[alone["site0"].index[:-5], "g"] = "e"
    with ms.local(sites, policy="standard") as consortium:
        for call in (
            lambda: consortium.ttest("x", by="two", mode="table"),
            lambda: consortium.anova("x", by="g", equal_variances=False),
            lambda: consortium.bartlett("x", by="g"),
            lambda: consortium.levene("x", by="g"),
        ):
            with pytest.raises(DisclosureRefused, match="minimum_count = 11"):
                call()
    for table in (few, alone):
        with ms.local(table, policy="standard") as consortium, pytest.raises(DisclosureRefused, match="too few people"):
            consortium.anova("x", by="g")
