"""Kaplan-Meier estimate, confidence limits and quantiles from opened pooled counts: plain float64 arithmetic.

Conventions are those of R's `survival::survfit`: events come before censorings at the same time; the standard error
of S is Greenwood's; the confidence type is named, never guessed; once S reaches 0 the standard error and the limits
are NaN; while S is 1 the limits are 1 for `log` and `plain` and NaN for `log-log`, `logit` and `arcsin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri

from mpcstats.errors import RangeError, SpecError

__all__ = [
    "CONFIDENCE_TYPES",
    "QUANTILE_RULES",
    "ROUNDED_NOTE",
    "TABLE_COLUMNS",
    "at_risk_at",
    "lattice_times",
    "median_table",
    "quantiles",
    "rounded_survival_table",
    "rounded_tables",
    "survival_table",
    "tables_from_counts",
]

CONFIDENCE_TYPES = ("log", "log-log", "plain", "logit", "arcsin")
QUANTILE_RULES = ("R", "lifelines")
TABLE_COLUMNS = ("time", "at_risk", "events", "censored", "survival", "standard_error", "lower", "upper")
ROUNDED_NOTE = (
    "at_risk, events and censored are differences of rounded cumulative counts; "
    "survival, standard error and confidence limits are computed from these rounded numbers"
)
# R's quantile.survfit: sqrt(.Machine$double.eps); a curve this close to the level counts as being on it
_TOLERANCE = float(np.sqrt(np.finfo(np.float64).eps))

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def survival_table(
    times: ArrayLike,
    at_risk: ArrayLike,
    events: ArrayLike,
    censored: ArrayLike,
    conf_type: str = "log",
    conf_level: float = 0.95,
) -> pd.DataFrame:
    """The Kaplan-Meier table of one group, one row per time with an event or a censoring, as R lists them.

    Parameters
    ----------
    times : (T,) increasing
    at_risk, events, censored : (T,) non-negative integers
        People at risk just before each time, events and censorings at it.
    conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
    conf_level : float in (0, 1)

    Returns
    -------
    DataFrame
        Columns time (float64), at_risk, events, censored (int64), survival, standard_error (of S, Greenwood), lower,
        upper (float64). No rows where nobody was observed.

    Raises
    ------
    SpecError
        No such confidence type or level.
    RangeError
        Counts that cannot be: negative, or more events than people at risk.
    """
    t = np.asarray(times, dtype=np.float64)
    n, d, c = (np.asarray(x, dtype=np.int64) for x in (at_risk, events, censored))
    if not t.shape == n.shape == d.shape == c.shape or t.ndim != 1:
        raise RangeError(f"times {t.shape}, at_risk {n.shape}, events {d.shape} and censored {c.shape} differ in shape")
    keep = (d > 0) | (c > 0)
    impossible = int(np.sum((n < 0) | (d < 0) | (c < 0) | (d > n)))
    if impossible:
        raise RangeError(f"{impossible} of {t.size} times have negative counts or more events than people at risk")
    return _table(t[keep], n[keep], d[keep], c[keep], conf_type, conf_level)


def tables_from_counts(
    events: ArrayLike,
    censored: ArrayLike,
    *,
    groups: Sequence[str] = ("all",),
    unit: float = 1.0,
    conf_type: str = "log",
    conf_level: float = 0.95,
    quantile_rule: Literal["R", "lifelines"] = "R",
) -> dict[str, pd.DataFrame]:
    """Curves and medians of all groups from counts on the lattice 0, unit, 2 unit, ...

    Parameters
    ----------
    events, censored : (G, T+1) non-negative integers
        Pooled counts per group and lattice time; everybody appears exactly once.
    groups : G names
    unit : float
        Width of one lattice step in units of the time column.

    Returns
    -------
    {"curve", "medians"} : DataFrames
        curve: "group" and the columns of `survival_table`; medians: see `median_table`.
    """
    d, c = _lattice(events, censored, groups)
    leaving = d + c
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    times = lattice_times(d.shape[1], unit)
    tables = [survival_table(times, at_risk[g], d[g], c[g], conf_type, conf_level) for g in range(len(groups))]
    records = leaving.sum(axis=1)
    return {
        "curve": _stack(tables, groups),
        "medians": median_table(tables, groups, records, d.sum(axis=1), rule=quantile_rule),
    }


def rounded_survival_table(
    times: ArrayLike,
    start: int,
    cumulative_events: ArrayLike,
    cumulative_censored: ArrayLike,
    visible: int,
    conf_type: str = "log",
    conf_level: float = 0.95,
) -> pd.DataFrame:
    """The table of one group from counts that disclosure control has rounded, as OpenSAFELY computes it.

    A row per visible grid point, changes or not. Everything follows from the rounded numbers: at_risk is the rounded
    start less the rounded events and censorings up to the point before, so the limits show the sampling error
    of the rounded curve, not the rounding. Independent rounding can take at_risk below the events of a step; at_risk is
    then raised to them, which makes S 0 there.

    Parameters
    ----------
    times : (K,) grid points, increasing
        Each stands for the interval from the point before (excluded) up to itself.
    start : int
        Rounded people at the start.
    cumulative_events, cumulative_censored : (K,) non-decreasing integers
        Rounded totals up to and including each point.
    visible : int in 0..K
        Grid points that may be shown; later entries are not read.

    Returns
    -------
    DataFrame
        As `survival_table`, with the note `ROUNDED_NOTE` in `.attrs["note"]`.
    """
    t = np.asarray(times, dtype=np.float64)
    shown = int(visible)
    if not 0 <= shown <= t.size:
        raise RangeError(f"{shown} visible grid points of {t.size}")
    total_d, total_c = (np.asarray(x, dtype=np.int64)[:shown] for x in (cumulative_events, cumulative_censored))
    d, c = np.diff(total_d, prepend=0), np.diff(total_c, prepend=0)
    if shown and min(d.min(), c.min(), start) < 0:
        raise RangeError("rounded cumulative counts decrease, or the rounded number at start is negative")
    before = int(start) - (total_d - d) - (total_c - c)
    table = _table(t[:shown], np.maximum(before, d), d, c, conf_type, conf_level)
    table.attrs["note"] = ROUNDED_NOTE
    return table


def rounded_tables(
    times: ArrayLike,
    start: ArrayLike,
    cumulative_events: ArrayLike,
    cumulative_censored: ArrayLike,
    visible: ArrayLike,
    *,
    groups: Sequence[str] = ("all",),
    conf_type: str = "log",
    conf_level: float = 0.95,
    quantile_rule: Literal["R", "lifelines"] = "R",
) -> dict[str, pd.DataFrame]:
    """Curves and medians of all groups from rounded counts: `rounded_survival_table` for each of G groups.

    `start` and `visible` are (G,), the cumulative counts (G, K). Medians are read off the rounded curves; records and
    events of the medians table are the rounded start and the rounded events up to the last visible point, <NA> for a
    group whose start is hidden (0).
    """
    n, shown = np.asarray(start, dtype=np.int64), np.asarray(visible, dtype=np.int64)
    d, c = _lattice(cumulative_events, cumulative_censored, groups)
    tables = [
        rounded_survival_table(times, int(n[g]), d[g], c[g], int(shown[g]), conf_type, conf_level)
        for g in range(len(groups))
    ]
    seen = np.array([int(table["events"].sum()) for table in tables], dtype=np.int64)
    curve = _stack(tables, groups)
    curve.attrs["note"] = ROUNDED_NOTE
    medians = median_table(tables, groups, n, seen, rule=quantile_rule).astype({"records": "Int64", "events": "Int64"})
    medians.loc[n == 0, ["records", "events"]] = pd.NA
    return {"curve": curve, "medians": medians}


def median_table(
    tables: Sequence[pd.DataFrame],
    groups: Sequence[str],
    records: ArrayLike,
    events: ArrayLike,
    *,
    rule: Literal["R", "lifelines"] = "R",
) -> pd.DataFrame:
    """Columns group, records, events, median, lower, upper; one row per group, in the order of `groups`."""
    rows = [quantiles(table, (0.5,), rule=rule).iloc[0] for table in tables]
    return pd.DataFrame(
        {
            "group": [str(name) for name in groups],
            "records": np.asarray(records, dtype=np.int64),
            "events": np.asarray(events, dtype=np.int64),
            "median": [float(row["quantile"]) for row in rows],
            "lower": [float(row["lower"]) for row in rows],
            "upper": [float(row["upper"]) for row in rows],
        }
    )


def quantiles(
    table: pd.DataFrame, probabilities: Sequence[float] = (0.25, 0.5, 0.75), *, rule: Literal["R", "lifelines"] = "R"
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
    return pd.DataFrame({"probability": p, **found})


def at_risk_at(table: pd.DataFrame, times: ArrayLike) -> Floats:
    """People at risk just before each of `times`, from the table of one group; NaN where the table does not say.

    Beyond the last row of an exact table nobody is at risk; beyond the last row of a truncated one nothing is known.
    """
    at = np.asarray(times, dtype=np.float64)
    if table.empty:
        return np.full(at.shape, np.nan)
    n = table["at_risk"].to_numpy(dtype=np.float64)
    left = n[-1] - float(table["events"].iloc[-1]) - float(table["censored"].iloc[-1])
    beyond = 0.0 if left == 0 else np.nan
    row = np.searchsorted(table["time"].to_numpy(dtype=np.float64), at, side="left")
    return np.append(n, beyond)[row]


def lattice_times(count: int, unit: float = 1.0) -> Floats:
    """0, unit, 2 unit, ... (count values), each the double nearest to the decimal number: 3 * 0.1 is 0.3."""
    steps = np.arange(count, dtype=np.float64)
    per_one = round(1 / unit)
    if unit < 1 and abs(per_one * unit - 1) < 1e-12:
        return steps / per_one
    return steps * unit


def _table(t: Floats, n: Counts, d: Counts, c: Counts, conf_type: str, conf_level: float) -> pd.DataFrame:
    at_risk, events = n.astype(np.float64), d.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a grid point where nobody is left has factor 1: nothing can happen there
        survival: Floats = np.cumprod(np.where(n > 0, (at_risk - events) / at_risk, 1.0), dtype=np.float64)
        variance: Floats = np.cumsum(np.where(d > 0, events / (at_risk * (at_risk - events)), 0.0), dtype=np.float64)
        root = np.sqrt(variance)  # standard error of log S; infinite once S is 0
        standard_error = survival * root
    lower, upper = _limits(survival, root, conf_type, conf_level)
    return pd.DataFrame(
        {
            "time": t,
            "at_risk": n,
            "events": d,
            "censored": c,
            "survival": survival,
            "standard_error": standard_error,
            "lower": lower,
            "upper": upper,
        }
    )


def _limits(s: Floats, root: Floats, conf_type: str, conf_level: float) -> tuple[Floats, Floats]:
    """Limits of S from S and the standard error of log S, with R's clipping and NaN."""
    if conf_type not in CONFIDENCE_TYPES:
        raise SpecError(f"no confidence type is called {conf_type!r}; types: {', '.join(CONFIDENCE_TYPES)}")
    if not 0 < conf_level < 1:
        raise SpecError(f"the confidence level lies between 0 and 1, not at {conf_level}")
    z = float(-ndtri((1 - conf_level) / 2))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        s = np.where(s == 0, np.nan, s)
        if conf_type == "plain":
            half = z * s * root
            return np.maximum(s - half, 0), np.minimum(s + half, 1)
        if conf_type == "log":
            return np.exp(np.log(s) - z * root), np.minimum(np.exp(np.log(s) + z * root), 1)
        s = np.where(s == 1, np.nan, s)
        if conf_type == "log-log":
            hazard = -np.log(s)
            half = z * root / hazard
            return np.exp(-np.exp(np.log(hazard) + half)), np.exp(-np.exp(np.log(hazard) - half))
        if conf_type == "logit":
            logit, half = np.log(s / (1 - s)), z * root / (1 - s)
            return np.asarray(expit(logit - half)), np.asarray(expit(logit + half))
        angle, half = np.arcsin(np.sqrt(s)), 0.5 * z * root * np.sqrt(s / (1 - s))
        return np.sin(np.maximum(angle - half, 0)) ** 2, np.sin(np.minimum(angle + half, np.pi / 2)) ** 2


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
    below = curve[None, :] <= (1 - p + _TOLERANCE)[:, None]
    found = times[np.argmax(below, axis=1)] if times.size else np.full(p.shape, np.inf)
    return np.where(p == 0, 0.0, np.where(below.any(axis=1), found, np.inf))


def _lattice(events: ArrayLike, censored: ArrayLike, groups: Sequence[str]) -> tuple[Counts, Counts]:
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    if d.ndim != 2 or d.shape != c.shape or d.shape[0] != len(groups):
        raise RangeError(f"events {d.shape} and censored {c.shape} do not fit {len(groups)} groups")
    return d, c


def _stack(tables: Sequence[pd.DataFrame], groups: Sequence[str]) -> pd.DataFrame:
    curve = pd.concat(tables, ignore_index=True)
    curve.insert(0, "group", np.repeat([str(name) for name in groups], [len(table) for table in tables]).astype(object))
    return curve
