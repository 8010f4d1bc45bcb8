"""Correlations from Python: R's digits, what stays closed, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.stats.p_adjust import p_adjust
from tests.sdk.rank_truth import check, entries

METHODS = ("pearson", "spearman", "kendall")


@pytest.mark.parametrize("entry", entries("correlation", all_of_them=False))
def test_rs_digits(entry: dict[str, Any]) -> None:
    check(entry, 4, "table", 1e-9)


@pytest.mark.long
@pytest.mark.parametrize("entry", entries("correlation", all_of_them=False))
def test_rs_digits_on_shares(entry: dict[str, Any]) -> None:
    check(entry, 3, "statistic", 1e-6)


@pytest.mark.long
@pytest.mark.parametrize(("mode", "rtol"), [("table", 1e-9), ("statistic", 1e-6)])
@pytest.mark.parametrize("sites", [2, 5, 7])
@pytest.mark.parametrize("entry", entries("correlation", all_of_them=True))
def test_all_of_rs_digits(entry: dict[str, Any], sites: int, mode: str, rtol: float) -> None:
    check(entry, sites, mode, rtol)


def tables(rows: int, sites: int = 3, seed: int = 1) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    found = {}
    for k in range(sites):
        x = rng.integers(0, 9, rows)
        frame = pd.DataFrame({"x": x, "y": x + rng.integers(0, 7, rows), "z": rng.normal(size=rows), "one": 3})
        frame["b"] = rng.random(rows) < 0.5
        frame.loc[rng.random(rows) < 0.1, "y"] = np.nan
        found[f"s{k}"] = frame
    return found


def reference(pooled: pd.DataFrame, x: str, y: str, method: str) -> tuple[float, float]:
    from scipy.stats import kendalltau, pearsonr, spearmanr

    both = pooled[[x, y]].astype(float).dropna()
    function = {"pearson": pearsonr, "spearman": spearmanr, "kendall": kendalltau}[method]
    found = function(both[x], both[y], **({"method": "asymptotic"} if method == "kendall" else {}))
    return float(found.statistic), float(found.pvalue)


@pytest.mark.parametrize("method", METHODS)
def test_several_columns_with_missing_values_and_long_lattices(method: Any) -> None:
    sites = tables(25)
    sites["s1"] = sites["s1"].iloc[:0]
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        found = consortium.correlation(["x", "y", "z", "b"], method=method, adjust="BH")
    assert len(found.table) == 6
    for row in found.table.itertuples():
        estimate, p = reference(pooled, row.x, row.y, method)
        assert row.n == pooled[[row.x, row.y]].dropna().shape[0]
        assert row.estimate == pytest.approx(estimate, rel=1e-10)
        assert row.p_value == pytest.approx(p, rel=1e-9)
    np.testing.assert_allclose(found.table["p_adjusted"], p_adjust(found.table["p_value"], "BH"))
    matrix = found.matrix()
    assert matrix.loc["z", "y"] == matrix.loc["y", "z"] == found.table["estimate"].iloc[3]
    assert np.diag(matrix).tolist() == [1.0] * 4
    assert "Correlation" in found.summary()


@pytest.mark.parametrize("method", METHODS)
def test_on_shares_and_a_column_that_does_not_vary(method: Any) -> None:
    sites = tables(12)
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        hidden = consortium.correlation("x", ["y", "one"], method=method, mode="statistic")
        exact = consortium.correlation("x", ["y", "one"], method=method)
    for found in (hidden, exact):
        estimate, p = reference(pooled, "x", "y", method)
        assert found.estimate == pytest.approx(estimate, rel=1e-9)
        assert found.p_value == pytest.approx(p, rel=1e-9)
        assert found.table.loc[1, ["estimate", "statistic", "p_value"]].isna().all()
    assert hidden.table.loc[0, "statistic"] == pytest.approx(exact.table.loc[0, "statistic"], rel=1e-9)
    if method == "pearson":
        covariance = pooled[["x", "y"]].dropna().cov().loc["x", "y"]
        assert exact.table.loc[0, "covariance"] == pytest.approx(covariance, rel=1e-12)
        assert hidden.table.loc[0, "covariance"] == pytest.approx(covariance, rel=1e-9)
        assert exact.table.loc[1, "covariance"] == hidden.table.loc[1, "covariance"] == 0


def test_opposite_order_is_minus_one() -> None:
    frame = pd.DataFrame({"x": range(12), "y": range(12, 0, -1)})
    with ms.local({"n": frame[:7], "s": frame[7:]}) as consortium:
        for method in METHODS:
            found = consortium.correlation("x", "y", method=method)  # type: ignore[arg-type]
            assert found.estimate == -1
            assert found.p_value < 1e-5


def test_under_standard_sums_stay_closed() -> None:
    sites = tables(40, seed=4)
    with ms.local(sites) as consortium:
        exact = consortium.correlation("x", "y")
    with ms.local(sites, policy="standard") as consortium:
        closed = consortium.correlation("x", "y")
        with pytest.raises(DisclosureRefused, match="exact sums are not let out"):
            consortium.correlation("x", "y", mode="table")
        with pytest.raises(DisclosureRefused, match="too few people"):
            consortium.correlation("x", "y", where="x == 1 and y > 5")
    assert closed.table["n"].iloc[0] % 5 == 0
    assert closed.estimate == pytest.approx(exact.estimate, rel=5e-7)
    assert closed.estimate != exact.estimate
    opened = {item["name"] for item in closed.run["opened"]}
    assert opened == {"test can be released", "people in groups", "squared coefficients", "covariances"}


def test_what_is_refused_before_anything_runs() -> None:
    sites = tables(5)
    for frame in sites.values():
        frame["text"] = "a"
        frame["fine"] = frame["x"] / 1000
    with ms.local(sites) as consortium:
        for call, problem in (
            (lambda: consortium.correlation("x"), "needs two columns"),
            (lambda: consortium.correlation("x", "x"), "named twice"),
            (lambda: consortium.correlation("x", "text"), "cannot be correlated"),
            (lambda: consortium.correlation("x", "w"), "no column 'w'"),
            (lambda: consortium.correlation("x", "z", method="spearman", mode="statistic"), "at most 4,194,304 cells"),
        ):
            with pytest.raises(SpecError, match=problem):
                call()
