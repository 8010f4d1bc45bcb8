"""Principal components and meta-analysis through embedded parties, and projection at one site."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import to_bed

import mpcstats as ms
from mpcstats.errors import DataError, DisclosureRefused, SpecError

PEOPLE, VARIANTS = 150, 400


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ms.Dataset], np.ndarray, pd.DataFrame]:
    """Three sites of two populations, PLINK files and traits; calls with NaN, and traits in the order of the sites."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(11)
    p = rng.uniform(0.2, 0.8, VARIANTS)
    moved = np.clip(p + rng.normal(0, 0.15, VARIANTS), 0.1, 0.9)
    group = np.arange(PEOPLE) % 2
    calls = rng.binomial(2, np.where(group[:, None] == 1, moved, p)).astype(np.float64)
    calls[rng.random(calls.shape) < 0.01] = np.nan
    site = np.sort(rng.integers(0, 3, PEOPLE))
    traits = pd.DataFrame(
        {
            "IID": [f"person{k}" for k in range(PEOPLE)],
            "height": (170 + 6 * rng.normal(size=PEOPLE) + 4 * group + 5 * np.nan_to_num(calls[:, 7])).round(3),
            "age": rng.integers(30, 80, PEOPLE),
        }
    )
    parties = {}
    alleles = np.array([("A", "G"), ("A", "T"), ("C", "T")])[np.arange(VARIANTS) % 3]
    for k in range(3):
        rows = np.flatnonzero(site == k)
        properties = {
            "iid": traits["IID"].to_numpy()[rows],
            "fid": ["0"] * len(rows),
            "sid": [f"v{j}" for j in range(VARIANTS)],
            "chromosome": ["1"] * VARIANTS,
            "bp_position": list(range(1, VARIANTS + 1)),
            "allele_1": alleles[:, 0],
            "allele_2": alleles[:, 1],
        }
        to_bed(folder / f"site{k}.bed", np.ascontiguousarray(calls[rows]), properties=properties)
        parties[f"site{k}"] = ms.Dataset(traits.iloc[rows], genotypes=folder / f"site{k}", id="IID")
    return parties, calls, traits


def test_every_site_makes_its_own_scores_from_the_loadings(cohort, tmp_path: Path) -> None:
    parties, calls, _ = cohort
    with ms.local(parties) as consortium:
        result = consortium.principal_components(components=2, oversampling=2, iterations=4)
        with pytest.raises(DisclosureRefused, match="all_variants"):
            consortium.principal_components(components=2, policy="standard")
    parts = [ms.project(data.genotypes, result.loadings, ambiguous="keep") for data in parties.values()]
    scores = pd.concat(parts)[["PC1", "PC2"]].to_numpy()
    p = np.nanmean(calls, axis=0) / 2
    z = np.nan_to_num((calls - 2 * p) / np.sqrt(2 * p * (1 - p)))[:, np.isnan(calls).mean(axis=0) <= 0.05]
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    assert abs(scores[:, 0] @ u[:, 0]) > 0.9999
    np.testing.assert_allclose((scores**2).sum(axis=0), 1, rtol=1e-3)
    assert result.eigenvalues["PC1"] == pytest.approx(s[0] ** 2 / z.shape[1], rel=1e-3)
    assert parts[0].columns.tolist() == ["FID", "IID", "PC1", "PC2"]
    written = {path.name for path in result.save(tmp_path / "pca")}
    assert {"pca.eigenvalues.csv", "pca.loadings.csv", "pca.png", "pca.txt"} <= written
    again = ms.project(parties["site1"].genotypes, tmp_path / "pca.loadings.csv", ambiguous="keep")
    pd.testing.assert_frame_equal(again, parts[1])
    assert "150 people" in result.summary()


def test_projection_matches_alleles(cohort, tmp_path: Path) -> None:
    parties, _, _ = cohort
    genotypes = parties["site0"].genotypes
    rng = np.random.default_rng(1)
    bim = pd.read_csv(f"{genotypes}.bim", sep="\t", header=None)
    loadings = pd.DataFrame(
        {
            "#CHROM": "chr1",
            "POS": bim[3],
            "ID": ".",
            "REF": bim[5],
            "ALT": bim[4],
            "ALT_FREQ": 0.4,
            "PC1": rng.normal(size=400),
        }
    )
    plain = ms.project(genotypes, loadings)
    exchanged = loadings.assign(REF=loadings["ALT"], ALT=loadings["REF"], ALT_FREQ=0.6, PC1=-loadings["PC1"])
    np.testing.assert_allclose(ms.project(genotypes, exchanged)["PC1"], plain["PC1"])
    strand = str.maketrans("ACGT", "TGCA")
    other = loadings.assign(REF=loadings["REF"].str.translate(strand), ALT=loadings["ALT"].str.translate(strand))
    np.testing.assert_allclose(ms.project(genotypes, other.sample(frac=1, random_state=1))["PC1"], plain["PC1"])
    clear = loadings[np.arange(400) % 3 != 1]
    np.testing.assert_allclose(ms.project(genotypes, clear)["PC1"], plain["PC1"])
    named = loadings.assign(POS=loadings["POS"] + 1000, ID=bim[1])
    np.testing.assert_allclose(ms.project(genotypes, named)["PC1"], plain["PC1"])
    with pytest.raises(DataError, match="0 of 400 loadings"):
        ms.project(genotypes, loadings.assign(POS=loadings["POS"] + 1000))
    with pytest.raises(DataError, match="ALT_FREQ"):
        ms.project(genotypes, loadings.drop(columns="ALT_FREQ"))
    with pytest.raises(DataError, match="cannot be read"):
        ms.project(genotypes, tmp_path / "absent.csv")
    with pytest.raises(SpecError, match="ambiguous"):
        ms.project(genotypes, loadings, ambiguous="guess")  # type: ignore[arg-type]


@pytest.mark.long
def test_a_scan_with_components_removes_what_populations_do(cohort) -> None:
    parties, calls, traits = cohort
    with ms.local(parties) as consortium:
        plain = consortium.gwas(phenotype="height", missing="mean")
        adjusted = consortium.gwas(phenotype="height", missing="mean", principal_components=1)
    p = np.nanmean(calls, axis=0) / 2
    z = np.nan_to_num((calls - 2 * p) / np.sqrt(2 * p * (1 - p)))
    u = np.linalg.svd(z[:, np.isnan(calls).mean(axis=0) <= 0.05], full_matrices=False)[0][:, 0]
    x = np.column_stack([np.ones(PEOPLE), u, np.where(np.isnan(calls[:, 7]), 2 * p[7], calls[:, 7])])
    row = adjusted.to_frame().loc[7]
    effect = np.linalg.lstsq(x, traits["height"].to_numpy(), rcond=None)[0][2]
    assert abs(row["BETA"]) == pytest.approx(abs(effect), rel=1e-3)
    assert adjusted.genomic_control_lambda < plain.genomic_control_lambda - 0.2
    assert "PC1" in adjusted.conventions["model"]
    assert "subspace iteration" in adjusted.conventions["components: method"]
    assert {item["name"] for item in adjusted.run["opened"]} >= {"next directions", "s_xx"}


def test_meta_analysis_of_the_sites_own_regressions(cohort, tmp_path: Path) -> None:
    parties, calls, traits = cohort
    with ms.local(parties) as consortium:
        result = consortium.gwas_meta(phenotype="height", covariates=["age"])
        hits = consortium.gwas_meta(phenotype="height", covariates="age", release="hits", threshold=1e-6)
    site = np.repeat(np.arange(3), [len(data.table) for data in parties.values()])
    w, b = [], []
    for k in range(3):
        who = (site == k) & ~np.isnan(calls[:, 7])
        x = np.column_stack([np.ones(who.sum()), traits["age"][who], calls[who, 7]])
        beta, rest = np.linalg.lstsq(x, traits["height"][who], rcond=None)[:2]
        b.append(beta[2])
        w.append(1 / (rest[0] / (len(x) - 3) * np.linalg.inv(x.T @ x)[2, 2]))
    w, b = np.array(w), np.array(b)
    row = result.to_frame().loc[7]
    sign = 1 if row["A1"] == row["ALT"] else -1
    effect = (w * b).sum() / w.sum()
    assert row["BETA"] * sign == pytest.approx(effect, rel=1e-8)
    assert row["SE"] == pytest.approx(w.sum() ** -0.5, rel=1e-8)
    assert row["Q"] == pytest.approx((w * (b - effect) ** 2).sum(), rel=1e-6)
    assert row["SITES"] == 3
    assert "v7" in hits.to_frame()["ID"].tolist()
    assert result.heterogeneity.loc["v7", "Q"] == row["Q"]
    written = {path.name for path in result.save(tmp_path / "meta")}
    assert {"meta.glm.meta", "meta.gwas-ssf.tsv.gz", "meta.log", "meta.qq.png"} <= written
    printed = pd.read_csv(tmp_path / "meta.glm.meta", sep="\t")
    np.testing.assert_allclose(printed["BETA"], result.to_frame()["BETA"], rtol=1e-5)
    assert "meta-analysis" in result.summary()
