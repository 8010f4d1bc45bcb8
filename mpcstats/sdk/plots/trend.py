"""Counts of a schedule over time: a line per cell, with gaps where there is no number, and why."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mpcstats.sdk.plots import style

__all__ = ["plot_trend"]

# what a gap is marked with, in the order of the legend
_GAPS = (
    ("held", "held back", "D"),
    ("failed", "failed", "x"),
    ("missed", "missed or skipped", "|"),
    ("skipped", "missed or skipped", "|"),
)


def plot_trend(table: pd.DataFrame, *, ax: Axes | None = None, title: str | None = None) -> Figure | Axes:
    """Released counts by due time.

    Parameters
    ----------
    table : DataFrame
        Columns due (with time zone), cell, count (NA where there is no number), status. Lines break where a count is
        missing; what was in its place is marked in the strip below zero: suppressed or held values have no height.
        A suppressed cell's square has the cell's colour.

    Returns
    -------
    Figure, or the Axes that were given.
    """
    figure = None
    if ax is None:
        figure = style.new_figure(7.2, 3.8)
        ax = figure.add_subplot()
    cells = list(dict.fromkeys(table["cell"]))
    for index, cell in enumerate(cells):
        _line(ax, table[table["cell"] == cell], index, cell if len(cells) > 1 else None)
    highest = max(float(table["count"].astype("Float64").max()), 1.0) if table["count"].notna().any() else 1.0
    gaps = _gaps(ax, table, cells, -0.055 * highest)
    ax.set_ylim(-0.11 * highest if gaps else 0, highest * 1.1)
    zone = table["due"].dt.tz
    if table["due"].nunique() == 1:  # of its own accord matplotlib shows four years around a single date
        ax.set_xlim(table["due"].iloc[0] - pd.Timedelta(days=15), table["due"].iloc[0] + pd.Timedelta(days=15))
    locator = AutoDateLocator(minticks=3, maxticks=9, tz=zone)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
    ax.set_yticks(style.nice_ticks(highest * 1.1, 6) if highest > 4 else list(range(int(highest) + 1)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.thousands(value)))
    style.clean(ax, x="Due", y="People", title=title)
    if gaps:
        ax.spines["left"].set_bounds(0, highest * 1.1)
        ax.axhline(0, color=style.LIGHT_GREY, linewidth=0.8, zorder=0)
    ax.xaxis.get_offset_text().set_fontsize(style.TEXT_SIZE)
    if len(cells) > 1 or gaps:
        ax.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, frameon=False, fontsize=style.TEXT_SIZE
        )
    return figure if figure is not None else ax


def _line(ax: Axes, rows: pd.DataFrame, index: int, label: str | None) -> None:
    values = rows["count"].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    ax.plot(
        rows["due"],
        values,  # NaN breaks the line
        color=style.colour(index),
        linestyle=style.line_style(index),
        linewidth=1.5,
        marker="o",
        markersize=4,
        label=label,
    )


def _gaps(ax: Axes, table: pd.DataFrame, cells: list[str], height: float) -> bool:
    """Marks in the strip: of hidden cells one in another, of what concerns the whole count one."""
    named: set[str] = set()

    def mark(dues: pd.Series, label: str, marker: str, colour: str, size: float) -> None:
        if dues.empty:
            return
        shown = None if label in named else label
        ax.plot(
            dues,
            np.full(len(dues), height),
            linestyle="none",
            marker=marker,
            markersize=size,
            markerfacecolor="none",
            markeredgecolor=colour,
            label=shown,
        )
        named.add(label)

    for index, cell in enumerate(cells):
        hidden = table.loc[(table["cell"] == cell) & (table["status"] == "suppressed"), "due"]
        mark(hidden, "suppressed", "s", style.colour(index), 4.5 + 2.5 * (index % 4))
    for status, label, marker in _GAPS:
        mark(table.loc[table["status"] == status, "due"].drop_duplicates(), label, marker, style.GREY, 6)
    return bool(named)
