"""The logistic null model: known answers, refusals, and what is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.association.logistic_null import LogisticNull, fit_logistic_null
from mpcstats.stats.contributions.association import AssociationContribution
from mpcstats.stats.disclosure import Ruling
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules
from tests.stats.association import kit


def fit(
    sites: list[kit.People], whole: kit.People, parties: int = 3, rules: DisclosureRules = kit.OPEN
) -> list[tuple[LogisticNull, dict[str, int]]]:
    plan = kit.plan_of(whole)

    async def program(session: Session) -> Any:
        own = None
        if session.index <= len(sites):
            mine = sites[session.index - 1]
            own = AssociationContribution(mine.y, mine.covariates, lambda start, stop: mine.calls[:, start:stop])
        null = await fit_logistic_null(session, plan, own, tuple(range(1, len(sites) + 1)), Ruling(rules, {}))
        return null, {name: entry.values for name, entry in session.openings.manifest.items()}

    return run_parties(Committee(parties, default_threshold(parties)), program)


@pytest.mark.parametrize(("sites", "parties"), [(3, 3), (1, 1), (2, 3), (5, 5)])
def test_is_the_pooled_regression(sites: int, parties: int) -> None:
    whole = kit.cohort(1, covariates=3)
    cells = kit.split(whole, sites)
    results = [null for null, _ in fit(cells, whole, parties)]
    theirs = sm.Logit(whole.y, sm.add_constant(whole.covariates)).fit(
        disp=0, method="newton", tol=1e-14, maxiter=50, warn_convergence=False
    )
    pooled = np.concatenate([null.fitted for null in results[:sites]])
    expected = theirs.predict(sm.add_constant(np.concatenate([cell.covariates for cell in cells])))
    np.testing.assert_allclose(pooled, expected, rtol=1e-9)
    q, w = (np.concatenate([getattr(null, name) for null in results[:sites]]) for name in ("basis", "weights"))
    np.testing.assert_allclose((q * w[:, None]).T @ q, np.eye(4), atol=1e-9)
    assert np.ptp(q[:, 0]) < 1e-12
    assert np.abs(q.T @ np.concatenate([null.residual for null in results[:sites]])).max() < 1e-8
    for null in results:
        assert null.people == len(whole.y)
        assert null.cases == whole.y.sum()
        np.testing.assert_array_equal(null.coefficients, results[0].coefficients)
    for null in results[sites:]:
        assert null.basis.shape == (0, 4)


def test_without_covariates_it_is_the_logarithm_of_the_odds() -> None:
    whole = kit.cohort(2, covariates=0)
    (null, _), *_ = fit([whole], whole)
    share = whole.y.mean()
    np.testing.assert_allclose(null.fitted, share, rtol=1e-12)
    np.testing.assert_allclose(null.coefficients, [np.log(share / (1 - share))], rtol=1e-10)


def test_opens_what_it_declares() -> None:
    whole = kit.cohort(1, covariates=2)
    rules = replace(kit.OPEN, minimum_count=11)
    null, opened = fit(kit.split(whole, 3), whole, rules=rules)[0]
    evaluations = opened["score of the null model"] // 3
    assert null.iterations <= evaluations <= null.iterations + 2
    assert opened == {
        "enough cases and controls": 1,
        "cases": 1,
        "enough people": 1,
        "people": 1,
        "means": 3,
        "sums of squares and products": 9,
        "score of the null model": 3 * evaluations,
        "information of the null model": 6 * evaluations,
    }


@pytest.mark.parametrize("kind", [0.0, 1.0])
def test_few_cases_or_controls_are_refused_and_not_counted(kind: float) -> None:
    whole = kit.cohort(3, covariates=1)
    y = np.full(len(whole.y), 1 - kind)
    y[:10] = kind
    few = replace(whole, y=y)
    rules = replace(kit.OPEN, minimum_count=11)
    with pytest.raises(DisclosureRefused, match="fewer cases or controls"):
        fit(kit.split(few, 3), few, rules=rules)
    y[10] = kind
    assert fit(kit.split(few, 3), few, rules=rules)[0][0].cases in {11, len(y) - 11}


def test_few_people_are_refused() -> None:
    whole = kit.cohort(3, people=200, covariates=1)
    with pytest.raises(DisclosureRefused, match="association_minimum_people"):
        fit(kit.split(whole, 3), whole, rules=replace(kit.OPEN, association_minimum_people=201))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, y=np.ones_like(p.y)), "constant in the pooled data: status"),
        (lambda p: replace(p, covariates=p.covariates[:, [0, 0]]), "collinear"),
        (lambda p: replace(p, covariates=p.covariates * [1, 0]), "constant in the pooled data: c1"),
        (lambda p: replace(p, covariates=np.column_stack([p.covariates[:, 0], p.y * (np.arange(300) % 3 == 0)])), "c1"),
    ],
)
def test_refusals_name_what_happened(change: Any, message: str) -> None:
    whole = change(kit.cohort(4))
    with pytest.raises(SpecError, match=message):
        fit(kit.split(whole, 2), whole)


def test_separation_is_told_from_slow_convergence() -> None:
    whole = kit.cohort(4, covariates=1)
    apart = replace(whole, covariates=np.column_stack([whole.covariates[:, 0], whole.y + 0.1 * whole.covariates[:, 0]]))
    apart.covariates[:, 1] = np.where(np.arange(300) % 4 == 0, whole.y, 0.0)
    with pytest.raises(SpecError, match="separate cases from controls"):
        fit(kit.split(apart, 2), apart)


def test_other_codes_than_0_and_1_are_the_owners_fault() -> None:
    whole = kit.cohort(4)
    with pytest.raises(DataError, match="300 of 300 phenotypes are neither 0 nor 1") as caught:
        fit([replace(whole, y=whole.y + 5)], whole, parties=1)
    assert "PLINK" in (caught.value.hint or "")
