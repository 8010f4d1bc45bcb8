"""Times by which a share of the people had the event, with R's or lifelines' rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import SpecError

__all__ = ["QUANTILE_RULES", "median_table", "quantiles"]

QUANTILE_RULES = ("R", "lifelines")
# R's quantile.survfit: sqrt(.Machine$double.eps); a curve this close to the level counts as being on it
_TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))

Floats = NDArray[np.float64]


def quantiles(
    table: pd.DataFrame,
    probabilities: Sequence[float] = (0.25, 0.5, 0.75),
    *,
    rule: Literal["R", "lifelines"] = "R",
    complete: bool = True,
) -> pd.DataFrame:
    """Times by which a share of the people had the event: the median is probability 0.5.

    Parameters
    ----------
    table : DataFrame of one group, from `survival_table` or `rounded_survival_table`
    probabilities : values in [0, 1]
    rule : {"R", "lifelines"}
        "R" (`quantile.survfit`): where a horizontal line at 1 - p meets the curve; on a flat part exactly at that level
        (within 1.5e-8) the middle of the flat part, at the end of the curve too; NaN where the curve stays above.
        "lifelines" (`percentile`): the first time at which S is at or below 1 - p; inf where there is none.
        The interval is where the same line meets the lower and the upper confidence limit.
    complete : bool
        False for a rounded curve: what lies beyond its end is unknown, so there is NaN and never inf.

    Returns
    -------
    DataFrame
        Columns probability, quantile, lower, upper.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.size and not bool(np.all((p >= 0) & (p <= 1))):
        raise SpecError(f"probabilities of quantiles lie in 0..1, not {list(probabilities)}")
    if rule not in QUANTILE_RULES:
        raise SpecError(f"no quantile rule is called {rule!r}; rules: {', '.join(QUANTILE_RULES)}")
    find = _crossing if rule == "R" else _first_at_or_below
    times = table["time"].to_numpy(dtype=np.float64)
    found = {
        name: find(times, table[column].to_numpy(dtype=np.float64), p)
        for name, column in (("quantile", "survival"), ("lower", "lower"), ("upper", "upper"))
    }
    if table.empty or not complete:
        found = {name: np.where(np.isinf(values), np.nan, values) for name, values in found.items()}
    return pd.DataFrame({"probability": p, **found})


def median_table(
    tables: Sequence[pd.DataFrame],
    groups: pd.DataFrame | Sequence[str],
    records: ArrayLike,
    events: ArrayLike,
    *,
    rule: Literal["R", "lifelines"] = "R",
    complete: bool = True,
) -> pd.DataFrame:
    """Columns group (with strata stratum, group), records, events, median, lower, upper; one row per table.

    `groups` are the names in the order of the tables, or a DataFrame of all columns that name a table.
    """
    labels = groups if isinstance(groups, pd.DataFrame) else pd.DataFrame({"group": [str(name) for name in groups]})
    rows = [quantiles(table, (0.5,), rule=rule, complete=complete).iloc[0] for table in tables]
    return labels.assign(
        records=np.asarray(records, dtype=np.int64),
        events=np.asarray(events, dtype=np.int64),
        median=[float(row["quantile"]) for row in rows],
        lower=[float(row["lower"]) for row in rows],
        upper=[float(row["upper"]) for row in rows],
    )


def _crossing(times: Floats, curve: Floats, p: Floats) -> Floats:
    """R's findq: jumps of 1 - curve, repeated levels dropped, the level met from above and from below."""
    x, y = np.concatenate([[0.0], times]), np.concatenate([[0.0], 1 - curve])
    end = x[-1]
    first = ~pd.Series(y).duplicated().to_numpy()
    x, y = x[first], y[first]
    last_level = y[-1]
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    # an upper limit can rise again near the end of the curve; R then looks levels up in sorted order
    order = np.argsort(y, kind="stable")
    x, y = np.append(x[order], np.nan), y[order]
    at = x[np.searchsorted(y + _TOLERANCE, p, side="left")]
    beyond = x[np.searchsorted(y - _TOLERANCE, p, side="left")]
    found = (at + beyond) / 2
    found = np.where(np.abs(p - last_level) < _TOLERANCE, (at + end) / 2, found)
    return np.where(p == 0, 0.0, found)


def _first_at_or_below(times: Floats, curve: Floats, p: Floats) -> Floats:
    if not times.size:
        return np.where(p == 0, 0.0, np.inf)
    below = curve[None, :] <= (1 - p + _TOLERANCE)[:, None]
    found = times[np.argmax(below, axis=1)]
    return np.where(p == 0, 0.0, np.where(below.any(axis=1), found, np.inf))
