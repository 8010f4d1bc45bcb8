"""The last step of every test of the log-rank family: chi-square, p and the columns that R prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError
from mpcstats.stats.tails import chi_square_tail, log_chi_square_tail

__all__ = ["GROUP_COLUMNS", "LogrankTest", "logrank_from_chi_square", "logrank_from_scores"]

GROUP_COLUMNS = ("group", "records", "observed", "expected", "(O-E)^2/E", "(O-E)^2/V")

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_EPSILON = float(np.finfo(np.float64).eps)


class LogrankTest(NamedTuple):
    """A test of the log-rank family.

    Attributes
    ----------
    table : DataFrame
        Columns `GROUP_COLUMNS`: group (str), records, observed (int64 where they are whole numbers), expected,
        (O-E)^2/E, (O-E)^2/V (float64). With weights observed and expected are weighted. NaN where a number was not
        opened, and in a group without expected events or variance.
    variance : float64 (G, G)
        Covariance of observed - expected (hypergeometric); NaN where it was not opened.
    chi_square : float
        NaN when no test exists (R stops with a singular matrix): there are groups that are never at risk together, not
        even by way of a third one, at times that have variance.
    degrees_of_freedom : int
        Groups with expected > 0, less one.
    p_value, log_p_value : float
        Upper tail of chi-square and its natural logarithm, which does not underflow.
    strata : DataFrame, optional
        Of a stratified test from counts: columns stratum, group, records, observed, expected.
    """

    table: pd.DataFrame
    variance: Floats
    chi_square: float
    degrees_of_freedom: int
    p_value: float
    log_p_value: float
    strata: pd.DataFrame | None = None


def logrank_from_scores(
    score: ArrayLike,
    variance: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    records: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    expected: ArrayLike | None = None,
    resolution: float = 0.0,
) -> LogrankTest:
    """Test of G >= 2 groups from their scores, summed over strata.

    Groups with expected 0 leave the test. Where `expected` is not known these are the groups without variance: the same
    wherever the test exists.

    Parameters
    ----------
    score : (G,)
        Observed less expected events.
    variance : (G, G)
    groups : G names, optional
        "0", "1", ... when not given.
    records, observed, expected : (G,), optional
        People and (weighted) events for the table, where they were opened.
    resolution : float
        Bound on the absolute error of each entry of `variance` and `expected` (fixed-point arithmetic): entries up to
        it count as 0.

    Raises
    ------
    RangeError
        Shapes that do not fit.
    """
    u, v = np.asarray(score, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    if u.ndim != 1 or u.size < 2 or v.shape != (u.size, u.size):
        raise RangeError(f"scores {u.shape} and covariance {v.shape} do not fit two groups or more")
    used = np.diag(v) > resolution if expected is None else np.asarray(expected, dtype=np.float64) > resolution
    chi_square, freedom = _quadratic_form(u, v, used, resolution)
    table = _group_table(u, v, groups, records, observed, expected, resolution)
    return LogrankTest(table, v, chi_square, freedom, *_tails(chi_square, freedom))


def logrank_from_chi_square(
    chi_square: float, degrees_of_freedom: int, groups: Sequence[str], records: ArrayLike | None = None
) -> LogrankTest:
    """The same result where nothing but chi-square was opened; all that is not known is NaN."""
    unknown = np.full(len(groups), np.nan)
    table = _group_table(unknown, np.full((len(groups), len(groups)), np.nan), groups, records, None, None, 0.0)
    return LogrankTest(
        table,
        np.full((len(groups), len(groups)), np.nan),
        float(chi_square),
        degrees_of_freedom,
        *_tails(float(chi_square), degrees_of_freedom),
    )


def _quadratic_form(score: Floats, variance: Floats, used: Mask, resolution: float) -> tuple[float, int]:
    """Chi-square and degrees of freedom: of the groups used the first is redundant and dropped, the rest is solved."""
    kept = np.flatnonzero(used)
    freedom = max(kept.size - 1, 0)
    if freedom == 0:
        return 0.0, 0
    block = variance[np.ix_(kept[1:], kept[1:])]
    if not _comparable(variance[np.ix_(kept, kept)], resolution) or 1 / np.linalg.cond(block, 1) < _EPSILON:
        return float("nan"), freedom
    difference = score[kept[1:]]
    return max(float(difference @ np.linalg.solve(block, difference)), 0.0), freedom


def _comparable(variance: Floats, resolution: float) -> bool:
    """Whether every group is at risk together with every other one, directly or by way of others.

    The covariance is the Laplacian of that graph: it has no positive entry beside the diagonal, and an entry is 0
    exactly where two groups never meet. Without its first row and column it is regular if and only if the graph is
    connected.
    """
    if not np.all(np.isfinite(variance)):
        return False
    linked = np.abs(variance) > resolution
    for _ in range(variance.shape[0].bit_length()):
        linked = linked @ linked
    return bool(linked[0].all())


def _tails(chi_square: float, freedom: int) -> tuple[float, float]:
    if freedom == 0:
        return 1.0, 0.0
    return chi_square_tail(chi_square, freedom), log_chi_square_tail(chi_square, freedom)


def _group_table(
    score: Floats,
    variance: Floats,
    groups: Sequence[str] | None,
    records: ArrayLike | None,
    observed: ArrayLike | None,
    expected: ArrayLike | None,
    resolution: float,
) -> pd.DataFrame:
    count = score.size
    names = [str(name) for name in (groups if groups is not None else range(count))]
    o, e = (np.full(count, np.nan) if x is None else np.asarray(x, dtype=np.float64) for x in (observed, expected))
    people = np.full(count, np.nan) if records is None else np.asarray(records)
    if not len(names) == people.size == o.size == e.size == count:
        raise RangeError(
            f"{count} scores, {len(names)} names, {people.size} records, {o.size} observed, {e.size} expected"
        )
    square, spread = score**2, np.diag(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = (
            names,
            people,
            observed if observed is not None and np.asarray(observed).dtype.kind == "i" else o,
            e,
            np.where(e > resolution, square / e, np.nan),
            np.where(spread > resolution, square / spread, np.nan),
        )
    return pd.DataFrame(dict(zip(GROUP_COLUMNS, columns, strict=True)))
