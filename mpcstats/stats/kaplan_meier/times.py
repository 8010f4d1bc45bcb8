"""A curve at chosen times: number at risk, events and censorings, survival with its limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import SpecError

__all__ = ["at_risk_at", "is_complete", "survival_at"]

Floats = NDArray[np.float64]


def is_complete(table: pd.DataFrame) -> bool:
    """Whether a curve runs until nobody is left; a rounded one is cut before that."""
    if table.empty:
        return False
    last = table.iloc[-1]
    return bool(last["at_risk"] == last["events"] + last["censored"])


def at_risk_at(table: pd.DataFrame, times: ArrayLike, *, complete: bool | None = None) -> Floats:
    """People at risk just before each of `times`, from the table of one group; NaN where the table does not say.

    Beyond the last row of an exact table nobody is at risk; beyond the last row of a truncated one nothing is known.
    `complete` says which one it is; by default its last row does. A rounded one is never complete: its numbers may
    meet by chance.
    Between two rows it is the number of the later row, as R gives it: with late entry this counts people who
    entered since; `lattice.at_risk_before` has the number at the time itself.
    """
    at = np.asarray(times, dtype=np.float64)
    if table.empty:
        return np.full(at.shape, np.nan)
    beyond = 0.0 if (is_complete(table) if complete is None else complete) else np.nan
    row = np.searchsorted(table["time"].to_numpy(dtype=np.float64), at, side="left")
    return np.append(table["at_risk"].to_numpy(dtype=np.float64), beyond)[row]


def survival_at(
    table: pd.DataFrame,
    times: ArrayLike,
    *,
    at_risk: ArrayLike | None = None,
    cumulative: bool = False,
    complete: bool | None = None,
) -> pd.DataFrame:
    """The curve at chosen times: R's `summary(fit, times=, extend=TRUE)`.

    Parameters
    ----------
    table : DataFrame of one group, from `survival_table` or `rounded_survival_table`
    times : (K,) increasing, not negative
    at_risk : (K,), optional
        People at risk just before each time, where the table does not know them: late entry (see `at_risk_at`).
    cumulative : bool
        events and censored are counted from the beginning; by default since the time before, as in R.
    complete : bool, optional
        Whether the curve runs until nobody is left; by default as its last row says. A rounded one never does.

    Returns
    -------
    DataFrame
        Columns time, at_risk (just before the time), events, censored (up to and at it), survival, standard_error,
        lower, upper, all float64. Survival is that at the time itself, and 1 with limits 1 before the first row. After
        the last row of an exact curve its values stay; after the end of a cut one they are NaN.
    """
    at = np.asarray(times, dtype=np.float64)
    if at.ndim != 1 or bool(np.any(np.isnan(at)) or np.any(at < 0) or np.any(np.diff(at) <= 0)):
        raise SpecError(f"times of a survival table are increasing and not negative, not {at.tolist()}")
    whole = is_complete(table) if complete is None else complete
    n = at_risk_at(table, at, complete=whole) if at_risk is None else np.asarray(at_risk, dtype=np.float64)
    known = table["time"].to_numpy(dtype=np.float64)
    row = np.searchsorted(known, at, side="right")  # rows up to and at each time
    hidden = np.ones(at.shape, np.bool_) if table.empty else (at > known[-1]) & (not whole)
    found = {"time": at, "at_risk": n}
    for name in ("events", "censored"):
        total = np.append(0.0, np.cumsum(table[name].to_numpy(dtype=np.float64)))[row]
        found[name] = total if cumulative else np.diff(total, prepend=0.0)
    for name, start in (("survival", 1.0), ("standard_error", 0.0), ("lower", 1.0), ("upper", 1.0)):
        found[name] = np.append(start, table[name].to_numpy(dtype=np.float64))[row]
    for name in ("events", "censored", "survival", "standard_error", "lower", "upper"):
        found[name] = np.where(hidden, np.nan, found[name])
    return pd.DataFrame(found)
