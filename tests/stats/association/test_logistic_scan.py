"""Logistic scans over sites: all variants, the score test, hits; against statsmodels and the pooled plaintext."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.association.logistic import LogisticOptions, joint_logistic_scan, plan_kappa
from mpcstats.stats.contributions.association import AssociationContribution
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules
from tests.stats.association import kit


def scan(
    people: kit.People,
    options: LogisticOptions,
    rules: DisclosureRules = kit.OPEN,
    parties: int = 3,
    seen: dict[str, int] | None = None,
) -> Outcome:
    plan, sites = kit.plan_of(people), kit.split(people, parties)
    count = plan.variant_count
    variants = pd.DataFrame(
        {"chrom": "1", "pos": range(1, count + 1), "id": [f"v{k}" for k in range(count)], "ref": "A", "alt": "C"}
    )
    dealers = tuple(range(1, parties + 1))

    async def program(session: Session) -> Outcome:
        mine = sites[session.index - 1]
        own = AssociationContribution(mine.y, mine.covariates, lambda start, stop: mine.calls[:, start:stop])
        outcome = await joint_logistic_scan(session, plan, own, dealers, Ruling(rules, {}), variants, options)
        if seen is not None and session.index == 1:
            seen.update({name: entry.values for name, entry in session.openings.manifest.items() if entry.values})
        return outcome

    kappa = plan_kappa(plan, options.method, options.release)
    found = run_parties(Committee(parties, default_threshold(parties)), program, kappa=kappa, patience_seconds=120)
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0].tables["variants"], other.tables["variants"])
    return found[0]


def score_tests(people: kit.People) -> pd.DataFrame:
    """Effect of one step (per copy of ALT), its standard error, z and p; missing calls have the mean."""
    import statsmodels.api as sm

    design = sm.add_constant(people.covariates)
    p = sm.Logit(people.y, design).fit(disp=0, tol=1e-14).predict()
    w, rows = p * (1 - p), []
    for column in people.calls.T:
        x = column.astype(float)
        x[column < 0] = x[column >= 0].mean()
        u = x @ (people.y - p)
        a = design.T @ (w * x)
        v = x @ (w * x) - a @ np.linalg.solve(design.T @ (w[:, None] * design), a)
        rows.append((u / v, v**-0.5, u * v**-0.5, 2 * norm.sf(abs(u * v**-0.5))) if v > 1e-9 else (np.nan,) * 4)
    return pd.DataFrame(rows, columns=["effect", "error", "z", "p"])


@pytest.fixture(scope="module")
def people() -> kit.People:
    found = kit.cohort(3, people=400, variants=12)
    found.calls[:, 7], found.calls[:, 8] = 2, 1  # monomorphic; everybody heterozygous
    return found


@pytest.mark.parametrize("parties", [1, 3, 5])
def test_score_tests_of_all_variants(people: kit.People, parties: int) -> None:
    outcome = scan(people, LogisticOptions(method="score", missing="mean"), parties=parties)
    table, expected = outcome.tables["variants"], score_tests(people)
    good = (table["ERRCODE"] == ".").to_numpy()
    assert np.flatnonzero(~good).tolist() == [7, 8]
    sign = np.where(table["A1"] == table["ALT"], 1, -1)[good]
    np.testing.assert_allclose(np.log(table["OR"][good]) * sign, expected["effect"][good], rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(table["LOG(OR)_SE"][good], expected["error"][good], rtol=1e-8)
    np.testing.assert_allclose(table["P"][good], expected["p"][good], rtol=1e-7)
    assert outcome.values["cases"] == people.y.sum()
    assert outcome.values["lambda_gc"] == pytest.approx(np.median(expected["z"][good] ** 2) / 0.45493642, rel=1e-6)


def test_fits_of_all_variants_are_those_of_statsmodels(people: kit.People) -> None:
    import statsmodels.api as sm

    outcome = scan(people, LogisticOptions(ci=0.95))
    table = outcome.tables["variants"]
    assert {"FIRTH?", "L95", "U95"} <= set(table.columns)
    for k in (0, 1, 5):
        called = people.calls[:, k] >= 0
        design = np.column_stack([sm.add_constant(people.covariates), people.a1[:, k]])[called]
        fit = sm.Logit(people.y[called], design).fit(disp=0, tol=1e-14)
        assert np.log(table["OR"][k]) == pytest.approx(fit.params[-1], rel=1e-7)
        assert table["LOG(OR)_SE"][k] == pytest.approx(fit.bse[-1], rel=1e-7)
        assert table["OBS_CT"][k] == called.sum()
    assert table["ERRCODE"][7] == "CONST_OMITTED_ALLELE"


@pytest.mark.long
@pytest.mark.parametrize(
    "method",
    ["firth-fallback", pytest.param("wald", marks=pytest.mark.long), pytest.param("score", marks=pytest.mark.long)],
)
def test_hits_are_those_of_the_score_test_and_alone_are_fitted(people: kit.People, method: Any) -> None:
    expected, seen = score_tests(people), {}
    threshold = float(np.sort(expected["p"])[3] * 1.01)
    options = LogisticOptions(
        method=method, missing="mean" if method == "score" else "complete", release="hits", threshold=threshold
    )
    outcome = scan(people, options, seen=seen)
    table = outcome.tables["variants"]
    assert table["ID"].tolist() == [f"v{k}" for k in np.flatnonzero(expected["p"] < threshold)]
    whole = scan(people, LogisticOptions(method="firth-fallback" if method == "score" else method)).tables["variants"]
    same = whole[whole["ID"].isin(table["ID"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, same, rtol=1e-6)
    assert seen["variant is a hit"] == 12
    assert seen["people with a call"] == seen["rarer allele"] == 4
    assert "s_xx" not in seen
    assert seen["effect"] == 4 if "effect" in seen else True


def test_no_hits_is_an_empty_table(people: kit.People) -> None:
    outcome = scan(people, LogisticOptions(release="hits", threshold=1e-80, genomic_control=False))
    assert len(outcome.tables["variants"]) == 0
    assert outcome.values["lambda_gc"] is None


def test_standard_rules(people: kit.People) -> None:
    with pytest.raises(DisclosureRefused, match="all_variants"):
        scan(people, LogisticOptions(), kit.STANDARD)
    with pytest.raises(DisclosureRefused, match="fewer cases or controls"):
        scan(people, LogisticOptions(release="hits", threshold=1e-6), kit.STANDARD)


@pytest.mark.parametrize(
    "wrong", [{"method": "probit"}, {"ci": 1.0}, {"method": "score"}, {"method": "wald", "missing": "mean"}]
)
def test_options_that_do_not_exist(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        LogisticOptions(**wrong)
