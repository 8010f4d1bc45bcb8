"""Inverse-variance meta-analysis over sites against the formulas on the sites' own tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.association.linear_table import genomic_control_lambda
from mpcstats.stats.association.meta import joint_meta_analysis
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.site_regression import estimate
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties

OPEN = Policy.preset("open").rules
STANDARD = replace(Policy.preset("standard").rules, all_variants=True, association_minimum_people=200)
THREE = Committee(3, 1)


@dataclass
class Sites:
    """Pooled people, and the site of each."""

    calls: np.ndarray
    phenotype: np.ndarray
    covariates: np.ndarray
    site: np.ndarray

    def run(
        self,
        options: ScanOptions | None = None,
        rules: object = OPEN,
        committee: Committee = THREE,
        seen: dict[str, int] | None = None,
    ) -> Outcome:
        """The analysis by parties of which the first ones are sites."""
        count = self.calls.shape[1]
        plan = AssociationPlan("y", tuple(f"x{k}" for k in range(self.covariates.shape[1])), count, "0" * 64)
        variants = pd.DataFrame(
            {"chrom": "1", "pos": range(1, count + 1), "id": [f"v{k}" for k in range(count)], "ref": "A", "alt": "C"}
        )
        dealers = tuple(range(1, int(self.site.max()) + 2))

        async def program(session: Session) -> Outcome:
            who = self.site == session.index - 1
            own = AssociationContribution(
                self.phenotype[who], self.covariates[who], lambda a, b: self.calls[who][:, a:b]
            )
            part = own if session.index in dealers else None
            outcome = await joint_meta_analysis(session, plan, part, dealers, Ruling(rules, {}), variants, options)
            if seen is not None and session.index == 1:
                seen.update({name: entry.values for name, entry in session.openings.manifest.items() if entry.values})
            return outcome

        found = run_parties(committee, program)
        for other in found[1:]:
            pd.testing.assert_frame_equal(found[0].tables["variants"], other.tables["variants"])
        return found[0]

    def expected(self) -> pd.DataFrame:
        """One variant after the other from the sites' own regressions; effects per copy of ALT."""
        rows = []
        for column in self.calls.T:
            parts = [self._one(column, k) for k in range(int(self.site.max()) + 1)]
            b, se, n = (
                (np.array(x) for x in zip(*[part for part in parts if part], strict=True))
                if any(parts)
                else (np.zeros(0),) * 3
            )
            w = se**-2.0
            effect = (w * b).sum() / w.sum() if len(w) else np.nan
            q = (w * (b - effect) ** 2).sum()
            many = len(w) - 1
            i2 = max(0.0, 100 * (1 - many / q)) if many > 0 and q > 0 else 0.0
            het = (q, chi2.sf(q, many), i2) if many > 0 else (np.nan,) * 3
            z = effect * np.sqrt(w.sum())
            rows.append((effect, w.sum() ** -0.5 if len(w) else np.nan, 2 * norm.sf(abs(z)), *het, len(w), n.sum()))
        return pd.DataFrame(rows, columns=["BETA", "SE", "P", "Q", "HET_P", "I2", "SITES", "OBS_CT"])

    def _one(self, column: np.ndarray, site: int) -> tuple[float, float, int] | None:
        who = (self.site == site) & (column >= 0)
        c = self.covariates[who]
        c = c[:, c.std(axis=0) > 0] if len(c) else c
        x = np.column_stack([np.ones(who.sum()), c, column[who]])
        degrees = len(x) - x.shape[1]
        if degrees < 10 or np.linalg.matrix_rank(x) < x.shape[1]:
            return None
        y = self.phenotype[who]
        beta = np.linalg.lstsq(x, y, rcond=None)[0]
        rest = ((y - x @ beta) ** 2).sum()
        return beta[-1], np.sqrt(rest / degrees * np.linalg.inv(x.T @ x)[-1, -1]), int(who.sum())


def sites(seed: int, many: int = 3, people: int = 300, variants: int = 24, missing: float = 0.02) -> Sites:
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, variants), (people, variants)).astype(np.int8)
    covariates = np.column_stack([rng.normal(40, 9, people), rng.integers(0, 2, people)])
    site = np.sort(rng.integers(0, many, people))
    phenotype = 120 + 3 * rng.normal(size=people) * (1 + site) + 0.1 * covariates[:, 0] + 4.0 * calls[:, 5]
    phenotype += 5.0 * (site - 1) * calls[:, 6]
    calls[rng.random(calls.shape) < missing] = -1
    calls[site == 1, 0] = -1  # a site without the variant
    calls[site == 0, 1] = 2  # monomorphic at a site
    calls[:, 2] = 0
    calls[site != 2, 3] = 0  # varies at one site alone
    if many > 1:
        covariates[site == 0, 1] = 1  # constant at a site
    return Sites(calls, phenotype, covariates, site)


def check(table: pd.DataFrame, expected: pd.DataFrame, tolerance: float = 1e-9) -> None:
    place = table["ID"].str[1:].astype(int).to_numpy()
    usable = (table["ERRCODE"] == ".").to_numpy()
    assert usable.any()
    mine, theirs = table[usable], expected.iloc[place[usable]]
    sign = np.where(mine["A1"] == "C", 1, -1)
    np.testing.assert_allclose(mine["BETA"] * sign, theirs["BETA"], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine["SE"], theirs["SE"], rtol=tolerance)
    np.testing.assert_allclose(mine["P"], theirs["P"], rtol=1e-6)
    np.testing.assert_allclose(mine["Z_STAT"], mine["BETA"] / mine["SE"], rtol=1e-9)
    for name in ("Q", "HET_P", "I2"):
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-7, atol=1e-7)
    assert mine["SITES"].tolist() == theirs["SITES"].tolist()
    assert mine["OBS_CT"].tolist() == theirs["OBS_CT"].tolist()


@pytest.mark.parametrize(
    ("seed", "many", "committee"), [(1, 3, THREE), (2, 1, Committee(1, 0)), (3, 2, THREE), (4, 5, Committee(5, 2))]
)
def test_all_variants_have_the_statistics_of_the_sites_tables(seed: int, many: int, committee: Committee) -> None:
    own = sites(seed, many)
    outcome = own.run(committee=committee)
    table = outcome.tables["variants"]
    check(table, own.expected())
    assert table["ERRCODE"][2] == "CONST_OMITTED_ALLELE"
    assert outcome.values["lambda_gc"] == pytest.approx(genomic_control_lambda(p=table["P"].to_numpy()))


def test_sites_that_are_too_few_stay_closed_and_heterogeneity_needs_one_more() -> None:
    own, seen = sites(5, 4), {}
    outcome = own.run(rules=STANDARD, committee=Committee(4, 1), seen=seen)
    table, expected = outcome.tables["variants"], own.expected()
    assert table["ERRCODE"][2:4].tolist() == ["MAC_BELOW_MINIMUM", "TOO_FEW_SITES"]
    assert table.loc[3, ["BETA", "SE", "P", "Q"]].isna().all()
    assert table.loc[3, ["SITES", "OBS_CT"]].tolist() == [0, 0]
    three = table["SITES"] == 3
    assert table.loc[0, "SITES"] == 3
    assert table.loc[three, ["Q", "HET_P", "I2"]].isna().all(axis=None)
    others = table[(table["ERRCODE"] == ".") & ~three]
    check(others, expected)
    assert seen["sum of weighted squared effects"] == len(others)
    assert seen["sum of weights"] == seen["sum of weighted effects"] == (table["ERRCODE"] == ".").sum()
    assert any("heterogeneity" in text for text in outcome.withheld)


def test_hits_are_those_beyond_the_threshold_and_nothing_else_is_opened() -> None:
    own, seen = sites(6), {}
    expected = own.expected()
    hits = np.flatnonzero((expected["P"] < 0.02) & (expected["SITES"] > 0))
    assert 1 <= len(hits) < 12
    outcome = own.run(ScanOptions(release="hits", threshold=0.02), seen=seen)
    table = outcome.tables["variants"]
    assert table["ID"].tolist() == [f"v{k}" for k in hits]
    check(table, expected)
    for name in ("rarer allele", "sites of a variant", "people of a variant", "sum of weights"):
        assert seen[name] == len(hits)
    assert seen["variant is a hit"] == 24
    whole = own.run().tables["variants"]["P"].dropna()
    chi = np.sort(norm.isf(whole / 2) ** 2)
    assert outcome.values["lambda_gc"] == pytest.approx(chi[(len(chi) - 1) // 2] / norm.isf(0.25) ** 2, abs=0.001)


def test_what_the_rules_do_not_allow_and_numbers_out_of_range() -> None:
    own = sites(7)
    with pytest.raises(DisclosureRefused, match="all_variants"):
        own.run(rules=Policy.preset("standard").rules)
    # a site whose phenotype hardly varies: its weight would swallow the others
    own.phenotype[own.site == 1] = 120 + 1e-4 * own.phenotype[own.site == 1]
    table = own.run().tables["variants"]
    assert set(table["ERRCODE"][4:]) == {"OUT_OF_RANGE"}
    assert table["ERRCODE"][0] == "."  # not at that site


def test_a_site_s_regressions_survive_few_people_and_levels_that_go_missing() -> None:
    rng = np.random.default_rng(8)
    calls = rng.integers(0, 3, (40, 3)).astype(np.int8)
    level = np.zeros((40, 1))
    level[:2] = 1
    calls[:2, 1] = -1  # the level is gone
    found = estimate(rng.normal(size=40), level, calls)
    assert found.usable.all()
    alone = estimate(np.zeros(0), np.zeros((0, 1)), np.zeros((0, 3), np.int8))
    assert not alone.usable.any()
    assert not estimate(np.full(40, 3.0), level, calls).usable.any()
    own = Sites(calls, rng.normal(size=40), level, np.zeros(40, int))
    mine = estimate(own.phenotype, level, calls)
    for k in range(3):
        np.testing.assert_allclose((mine.effect[k], mine.standard_error[k]), own._one(calls[:, k], 0)[:2], rtol=1e-9)
