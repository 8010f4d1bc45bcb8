"""PLINK 2's logistic tables: columns, digits, and the numbers of golden runs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import RangeError
from mpcstats.stats.association.logistic_fit import Fits
from mpcstats.stats.association.logistic_table import SUFFIXES, logistic_columns, logistic_table, write_logistic
from mpcstats.stats.association.plink_text import print_number, print_p
from tests.stats.association import golden, kit
from tests.stats.r_truth import SHARED

DATA = Path(__file__).parents[2] / "data"
PLINK = SHARED / "truth" / "plink"
GENOTYPE = SHARED / "data" / "genotype"
shared = pytest.mark.skipif(not PLINK.exists(), reason="the shared folder is not beside the repository")


def some_fits() -> tuple[pd.DataFrame, Fits]:
    variants = pd.DataFrame(
        {
            "chrom": ["1"] * 4,
            "pos": [10, 20, 30, 40],
            "id": ["a", "b", "c", "d"],
            "ref": ["A", "C", "G", "T"],
            "alt": ["G", "T", "A", "C"],
        }
    )
    nan = np.nan
    codes = np.array([".", "SEPARATION", "SEPARATION", "."], dtype=object)
    fits = Fits(
        effect=np.array([0.25, nan, nan, -2.0]),
        standard_error=np.array([0.125, nan, nan, 0.04]),
        z=np.array([2.0, nan, nan, -50.0]),
        p=np.array([0.0455002638963584, nan, nan, 0.0]),
        log10_p=np.array([1.34198609, nan, nan, 544.9660745]),
        errcode=codes,
        firth=np.array([False, False, False, True]),
        iterations=np.array([4, 9, 9, 8]),
    )
    return variants, fits


def words(text: str) -> list[str]:
    return text.split()


def test_columns_are_those_of_plink() -> None:
    assert SUFFIXES["firth-fallback"] == ".glm.logistic.hybrid"
    expected = words("#CHROM POS ID REF ALT A1 TEST OBS_CT OR LOG(OR)_SE Z_STAT P ERRCODE")
    assert list(logistic_columns("wald")) == list(logistic_columns("firth")) == expected
    hybrid = words("#CHROM POS ID REF ALT A1 FIRTH? TEST OBS_CT OR LOG(OR)_SE L95 U95 Z_STAT P ERRCODE")
    assert list(logistic_columns("firth-fallback", 0.95)) == hybrid
    assert "L99.5" in logistic_columns("wald", 0.995)
    with pytest.raises(RangeError):
        logistic_columns("wald", 95)
    with pytest.raises(RangeError):
        logistic_columns("score")


def test_rows(tmp_path: Path) -> None:
    variants, fits = some_fits()
    table = logistic_table(variants, fits, [True, True, False, False], [100, 99, 98, 97], "firth-fallback", 0.95)
    assert table["A1"].tolist() == ["G", "T", "G", "T"]
    assert table["ERRCODE"].tolist() == [".", "SEPARATION,ALT1", "SEPARATION,REF", "."]
    lines = write_logistic(table, tmp_path / "x.glm.logistic.hybrid").read_text().splitlines()
    assert lines[0].split("\t") == list(logistic_columns("firth-fallback", 0.95))
    # exp(0.25 -+ 1.959964 / 8)
    assert lines[1].split("\t") == words("1 10 a A G G N ADD 100 1.28403 0.125 1.00502 1.64049 2 0.0455003 .")
    assert lines[2].split("\t") == words("1 20 b C T T N ADD 99 NA NA NA NA NA NA SEPARATION,ALT1")
    assert lines[4].split("\t")[-2] == "1.08125e-545"


def test_digits() -> None:
    assert [print_number(x) for x in (1.0, 0.000123456789, 1e-5, 1234567.0, float("nan"))] == [
        "1",
        "0.000123457",
        "1e-05",
        "1.23457e+06",
        "NA",
    ]
    assert print_p(0.0, 400.0) == "1e-400"
    assert print_p(0.0, 399.99999999) == "1e-400"
    assert print_p(float("nan"), float("nan")) == "NA"
    assert print_p(0.0, float("inf")) == "0"


def printed(
    people: kit.People, labels: pd.DataFrame, method: str, folder: Path, sites: int = 1, ci: float | None = None
) -> tuple[pd.DataFrame, Fits]:
    cells = kit.split(people, sites) if sites > 1 else None
    _, fits = kit.run(people, method, cells, max(sites, 1))
    table = logistic_table(labels, fits, people.a1_is_alt, people.observed, method, ci)
    return golden.table(write_logistic(table, folder / f"out{SUFFIXES[method]}")), fits


def regenie(some: np.ndarray) -> tuple[kit.People, pd.DataFrame]:
    status = pd.read_csv(DATA / "regenie_status.csv")
    traits = pd.read_csv(DATA / "regenie_traits.csv")
    assert (status["IID"] == traits["IID"]).all()
    return golden.people(DATA / "regenie.bed", status["Y1"].to_numpy(), traits[["V1", "V2", "V3"]].to_numpy(), some)


@pytest.mark.parametrize(
    ("sites", "step"),
    [(1, 50), (3, 100), pytest.param(1, 1, marks=pytest.mark.long), pytest.param(5, 25, marks=pytest.mark.long)],
)
def test_prints_what_plink_prints(sites: int, step: int, tmp_path: Path) -> None:
    some = np.arange(0, 1000, step)
    file = DATA / "regenie_Y1.glm.logistic.hybrid.gz"
    theirs = golden.table(file).iloc[some].reset_index(drop=True)
    ours, _ = printed(*regenie(some), "firth-fallback", tmp_path, sites)
    alike = golden.compare(ours, theirs, np.zeros(len(some), np.bool_), 4e-5)
    # PLINK's standard error is from before its last step
    assert alike["OR"] > 0.85
    with gzip.open(file, "rt") as lines:
        assert list(ours.columns) == lines.readline().rstrip("\n").split("\t")


@shared
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "method", "covariates", "ci", "off", "sites"),
    [
        ("p2b.PHENO1.glm.logistic", "wald", ("two_covariates.cov", ["STR", "AGE"]), None, 4e-5, 1),
        ("p2bf.PHENO1.glm.firth", "firth", ("two_covariates.cov", ["STR", "AGE"]), None, 4e-5, 1),
        ("p2c.PHENO1.glm.logistic.hybrid", "firth-fallback", ("chr10_cc.cov", ["STRATUM_JPT"]), 0.95, 4e-4, 1),
        ("p2c.PHENO1.glm.logistic.hybrid", "firth-fallback", ("chr10_cc.cov", ["STRATUM_JPT"]), 0.95, 4e-4, 3),
    ],
)
def test_case_control_with_missing_calls(
    name: str, method: str, covariates: tuple[str, list[str]], ci: float | None, off: float, sites: int, tmp_path: Path
) -> None:
    """Confounded by stratum, 1% missing, single carriers; every 143rd variant, and all that PLINK treats specially."""
    folder = GENOTYPE / "chr10_cc"
    fam = pd.read_csv(folder / "chr10_cc.fam", sep="\t", header=None)
    frame = pd.read_csv(folder / covariates[0], sep="\t")
    assert (fam[1] == frame["IID"]).all()
    theirs = golden.table(PLINK / f"chr10_cc.{name}.gz")
    special = theirs["ERRCODE"] != "."
    if "FIRTH?" in theirs:
        special |= theirs["FIRTH?"] == "Y"
    some = np.unique(np.concatenate([np.arange(0, len(theirs), 143), np.flatnonzero(special)[:60]]))
    people, labels = golden.people(
        folder / "chr10_cc.bed", fam[5].to_numpy() - 1, frame[covariates[1]].to_numpy(), some
    )
    ours, fits = printed(people, labels, method, tmp_path, sites, ci)
    golden.compare(ours, theirs.iloc[some].reset_index(drop=True), fits.firth, off)
