"""PLINK's logistic tables, and the people behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from bed_reader import open_bed

from tests.stats.association.kit import People


def table(path: Path) -> pd.DataFrame:
    """As text; the variant's own rows."""
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return frame[frame["TEST"] == "ADD"].reset_index(drop=True)


def people(bed: Path, y: np.ndarray, covariates: np.ndarray, some: np.ndarray) -> tuple[People, pd.DataFrame]:
    """Some variants of a PLINK file set: calls count ALT, which is the first allele of the .bim."""
    source = open_bed(bed, count_A1=True)
    calls = source.read(index=np.s_[:, some], dtype="int8")
    calls[calls == -127] = -1
    labels = pd.DataFrame(
        {
            "chrom": source.chromosome[some],
            "pos": source.bp_position[some],
            "id": source.sid[some],
            "ref": source.allele_2[some],
            "alt": source.allele_1[some],
        }
    )
    return People(np.asarray(y, float), np.asarray(covariates, float), calls), labels


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, loose: np.ndarray, off: float) -> dict[str, float]:
    """Texts must be equal, and numbers to the digits printed and PLINK's own stopping error; returns the fraction of
    numbers per column that are printed alike.

    loose (V,): rows of Firth's regression; off: PLINK's error elsewhere, in standard errors.

    PLINK runs in single precision, and prints the standard error from before its last step; UNFINISHED there are
    numbers whose last bits went on to move. Its Wald steps end below 1e-4 in all, Firth's where the penalised
    likelihood changes by less than 1e-4, which is some 1e-3 of a standard error.
    """
    texts = ["#CHROM", "POS", "ID", "REF", "ALT", "A1", "TEST", "OBS_CT"] + (["FIRTH?"] if "FIRTH?" in theirs else [])
    for name in texts:
        assert (ours[name].astype(str).to_numpy() == theirs[name].to_numpy()).all(), name
    codes = theirs["ERRCODE"].replace("UNFINISHED", ".")
    assert (ours["ERRCODE"].to_numpy() == codes.to_numpy()).all()
    numbers = [name for name in theirs.columns if name in {"OR", "LOG(OR)_SE", "L95", "U95", "Z_STAT", "P"}]
    for name in numbers:
        assert ((ours[name] == "NA") == (theirs[name] == "NA")).all(), name
    shown = (theirs["OR"] != "NA").to_numpy()
    alike = {name: float(np.mean((ours[name] == theirs[name])[shown])) for name in numbers}
    a, b = (frame.loc[shown, numbers].astype(float) for frame in (ours, theirs))
    error = np.where((loose | (theirs["ERRCODE"] == "UNFINISHED"))[shown], 1e-3, off)
    se, z = b["LOG(OR)_SE"], b["Z_STAT"]
    for name in [n for n in numbers if n in {"OR", "L95", "U95"}]:
        assert (np.abs(np.log(a[name] / b[name])) < 1.2e-5 + error * se).all(), name
    assert (np.abs(a["LOG(OR)_SE"] / se - 1) < 1.5e-5 + error / 3).all()
    assert (np.abs(a["Z_STAT"] - z) < 6e-6 + error * (1 + np.abs(z))).all()
    assert (np.abs(np.log(a["P"] / b["P"])) < 1e-5 + 2 * error * (1 + np.abs(z))).all()
    return alike
