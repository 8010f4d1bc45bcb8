"""The whole PLINK scan of a cohort with missing calls: 1,000 people, 28,501 variants, some sites."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed, to_bed

import mpcstats as ms

SHARED = Path(__file__).parents[2].parent / "shared"
COHORT = SHARED / "data/genotype/chr10_cc"
GOLDEN = SHARED / "truth/plink/chr10_cc.p2q.Q.glm.linear.gz"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not GOLDEN.exists(), reason="needs the cohort chr10_cc and PLINK's table, which are not shipped"
    ),
]


def plink(variants: int | None) -> pd.DataFrame:
    with gzip.open(GOLDEN, "rt") as file:
        return pd.read_csv(file, sep="\t", dtype={"#CHROM": str}, nrows=variants)


def cohort(folder: Path, site: np.ndarray, variants: int | None) -> dict[str, ms.Dataset]:
    """PLINK files and traits of each site; `site` says where each person is."""
    bed = open_bed(COHORT / "chr10_cc.bed")
    calls = bed.read(dtype="int8")[:, :variants]
    traits = pd.read_csv(COHORT / "quantitative.phe", sep="\t").merge(
        pd.read_csv(COHORT / "two_covariates.cov", sep="\t"), on=["FID", "IID"]
    )
    parties = {}
    for k in np.unique(site):
        rows = np.flatnonzero(site == k)
        properties = {name: getattr(bed, name)[rows] for name in ("fid", "iid")}
        names = ("sid", "chromosome", "bp_position", "allele_1", "allele_2")
        properties |= {name: getattr(bed, name)[:variants] for name in names}
        to_bed(folder / f"site{k}.bed", np.ascontiguousarray(calls[rows]), properties=properties)
        own = traits[traits["IID"].isin(properties["iid"])].drop(columns="FID")
        parties[f"site{k}"] = ms.Dataset(own, genotypes=folder / f"site{k}", id="IID")
    return parties


def sites(how: str) -> np.ndarray:
    """The site of each person: by ancestry (the first column of the fam file), or at random."""
    if how == "by stratum":
        stratum = pd.read_csv(COHORT / "chr10_cc.fam", sep=r"\s+", header=None)[0]
        return pd.factorize(stratum)[0]
    return np.random.default_rng(4).integers(0, int(how), 1000)


def agree(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    for name in ("#CHROM", "POS", "ID", "REF", "ALT", "A1", "OBS_CT", "ERRCODE"):
        assert ours[name].tolist() == theirs[name].tolist(), name
    known = (theirs["ERRCODE"] == ".").to_numpy()
    for name in ("BETA", "SE", "T_STAT"):  # PLINK prints six digits
        np.testing.assert_allclose(ours[name][known], theirs[name][known], rtol=5.1e-6)
    np.testing.assert_allclose(np.log10(ours["P"][known]), np.log10(theirs["P"][known]), atol=1e-5)


@pytest.mark.parametrize(("how", "variants"), [("3", None), ("by stratum", 6000), ("2", 3000), ("5", 1500)])
def test_a_scan_with_missing_calls_gives_plinks_digits(tmp_path: Path, how: str, variants: int | None) -> None:
    with ms.local(cohort(tmp_path, sites(how), variants)) as consortium:
        ours = consortium.gwas(phenotype="Q", covariates=["STR", "AGE"]).to_frame()
    agree(ours, plink(variants))


@pytest.mark.parametrize(("how", "variants", "threshold"), [("3", None, 1e-3), ("4", 4000, 5e-8), ("5", 1500, 0.01)])
def test_hits_are_plinks_hits(tmp_path: Path, how: str, variants: int | None, threshold: float) -> None:
    theirs = plink(variants)
    beyond = (theirs["P"] < threshold).to_numpy()
    ties = (theirs["P"] / threshold - 1).abs() < 1e-6
    assert not ties.any()
    with ms.local(
        cohort(tmp_path, sites(how), variants), policy="standard" if threshold < 1e-5 else "open"
    ) as consortium:
        ours = consortium.gwas(phenotype="Q", covariates=["STR", "AGE"], release="hits", threshold=threshold)
    agree(ours.to_frame(), theirs[beyond].reset_index(drop=True))
    every = plink(variants)
    assert ours.genomic_control_lambda == pytest.approx(ms_lambda(every), abs=0.002)


def ms_lambda(table: pd.DataFrame) -> float:
    from mpcstats.stats.association.linear_table import genomic_control_lambda

    return genomic_control_lambda(p=table["P"].to_numpy())
