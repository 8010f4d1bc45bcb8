"""Inverse-variance meta-analysis of one effect per variant from pooled sums: effect, z, p and heterogeneity.

With weights w = 1/SE^2 of the sites: effect = sum(w b) / sum(w), SE = 1/sqrt(sum(w)), Q = sum(w b^2) - sum(w b)^2 /
sum(w), chi-square with sites - 1 degrees of freedom where effects are equal (Cochran 1954); I^2 = 1 - (sites - 1) / Q
in percent, 0 at least (Higgins, Thompson 2002).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaincc

from mpcstats.stats.association.labels import tested_labels
from mpcstats.stats.association.linear_table import LOG10_P, NO_ERROR
from mpcstats.stats.tails import log_normal_two_sided, normal_two_sided

__all__ = ["META_COLUMNS", "meta_table"]

META_COLUMNS = (
    "#CHROM",
    "POS",
    "ID",
    "REF",
    "ALT",
    "A1",
    "TEST",
    "OBS_CT",
    "SITES",
    "BETA",
    "SE",
    "Z_STAT",
    "P",
    LOG10_P,
    "Q",
    "HET_P",
    "I2",
    "ERRCODE",
)

Floats = NDArray[np.float64]


def meta_table(
    variants: pd.DataFrame,
    a1_is_alt: NDArray[np.bool_],
    people: NDArray[np.int64],
    sites: NDArray[np.int64],
    sums: Floats,
    codes: NDArray[np.object_],
) -> pd.DataFrame:
    """One row per variant in the order of `variants`, columns `META_COLUMNS`.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt.
    a1_is_alt : bool (V,)
        Effects are per copy of A1; sums count ALT.
    people, sites : int64 (V,)
        Of the sites that contribute.
    sums : float64 (3, V)
        Of w, w b, w b^2; the last is NaN where heterogeneity is not released.
    codes : text (V,)
        NO_ERROR; elsewhere statistics are NaN.
    """
    usable = codes == NO_ERROR
    weight, product, square = (np.where(usable, row, np.nan) for row in sums)
    effect, z = product / weight, product / np.sqrt(weight)
    freedom = np.where(sites > 1, sites - 1, np.nan).astype(np.float64)
    # rounding may leave a number below 0 where all effects are equal
    q = np.where(np.isnan(freedom), np.nan, np.maximum(square - product**2 / weight, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        i2 = np.where(q > 0, np.maximum(0.0, 1 - freedom / q), 0.0) * 100
    sign = np.where(a1_is_alt, 1.0, -1.0)
    columns = {
        "OBS_CT": people,
        "SITES": sites,
        "BETA": sign * effect,
        "SE": 1 / np.sqrt(weight),
        "Z_STAT": sign * z,
        "P": normal_two_sided(z),
        LOG10_P: -np.asarray(log_normal_two_sided(z)) / math.log(10) + 0.0,
        "Q": q,
        "HET_P": gammaincc(freedom / 2, q / 2),
        "I2": np.where(np.isnan(q), np.nan, i2),
        "ERRCODE": codes,
    }
    return tested_labels(variants, a1_is_alt).assign(**columns)[list(META_COLUMNS)]
