"""Cox regression through embedded parties: requests, factors, results, pictures, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused, SpecError


def cohort(people: int = 300, seed: int = 5) -> pd.DataFrame:
    """Whole days, a number, a category and a coded category; hazards that differ."""
    rng = np.random.default_rng(seed)
    age, stage = rng.integers(40, 80, people), rng.choice(["I", "II", "III"], people)
    risk = 0.03 * (age - 60) + np.select([stage == "II", stage == "III"], [0.4, 0.9], 0.0)
    time = np.minimum(np.ceil(rng.exponential(30 * np.exp(-risk))), 60).astype(int)
    return pd.DataFrame({"time": time, "died": (time < 60).astype(int), "age": age, "stage": stage})


def split(frame: pd.DataFrame, sites: int) -> dict[str, pd.DataFrame]:
    place = np.random.default_rng(2).integers(0, sites, len(frame))
    return {f"site{k}": frame[place == k].reset_index(drop=True) for k in range(sites)}


def lifelines_fit(frame: pd.DataFrame, strata: list[str] | None = None) -> pd.DataFrame:
    from lifelines import CoxPHFitter

    coded = frame.assign(**{f"stage={s}": (frame["stage"] == s).astype(int) for s in ("II", "III")}).drop(
        columns="stage"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = CoxPHFitter().fit(coded, "time", "died", strata=strata, fit_options={"precision": 1e-12})
    return fit.summary


@pytest.mark.parametrize("by_site", [True, False])
def test_hazard_ratios_are_those_of_the_pooled_data(by_site: bool) -> None:
    frame = cohort()
    sites = split(frame, 3)
    with ms.local(sites, policy="open") as consortium:
        result = consortium.cox(
            time="time", event="died", covariates=["age", "stage"], by_site=by_site, concordance=False, transforms=()
        )
    joined = pd.concat([part.assign(site=name) for name, part in sites.items()], ignore_index=True)
    expected = lifelines_fit(joined if by_site else frame, ["site"] if by_site else None)
    table = result.coefficients.set_index("term")
    assert table.index.tolist() == ["age", "stage=II", "stage=III"]
    np.testing.assert_allclose(table["coef"], expected["coef"], rtol=1e-6)
    np.testing.assert_allclose(table["se_coef"], expected["se(coef)"], rtol=1e-6)
    np.testing.assert_allclose(table["z"], expected["z"], rtol=1e-6)
    assert result.figures()
    assert "Likelihood ratio test" in result.summary()


def test_numbers_can_be_factors() -> None:
    frame = cohort().assign(grade=lambda table: table["stage"].map({"I": 1, "II": 2, "III": 3}))
    with ms.local(split(frame, 2), policy="open") as consortium:
        result = consortium.cox(
            time="time", event="died", covariates="grade", factors="grade", concordance=False, transforms="identity"
        )
    assert result.table["term"].tolist() == ["grade=2", "grade=3"]
    assert result.proportional_hazards is not None
    # a factor is one term of two columns
    assert result.proportional_hazards["degrees_of_freedom"].tolist()[0] == 2


@pytest.mark.long
def test_standard_refuses_too_few_events_and_hides_the_table_of_events() -> None:
    with ms.local(split(cohort(60), 3), policy="standard") as consortium, pytest.raises(DisclosureRefused):
        consortium.cox(time="time", event="died", covariates=["age", "stage"])
    with ms.local(split(cohort(900), 3), policy="standard") as consortium:
        result = consortium.cox(time="time", event="died", covariates=["age", "stage"])
    assert not any("time" in entry["name"] and "events" in entry["name"] for entry in result.run["opened"])
    assert result.coefficients["coef"].notna().all()


def test_requests_that_fit_no_column_are_refused() -> None:
    with ms.local(split(cohort(), 2), policy="open") as consortium:
        with pytest.raises(SpecError, match="not among the covariates"):
            consortium.cox(time="time", event="died", covariates="age", factors="stage")
        with pytest.raises(SpecError, match="named twice"):
            consortium.cox(time="time", event="died", covariates=["age", "time"])
        with pytest.raises(SpecError, match="covariates"):
            consortium.cox(time="time", event="died", covariates=[])
