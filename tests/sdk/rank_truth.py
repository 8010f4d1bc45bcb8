"""Our rank tests and correlations against R's, over random splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from tests.stats.r_truth import _read, everything, shipped

__all__ = ["check", "entries", "split"]

NAMES = {"two-sample": "mannwhitney", "k-sample": "kruskal", "paired": "signed_rank", "correlation": "correlation"}

TOO_LONG = ("flchain_kappa_lambda", "whas_age_bmi")
"""Recorded with so many decimals that a table of both columns is too large on shares."""


def entries(kind: str, *, all_of_them: bool) -> list[Any]:
    """Parameters for the entries of a kind."""
    found = everything("tests.json") if all_of_them else shipped("rank_tests.json")
    return [p for p in found if p.values[0] is None or p.values[0]["analysis"].split()[0] == kind]


def split(entry: dict[str, Any], sites: int, seed: int = 1) -> dict[str, pd.DataFrame]:
    """The columns of an entry, on sites at random."""
    columns = [entry[key] for key in ("value", "group", "x", "y") if key in entry]
    frame = _read(entry["file"])[columns]
    site = np.random.default_rng(seed).integers(0, sites, len(frame))
    return {f"site{k}": frame[site == k] for k in range(sites)}


def check(entry: dict[str, Any], sites: int, mode: Any, rtol: float) -> None:
    """Every number of the entry that is ours."""
    with ms.local(split(entry, sites, seed=sites)) as consortium:
        kind = NAMES[entry["analysis"].split()[0]]
        ours, theirs = globals()[f"_{kind}"](consortium, entry, mode)
    known = {name for name, value in theirs.items() if value is not None and name in ours}
    assert known
    for name in sorted(known):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, atol=1e-15, err_msg=name)


def _mannwhitney(consortium: ms.Consortium, entry: dict[str, Any], mode: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    found = consortium.mannwhitney(entry["value"], by=entry["group"], mode=mode)
    r = entry["result"]
    assert found.groups["n"].tolist() == r["n"]
    assert found.groups["group"].tolist() == r["levels"]
    distance = consortium.kolmogorov_smirnov(entry["value"], by=entry["group"], mode=mode).table.iloc[0]
    theirs = {
        "d": r["ks_D"],
        "p_value_r": r["ks_p_asymptotic"],
        "u": r["wilcoxon_W"],
        "auc": r["auc"],
        "p_value": r["wilcoxon_p_cc"],
        "p_value_uncorrected": r["wilcoxon_p_no_cc"],
    }
    row = found.table.iloc[0].to_dict()
    if "hodges_lehmann" in row and r["hodges_lehmann"] is not None:  # R's root finder is not exact
        assert abs(row["hodges_lehmann"] - r["hodges_lehmann"]) < 3e-3 * max(1, abs(r["hodges_lehmann"]))
    return row | distance[["d", "p_value_r"]].to_dict(), theirs


def _kruskal(consortium: ms.Consortium, entry: dict[str, Any], mode: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    r = entry["result"]
    found = consortium.kruskal(entry["value"], by=entry["group"], groups=r["levels"], mode=mode)
    assert found.groups["n"].tolist() == r["n"]
    test = r["kruskal"]
    return found.table.iloc[0].to_dict(), {
        "statistic": test["H"],
        "degrees_of_freedom": test["df"],
        "p_value": test["p"],
    }


def _signed_rank(consortium: ms.Consortium, entry: dict[str, Any], mode: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    found = consortium.wilcoxon_signed_rank(entry["x"], entry["y"], mode=mode)
    r = entry["result"]
    return found.table.iloc[0].to_dict(), {
        "v": r["signed_rank_V"],
        "p_value": r["p_cc"],
        "p_value_uncorrected": r["p_no_cc"],
    }


def _correlation(consortium: ms.Consortium, entry: dict[str, Any], mode: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    r = entry["result"]
    ours, theirs = {}, {}
    for method, name in (("pearson", "r"), ("spearman", "rho"), ("kendall", "tau_b")):
        if method != "pearson" and mode == "statistic" and entry["id"] in TOO_LONG:
            with pytest.raises(SpecError, match="at most 4,194,304 cells"):
                consortium.correlation(entry["x"], entry["y"], method=method, mode=mode)  # type: ignore[arg-type]
            continue
        found = consortium.correlation(entry["x"], entry["y"], method=method, mode=mode)  # type: ignore[arg-type]
        row = found.table.iloc[0]
        assert row["n"] == r["n"]
        test = r[method]
        if test is None:  # R was not asked
            continue
        ours |= {f"{method} {key}": row[key] for key in ("estimate", "statistic", "p_value")}
        theirs |= {f"{method} estimate": test[name], f"{method} p_value": test["p"]}
        if method != "spearman":
            theirs[f"{method} statistic"] = test["t" if method == "pearson" else "z"]
        if method == "pearson":
            ours |= {key: row[key] for key in ("lower", "upper", "covariance")}
            theirs |= dict(zip(("lower", "upper"), test["conf_int"], strict=True)) | {"covariance": r["covariance"]}
    return ours, theirs
