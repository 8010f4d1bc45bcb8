"""Pictures of descriptions: histograms, and means with their limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style

__all__ = ["plot_histogram", "plot_means"]


def plot_histogram(
    table: pd.DataFrame, *, by: Sequence[str] = (), ax: Axes | None = None, title: str | None = None
) -> Figure | Axes:
    """Outlines of histograms, one for each variable and group; a hidden one is named in the legend.

    Parameters
    ----------
    table : DataFrame
        variable, columns of `by`, from, to, count (NA where hidden).

    Returns
    -------
    Figure, or the Axes that were given.
    """
    figure = None
    if ax is None:
        figure = style.new_figure(6.8, 3.8)
        ax = figure.add_subplot()
    groups = list(table.groupby(["variable", *by], sort=False))
    for k, (key, part) in enumerate(groups):
        name, count = _label(key), part["count"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
        edges = [*part["from"], part["to"].iloc[-1]]
        hidden = bool(np.isnan(count).any())
        ax.stairs(
            np.zeros(len(count)) if hidden else count,
            edges,
            color=style.GREY if hidden else style.colour(k),
            linestyle=style.line_style(k),
            fill=len(groups) == 1,
            linewidth=1.4,
            label=f"{name} (hidden)" if hidden else name,
        )
    ax.set_ylim(bottom=0)
    style.clean(ax, x=", ".join(dict.fromkeys(map(str, table["variable"]))), y="People", title=title)
    if len(groups) > 1 or bool(table["count"].isna().any()):
        ax.legend(fontsize=style.SMALL_SIZE, frameon=False)
    return figure if figure is not None else ax


def plot_means(
    table: pd.DataFrame, *, by: Sequence[str] = (), ax: Axes | None = None, title: str | None = None
) -> Figure | Axes:
    """Means with their limits, one row for each variable and group; those that are hidden are named, without a mark.

    Parameters
    ----------
    table : DataFrame
        variable, columns of `by`, mean, lower, upper.

    Returns
    -------
    Figure, or the Axes that were given.
    """
    figure = None
    if ax is None:
        figure = style.new_figure(6.0, 1.2 + 0.32 * max(len(table), 1))
        ax = figure.add_subplot()
    names = [_label(tuple(row)) for row in table[["variable", *by]].itertuples(index=False)]
    for row, (mean, lower, upper) in enumerate(zip(table["mean"], table["lower"], table["upper"], strict=True)):
        if np.isnan(mean):
            ax.annotate("hidden", (0.01, row), xycoords=("axes fraction", "data"), va="center", color=style.GREY)
            continue
        if not np.isnan(lower):
            ax.plot([lower, upper], [row, row], color=style.COLOURS[0], linewidth=1.4)
        ax.plot([mean], [row], color=style.COLOURS[0], marker="o", markersize=5)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    style.clean(ax, x="Mean", title=title)
    return figure if figure is not None else ax


def _label(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
