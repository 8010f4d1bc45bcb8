"""Everything that is read off the curves of all groups at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.stats.kaplan_meier.hazard import hazard_table
from mpcstats.stats.kaplan_meier.mean_time import compare_restricted_means, restricted_mean, upper_limit
from mpcstats.stats.kaplan_meier.quantile import quantiles
from mpcstats.stats.kaplan_meier.rounded import ROUNDED_NOTE
from mpcstats.stats.kaplan_meier.tables import labelled
from mpcstats.stats.kaplan_meier.times import survival_at

__all__ = ["derived_tables"]

Floats = NDArray[np.float64]


def derived_tables(
    curve: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    probabilities: Sequence[float] = (),
    quantile_rule: Literal["R", "lifelines"] = "R",
    times: Sequence[float] = (),
    at_risk: ArrayLike | None = None,
    tau: float | Literal["common", "shortest"] | None = None,
    reference: str | None = None,
    hazard_type: str | None = None,
    conf_level: float = 0.95,
) -> dict[str, pd.DataFrame]:
    """Tables that are asked for, from exact or rounded curves; nothing else needs to be opened for them.

    What is read off rounded curves says so in `.attrs["note"]`; nothing is known after their last row.

    Parameters
    ----------
    curve : DataFrame
        Of `tables_from_counts` or `rounded_tables`.
    labels : DataFrame
        The columns that name a curve ("group", or "stratum" and "group"), one row each: of the medians table. A group
        without rows in the curve is listed with NaN.
    probabilities, quantile_rule : see `quantiles`
    times : increasing, see `survival_at`
    at_risk : (curves, times), optional
        People at risk just before the times, where entry may be late: `lattice.at_risk_before`.
    tau : float, "common" or "shortest", optional
        Upper limit of restricted means, see `upper_limit`; within each stratum.
    reference : str, optional
        The group that restricted means are compared with; the first when not given.
    hazard_type : see `hazard_table`
    conf_level : float
        Of hazards and restricted means.

    Returns
    -------
    dict
        Of "quantiles", "at_times", "restricted_means", "contrasts" (two groups or more), "hazard" those that were asked
        for.
    """
    tables = [_own(curve, labels, row) for row in range(len(labels))]
    complete = False if curve.attrs.get("note") == ROUNDED_NOTE else None

    def at(row: int, people: Floats | None) -> pd.DataFrame:
        return survival_at(tables[row], times, at_risk=None if people is None else people[row], complete=complete)

    def read(function: Callable[[int], pd.DataFrame]) -> pd.DataFrame:
        return labelled([function(row) for row in range(len(tables))], labels)

    found: dict[str, pd.DataFrame] = {}
    if len(probabilities):
        how: dict[str, Any] = {"rule": quantile_rule, "complete": complete is not False}
        found["quantiles"] = read(lambda row: quantiles(tables[row], probabilities, **how))
    if len(times):
        n = None if at_risk is None else np.asarray(at_risk, dtype=np.float64).reshape(len(tables), len(times))
        found["at_times"] = read(lambda row: at(row, n))
    if tau is not None:
        found |= _means(tables, labels, tau, reference, conf_level, complete)
    if hazard_type is not None:
        found["hazard"] = read(lambda row: hazard_table(tables[row], hazard_type, conf_level=conf_level))
    for table in found.values():
        if "note" in curve.attrs:
            table.attrs["note"] = f"read off the rounded curve: {curve.attrs['note']}"
    return found


def _own(curve: pd.DataFrame, labels: pd.DataFrame, row: int) -> pd.DataFrame:
    """The rows of one curve, without the columns that name it."""
    mine = np.ones(len(curve), np.bool_)
    for name in labels.columns:
        mine &= (curve[name] == labels[name].iloc[row]).to_numpy()
    return curve[mine].drop(columns=list(labels.columns)).reset_index(drop=True)


def _means(
    tables: Sequence[pd.DataFrame],
    labels: pd.DataFrame,
    tau: float | Literal["common", "shortest"],
    reference: str | None,
    conf_level: float,
    complete: bool | None,
) -> dict[str, pd.DataFrame]:
    stratified = "stratum" in labels.columns
    stratum = labels["stratum"] if stratified else pd.Series(0, index=labels.index)
    parts = [np.flatnonzero(stratum == name) for name in stratum.unique()]
    means, contrasts = [], []
    for rows in parts:
        own = [tables[int(row)] for row in rows]
        limit = upper_limit(own, tau)
        found = pd.DataFrame([restricted_mean(table, limit, conf_level=conf_level, complete=complete) for table in own])
        means.append(pd.concat([labels.iloc[rows].reset_index(drop=True), found], axis=1))
        if len(own) > 1:
            contrast = compare_restricted_means(means[-1], reference, conf_level=conf_level)
            if stratified:
                contrast.insert(0, "stratum", labels["stratum"].iloc[rows[0]])
            contrasts.append(contrast)
    both = {"restricted_means": pd.concat(means, ignore_index=True)}
    return both | ({"contrasts": pd.concat(contrasts, ignore_index=True)} if contrasts else {})
