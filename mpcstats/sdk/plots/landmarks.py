"""Survival at chosen times, where no more of the curve is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style
from mpcstats.sdk.plots.curves import group_labels, head
from mpcstats.sdk.plots.survival import draw_medians, draw_notes

__all__ = ["plot_landmarks"]


def plot_landmarks(
    landmarks: pd.DataFrame,
    *,
    ax: Axes | None = None,
    by: str | None = None,
    time_label: str = "Time",
    medians: pd.DataFrame | None = None,
    notes: list[str | None] | None = None,
    title: str | None = None,
) -> Figure | Axes:
    """Draw a point with its limits per group and landmark; thin lines join those of a group.

    Parameters
    ----------
    landmarks : DataFrame
        Columns group, time, survival, lower, upper.
    medians : DataFrame, optional
        Columns group, median: draws the lines at S = 0.5.
    notes : texts, optional
        Written into a corner.

    Returns
    -------
    Figure, or the Axes that were given.
    """
    groups = list(dict.fromkeys(landmarks["group"].tolist()))
    figure = None
    if ax is None:
        figure = style.new_figure(7.2, 4.6)
        ax = figure.add_subplot()
    names = group_labels(groups, by)
    known = [] if medians is None else medians["median"].dropna().tolist()
    end = max([float(landmarks["time"].max()), *known])
    for index, group in enumerate(groups):
        # bars of groups beside each other, not on top of each other
        shift = 0.006 * end * (index - (len(groups) - 1) / 2)
        _draw(ax, landmarks[landmarks["group"] == group], index, names[index], shift)
    if medians is not None:
        draw_medians(ax, medians, groups)
    ticks = style.nice_ticks(end)
    ax.set_xticks(ticks, [style.thousands(tick) for tick in ticks])
    ax.set_xlim(-0.012 * end, end * 1.03)
    ax.set_ylim(0, 1.03)
    ax.set_yticks(np.linspace(0, 1, 6))
    style.clean(ax, x=time_label, y="Survival probability")
    head(ax, title, names)
    draw_notes(ax, landmarks, notes or [])
    return figure if figure is not None else ax


def _draw(ax: Axes, table: pd.DataFrame, index: int, label: str, shift: float) -> None:
    table = table[np.isfinite(table["survival"].to_numpy(dtype=np.float64))]
    time, survival, lower, upper = (
        table[name].to_numpy(dtype=np.float64) for name in ("time", "survival", "lower", "upper")
    )
    shade = style.colour(index)
    ax.plot(
        np.append(0.0, time + shift),
        np.append(1.0, survival),
        color=shade,
        linestyle=style.line_style(index),
        linewidth=0.8,
        alpha=0.6,
        zorder=2,
    )
    ax.vlines(time + shift, lower, upper, color=shade, linewidth=1.4, zorder=3)
    ax.plot(time + shift, survival, linestyle="none", marker="os^Dv"[index % 5], color=shade, label=label, zorder=4)
