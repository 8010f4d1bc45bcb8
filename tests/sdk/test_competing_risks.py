"""Competing risks through embedded parties: requests, results, pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DataError, SpecError
from mpcstats.stats.competing_risks.gray import gray_test
from mpcstats.stats.competing_risks.incidence import incidence_tables


def cohort(people: int = 400, seed: int = 7) -> pd.DataFrame:
    """Two groups, two causes, times of whole days."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, people)
    return pd.DataFrame(
        {
            "time": rng.integers(0, 40, people) + 5 * group,
            "status": rng.choice(["censored", "relapse", "death"], people, p=[0.3, 0.4, 0.3]),
            "arm": np.where(group == 1, "B", "A"),
            "centre": rng.choice(["x", "y"], people),
        }
    )


def split(frame: pd.DataFrame, sites: int) -> dict[str, pd.DataFrame]:
    place = np.random.default_rng(1).integers(0, sites, len(frame))
    return {f"site{k}": frame[place == k].reset_index(drop=True) for k in range(sites)}


def counts(frame: pd.DataFrame, causes: list[str]) -> np.ndarray:
    """(causes + 1, groups, times), the censored last."""
    ways = [*causes, "censored"]
    table = np.zeros((len(ways), 2, frame["time"].max() + 1), np.int64)
    np.add.at(table, (frame["status"].map(ways.index), (frame["arm"] == "B").astype(int), frame["time"]), 1)
    return table


@pytest.mark.parametrize("sites", [2, 5])
def test_curves_and_tests_are_those_of_the_pooled_data(sites: int) -> None:
    frame = cohort()
    with ms.local(split(frame, sites), policy="open") as consortium:
        result = consortium.cumulative_incidence(time="time", event="status", by="arm", censored="censored")
        stratified = consortium.gray(time="time", event="status", by="arm", strata="centre", censored="censored")
    causes = [str(cause) for cause in result.causes["cause"].unique()]
    pooled = counts(frame, causes)
    expected = incidence_tables(pooled[:-1], pooled[-1], None, causes=causes, groups=["A", "B"])
    pd.testing.assert_frame_equal(result.incidence, expected["incidence"], rtol=1e-12, check_dtype=False)
    assert result.gray is not None
    for number, row in enumerate(result.gray.itertuples()):
        test = gray_test(pooled[None, :-1], pooled[None, -1], number)
        assert row.chi_square == pytest.approx(test.chi_square, rel=1e-12)
    by_centre = np.stack([counts(part, causes) for _, part in frame.groupby("centre")])
    for number, row in enumerate(stratified.table.itertuples()):
        test = gray_test(by_centre[:, :-1], by_centre[:, -1], number)
        assert row.chi_square == pytest.approx(test.chi_square, rel=1e-12)
    assert "Gray's test" in result.summary()
    assert result.figures()


def test_standard_shows_rounded_curves_and_no_test() -> None:
    with ms.local(split(cohort(1500), 3), policy="standard") as consortium:
        result = consortium.cumulative_incidence(time="time", event="status", by="arm", censored="censored")
    assert result.rounded
    assert result.gray is None
    assert any("exact" in line for line in result.withheld)


def test_causes_can_be_named_and_the_rest_is_censored() -> None:
    frame = cohort()
    with ms.local(split(frame, 2), policy="open") as consortium:
        result = consortium.cumulative_incidence(time="time", event="status", causes="death")
    assert result.causes["cause"].tolist() == ["death"]
    assert result.causes["events"].tolist() == [int((frame["status"] == "death").sum())]


def test_requests_that_fit_no_column_are_refused() -> None:
    with ms.local(split(cohort(), 2), policy="open") as consortium:
        with pytest.raises(SpecError, match="not a level"):
            consortium.cumulative_incidence(time="time", event="status", causes=["cured"])
        with pytest.raises(SpecError, match="among the causes"):
            consortium.cumulative_incidence(time="time", event="status", causes="death", censored="death")
        with pytest.raises(SpecError, match="named twice"):
            consortium.gray(time="time", event="status", by="status")


def test_negative_times_are_refused_at_their_owner() -> None:
    frame = cohort()
    frame.loc[3, "time"] = -1
    with (
        ms.local(split(frame, 2), policy="open") as consortium,
        pytest.raises((DataError, SpecError), match=r"negative|below zero"),
    ):
        consortium.cumulative_incidence(time="time", event="status", censored="censored")
