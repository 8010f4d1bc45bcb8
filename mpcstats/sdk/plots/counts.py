"""Bars of a joint count; suppressed cells are shown as what they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mpcstats.sdk.plots import style

__all__ = ["plot_counts"]


def plot_counts(
    table: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    minimum_count: int = 0,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure | Axes:
    """Horizontal bars, one per cell.

    Parameters
    ----------
    table : DataFrame
        Columns of `by`, count (NA where suppressed), status ("released" or "suppressed").
    minimum_count : int
        The threshold in force: a suppressed cell is drawn hatched over the counts it may have, 0 to minimum_count - 1.

    Returns
    -------
    Figure, or the Axes that were given.
    """
    names = _names(table, list(by))
    figure = None
    if ax is None:
        figure = style.new_figure(6.8, 1.3 + 0.32 * max(len(table), 1))
        ax = figure.add_subplot()
    hidden = (table["status"] == "suppressed").to_numpy()
    values = table["count"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    longest = float(np.nanmax(values)) if np.any(~np.isnan(values)) else 4.0 * max(minimum_count, 1)
    unknown = float(max(minimum_count - 1, 0)) or 0.03 * longest
    reason = f"suppressed (fewer than {minimum_count})" if minimum_count else "suppressed"
    for row, (value, suppressed) in enumerate(zip(values, hidden, strict=True)):
        if suppressed:
            ax.barh(row, unknown, height=0.66, color="white", edgecolor=style.GREY, hatch="/////", linewidth=0.8)
        else:
            ax.barh(row, value, height=0.66, color=style.COLOURS[0])
        ax.annotate(
            reason if suppressed else f"{value:,.0f}",
            (unknown if suppressed else value, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL_SIZE,
            color=style.GREY if suppressed else "black",
        )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, max(longest, unknown, 1.0) * 1.15)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    style.clean(ax, x="People", y=" × ".join(by), title=title)
    ax.tick_params(axis="y", length=0)
    return figure if figure is not None else ax


def _names(table: pd.DataFrame, by: list[str]) -> list[str]:
    if not by:
        return ["all"] * len(table)
    return [", ".join(str(value) for value in row) for row in table[by].itertuples(index=False)]
