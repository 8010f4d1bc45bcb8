"""Curves from counts that disclosure control has rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mpcstats.errors import RangeError
from mpcstats.stats.kaplan_meier.quantile import median_table
from mpcstats.stats.kaplan_meier.tables import curve_labels, curve_table, flat_counts, labelled

__all__ = ["ROUNDED_NOTE", "rounded_survival_table", "rounded_tables"]

ROUNDED_NOTE = (
    "at_risk, events and censored are differences of rounded cumulative counts; "
    "survival, standard error and confidence limits are computed from these rounded numbers"
)


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
    table = curve_table(t[:shown], np.maximum(before, d), d, c, conf_type, conf_level)
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
    strata: Sequence[str] | None = None,
    conf_type: str = "log",
    conf_level: float = 0.95,
    quantile_rule: Literal["R", "lifelines"] = "R",
) -> dict[str, pd.DataFrame]:
    """Curves and medians of all groups from rounded counts: `rounded_survival_table` for each of G groups.

    `start` and `visible` are (G,), the cumulative counts (G, K), with S strata (S, G) and (S, G, K). Medians are read
    off the rounded curves; records and events of the medians table are the rounded start and the rounded events up to
    the last visible point, <NA> for a group whose start is hidden (0). `derived_tables` reads quantiles, hazards and
    means off the rounded curve in the same way.
    """
    n, shown = np.asarray(start, dtype=np.int64).ravel(), np.asarray(visible, dtype=np.int64).ravel()
    d, c = flat_counts(cumulative_events, cumulative_censored, groups, strata)
    labels = curve_labels(groups, strata)
    tables = [
        rounded_survival_table(times, int(n[row]), d[row], c[row], int(shown[row]), conf_type, conf_level)
        for row in range(len(labels))
    ]
    seen = np.array([int(table["events"].sum()) for table in tables], dtype=np.int64)
    curve = labelled(tables, labels)
    curve.attrs["note"] = ROUNDED_NOTE
    medians = median_table(tables, labels, n, seen, rule=quantile_rule, complete=False)
    medians = medians.astype({"records": "Int64", "events": "Int64"})
    medians.loc[n == 0, ["records", "events"]] = pd.NA
    return {"curve": curve, "medians": medians}
