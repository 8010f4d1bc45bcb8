"""R's coxph and cox.zph from people split over sites."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.sharing.committee import default_threshold
from mpcstats.stats.cox import CoxOptions
from mpcstats.stats.cox.options import TRANSFORMS
from mpcstats.stats.outcome import Outcome
from tests.stats.cox import kit
from tests.stats.r_truth import SHARED, SHIPPED, numbers

SHIPPED_ENTRIES = {entry["id"]: entry for entry in kit.entries(SHIPPED / "coxph.json")}
TIES = ("efron", "breslow")


def shared(name: str) -> list[Any]:
    path = SHARED / "truth" / name
    if not path.exists():
        reason = "the shared truth folder is not beside the repository"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(entry, id=entry["id"]) for entry in kit.entries(path)]


def close(ours: Any, theirs: Any, rtol: float, atol: float = 0.0) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), numbers(theirs), rtol=rtol, atol=atol)


def check_model(outcome: Outcome, truth: dict[str, Any]) -> None:
    """Everything that R prints, 1e-7 or better where the number is not rounded by R itself."""
    table, tests = outcome.tables["coefficients"], outcome.tables["tests"]
    se = numbers(truth["se"])
    close(table["coef"], truth["coef"], 1e-8, 1e-9 * float(se.min()))
    close(table["se_coef"], truth["se"], 1e-9)
    close(np.exp(table["coef"]), np.exp(numbers(truth["coef"])).tolist(), 1e-8)
    z = np.abs(numbers(truth["coef"]) / se)
    # a p-value magnifies the error of z by z
    np.testing.assert_allclose(table["p_value"], numbers(truth["p"]), rtol=1e-8 * max(1, float(z.max())) ** 2, atol=0)
    if truth.get("vcov"):
        covariance = outcome.tables["covariance"].drop(columns="term").to_numpy()
        np.testing.assert_allclose(covariance, truth["vcov"], rtol=1e-7, atol=1e-9 * float(np.abs(covariance).max()))
    assert (outcome.values["people"], outcome.values["events"]) == (truth["n"], truth["nevent"])
    assert outcome.values["log_likelihood_null"] == pytest.approx(truth["loglik_null"], rel=1e-12)
    assert outcome.values["log_likelihood"] == pytest.approx(truth["loglik"], rel=1e-12)
    assert outcome.values["aic"] == pytest.approx(truth["aic"], rel=1e-12)
    for row, name in enumerate(("lrt", "wald", "score")):
        statistic, df, p = truth[name]
        # R rounds the Wald statistic to two decimals
        assert tests["chi_square"][row] == pytest.approx(statistic, rel=1e-9, abs=0.0051 if name == "wald" else 0)
        assert tests["degrees_of_freedom"][row] == df
        assert tests["p_value"][row] == pytest.approx(p, rel=0.02 if name == "wald" else 1e-6)


def check_hazards(outcome: Outcome, truth: dict[str, Any]) -> None:
    for transform, expected in (truth.get("cox_zph_schoenfeld_survival3") or {}).items():
        table = outcome.tables[f"proportional_hazards_{transform}"]
        assert table["term"].iloc[-1] == "GLOBAL"
        close(table["chi_square"].iloc[-1:], expected["chisq"][-1:], 1e-6)
        close(table["p_value"].iloc[-1:], expected["p"][-1:], 1e-6)
        assert table["degrees_of_freedom"].iloc[-1] == expected["df"][-1]


def check_baseline(outcome: Outcome, truth: dict[str, Any], strata: tuple[str, ...], parties: int) -> None:
    """1e-8, and the digits that never leave: 40 bits stay, and each of the committee's subsets adds noise below them.

    Half the sum of the noise at most, for the middle of the covariates; twice that where R's reference is elsewhere.
    """
    noise = math.comb(parties, default_threshold(parties)) * 2.0**-40
    expected = truth["basehaz_at_means"]
    if not expected or strata:
        return
    close(outcome.tables["baseline_covariates"]["value"], expected["means"], 1e-9, 1e-9)
    table = outcome.tables["baseline"]
    place = np.searchsorted(table["time"], numbers(expected["time"]) + 1e-6, side="right") - 1
    seen = place >= 0
    ours = table["cumulative_hazard"].to_numpy()[place[seen]]
    np.testing.assert_allclose(ours, numbers(expected["cumhaz"])[seen], rtol=1e-8, atol=noise)


def check_concordance(outcome: Outcome, truth: dict[str, Any]) -> None:
    """Within the stated bound, and in fact closer; the standard error follows."""
    values = outcome.values
    error = abs(values["concordance"] - truth["concordance"])
    assert error <= values["concordance_error"] + 1e-12
    assert error < (2e-3 if values["people"] > 200 else 5e-3)  # few people: a bin holds a larger share of the pairs
    assert values["concordance_standard_error"] == pytest.approx(truth["se_concordance"], rel=0.01)


def transforms(people: kit.People) -> tuple[str, ...]:
    # R has no logarithm of time 0
    return tuple(name for name in TRANSFORMS if name != "log" or people.time[people.event].min() > 0)


def check_pooled(entry: dict[str, Any], ties: str, sites: int, parties: int | None = None) -> None:
    people = kit.study(entry)
    rng = np.random.default_rng(zlib.crc32(f"{entry['id']}{ties}".encode()))
    options = CoxOptions(ties=ties, by_site=False, transforms=transforms(people))
    outcome = kit.fit(people, rng.integers(0, sites, len(people.time)), options, sites=sites, parties=parties)
    truth = entry["result"][ties]
    assert outcome.values["ties"] == ties
    assert outcome.values["converged"]
    check_model(outcome, truth)
    check_hazards(outcome, truth)
    if not entry["grid_width"]:
        check_baseline(outcome, truth, people.plan.strata, parties or max(3, sites))
    check_concordance(outcome, truth)


def check_by_site(entry: dict[str, Any], ties: str) -> None:
    truth = entry["result"][ties]["stratified_also_by_row_index_mod_3"]
    if not truth or not truth.get("coef"):
        return
    people = kit.study(entry)
    site = np.arange(len(people.time)) % 3
    outcome = kit.fit(people, site, CoxOptions(ties=ties, robust=True, transforms=("identity",)))
    table = outcome.tables["coefficients"]
    close(table["coef"], truth["coef"], 1e-9, 1e-10 * float(numbers(truth["se"]).min()))
    close(table["se_coef"], truth["se"], 1e-9)
    logs = [outcome.values["log_likelihood_null"], outcome.values["log_likelihood"]]
    close(logs, truth["loglik"], 1e-12)


@pytest.mark.long
def test_pooled_risk_sets_equal_r() -> None:
    check_pooled(SHIPPED_ENTRIES["lung_age_sex_ecog"], "efron", 3)


@pytest.mark.parametrize(
    ("name", "ties"), [("lung_strat_sex", "breslow"), pytest.param("rossi", "efron", marks=pytest.mark.long)]
)
def test_the_twin_in_one_party_equals_r(name: str, ties: str) -> None:
    check_pooled(SHIPPED_ENTRIES[name], ties, 1, parties=1)


@pytest.mark.parametrize(("name", "ties"), [("lung_age_sex_ecog", "efron"), ("rossi", "breslow")])
def test_a_stratum_for_every_site_equals_r(name: str, ties: str) -> None:
    check_by_site(SHIPPED_ENTRIES[name], ties)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", sorted(SHIPPED_ENTRIES))
def test_one_site_with_everybody_equals_r(name: str, ties: str) -> None:
    """With all people at one site a stratum for every site is no stratum: exact concordance, robust errors and zph."""
    entry = SHIPPED_ENTRIES[name]
    people = kit.study(entry)
    options = CoxOptions(ties=ties, robust=True, transforms=transforms(people))
    outcome = kit.fit(people, np.zeros(len(people.time), int), options, sites=1, parties=1)
    truth = entry["result"][ties]
    assert outcome.values["concordance"] == pytest.approx(truth["concordance"], rel=1e-14)
    assert outcome.values["concordance_standard_error"] == pytest.approx(truth["se_concordance"], rel=1e-7)
    close(outcome.tables["coefficients"]["robust_se"], truth["robust_se"], 1e-8)
    check_hazards(outcome, truth)
    # z and p are those of the robust errors here
    table = outcome.tables["coefficients"]
    close(table["coef"], truth["coef"], 1e-8)
    np.testing.assert_allclose(table["z"], table["coef"] / table["robust_se"], rtol=1e-14)


def test_terms_are_tested_as_r_prints_them() -> None:
    """R's print of cox.zph for lung: chi-square and p of age, sex, ph.ecog and GLOBAL."""
    people = kit.study(SHIPPED_ENTRIES["lung_age_sex_ecog"])
    outcome = kit.fit(people, np.zeros(len(people.time), int), CoxOptions(), sites=1, parties=1)
    table = outcome.tables["proportional_hazards_km"]
    assert table["term"].tolist() == ["age", "sex", "ph.ecog", "GLOBAL"]
    assert [f"{v:.3f}" for v in table["chi_square"]] == ["0.188", "2.305", "2.054", "4.464"]
    assert [f"{v:.2g}" for v in table["p_value"]] == ["0.66", "0.13", "0.15", "0.22"]


def test_a_term_of_several_columns_is_tested_as_one() -> None:
    people = kit.study(SHIPPED_ENTRIES["lung_age_sex_ecog"])
    whole = kit.replace(people.plan, terms=(("all of them", (0, 1, 2)),))
    outcome = kit.fit(
        kit.replace(people, plan=whole), np.zeros(len(people.time), int), CoxOptions(), sites=1, parties=1
    )
    table = outcome.tables["proportional_hazards_km"]
    assert table["term"].tolist() == ["all of them", "GLOBAL"]
    assert table["degrees_of_freedom"].tolist() == [3, 3]
    assert table["chi_square"][0] == pytest.approx(table["chi_square"][1], rel=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("entry", shared("coxph.json"))
def test_pooled_risk_sets_equal_r_on_every_data_set(entry: dict[str, Any], ties: str) -> None:
    choice = zlib.crc32(entry["id"].encode())
    # many parties in one process need minutes for many event times
    few = entry["result"][ties]["nevent"] <= 60
    check_pooled(entry, ties, 5 + choice % 3 if few else 2 + choice % 3)


@pytest.mark.long
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("entry", shared("coxph.json"))
def test_a_stratum_for_every_site_equals_r_on_every_data_set(entry: dict[str, Any], ties: str) -> None:
    check_by_site(entry, ties)


def maximum(people: kit.People, ties: str) -> tuple[float, float]:
    """Coefficient and standard error of one covariate, Newton to the last digit.

    R stops when the log likelihood changes by less than 1e-9 of itself: for channing its coefficient is then 2e-8 off.
    """
    x, time, entry, event = people.covariates[:, 0], people.time, people.entry, people.event
    beta = score = information = 0.0
    for _ in range(20):
        beta += score / information if information else 0.0
        weight, score, information = np.exp(x * beta), 0.0, 0.0
        for moment in np.unique(time[event]):
            at_risk, dies = (entry < moment) & (time >= moment), event & (time == moment)
            score += x[dies].sum()
            for step in range(dies.sum()):
                part = at_risk - dies * (step / dies.sum() if ties == "efron" else 0)
                mean = (part * weight * x).sum() / (part * weight).sum()
                score, information = score - mean, information + mean * (1 - mean)  # x is 0 or 1
    return beta, information**-0.5


@pytest.mark.long
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("entry", shared("left_truncation.json"))
def test_late_entries_equal_r(entry: dict[str, Any], ties: str) -> None:
    frame = pd.read_csv(SHARED / "data" / "clinical" / entry["file"])
    columns = [entry[name] for name in ("entry", "time", "event", "group")]
    frame = frame[columns].dropna()
    frame = frame[frame[entry["time"]] > frame[entry["entry"]]]
    assert len(frame) == entry["rows_used"]
    levels, group = np.unique(frame[entry["group"]], return_inverse=True)
    assert len(levels) == 2
    people = kit.make(
        group.astype(float)[:, None],
        frame[entry["time"]].to_numpy(int),
        frame[entry["event"]].isin(entry["event_values"]).to_numpy(),
        entry=frame[entry["entry"]].to_numpy(int),
    )
    truth = entry["result"]
    coefficient, error = maximum(people, ties)
    for sites, rules in ((3, kit.OPEN), (2, kit.OPEN), (3, kit.HIDDEN)):
        site = np.random.default_rng(sites).integers(0, sites, len(frame))
        outcome = kit.fit(people, site, CoxOptions(ties=ties, by_site=False, transforms=()), rules=rules)
        assert outcome.values["ties"] == ties
        table = outcome.tables["coefficients"]
        close(table["coef"], [coefficient], 1e-10)
        close(table["se_coef"], [error], 1e-10)
        close(table["coef"].abs(), np.abs(truth[f"cox_coef_{ties}"]).tolist(), 1e-7)
        close(table["se_coef"], truth[f"cox_se_{ties}"], 1e-8)
        logs = [outcome.values["log_likelihood_null"], outcome.values["log_likelihood"]]
        close(logs, truth[f"cox_loglik_{ties}"], 1e-12)
        assert math.isnan(outcome.values["concordance_standard_error"])
        if ties == "efron":
            assert outcome.tables["tests"]["chi_square"][2] == pytest.approx(truth["cox_score_chisq_efron"], rel=1e-9)
