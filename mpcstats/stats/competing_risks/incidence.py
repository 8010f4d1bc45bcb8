"""Cumulative incidence of competing causes (Aalen and Johansen) from opened pooled counts: plain float64 arithmetic.

F_k(t) = sum over u <= t of S(u-) d_k(u) / n(u), where S is the probability that nothing has happened yet.
Conventions are those of R's `survival::survfit` for several end points: causes come before censorings at the same
time, those at risk at t are those with entry < t <= exit, an interval is NaN while the incidence is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.kaplan_meier import rounded_survival_table, survival_table
from mpcstats.stats.kaplan_meier.limits import confidence_limits
from mpcstats.stats.lattice import at_risk_counts, lattice_times

__all__ = [
    "INCIDENCE_COLUMNS",
    "VARIANCES",
    "incidence_at",
    "incidence_table",
    "incidence_tables",
    "rounded_incidence_tables",
]

VARIANCES = ("aalen", "gray")
INCIDENCE_COLUMNS = (
    "cause",
    "time",
    "at_risk",
    "events",
    "censored",
    "cumulative_hazard",
    "incidence",
    "standard_error",
    "lower",
    "upper",
)

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Variance = Literal["aalen", "gray"]


def incidence_table(
    times: ArrayLike,
    at_risk: ArrayLike,
    events: ArrayLike,
    censored: ArrayLike,
    *,
    causes: Sequence[str],
    conf_type: str = "log",
    conf_level: float = 0.95,
    variance: Variance = "aalen",
) -> pd.DataFrame:
    """Cumulative incidence of every cause in one group.

    Parameters
    ----------
    times : (T,) increasing
    at_risk, censored : (T,) non-negative integers
    events : (K, T) non-negative integers
        Events of each cause at each time.
    causes : K names
    conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
        "log" is what R's survfit prints: F exp(+-z se / F), cut at 1.
    variance : {"aalen", "gray"}
        "aalen": multinomial increments carried through the product integral (Andersen et al. 1993, section IV.4.1);
        without late entries it equals R's `survfit` (infinitesimal jackknife). "gray": what `cmprsk::cuminc` prints:
        increments of the single causes taken as uncorrelated, with a correction for ties.

    Returns
    -------
    DataFrame
        Columns cause (str), time (float64), at_risk, events (of this cause), censored (int64), cumulative_hazard
        (cause-specific, Nelson-Aalen), incidence, standard_error, lower, upper (float64); a row per cause and time
        with any event or censoring, causes one after another.

    Raises
    ------
    SpecError
        No such confidence type, level or variance.
    RangeError
        Counts that cannot be: shapes that differ, negative counts, more events than people at risk.
    """
    t, n, d, c = _checked(times, at_risk, events, censored, causes, variance)
    keep = (d.sum(axis=0) > 0) | (c > 0)
    return _table(t[keep], n[keep], d[:, keep], c[keep], causes, conf_type, conf_level, variance)


def incidence_tables(
    events: ArrayLike,
    censored: ArrayLike,
    entered: ArrayLike | None = None,
    *,
    causes: Sequence[str],
    groups: Sequence[str] = ("all",),
    unit: float = 1.0,
    conf_type: str = "log",
    conf_level: float = 0.95,
    variance: Variance = "aalen",
) -> dict[str, pd.DataFrame]:
    """Cumulative incidence of all groups from counts on the lattice 0, unit, 2 unit, ...

    Parameters
    ----------
    events : (K, G, T+1) non-negative integers
        Pooled events per cause, group and lattice time.
    censored : (G, T+1)
    entered : (G, T+1), optional
        People whose time under observation begins at each lattice time, see `lattice.at_risk_counts`.
    causes, groups : K and G names

    Returns
    -------
    {"incidence", "event_free", "causes"} : DataFrames
        incidence: "group" and `INCIDENCE_COLUMNS`. event_free: the probability that nothing has happened yet,
        "group" and the columns of `kaplan_meier.survival_table`. causes: group, cause, records, events, and the
        incidence at the end.
    """
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    if d.ndim != 3 or d.shape[:2] != (len(causes), len(groups)) or d.shape[1:] != c.shape:
        raise RangeError(
            f"events {d.shape} and censored {c.shape} do not fit {len(causes)} causes, {len(groups)} groups"
        )
    n = at_risk_counts(d.sum(axis=0), c, entered)
    t = lattice_times(c.shape[1], unit)
    tables = [
        incidence_table(
            t, n[g], d[:, g], c[g], causes=causes, conf_type=conf_type, conf_level=conf_level, variance=variance
        )
        for g in range(len(groups))
    ]
    free = [survival_table(t, n[g], d[:, g].sum(axis=0), c[g], conf_type, conf_level) for g in range(len(groups))]
    return {
        "incidence": _stack(tables, groups),
        "event_free": _stack(free, groups),
        "causes": _totals(tables, groups, causes, (d.sum(axis=(0, 2)) + c.sum(axis=1)).tolist()),
    }


def rounded_incidence_tables(
    times: ArrayLike,
    start: ArrayLike,
    cumulative_events: ArrayLike,
    cumulative_censored: ArrayLike,
    visible: ArrayLike,
    *,
    causes: Sequence[str],
    groups: Sequence[str] = ("all",),
    conf_type: str = "log",
    conf_level: float = 0.95,
) -> dict[str, pd.DataFrame]:
    """As `incidence_tables`, from cumulative counts that disclosure control has rounded.

    Parameters
    ----------
    times : (J,) grid points
    start, visible : (G,) integers
        Rounded people at start (0: hidden) and grid points that may be shown, per group.
    cumulative_events : (K, G, J), cumulative_censored : (G, J)
        Rounded, non-decreasing totals up to and including each point; beyond `visible` they are not read.

    Returns
    -------
    {"incidence", "event_free", "causes"} : DataFrames
        A row per visible point, changes or not. Everything follows from the rounded numbers: at_risk is the rounded
        start less the rounded numbers that left before, raised to the events of a step where independent rounding
        takes it below. In causes, records and events are <NA> where the start is hidden.
    """
    t = np.asarray(times, dtype=np.float64)
    n0, shown = np.asarray(start, dtype=np.int64), np.asarray(visible, dtype=np.int64)
    total_d, total_c = np.asarray(cumulative_events, np.int64), np.asarray(cumulative_censored, np.int64)
    if total_d.shape[:2] != (len(causes), len(groups)) or total_d.shape[1:] != total_c.shape or shown.max() > t.size:
        raise RangeError(
            f"cumulative counts {total_d.shape} and {total_c.shape} do not fit the causes, groups and times"
        )
    tables, free = [], []
    for g, end in enumerate(shown.tolist()):
        d, c = np.diff(total_d[:, g, :end], prepend=0, axis=1), np.diff(total_c[g, :end], prepend=0)
        if end and min(d.min(), c.min(), n0[g]) < 0:
            raise RangeError("rounded cumulative counts decrease, or the rounded number at start is negative")
        left = (total_d[:, g, :end] - d).sum(axis=0) + total_c[g, :end] - c
        n = np.maximum(n0[g] - left, d.sum(axis=0))
        # every visible point has a row
        tables.append(_table(t[:end], n, d, c, causes, conf_type, conf_level, "aalen"))
        gone = total_d[:, g].sum(axis=0)
        free.append(rounded_survival_table(t, int(n0[g]), gone, total_c[g], end, conf_type, conf_level))
    totals = _totals(tables, groups, causes, n0.tolist()).astype({"records": "Int64", "events": "Int64"})
    totals.loc[np.repeat(n0 == 0, len(causes)), ["records", "events"]] = pd.NA
    return {"incidence": _stack(tables, groups), "event_free": _stack(free, groups), "causes": totals}


def incidence_at(table: pd.DataFrame, times: ArrayLike, *, truncated: bool = False) -> pd.DataFrame:
    """Incidence of every cause at given times, from the table of one group.

    Parameters
    ----------
    table : DataFrame of one group, from `incidence_table` or of `rounded_incidence_tables`
    times : (J,)
    truncated : bool
        The curve was cut: beyond its last row nothing is known (NaN).

    Returns
    -------
    DataFrame
        Columns cause, time, incidence, standard_error, lower, upper; 0, 0, NaN, NaN before the first row.
    """
    at = np.asarray(times, dtype=np.float64)
    rows = []
    for cause, part in table.groupby("cause", sort=False):
        known = part["time"].to_numpy(dtype=np.float64)
        place = np.searchsorted(known, at, side="right")
        found = {"cause": np.repeat(str(cause), at.size).astype(object), "time": at}
        for name, before in (("incidence", 0.0), ("standard_error", 0.0), ("lower", np.nan), ("upper", np.nan)):
            values = np.concatenate([[before], part[name].to_numpy(dtype=np.float64)])[place]
            found[name] = np.where(at > known[-1], np.nan, values) if truncated and known.size else values
        rows.append(pd.DataFrame(found))
    return pd.concat(rows, ignore_index=True)


def _checked(
    times: ArrayLike, at_risk: ArrayLike, events: ArrayLike, censored: ArrayLike, causes: Sequence[str], variance: str
) -> tuple[Floats, Counts, Counts, Counts]:
    if variance not in VARIANCES:
        raise SpecError(f"no variance of an incidence is called {variance!r}; there are {', '.join(VARIANCES)}")
    t = np.asarray(times, dtype=np.float64)
    n, d, c = (np.asarray(x, dtype=np.int64) for x in (at_risk, events, censored))
    if t.ndim != 1 or not t.shape == n.shape == c.shape or d.shape != (len(causes), t.size):
        raise RangeError(
            f"times {t.shape}, at_risk {n.shape}, events {d.shape} and censored {c.shape} do not fit "
            f"{len(causes)} causes"
        )
    impossible = int(np.sum((n < 0) | (d < 0).any(axis=0) | (c < 0) | (d.sum(axis=0) > n)))
    if impossible:
        raise RangeError(f"{impossible} of {t.size} times have negative counts or more events than people at risk")
    return t, n, d, c


def _table(
    t: Floats,
    n: Counts,
    d: Counts,
    c: Counts,
    causes: Sequence[str],
    conf_type: str,
    conf_level: float,
    variance: Variance,
) -> pd.DataFrame:
    at_risk, events = n.astype(np.float64), d.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        hazard = np.where(n > 0, events / at_risk, 0.0)
        survival: Floats = np.cumprod(np.where(n > 0, (at_risk - events.sum(axis=0)) / at_risk, 1.0), dtype=np.float64)
    before = np.concatenate([[1.0], survival[:-1]])
    incidence = np.cumsum(before * hazard, axis=1)
    spread = _aalen_variance if variance == "aalen" else _gray_variance
    error = np.sqrt(spread(at_risk, events, before, survival, incidence))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0.0, error / incidence)
    lower, upper = confidence_limits(incidence, relative, conf_type, conf_level)
    count = len(causes)
    return pd.DataFrame(
        {
            "cause": np.repeat([str(cause) for cause in causes], t.size).astype(object),
            "time": np.tile(t, count),
            "at_risk": np.tile(n, count),
            "events": d.reshape(-1),
            "censored": np.tile(c, count),
            "cumulative_hazard": np.cumsum(hazard, axis=1).reshape(-1),
            "incidence": incidence.reshape(-1),
            "standard_error": error.reshape(-1),
            "lower": lower.reshape(-1),
            "upper": upper.reshape(-1),
        }
    )


def _aalen_variance(n: Floats, d: Floats, before: Floats, _survival: Floats, _incidence: Floats) -> Floats:
    """Variance of each F_k by carrying the covariance of (S, F_k) from one event time to the next.

    With h_k = d_k / n, h their sum and multinomial increments, S' = S (1 - h) and F_k' = F_k + S h_k give

        var S'       = (1 - h)^2 var S                    + S^2 h (1 - h) / n
        cov(S', F_k') = (1 - h) (cov(S, F_k) + h_k var S)  - S^2 h_k (1 - h) / n
        var F_k'     = var F_k + 2 h_k cov(S, F_k) + h_k^2 var S + S^2 h_k (1 - h_k) / n

    which loses fewer digits than the sums over squared differences of F that it is equal to. Where everybody has
    left by one cause the variance is 0 up to rounding.
    """
    result = np.zeros_like(d)
    happened = np.flatnonzero(d.sum(axis=0) > 0)
    totals, sizes, starts = (x[happened].tolist() for x in (d.sum(axis=0), n, before))
    var_s, previous = 0.0, [0.0] * len(happened)
    for i, (events, size) in enumerate(zip(totals, sizes, strict=True)):
        previous[i] = var_s
        hazard, square = events / size, starts[i] * starts[i] / size
        var_s = (1 - hazard) ** 2 * var_s + square * hazard * (1 - hazard)
    for k in range(len(d)):
        covariance = variance = 0.0
        for i, (place, events) in enumerate(zip(happened.tolist(), d[k, happened].tolist(), strict=True)):
            own, hazard, square = events / sizes[i], totals[i] / sizes[i], starts[i] * starts[i] / sizes[i]
            variance += own * (2 * covariance + own * previous[i]) + square * own * (1 - own)
            covariance = (1 - hazard) * (covariance + own * previous[i] - square * own)
            result[k, place] = variance
        result[k] = _carried(np.maximum(result[k], 0.0), happened)
    return result


def _gray_variance(n: Floats, d: Floats, before: Floats, survival: Floats, incidence: Floats) -> Floats:
    """sum over u <= t of tau_1 (1 + (F(u) - F(t)) / S(u))^2 + tau_2 ((F(u) - F(t)) / S(u))^2, as cmprsk's `cuminc`.

    tau_j = S(u-)^2 d_j / n^2 (1 - (d_j - 1) / (n - 1)) for the cause itself (1) and all others (2); where S(u) is 0 the
    differences are 0, and the others do not count.
    """
    result = np.zeros_like(d)
    total = d.sum(axis=0)
    inverse = np.divide(1.0, survival, out=np.zeros_like(survival), where=survival > 0)
    for k, own in enumerate(d):
        tau_own, tau_other = (_tied(x, n) * before**2 for x in (own, np.where(survival > 0, total - own, 0.0)))
        level = 1 + inverse * incidence[k]
        other = inverse * incidence[k]
        squares = np.cumsum(tau_own * level**2 + tau_other * other**2)
        products = np.cumsum(inverse * (tau_own * level + tau_other * other))
        weights = np.cumsum(inverse**2 * (tau_own + tau_other))
        variance = squares + incidence[k] ** 2 * weights - 2 * incidence[k] * products
        # between two events of the cause F does not change: nor does the variance
        result[k] = _carried(np.maximum(variance, 0.0), np.flatnonzero(own > 0))
    return result


def _tied(d: Floats, n: Floats) -> Floats:
    """d / n^2, less for ties: d (n - d) / (n^2 (n - 1)) for d > 1."""
    factor = np.where(d > 1, 1 - (d - 1) / np.maximum(n - 1, 1), 1.0)
    return np.divide(factor * d, n**2, out=np.zeros_like(d), where=n > 0)


def _carried(values: Floats, changes: NDArray[np.intp]) -> Floats:
    """Values at `changes`, kept until the next one; 0 before the first."""
    place = np.searchsorted(changes, np.arange(values.size), side="right")
    return np.concatenate([[0.0], values[changes]])[place]


def _totals(
    tables: Sequence[pd.DataFrame], groups: Sequence[str], causes: Sequence[str], records: Sequence[int]
) -> pd.DataFrame:
    """Per group and cause: people, events, and the end of the curve."""
    rows = []
    for table, group, people in zip(tables, groups, records, strict=True):
        for cause in causes:
            part = table[table["cause"] == str(cause)]
            last = part.iloc[-1] if len(part) else None
            rows.append(
                {
                    "group": str(group),
                    "cause": str(cause),
                    "records": int(people),
                    "events": int(part["events"].sum()),
                    "last_time": np.nan if last is None else float(last["time"]),
                    "incidence": np.nan if last is None else float(last["incidence"]),
                    "lower": np.nan if last is None else float(last["lower"]),
                    "upper": np.nan if last is None else float(last["upper"]),
                }
            )
    return pd.DataFrame(rows)


def _stack(tables: Sequence[pd.DataFrame], groups: Sequence[str]) -> pd.DataFrame:
    stacked = pd.concat(tables, ignore_index=True)
    names = np.repeat([str(name) for name in groups], [len(table) for table in tables]).astype(object)
    stacked.insert(0, "group", names)
    return stacked
