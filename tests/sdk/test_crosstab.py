"""Cross-tabulations as a statistician asks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from mpcstats.sdk.results import CrosstabResult
from mpcstats.study.dictionary import Dictionary

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def lung() -> pd.DataFrame:
    return pd.read_csv(DATA / "lung.csv").dropna(subset=["ph.ecog"])


def split(frame: pd.DataFrame, sites: int, seed: int) -> dict[str, pd.DataFrame]:
    target = np.random.default_rng(seed).integers(0, sites, len(frame))
    return {f"site{k}": frame[target == k].reset_index(drop=True) for k in range(sites)}


@pytest.mark.parametrize("sites", [2, 3, 5])
def test_tables_are_those_of_pandas(lung: pd.DataFrame, sites: int) -> None:
    with ms.local(split(lung, sites, sites)) as consortium:
        results = [consortium.crosstab("sex", "ph.ecog", margins=m, where="age > 50") for m in ("released", "pooled")]
    old = lung[lung["age"] > 50]
    truth = pd.crosstab(old["sex"], old["ph.ecog"])
    for result in results:
        np.testing.assert_array_equal(result.counts.to_numpy(dtype=int), truth.to_numpy())
        np.testing.assert_array_equal(
            result.outcome.tables["row_margins"]["count"].to_numpy(dtype=int), truth.sum(axis=1)
        )
        np.testing.assert_array_equal(
            result.outcome.tables["column_margins"]["count"].to_numpy(dtype=int), truth.sum(axis=0)
        )
        assert result.outcome.tables["total"]["count"].tolist() == [truth.to_numpy().sum()]
        np.testing.assert_allclose(result.percentages("row").sum(axis=1), 100)
        shares = 100 * truth / truth.sum(axis=0)
        np.testing.assert_allclose(result.percentages("column").to_numpy(dtype=float), shares.to_numpy())


@pytest.mark.parametrize("margins", ["released", "pooled", "none"])
def test_what_standard_shows(lung: pd.DataFrame, margins: str, tmp_path: Path) -> None:
    # in sessions of their own: beside one another, some of them would be refused
    sessions = [ms.local(split(lung, 3, 1), policy="standard") for _ in range(3)]
    result = sessions[0].crosstab("sex", "ph.ecog", margins=margins)  # type: ignore[arg-type]
    rows = sessions[1].count(by=["sex"]).to_frame()["count"]
    by_both = sessions[2].count(by=["sex", "ph.ecog"]).to_frame()
    assert isinstance(result, CrosstabResult)
    assert result.suppressed >= 2
    table = result.to_frame()
    shown = table["status"] == "released"
    # the same numbers as a count
    assert (table["count"][shown] == by_both["count"][shown]).all()
    assert ((table["status"] == "suppressed") == (by_both["status"] == "suppressed")).all()
    assert any("minimum_count = 11" in text for text in result.withheld)
    if margins == "pooled":
        margin = result.outcome.tables["row_margins"]["count"]
        assert (margin[margin.notna()] == rows[margin.notna()]).all()
        assert result.run["rounds"] < 30
    else:
        assert result.run["rounds"] <= 15
    if margins == "released":
        sums = table["count"].to_numpy(dtype=float, na_value=0).reshape(result.counts.shape).sum(axis=1)
        assert result.outcome.tables["row_margins"]["count"].tolist() == sums.tolist()
        assert set(result.outcome.tables["row_margins"]["status"]) == {"sum of released cells"}
        assert result.percentages("row").isna().all().all()  # every row lacks a cell
    assert "suppressed" in result.summary()
    assert "suppressed" in result._repr_html_()
    names = {path.name for path in result.save(tmp_path / "table")}
    assert {"table.cells.csv", "table.json", "table.png"} <= names


def test_a_person_counts_once_per_cell() -> None:
    frame = pd.DataFrame({"id": [1, 1, 1, 2, 2], "drug": ["a", "a", "b", "a", "b"], "arm": [0, 0, 0, 1, 1]})
    dictionary = Dictionary.model_validate(
        {
            "id": "d",
            "unit_of_count": "id",
            "columns": [
                {"name": "id", "type": "integer"},
                {"name": "drug", "type": "category", "levels": ["a", "b"]},
                {"name": "arm", "type": "integer", "levels": [0, 1]},
            ],
        }
    )
    with ms.local({"one": frame, "two": frame, "three": frame}, dictionary=dictionary) as consortium:
        result = consortium.crosstab("arm", "drug")
    assert result.counts.to_numpy().tolist() == [[3, 3], [3, 3]]


def test_requests_that_do_not_fit(lung: pd.DataFrame) -> None:
    with ms.local(split(lung, 3, 2)) as consortium:
        with pytest.raises(SpecError, match="named twice"):
            consortium.crosstab("sex", "sex")
        with pytest.raises(SpecError, match="stage"):
            consortium.crosstab("sex", "stage")
        with pytest.raises(SpecError, match="margins"):
            consortium.crosstab("sex", "ph.ecog", margins="all")  # type: ignore[arg-type]
        with pytest.raises(SpecError, match="levels"):
            consortium.crosstab("sex", "meal.cal")
