"""Linear association statistics per variant from opened sums, in the columns and digits of PLINK 2.

After projecting the covariates out (Frisch-Waugh-Lovell) a variant needs three sums: s_xx, s_xy, s_yy of the genotype x
and the trait y. effect = s_xy / s_xx, RSS = s_yy - s_xy^2 / s_xx, t^2 = df s_xy^2 / (s_xx s_yy - s_xy^2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln, ndtri

from mpcstats.errors import RangeError
from mpcstats.stats.association.labels import tested_labels
from mpcstats.stats.association.plink_text import write_table

__all__ = [
    "LOG10_P",
    "NO_ERROR",
    "PLINK_COLUMNS",
    "determinant",
    "genomic_control_lambda",
    "lambda_in_place",
    "linear_table",
    "log10_p_of_t",
    "p_of_t",
    "write_plink",
]

PLINK_COLUMNS = (
    "#CHROM",
    "POS",
    "ID",
    "REF",
    "ALT",
    "A1",
    "TEST",
    "OBS_CT",
    "BETA",
    "SE",
    "T_STAT",
    "P",
    "ERRCODE",
)
LOG10_P = "LOG10_P"
NO_ERROR = "."
_CONSTANT = "CONST_OMITTED_ALLELE"
_TOO_FEW = "SAMPLE_CT<=PREDICTOR_CT"
_MEDIAN_CHI_SQUARE = float(ndtri(0.75)) ** 2  # 0.4549364..., the median of chi-square on one degree of freedom

Floats = NDArray[np.float64]


def linear_table(
    variants: pd.DataFrame,
    a1_is_alt: ArrayLike,
    observed: ArrayLike,
    s_xx: ArrayLike,
    s_xy: ArrayLike,
    s_yy: ArrayLike,
    df: ArrayLike,
    errcode: Sequence[str] | NDArray[np.object_] | None = None,
) -> pd.DataFrame:
    """One row per variant in the order of `variants`.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt.
    a1_is_alt : bool (V,)
        The tested allele A1 is ALT. Where it is REF the effect changes sign: the sums always count ALT.
    observed : int (V,)
        People with phenotype, covariates and a call.
    s_xx, s_xy, s_yy : float (V,), s_yy also a scalar
        Sums of squares and products after the covariates are projected out, x = copies of ALT.
    df : int (V,) or scalar
        observed - covariates - 2 (intercept and variant).
    errcode : (V,) text, optional
        PLINK's code, "." or "" where there is none. Rows with a code have NaN statistics. Rows whose sums admit no
        regression get PLINK's own code: CONST_OMITTED_ALLELE or SAMPLE_CT<=PREDICTOR_CT.

    Returns
    -------
    DataFrame
        `PLINK_COLUMNS` and LOG10_P (-log10 of P, which does not underflow).
    """
    count = len(variants)
    xx, xy, yy, freedom = (_per_variant(x, count) for x in (s_xx, s_xy, s_yy, df))
    codes = _codes(errcode, xx, freedom)
    usable = codes == NO_ERROR
    beta, error, t = _statistics(xx[usable], xy[usable], yy[usable], freedom[usable])
    sign = np.where(np.asarray(a1_is_alt, dtype=np.bool_), 1.0, -1.0)[usable]
    columns = {
        "BETA": sign * beta,
        "SE": error,
        "T_STAT": sign * t,
        "P": p_of_t(t, freedom[usable]),
        LOG10_P: log10_p_of_t(t, freedom[usable]),
    }
    full = {name: np.full(count, np.nan) for name in columns}
    for name, values in columns.items():
        full[name][usable] = values
    numbers = {"OBS_CT": np.asarray(observed, dtype=np.int64), **full, "ERRCODE": codes}
    table = tested_labels(variants, a1_is_alt).assign(**numbers)
    return table[[*PLINK_COLUMNS, LOG10_P]]


def genomic_control_lambda(
    *, p: ArrayLike | None = None, t: ArrayLike | None = None, df: ArrayLike | None = None
) -> float:
    """Median of the variants' chi-square statistics over its expectation under the null: PLINK's lambda.

    Give p-values, or t statistics with their degrees of freedom; NaN entries are left out. NaN when nothing is left.
    """
    if (p is None) == (t is None) or (t is not None and df is None):
        raise RangeError("genomic control takes p, or t together with df")
    tail = np.asarray(p, dtype=np.float64) if t is None else p_of_t(t, df if df is not None else ())
    return lambda_in_place(tail[~np.isnan(tail)])


def lambda_in_place(p: Floats) -> float:
    """`genomic_control_lambda` of p without NaN, which it puts into another order: millions of them need no copy."""
    if p.size == 0:
        return float("nan")
    # chi-square falls with p: its median is that of the one or two p in the middle
    middle = (p.size - 1) // 2, p.size // 2
    p.partition(middle)
    return float(np.mean(ndtri(p[list(middle)] / 2) ** 2)) / _MEDIAN_CHI_SQUARE


def p_of_t(t: ArrayLike, df: ArrayLike) -> Floats:
    """Two-sided p of Student's t; 0 below the smallest double."""
    square, freedom = np.broadcast_arrays(np.square(np.asarray(t, dtype=np.float64)), np.asarray(df, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        x = np.where(np.isinf(square), 0.0, freedom / (freedom + square))
    return np.asarray(betainc(freedom / 2, 0.5, x), dtype=np.float64)


def log10_p_of_t(t: ArrayLike, df: ArrayLike) -> Floats:
    """-log10 of the two-sided p of Student's t, 1e-9 relative for any t: near 0 from the distribution function, far out
    from the continued fraction of the incomplete beta function."""
    square, freedom = np.broadcast_arrays(np.square(np.asarray(t, dtype=np.float64)), np.asarray(df, dtype=np.float64))
    p = p_of_t(np.sqrt(square), freedom)
    with np.errstate(divide="ignore", invalid="ignore"):
        natural = np.array(-np.log(p))
        near = p > 0.5
        natural[near] = -np.log1p(-betainc(0.5, freedom[near] / 2, (square / (freedom + square))[near]))
    far = (p < 1e-280) & np.isfinite(square)
    if far.any():
        natural[far] = -_log_tail(square[far], freedom[far])
    return np.asarray(natural / math.log(10) + 0.0)  # no negative zero


def determinant(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Floats:
    """a b - c d with both products exact to twice double precision, so that only the inputs' own rounding is left."""
    high_1, low_1 = _exact_product(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    high_2, low_2 = _exact_product(np.asarray(c, dtype=np.float64), np.asarray(d, dtype=np.float64))
    return (high_1 - high_2) + (low_1 - low_2)


def write_plink(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a `.glm.linear` file as PLINK 2 prints it: tab-separated, 6 significant digits, NA, no LOG10_P column.

    P below the smallest double is printed from LOG10_P, e.g. 4.21e-412.
    """
    return write_table(table, PLINK_COLUMNS, path, LOG10_P)


def _per_variant(values: ArrayLike, count: int) -> Floats:
    return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), (count,)))


def _codes(errcode: Sequence[str] | NDArray[np.object_] | None, xx: Floats, freedom: Floats) -> NDArray[np.object_]:
    codes = np.full(xx.size, NO_ERROR, dtype=object)
    if errcode is not None:
        if len(errcode) != xx.size:
            raise RangeError(f"{len(errcode)} error codes for {xx.size} variants")
        codes[:] = [str(code) if code else NO_ERROR for code in errcode]
    none = codes == NO_ERROR
    codes[none & ~(xx > 0)] = _CONSTANT
    codes[none & ~(freedom > 0)] = _TOO_FEW
    return codes


def _statistics(xx: Floats, xy: Floats, yy: Floats, freedom: Floats) -> tuple[Floats, Floats, Floats]:
    # s_xx RSS; a fit that is perfect to rounding has RSS 0, not a negative one
    residual = np.maximum(determinant(xx, yy, xy, xy), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(residual / freedom) / xx
        t = np.where(xy == 0, 0.0, xy / np.sqrt(residual / freedom))
    return xy / xx, error, t


def _exact_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Dekker: a b = high + low exactly."""
    high = a * b
    a_1, a_2 = _split(a)
    b_1, b_2 = _split(b)
    return high, ((a_1 * b_1 - high) + a_1 * b_2 + a_2 * b_1) + a_2 * b_2


def _split(a: Floats) -> tuple[Floats, Floats]:
    """Veltkamp: two halves of 26 bits."""
    scaled = 134217729.0 * a
    high = scaled - (scaled - a)
    return high, a - high


def _log_tail(square: Floats, freedom: Floats) -> Floats:
    """log I_x(df/2, 1/2), x = df / (df + t^2): prefactor in logarithms, continued fraction by Lentz's method."""
    a, b = freedom / 2, 0.5
    x = freedom / (freedom + square)
    # log x and log(1 - x) without cancellation
    front = -a * np.log1p(square / freedom) - b * np.log1p(freedom / square) - np.log(a) - betaln(a, b)
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    fraction = d.copy()
    for m in range(1, 10_000):
        step = np.ones_like(x)
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + term / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            step = c * d
            fraction = fraction * step
        if bool(np.all(np.abs(step - 1) < 1e-15)):
            break
    return np.asarray(front + np.log(fraction), dtype=np.float64)
