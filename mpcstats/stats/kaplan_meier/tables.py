"""The Kaplan-Meier table of one group, and of all groups on a lattice of times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError
from mpcstats.stats.kaplan_meier.limits import confidence_limits, greenwood
from mpcstats.stats.kaplan_meier.quantile import median_table
from mpcstats.stats.lattice import at_risk_counts, lattice_times

__all__ = [
    "TABLE_COLUMNS",
    "curve_labels",
    "curve_table",
    "flat_counts",
    "labelled",
    "survival_table",
    "tables_from_counts",
]

TABLE_COLUMNS = ("time", "at_risk", "events", "censored", "survival", "standard_error", "lower", "upper")

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
        A time of 0 is kept, as R keeps it.
    at_risk, events, censored : (T,) non-negative integers
        People at risk just before each time, events and censorings at it. With late entry (`lattice.at_risk_counts`)
        at_risk may fall to 0 and grow again; a curve that has reached 0 stays there.
    conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
    conf_level : float in (0, 1)

    Returns
    -------
    DataFrame
        Columns time (float64), at_risk, events, censored (int64), survival, standard_error (of S, Greenwood), lower,
        upper (float64). No rows where nobody was observed. The standard error of log S: `log_standard_error(table)`.

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
    return curve_table(t[keep], n[keep], d[keep], c[keep], conf_type, conf_level)


def tables_from_counts(
    events: ArrayLike,
    censored: ArrayLike,
    *,
    entered: ArrayLike | None = None,
    groups: Sequence[str] = ("all",),
    strata: Sequence[str] | None = None,
    unit: float = 1.0,
    conf_type: str = "log",
    conf_level: float = 0.95,
    quantile_rule: Literal["R", "lifelines"] = "R",
) -> dict[str, pd.DataFrame]:
    """Curves and medians of all groups from counts on the lattice 0, unit, 2 unit, ...

    Parameters
    ----------
    events, censored : (G, T+1) non-negative integers, or (S, G, T+1) with `strata`
        Pooled counts per group and lattice time; everybody appears exactly once.
    entered : as events, optional
        People who come under observation at each lattice time (left truncation): at risk are those with entry < t.
    groups : G names
    strata : S names, optional
        One curve per stratum and group.
    unit : float
        Width of one lattice step in units of the time column.

    Returns
    -------
    {"curve", "medians"} : DataFrames
        curve: "group" (with strata "stratum", "group") and the columns of `survival_table`; medians: see
        `median_table`.
    """
    d, c = flat_counts(events, censored, groups, strata)
    a = None if entered is None else np.asarray(entered, dtype=np.int64).reshape(d.shape)
    at_risk = at_risk_counts(d, c, a)
    times = lattice_times(d.shape[1], unit)
    tables = [
        survival_table(times, n, d_g, c_g, conf_type, conf_level) for n, d_g, c_g in zip(at_risk, d, c, strict=True)
    ]
    labels = curve_labels(groups, strata)
    return {
        "curve": labelled(tables, labels),
        "medians": median_table(tables, labels, (d + c).sum(axis=1), d.sum(axis=1), rule=quantile_rule),
    }


def curve_table(t: Floats, n: Counts, d: Counts, c: Counts, conf_type: str, conf_level: float) -> pd.DataFrame:
    """A row per time, whatever happens at it."""
    at_risk, events = n.astype(np.float64), d.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a grid point where nobody is left has factor 1: nothing can happen there
        survival: Floats = np.cumprod(np.where(n > 0, (at_risk - events) / at_risk, 1.0), dtype=np.float64)
        root = np.sqrt(np.cumsum(greenwood(at_risk, events)))  # standard error of log S; infinite once S is 0
        standard_error = survival * root
    lower, upper = confidence_limits(survival, root, conf_type, conf_level)
    columns = (t, n, d, c, survival, standard_error, lower, upper)
    return pd.DataFrame(dict(zip(TABLE_COLUMNS, columns, strict=True)))


def flat_counts(
    events: ArrayLike, censored: ArrayLike, groups: Sequence[str], strata: Sequence[str] | None
) -> tuple[Counts, Counts]:
    """Events and censorings with one row per curve, strata first."""
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    expected = (len(groups),) if strata is None else (len(strata), len(groups))
    if d.shape[:-1] != expected or d.shape != c.shape:
        within = "" if strata is None else f"{len(strata)} strata of "
        raise RangeError(f"events {d.shape} and censored {c.shape} do not fit {within}{len(groups)} groups")
    return d.reshape(-1, d.shape[-1]), c.reshape(-1, c.shape[-1])


def curve_labels(groups: Sequence[str], strata: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per curve: its "group", with strata its "stratum" before it."""
    names = [str(group) for group in groups]
    if strata is None:
        return pd.DataFrame({"group": pd.Series(names, dtype=object)})
    every = [str(stratum) for stratum in strata for _ in names]
    return pd.DataFrame(
        {"stratum": pd.Series(every, dtype=object), "group": pd.Series(names * len(strata), dtype=object)}
    )


def labelled(tables: Sequence[pd.DataFrame], labels: pd.DataFrame) -> pd.DataFrame:
    """All tables below each other, behind columns that say whose row it is."""
    stacked = pd.concat(tables, ignore_index=True)
    lengths = [len(table) for table in tables]
    for place, name in enumerate(labels.columns):
        stacked.insert(place, name, np.repeat(labels[name].to_numpy(dtype=object), lengths))
    return stacked
