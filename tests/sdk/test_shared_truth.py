"""The whole PLINK scan of a cohort with missing calls: 1,000 people, 28,501 variants, three sites."""

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


@pytest.mark.long
@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the cohort chr10_cc and PLINK's table, which are not shipped")
def test_a_scan_with_missing_calls_gives_plinks_digits(tmp_path: Path) -> None:
    bed = open_bed(COHORT / "chr10_cc.bed")
    calls = bed.read(dtype="int8")
    traits = pd.read_csv(COHORT / "quantitative.phe", sep="\t").merge(
        pd.read_csv(COHORT / "two_covariates.cov", sep="\t"), on=["FID", "IID"]
    )
    site = np.random.default_rng(4).integers(0, 3, len(calls))
    parties = {}
    for k in range(3):
        rows = np.flatnonzero(site == k)
        properties = {name: getattr(bed, name)[rows] for name in ("fid", "iid")}
        names = ("sid", "chromosome", "bp_position", "allele_1", "allele_2")
        properties |= {name: getattr(bed, name) for name in names}
        to_bed(tmp_path / f"site{k}.bed", np.ascontiguousarray(calls[rows]), properties=properties)
        own = traits[traits["IID"].isin(properties["iid"])].drop(columns="FID")
        parties[f"site{k}"] = ms.Dataset(own, genotypes=tmp_path / f"site{k}", id="IID")
    with ms.local(parties) as consortium:
        ours = consortium.gwas(phenotype="Q", covariates=["STR", "AGE"]).to_frame()
    with gzip.open(GOLDEN, "rt") as file:
        theirs = pd.read_csv(file, sep="\t", dtype={"#CHROM": str})
    for name in ("#CHROM", "POS", "ID", "REF", "ALT", "A1", "OBS_CT", "ERRCODE"):
        assert (ours[name] == theirs[name]).all(), name
    known = (theirs["ERRCODE"] == ".").to_numpy()
    for name in ("BETA", "SE", "T_STAT"):  # PLINK prints six digits
        np.testing.assert_allclose(ours[name][known], theirs[name][known], rtol=5.1e-6)
    np.testing.assert_allclose(np.log10(ours["P"][known]), np.log10(theirs["P"][known]), atol=1e-5)
