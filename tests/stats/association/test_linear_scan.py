"""Linear scans over sites: complete cases, imputed means, hits; against the pooled plaintext."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.association.genomic_control import LARGEST_LAMBDA
from mpcstats.stats.association.linear import joint_linear_scan, plan_kappa
from mpcstats.stats.association.linear_table import genomic_control_lambda
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties

OPEN = Policy.preset("open").rules
STANDARD = Policy.preset("standard").rules
ONE, THREE = Committee(1, 0), Committee(3, 1)


@dataclass
class Cohort:
    """Pooled people, and the site of each."""

    calls: np.ndarray
    phenotype: np.ndarray
    covariates: np.ndarray
    site: np.ndarray

    def scan(
        self,
        options: ScanOptions,
        rules: object = OPEN,
        committee: Committee = THREE,
        seen: dict[str, int] | None = None,
    ) -> Outcome:
        """The scan by parties of which the first ones are sites."""
        count = self.calls.shape[1]
        names = tuple(f"x{k}" for k in range(self.covariates.shape[1]))
        plan = AssociationPlan("y", names, count, "0" * 64)
        variants = pd.DataFrame(
            {"chrom": "1", "pos": range(1, count + 1), "id": [f"v{k}" for k in range(count)], "ref": "A", "alt": "C"}
        )
        dealers = tuple(int(k) + 1 for k in np.unique(self.site))

        async def program(session: Session) -> Outcome:
            who = self.site == session.index - 1
            own = AssociationContribution(
                self.phenotype[who], self.covariates[who], lambda a, b: self.calls[who][:, a:b]
            )
            part = own if session.index in dealers else None
            outcome = await joint_linear_scan(session, plan, part, dealers, Ruling(rules, {}), variants, options)
            if seen is not None and session.index == 1:
                seen.update({name: entry.values for name, entry in session.openings.manifest.items() if entry.values})
            return outcome

        indicators = len(dealers) - 1 if options.site_indicators else 0
        found = run_parties(committee, program, kappa=plan_kappa(plan, further=indicators))
        for other in found[1:]:
            pd.testing.assert_frame_equal(found[0].tables["variants"], other.tables["variants"])
        return found[0]


def cohort(seed: int, people: int = 240, variants: int = 40, missing: float = 0.03, sites: int = 3) -> Cohort:
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.05, 0.95, variants), (people, variants)).astype(np.int8)
    covariates = rng.normal(size=(people, 2))
    phenotype = covariates @ [1.0, -0.5] + rng.normal(size=people) + 0.8 * calls[:, 5] - 0.5 * calls[:, 6]
    calls[rng.random(calls.shape) < missing] = -1
    calls[:, 0], calls[:, 1], calls[:, 2] = 2, 1, -1  # monomorphic; everybody heterozygous; no call at all
    calls[:, 3] = 0
    calls[0, 3] = 1  # one carrier
    return Cohort(calls, phenotype, covariates, rng.integers(0, sites, people))


def regression(own: Cohort, missing: str) -> pd.DataFrame:
    """BETA per copy of C, SE and P of every variant, in the clear."""
    rows = []
    for column in own.calls.T:
        called = column >= 0
        x = column.astype(float)
        if missing == "mean" and called.any():
            x[~called] = x[called].mean()
            called[:] = True
        design = np.column_stack([np.ones(len(x)), own.covariates, x])[called]
        if np.linalg.matrix_rank(design) < design.shape[1] or called.sum() <= design.shape[1]:
            rows.append((np.nan,) * 3)
            continue
        y = own.phenotype[called]
        beta = np.linalg.lstsq(design, y, rcond=None)[0]
        degrees = len(y) - design.shape[1]
        residual = y - design @ beta
        error = np.sqrt(residual @ residual / degrees * np.linalg.inv(design.T @ design)[-1, -1])
        rows.append((beta[-1], error, 2 * student.sf(abs(beta[-1] / error), degrees)))
    return pd.DataFrame(rows, columns=["BETA", "SE", "P"])


def check(table: pd.DataFrame, expected: pd.DataFrame, tolerance: float) -> None:
    place = table["ID"].str[1:].astype(int).to_numpy()
    sign = np.where(table["A1"] == "C", 1, -1)
    usable = (table["ERRCODE"] == ".").to_numpy()
    assert usable.any()
    theirs = expected.iloc[place]
    error = theirs["SE"].to_numpy()[usable]
    np.testing.assert_allclose(
        (table["BETA"] * sign)[usable], theirs["BETA"][usable], rtol=tolerance, atol=tolerance * error.max()
    )
    np.testing.assert_allclose(table["SE"][usable], error, rtol=tolerance)
    np.testing.assert_allclose(table["P"][usable], theirs["P"][usable], rtol=1e3 * tolerance)


@pytest.mark.parametrize("missing", ["complete", "mean"])
@pytest.mark.parametrize(("seed", "committee"), [(1, THREE), (2, ONE), (3, Committee(5, 2))])
def test_all_variants_have_the_pooled_statistics(missing: str, seed: int, committee: Committee) -> None:
    own = cohort(seed, sites=min(committee.m, 4))
    outcome = own.scan(ScanOptions(missing=missing), committee=committee)
    expected = regression(own, missing)
    table = outcome.tables["variants"]
    check(table, expected, 1e-9)
    assert table["ERRCODE"][:3].tolist() == [
        "CONST_OMITTED_ALLELE",
        "CONST_OMITTED_ALLELE",
        "SAMPLE_CT<=PREDICTOR_CT",
    ]
    assert set(table["ERRCODE"][3:]) == {"."}
    called = (own.calls >= 0).sum(axis=0)
    assert table["OBS_CT"].tolist() == ([240] * 40 if missing == "mean" else called.tolist())


@pytest.mark.parametrize(
    ("missing", "threshold"),
    [
        ("complete", 0.3),
        ("mean", 1e-4),
        pytest.param("complete", 1e-4, marks=pytest.mark.long),
        pytest.param("mean", 0.3, marks=pytest.mark.long),
    ],
)
def test_hits_are_those_beyond_the_threshold_and_nothing_else_is_opened(missing: str, threshold: float) -> None:
    own, seen = cohort(4), {}
    outcome = own.scan(ScanOptions(missing=missing, release="hits", threshold=threshold), seen=seen)
    expected = regression(own, missing)
    hits = np.flatnonzero(expected["P"] < threshold)
    table = outcome.tables["variants"]
    assert table["ID"].tolist() == [f"v{k}" for k in hits]
    assert 2 <= len(hits) < 25
    check(table, expected, 1e-9)
    everybody = {"people with a call": 40} if missing == "complete" else {"people with a call": len(hits)}
    once = {"enough people", "people", "means", "sums of squares and products", "lambda"}
    names = {"s_xx", "s_xy"} if missing == "mean" else {"s_xx", "s_xy", "s_xx over s_yy", "s_xy over s_yy"}
    assert set(seen) <= once | names | {"people with a call", "rarer allele", "variant is a hit"}
    assert {name: seen[name] for name in everybody} == everybody
    assert seen["rarer allele"] == len(hits)
    assert sum(seen.get(name, 0) for name in names) == 2 * len(hits)


def test_lambda_of_hidden_statistics_is_that_of_opened_ones() -> None:
    own = cohort(5, variants=60)
    expected = regression(own, "mean")["P"].dropna().to_numpy()
    assert len(expected) % 2 == 1
    for few in (False, True):
        if few:
            # shifts all tests upwards: every variant is tested with the phenotype's own genotype beside it
            own.phenotype = own.phenotype + own.calls[:, 4:].sum(axis=1)
            expected = regression(own, "mean")["P"].dropna().to_numpy()
        outcome = own.scan(ScanOptions(missing="mean", release="hits", threshold=1e-6))
        assert outcome.values["lambda_gc"] == pytest.approx(
            min(genomic_control_lambda(p=expected), LARGEST_LAMBDA), abs=1e-3
        )
    without = own.scan(ScanOptions(missing="mean", release="hits", genomic_control=False))
    assert without.values["lambda_gc"] is None


def test_rare_variants_are_no_hits() -> None:
    own = cohort(6)
    own.phenotype = own.phenotype + 100 * (own.calls[:, 3] == 1)  # the one carrier is far out
    assert regression(own, "mean")["P"][3] < 1e-50
    few = own.scan(ScanOptions(missing="mean", release="hits"))
    assert "v3" in few.tables["variants"]["ID"].tolist()
    many = own.scan(ScanOptions(missing="mean", release="hits"), rules=replace(OPEN, minimum_allele_count=2))
    assert "v3" not in many.tables["variants"]["ID"].tolist()


def test_no_hit_at_all() -> None:
    outcome = cohort(7).scan(ScanOptions(release="hits", threshold=1e-90))
    assert len(outcome.tables["variants"]) == 0
    assert outcome.withheld == ["40 of 40 variants: p is not below 1e-90, or an allele is too rare"]


def test_a_site_without_people_changes_nothing() -> None:
    own = cohort(8)
    own.site = np.where(own.site == 1, 0, own.site)
    outcome = own.scan(ScanOptions(missing="mean"))
    check(outcome.tables["variants"], regression(own, "mean"), 1e-9)


def test_standard_lets_hits_out_below_its_threshold() -> None:
    own = cohort(9, people=600, variants=20)
    with pytest.raises(DisclosureRefused, match="all_variants"):
        own.scan(ScanOptions(), STANDARD)
    with pytest.raises(DisclosureRefused, match="1e-05 at most"):
        own.scan(ScanOptions(release="hits", threshold=1e-4), STANDARD)
    outcome = own.scan(ScanOptions(release="hits", threshold=1e-5), STANDARD)
    expected = regression(own, "complete")
    assert outcome.tables["variants"]["ID"].tolist() == [f"v{k}" for k in np.flatnonzero(expected["P"] < 1e-5)]


@pytest.mark.parametrize("wrong", [{"missing": "zero"}, {"release": "some"}, {"threshold": 0.0}, {"threshold": 1.0}])
def test_options_that_do_not_exist(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        ScanOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["complete", "mean"])
def test_site_indicators_are_covariates(missing: str) -> None:
    own = cohort(10)
    own.phenotype = own.phenotype + 3.0 * own.site
    outcome = own.scan(ScanOptions(missing=missing, site_indicators=True))
    assert outcome.conventions["model"].endswith("covariates x0, x1, site=party2, site=party3")
    own.covariates = np.column_stack([own.covariates, own.site == 1, own.site == 2])
    check(outcome.tables["variants"], regression(own, missing), 1e-9)


def test_site_indicators_are_refused_where_a_site_has_few_people() -> None:
    own = cohort(11, people=700)
    own.site = np.where(np.arange(700) < 5, 2, np.arange(700) % 2)
    with pytest.raises(DisclosureRefused, match="fewer people than the rules allow"):
        own.scan(ScanOptions(release="hits", site_indicators=True), STANDARD)
