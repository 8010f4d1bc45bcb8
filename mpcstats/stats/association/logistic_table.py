"""Logistic association statistics in the columns and digits of PLINK 2's .glm.logistic, .hybrid and .glm.firth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mpcstats.errors import RangeError
from mpcstats.stats.association.labels import tested_labels
from mpcstats.stats.association.linear_table import LOG10_P
from mpcstats.stats.association.logistic_fit import METHODS, SEPARATED, Fits
from mpcstats.stats.association.plink_text import write_table

__all__ = ["SUFFIXES", "logistic_columns", "logistic_table", "write_logistic"]

SUFFIXES = dict(zip(METHODS, (".glm.logistic", ".glm.firth", ".glm.logistic.hybrid"), strict=True))
"""Ends of PLINK's file names, per method."""


def logistic_columns(method: str, ci: float | None = None) -> tuple[str, ...]:
    """PLINK's columns.

    Parameters
    ----------
    method : str
        "wald", "firth" or "firth-fallback", which has FIRTH? (Y or N).
    ci : float, optional
        Level of an interval of the odds ratio, 0.95 for L95 and U95.

    Raises
    ------
    RangeError
        No such method, or a level that is not between 0 and 1.
    """
    if method not in METHODS or (ci is not None and not 0 < ci < 1):
        raise RangeError(f"no table of method {method!r} with an interval of level {ci}")
    used = ("FIRTH?",) if method == "firth-fallback" else ()
    interval = () if ci is None else _interval_names(ci)
    front = ("#CHROM", "POS", "ID", "REF", "ALT", "A1", *used, "TEST", "OBS_CT", "OR", "LOG(OR)_SE")
    return (*front, *interval, "Z_STAT", "P", "ERRCODE")


def _interval_names(ci: float) -> tuple[str, str]:
    return f"L{100 * ci:.6g}", f"U{100 * ci:.6g}"


def logistic_table(
    variants: pd.DataFrame, fits: Fits, a1_is_alt: ArrayLike, observed: ArrayLike, method: str, ci: float | None = None
) -> pd.DataFrame:
    """One row per variant in the order of `variants` and `fits`.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt.
    a1_is_alt : bool (V,)
        The tested allele A1, whose copies are counted, is ALT.
    observed : int (V,)
        People with phenotype, covariates and a call.

    Returns
    -------
    DataFrame
        `logistic_columns` and LOG10_P (-log10 of P, which does not underflow). A separation names the allele, as PLINK
        does.
    """
    columns = logistic_columns(method, ci)
    alt = np.asarray(a1_is_alt, dtype=np.bool_)
    numbers = {
        "FIRTH?": np.where(fits.firth, "Y", "N"),
        "OBS_CT": np.asarray(observed, dtype=np.int64),
        "OR": np.exp(fits.effect),
        "LOG(OR)_SE": fits.standard_error,
        "Z_STAT": fits.z,
        "P": fits.p,
        "ERRCODE": _codes(fits.errcode, alt),
        LOG10_P: fits.log10_p,
    }
    table = tested_labels(variants, alt).assign(**numbers)
    if ci is not None:
        reach = float(ndtri((1 + ci) / 2)) * fits.standard_error
        for name, bound in zip(_interval_names(ci), (fits.effect - reach, fits.effect + reach), strict=True):
            table[name] = np.exp(bound)
    return table[[*columns, LOG10_P]]


def _codes(codes: NDArray[np.object_], a1_is_alt: NDArray[np.bool_]) -> NDArray[np.object_]:
    named = codes.copy()
    named[(codes == SEPARATED) & a1_is_alt] = f"{SEPARATED},ALT1"
    named[(codes == SEPARATED) & ~a1_is_alt] = f"{SEPARATED},REF"
    return named


def write_logistic(table: pd.DataFrame, path: str | Path) -> Path:
    """Write PLINK's file; the column LOG10_P is left out, but P below the smallest double is printed from it."""
    return write_table(table, [name for name in table.columns if name != LOG10_P], path, LOG10_P)
