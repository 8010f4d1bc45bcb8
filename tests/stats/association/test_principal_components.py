"""Principal components over sites against the singular value decomposition of the pooled genotypes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.association.principal_components import (
    ComponentOptions,
    ComponentScores,
    fit_components,
    with_components,
)
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.contributions.variants import VariantContribution, VariantPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties

OPEN = Policy.preset("open").rules
STANDARD = Policy.preset("standard").rules
THREE = Committee(3, 1)
FEW = ComponentOptions(count=2, oversampling=2, iterations=4)


def populations(seed: int, people: int = 240, variants: int = 700, missing: float = 0.02) -> np.ndarray:
    """Calls of three populations; the last variants are rare, hardly called, constant."""
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.15, 0.85, variants)
    drift = np.array([0.08, 0.12, 0.2])[:, None]
    shape = (1 - drift) / drift
    p = rng.beta(ancestral * shape, (1 - ancestral) * shape)
    calls = rng.binomial(2, p[np.arange(people) % 3]).astype(np.int8)
    calls[rng.random(calls.shape) < missing] = -1
    calls[:, -3:] = 0
    calls[:4, -3] = 1
    calls[: people // 2, -2] = -1
    return calls


def fit(
    calls: np.ndarray,
    site: np.ndarray,
    committee: Committee = THREE,
    options: ComponentOptions = FEW,
    rules: object = OPEN,
    sites: int | None = None,
    seen: dict[str, int] | None = None,
) -> tuple[list[ComponentScores], np.ndarray]:
    """What every party has, and the scores of all people in the order of `calls`."""
    many = committee.m if sites is None else sites
    plan = VariantPlan(calls.shape[1], "0" * 64)
    dealers = tuple(range(1, many + 1))

    async def program(session: Session) -> ComponentScores:
        rows = calls[site == session.index - 1]
        own = (
            VariantContribution(np.zeros(len(rows), np.int8), lambda a, b: rows[:, a:b])
            if session.index in dealers
            else None
        )
        found = await fit_components(session, plan, own, dealers, Ruling(rules, {}), options)
        if seen is not None and session.index == 1:
            seen.update({name: entry.values for name, entry in session.openings.manifest.items()})
        return found

    found = run_parties(committee, program)
    scores = np.empty((len(calls), options.count))
    for k in range(many):
        scores[site == k] = found[k].scores
    return found, scores


def truth(calls: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of Z Z' / variants, exact frequencies."""
    called = (calls >= 0).sum(axis=0)
    p = np.where(calls >= 0, calls, 0).sum(axis=0) / (2 * np.maximum(called, 1))
    used = (np.minimum(p, 1 - p) >= 0.05) & (called >= 0.95 * len(calls))
    z = (calls[:, used] - 2 * p[used]) / np.sqrt(2 * p[used] * (1 - p[used]))
    z[calls[:, used] < 0] = 0
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    return u[:, :count], s[:count] ** 2 / used.sum()


@pytest.mark.long
@pytest.mark.parametrize(
    ("committee", "sites"),
    [
        (Committee(1, 0), 1),
        (THREE, 2),
        pytest.param(THREE, 3, marks=pytest.mark.long),
        pytest.param(Committee(5, 2), 5, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_separated_components_are_those_of_the_pooled_genotypes(committee: Committee, sites: int) -> None:
    calls = populations(sites)
    site = np.random.default_rng(9).integers(0, sites, len(calls))
    found, scores = fit(calls, site, committee, sites=sites)
    u, values = truth(calls, 2)
    cosines = np.abs((scores * u).sum(axis=0))
    assert cosines.min() > 0.9999
    np.testing.assert_allclose((scores**2).sum(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(found[0].eigenvalues, values, rtol=2e-4)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].loadings, other.loadings)
        np.testing.assert_array_equal(found[0].eigenvalues, other.eigenvalues)
    # rare, hardly called and constant variants are not used
    assert found[0].common.index.max() == calls.shape[1] - 4
    assert all(part.scores.shape == (0, 2) for part in found[sites:])


def test_an_empty_site_a_party_without_data_and_what_is_opened() -> None:
    calls, seen = populations(3, people=90, variants=300), {}
    options = ComponentOptions(count=2, oversampling=0, iterations=2, step=2)
    found, scores = fit(calls, np.zeros(90, int), options=options, sites=2, seen=seen)
    assert found[1].scores.shape == found[2].scores.shape == (0, 2)
    assert np.isfinite(scores).all()
    used = found[0].common.index.size
    assert (found[0].common.index % 2 == 0).all()
    assert seen == {
        "enough people for components": 0,
        "people of the components": 1,
        "variant is common": 150,
        "allele frequency": 12 * used,
        "sizes of columns": 4,
        "next directions": 4 * used,
        "covariance of the directions": 4,
    }
    p = np.where(calls >= 0, calls, 0).sum(axis=0) / (2 * (calls >= 0).sum(axis=0))
    assert np.abs(found[0].common.frequency - p[found[0].common.index]).max() <= 2.0**-13


def test_frequencies_are_coarser_than_counts_where_counts_stay_closed() -> None:
    calls, seen = populations(6, people=120, variants=200), {}
    rules = replace(OPEN, allele_counts=False)
    found, scores = fit(calls, np.arange(120) % 3, rules=rules, seen=seen)
    # 240 copies: 16 classes of 15 counts
    assert seen["allele frequency"] == 4 * found[0].common.index.size
    assert set(found[0].common.frequency * 32 % 2) == {1.0}
    assert (np.abs((scores * truth(calls, 2)[0]).sum(axis=0)) > 0.99).all()


def test_rules_and_requests_that_cannot_be_met() -> None:
    calls = populations(4, people=60, variants=40)
    with pytest.raises(DisclosureRefused, match=r"all_variants = False"):
        fit(calls, np.arange(60) % 3, rules=STANDARD)
    with pytest.raises(DisclosureRefused, match="fewer people"):
        fit(calls, np.arange(60) % 3, rules=replace(STANDARD, all_variants=True))
    with pytest.raises(SpecError, match="have no 2 components"):
        fit(calls[:, -4:], np.arange(60) % 3)
    with pytest.raises(SpecError, match="step=2"):
        fit(np.zeros((60, 300_000), np.int8), np.arange(60) % 3)
    with pytest.raises(SpecError, match="from 1 to 30"):
        ComponentOptions(count=25, oversampling=10)


def test_a_scan_takes_components_as_covariates() -> None:
    calls = populations(5, people=60, variants=200)
    plan = AssociationPlan("y", ("age",), 200, "0" * 64, ((), ()), (0.0, 50.0), (1.0, 50.0))
    own = AssociationContribution(np.zeros(60), np.zeros((60, 1)), lambda a, b: calls[:, a:b])
    options = ComponentOptions(count=1, oversampling=1, iterations=1)

    async def program(session: Session) -> ComponentScores:
        return await fit_components(session, plan, own, (1,), Ruling(OPEN, {}), options)

    (components,) = run_parties(Committee(1, 0), program)
    longer, more = with_components(plan, own, components)
    assert longer.covariates == ("age", "PC1")
    assert longer.within_limits()
    assert longer.half_widths == (1.0, 50.0, 1.0)
    assert longer.few_levels == ((), (), ())
    assert more is not None
    np.testing.assert_array_equal(more.covariates[:, 1], components.scores[:, 0])
    assert with_components(plan, None, components)[1] is None
    with pytest.raises(SpecError, match="PC1"):
        with_components(replace(plan, covariates=("PC1",)), own, components)
