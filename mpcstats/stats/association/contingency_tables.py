"""Tests of cases against controls from opened counts, in the columns of PLINK 1.9's `--model` and `--assoc`."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.stats.association.exact_tests import fisher_exact
from mpcstats.stats.association.variant_table import rarer_first
from mpcstats.stats.tails import log_normal_two_sided

__all__ = ["TESTS", "allelic_table", "model_table", "odds_ratio_limits", "with_tails"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

TESTS = ("genotypic", "trend", "allelic", "dominant", "recessive")
"""In the order of PLINK's rows."""

PLINK_NAMES = {
    "genotypic": "GENO",
    "trend": "TREND",
    "allelic": "ALLELIC",
    "dominant": "DOM",
    "recessive": "REC",
}


def model_table(counts: Counts, labels: pd.DataFrame, tests: tuple[str, ...]) -> pd.DataFrame:
    """One row per variant and test, as `--model`: counts in cases (AFF) and controls (UNAFF), chi-square, p.

    Parameters
    ----------
    counts : int (2, 3, V)
        Controls and cases with 0, 1, 2 copies of ALT.
    labels : DataFrame
        See `variant_labels`.

    Notes
    -----
    No continuity correction, and no least count of a cell: a genotype that nobody has is left out of the genotypic
    test, which then has one degree of freedom. NaN where all people are in one column or one row.
    """
    turned, a1, a2 = rarer_first(counts, labels)
    # from copies of A1 = 0, 1, 2 to PLINK's order: 2, 1, 0
    n = turned[:, ::-1].astype(np.float64)
    heads = labels[["#CHROM", "POS", "ID"]].assign(A1=a1, A2=a2)
    parts = []
    for test in (name for name in TESTS if name in tests):
        cells = _cells(n, test)
        chi_square, degrees = _trend(n) if test == "trend" else _pearson(cells)
        rows = heads.assign(TEST=PLINK_NAMES[test], AFF=_joined(cells[1]), UNAFF=_joined(cells[0]))
        parts.append(with_tails(rows, chi_square, degrees))
    order = np.arange(len(parts) * len(labels)).reshape(len(parts), -1).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def with_tails(rows: pd.DataFrame, chi_square: Floats, degrees: NDArray[np.int64]) -> pd.DataFrame:
    """Columns CHISQ, DF (1 or 2), P and LOG10_P (-log10 of P, which does not underflow)."""
    with np.errstate(invalid="ignore"):
        log_p = np.where(degrees == 2, -chi_square / 2, log_normal_two_sided(np.sqrt(chi_square)))
    shown = pd.array(degrees, dtype="Int64")
    shown[np.isnan(chi_square)] = pd.NA
    return rows.assign(CHISQ=chi_square, DF=shown, P=np.exp(log_p), LOG10_P=-log_p / math.log(10) + 0.0)


def _cells(n: Floats, test: str) -> Floats:
    """The table of a test, (2, columns, V), from people with 2, 1, 0 copies of A1."""
    if test == "genotypic":
        return n
    if test == "dominant":
        return np.stack([n[:, 0] + n[:, 1], n[:, 2]], axis=1)
    if test == "recessive":
        return np.stack([n[:, 0], n[:, 1] + n[:, 2]], axis=1)
    return np.stack([2 * n[:, 0] + n[:, 1], 2 * n[:, 2] + n[:, 1]], axis=1)


def _pearson(cells: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Pearson's chi-square of 2 x k tables without their empty columns."""
    controls, cases = cells[0].sum(axis=0), cells[1].sum(axis=0)
    column = cells.sum(axis=0)
    filled = column > 0
    degrees = filled.sum(axis=0) - 1
    # (O - E)^2 / E over both rows of a column: (a R0 - b R1)^2 / (n R1 R0), of whole numbers until the division
    difference = cells[1] * controls - cells[0] * cases
    both = controls * cases
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(filled, (difference / column) * (difference / both), 0.0)
    chi_square = np.where((degrees > 0) & (both > 0), terms.sum(axis=0), np.nan)
    return chi_square, degrees


def _trend(n: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Cochran 1954, Armitage 1955, with scores 0, 1, 2."""
    controls, cases = n[0].sum(axis=0), n[1].sum(axis=0)
    total, column = controls + cases, n.sum(axis=0)
    score = controls * (2 * n[1, 0] + n[1, 1]) - cases * (2 * n[0, 0] + n[0, 1])
    spread = total * (4 * column[0] + column[1]) - (2 * column[0] + column[1]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        chi_square = total * (score / (controls * cases)) * (score / spread)
    defined = (controls * cases > 0) & (spread > 0)
    return np.where(defined, chi_square, np.nan), np.ones(len(score), np.int64)


def _joined(cells: Floats) -> list[str]:
    return ["/".join(map(str, row)) for row in cells.T.astype(np.int64).tolist()]


def allelic_table(counts: Counts, labels: pd.DataFrame, conf_level: float, fisher: bool) -> pd.DataFrame:
    """One row per variant, as `--assoc --ci`: frequency of A1 in cases and controls, allelic test, odds ratio of A1.

    The odds ratio is NaN where no control has A1 or no case has A2. With `fisher` also P_FISHER, the exact test of the
    same table (`--assoc fisher`).
    """
    turned, a1, a2 = rarer_first(counts, labels)
    cells = _cells(turned[:, ::-1].astype(np.float64), "allelic")
    (c, d), (a, b) = cells[0], cells[1]
    chi_square, degrees = _pearson(cells)
    table = labels[["#CHROM", "POS", "ID"]].assign(A1=a1)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = table.assign(F_A=a / (a + b), F_U=c / (c + d), A2=a2)
        table = with_tails(table, chi_square, degrees)
        odds_ratio = np.where((b > 0) & (c > 0), a * d / (b * c), np.nan)
        error = np.where(np.isnan(odds_ratio), np.nan, np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    table = odds_ratio_limits(table, odds_ratio, error, conf_level)
    if fisher:
        whole = cells.astype(np.int64)
        table["P_FISHER"] = fisher_exact(whole[1, 0], whole[1, 1], whole[0, 0], whole[0, 1])
        table.loc[(a + b == 0) | (c + d == 0), "P_FISHER"] = np.nan
    return table


def odds_ratio_limits(table: pd.DataFrame, odds_ratio: Floats, error: Floats, conf_level: float) -> pd.DataFrame:
    """Columns OR, SE (of its logarithm), and limits L95, U95 (or of another level) on the scale of the logarithm."""
    z = -float(ndtri((1 - conf_level) / 2))
    level = f"{100 * conf_level:g}"
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lower, upper = (np.exp(np.log(odds_ratio) + sign * z * error) for sign in (-1, 1))
    return table.assign(**{"OR": odds_ratio, "SE": error, f"L{level}": lower, f"U{level}": upper})
