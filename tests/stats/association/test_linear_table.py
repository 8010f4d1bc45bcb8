"""Association statistics from sums: PLINK 2's printed digits, statsmodels, and tails far beyond double precision."""

from __future__ import annotations

import gzip
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError
from mpcstats.stats.association.linear_table import (
    LOG10_P,
    PLINK_COLUMNS,
    determinant,
    genomic_control_lambda,
    linear_table,
    log10_p_of_t,
    p_of_t,
    write_plink,
)
from tests.stats.r_truth import SHARED

DATA = Path(__file__).parents[2] / "data"


def sums(genotypes: np.ndarray, trait: np.ndarray, covariates: np.ndarray) -> tuple[np.ndarray, ...]:
    """s_xx, s_xy, s_yy, people and df per variant; complete cases per variant, as PLINK."""
    design = np.column_stack([np.ones(len(trait)), covariates])
    rows = []
    for x in genotypes.T:
        there = ~np.isnan(x)
        q, _ = np.linalg.qr(design[there])
        gx, gy = x[there] - q @ (q.T @ x[there]), trait[there] - q @ (q.T @ trait[there])
        constant = np.ptp(x[there]) == 0
        rows.append((0.0 if constant else gx @ gx, gx @ gy, gy @ gy, there.sum(), there.sum() - design.shape[1] - 1))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def golden(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def regenie() -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Variants, genotypes (copies of ALT), trait, covariates."""
    from bed_reader import open_bed

    bed = open_bed(DATA / "regenie.bed", count_A1=True)
    variants = pd.DataFrame(
        {"chrom": bed.chromosome, "pos": bed.bp_position, "id": bed.sid, "ref": bed.allele_2, "alt": bed.allele_1}
    )
    traits = pd.read_csv(DATA / "regenie_traits.csv")
    return variants, bed.read(dtype="float64"), traits["Y1"].to_numpy(), traits[["V1", "V2", "V3"]].to_numpy()


@pytest.fixture(scope="module")
def table(regenie: tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]) -> pd.DataFrame:
    variants, genotypes, trait, covariates = regenie
    s_xx, s_xy, s_yy, people, df = sums(genotypes, trait, covariates)
    return linear_table(variants, np.ones(len(variants), bool), people, s_xx, s_xy, s_yy, df)


def compare_with_plink(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Every printed character, but for P: PLINK's own p is off by up to 3 units in its sixth digit."""
    assert list(ours.columns) == list(theirs.columns) == list(PLINK_COLUMNS)
    for name in (*PLINK_COLUMNS[:8], "ERRCODE"):
        assert (ours[name] == theirs[name]).all(), name
    missing = theirs["P"] == "NA"
    for name, tolerance in (("BETA", 5e-6), ("SE", 5e-6), ("T_STAT", 5e-6), ("P", 5e-6)):
        assert ((ours[name] == "NA") == missing).all()
        a, b = (frame.loc[~missing, name].astype(float).to_numpy() for frame in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=tolerance)
        # the last digit may fall the other way where the true value lies next to a half
        assert np.mean(ours[name] == theirs[name]) > 0.985, name


def test_prints_what_plink_prints(table: pd.DataFrame, tmp_path: Path) -> None:
    path = write_plink(table, tmp_path / "Y1.glm.linear")
    theirs = golden(DATA / "regenie_Y1.glm.linear.gz")
    ours = golden(path)
    compare_with_plink(ours, theirs)
    for name in ("BETA", "SE", "T_STAT"):
        assert (ours[name] == theirs[name]).all(), name
    with gzip.open(DATA / "regenie_Y1.glm.linear.gz", "rt") as file:
        assert path.read_text().splitlines()[0] == file.readline().rstrip("\n")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared folder is not beside the repository")
def test_prints_what_plink_prints_with_missing_calls_and_either_allele(tmp_path: Path) -> None:
    from bed_reader import open_bed

    folder = SHARED / "data" / "genotype" / "chr10_cc"
    bed = open_bed(folder / "chr10_cc.bed", count_A1=True)
    theirs = golden(SHARED / "truth" / "plink" / "chr10_cc.p2q.Q.glm.linear.gz")
    some = np.unique(np.concatenate([np.arange(0, len(theirs), 25), np.flatnonzero(theirs["P"] == "NA")]))
    trait = pd.read_csv(folder / "quantitative.phe", sep=r"\s+")
    covariates = pd.read_csv(folder / "two_covariates.cov", sep=r"\s+")
    assert (trait["IID"].to_numpy() == bed.iid).all()
    assert (covariates["IID"].to_numpy() == bed.iid).all()
    s_xx, s_xy, s_yy, people, df = sums(
        bed.read(index=np.s_[:, some], dtype="float64"), trait["Q"].to_numpy(), covariates[["STR", "AGE"]].to_numpy()
    )
    variants = pd.DataFrame(
        {"chrom": bed.chromosome, "pos": bed.bp_position, "id": bed.sid, "ref": bed.allele_2, "alt": bed.allele_1}
    ).iloc[some]
    expected = theirs.iloc[some].reset_index(drop=True)
    a1_is_alt = (expected["A1"] == expected["ALT"]).to_numpy()
    assert 0 < a1_is_alt.sum() < len(some)
    ours = linear_table(variants, a1_is_alt, people, s_xx, s_xy, s_yy, df, expected["ERRCODE"].tolist())
    compare_with_plink(golden(write_plink(ours, tmp_path / "Q.glm.linear")), expected)


def test_equals_statsmodels(
    table: pd.DataFrame, regenie: tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]
) -> None:
    from statsmodels.regression.linear_model import OLS

    _, genotypes, trait, covariates = regenie
    for row in range(0, 1000, 97):
        fit = OLS(trait, np.column_stack([np.ones(len(trait)), covariates, genotypes[:, row]])).fit()
        ours = table.iloc[row]
        assert ours["BETA"] == pytest.approx(fit.params[-1], rel=1e-11)
        assert ours["SE"] == pytest.approx(fit.bse[-1], rel=1e-11)
        assert ours["T_STAT"] == pytest.approx(fit.tvalues[-1], rel=1e-11)
        assert ours["P"] == pytest.approx(fit.pvalues[-1], rel=1e-10)
        assert ours[LOG10_P] == pytest.approx(-math.log10(fit.pvalues[-1]), rel=1e-9)


def small(count: int, **changes: object) -> pd.DataFrame:
    variants = pd.DataFrame(
        {"chrom": "7", "pos": range(1, count + 1), "id": [f"rs{i}" for i in range(count)], "ref": "A", "alt": "G"}
    )
    given = {
        "a1_is_alt": np.ones(count, bool),
        "observed": np.full(count, 102),
        "s_xx": np.full(count, 50.0),
        "s_xy": np.full(count, 5.0),
        "s_yy": 100.0,
        "df": 100,
    }
    return linear_table(variants, **(given | changes))  # type: ignore[arg-type]


def test_by_hand() -> None:
    """effect 5/50, RSS 100 - 25/50, SE sqrt(99.5 / (100 * 50))."""
    row = small(1).iloc[0]
    assert row["BETA"] == pytest.approx(0.1, rel=1e-15)
    assert row["SE"] == pytest.approx(math.sqrt(99.5 / 5000), rel=1e-15)
    assert row["T_STAT"] == pytest.approx(0.1 / math.sqrt(99.5 / 5000), rel=1e-15)
    assert row["ERRCODE"] == "."


def test_the_other_allele_flips_the_sign_only() -> None:
    table = small(2, a1_is_alt=np.array([True, False]))
    assert table["A1"].tolist() == ["G", "A"]
    assert table["BETA"].tolist() == [0.1, -0.1]
    assert table["T_STAT"].iloc[1] == -table["T_STAT"].iloc[0]
    for name in ("SE", "P", LOG10_P):
        assert table[name].iloc[0] == table[name].iloc[1]


def test_rows_without_a_regression() -> None:
    table = small(
        5,
        s_xx=np.array([50.0, 0.0, 50.0, 50.0, np.nan]),
        df=np.array([100, 100, 0, 100, 100]),
        errcode=["", ".", ".", "VIF_TOO_HIGH", "."],
    )
    assert table["ERRCODE"].tolist() == [
        ".",
        "CONST_OMITTED_ALLELE",
        "SAMPLE_CT<=PREDICTOR_CT",
        "VIF_TOO_HIGH",
        "CONST_OMITTED_ALLELE",
    ]
    statistics = table[["BETA", "SE", "T_STAT", "P", LOG10_P]]
    assert statistics.iloc[0].notna().all()
    assert statistics.iloc[1:].isna().all(axis=None)
    assert table["OBS_CT"].tolist() == [102] * 5
    with pytest.raises(RangeError, match="2 error codes for 5"):
        small(5, errcode=[".", "."])


def test_file_of_errors_and_of_tiny_p(tmp_path: Path) -> None:
    table = small(
        4,
        s_xy=np.array([5.0, 0.0, 70.7106, 5.0]),
        df=np.array([100, 100, 99_990, 100]),
        errcode=[".", ".", ".", "SEPARATION"],
    )
    rows = [line.split("\t") for line in write_plink(table, tmp_path / "x").read_text().splitlines()]
    assert rows[0] == list(PLINK_COLUMNS)
    assert rows[2][8:] == ["0", "0.141421", "0", "1", "."]
    assert rows[4][7:] == ["102", "NA", "NA", "NA", "NA", "SEPARATION"]
    mantissa, exponent = rows[3][11].split("e")
    assert table["P"].iloc[2] == 0
    assert int(exponent) + math.log10(float(mantissa)) == pytest.approx(-table[LOG10_P].iloc[2], abs=1e-5)


def test_a_perfect_fit_has_no_residual() -> None:
    row = small(1, s_xy=np.array([math.sqrt(5000.0)]), s_xx=np.array([50.0])).iloc[0]
    assert row["SE"] < 1e-8
    assert row["T_STAT"] > 1e8
    exact = small(1, s_xx=np.array([4.0]), s_xy=np.array([6.0]), s_yy=9.0).iloc[0]
    assert (exact["SE"], exact["T_STAT"], exact["P"], exact[LOG10_P]) == (0.0, math.inf, 0.0, math.inf)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=4, max_size=4))
def test_determinant_loses_nothing(values: list[float]) -> None:
    a, b, c, d = values
    exact = Fraction(a) * Fraction(b) - Fraction(c) * Fraction(d)
    size = abs(Fraction(a) * Fraction(b)) + abs(Fraction(c) * Fraction(d))
    error = abs(Fraction(float(determinant(a, b, c, d))) - exact)
    assert error <= abs(exact) * Fraction(1, 2**51) + size * Fraction(1, 2**100) + Fraction(1, 10**290)


def test_residual_of_a_nearly_perfect_fit_keeps_its_digits() -> None:
    """Where 1 - r^2 is 1e-12, s_yy - s_xy^2 / s_xx in plain doubles would keep four digits of RSS."""
    s_xx, s_xy = 3.0, 5.0
    s_yy = float(Fraction(25, 3) * (1 + Fraction(1, 10**12)))
    exact = Fraction(s_yy) - Fraction(25, 3)
    row = small(1, s_xx=np.array([s_xx]), s_xy=np.array([s_xy]), s_yy=s_yy).iloc[0]
    assert row["SE"] ** 2 * 100 * 3 == pytest.approx(float(exact), rel=1e-14)


# 40-digit arithmetic: -log10 of the regularised incomplete beta function
@pytest.mark.parametrize(
    ("df", "t", "expected"),
    [
        (7, 0.001, 0.00033452806861371395),
        (7, 0.68, 0.2853740337619203),
        (7, 5.0, 2.8054085317208943),
        (7, 60.0, 10.02790826547399),
        (494, 0.001, 0.00034647965961117185),
        (494, 0.68, 0.3037983113915251),
        (494, 38.5, 150.10536301673056),
        (494, 60.0, 228.2673002795311),
        (494, 200.0, 474.1174298783399),
        (985, 5.0, 6.168508352448615),
        (985, 60.0, 330.4847716038346),
        (985, 200.0, 799.0400557869865),
        (99990, 0.68, 0.3040754681284308),
        (99990, 38.5, 321.1847628562902),
        (99990, 60.0, 769.8550803164509),
        (99990, 200.0, 7308.617587211986),
    ],
)
def test_log10_p(df: int, t: float, expected: float) -> None:
    assert log10_p_of_t(t, df).item() == pytest.approx(expected, rel=1e-10)
    assert log10_p_of_t(-t, df).item() == log10_p_of_t(t, df).item()


@pytest.mark.parametrize("t", [1e-9, 1e-4, 0.3, 1.0, 7.0, 1e3, 1e8, 1e100, 1e150])
def test_log10_p_in_closed_form(t: float) -> None:
    """One degree of freedom is Cauchy, two is algebraic."""
    cauchy = -math.log10(2 / math.pi * math.atan2(1, t))
    if t < 0.5:
        cauchy = -math.log1p(-2 / math.pi * math.atan(t)) / math.log(10)
    root = math.hypot(t, math.sqrt(2))
    two = -math.log10(2 / root) + math.log10(root + t) if t > 0.5 else -math.log1p(-t / root) / math.log(10)
    assert log10_p_of_t(t, 1).item() == pytest.approx(cauchy, rel=1e-9)
    assert log10_p_of_t(t, 2).item() == pytest.approx(two, rel=1e-9)


def test_p_and_log10_p_of_the_extremes() -> None:
    assert p_of_t([0.0, math.inf, math.nan], 10).tolist()[:2] == [1.0, 0.0]
    assert math.isnan(p_of_t(math.nan, 10).item())
    assert log10_p_of_t([0.0, math.inf], 10).tolist() == [0.0, math.inf]
    assert math.copysign(1, log10_p_of_t(0.0, 10).item()) == 1
    assert math.isnan(log10_p_of_t(math.nan, 10).item())


def test_genomic_control() -> None:
    uniform = (np.arange(1, 1000) - 0.5) / 999
    assert genomic_control_lambda(p=uniform) == pytest.approx(1, abs=1e-12)
    from scipy.stats import chi2

    assert genomic_control_lambda(p=chi2.sf(1.7 * chi2.isf(uniform, 1), 1)) == pytest.approx(1.7, rel=1e-10)
    t = np.linspace(-3, 3, 41)
    assert genomic_control_lambda(t=t, df=50) == genomic_control_lambda(p=p_of_t(t, 50))
    assert genomic_control_lambda(p=[0.5, math.nan]) == pytest.approx(1, rel=1e-12)
    assert math.isnan(genomic_control_lambda(p=[]))
    with pytest.raises(RangeError, match="together with df"):
        genomic_control_lambda(t=t)
