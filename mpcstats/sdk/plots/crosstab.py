"""Heat map of a joint table; cells without a number are hatched."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mpcstats.sdk.plots import style

__all__ = ["plot_crosstab"]

_MOST_NUMBERS = 400
"""Cells up to which their numbers are written into them."""


def plot_crosstab(
    counts: pd.DataFrame, status: pd.DataFrame, *, rows: str, columns: str, ax: Axes | None = None
) -> Figure | Axes:
    """Cells coloured by their counts.

    Parameters
    ----------
    counts : DataFrame of Int64
        <NA> where there is no number.
    status : DataFrame of str
        Why there is none.

    Returns
    -------
    Figure, or the Axes that were given.
    """
    figure = None
    height, width = counts.shape
    if ax is None:
        figure = style.new_figure(min(2.4 + 0.9 * width, 14), min(1.6 + 0.45 * height, 14))
        ax = figure.add_subplot()
    values = counts.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    largest = float(np.nanmax(values)) if np.any(~np.isnan(values)) else 1.0
    colours = LinearSegmentedColormap.from_list("counts", ["white", style.COLOURS[0]])
    ax.imshow(values, cmap=colours, vmin=0, vmax=max(largest, 1.0), aspect="auto")
    few = values.size <= _MOST_NUMBERS
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            hatch = "////" if status.iat[i, j] == "suppressed" else ".."
            box = Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor=style.GREY, hatch=hatch, linewidth=0)
            ax.add_patch(box)
        elif few:
            dark = value > 0.6 * largest
            ax.text(
                j,
                i,
                f"{value:,.0f}",
                ha="center",
                va="center",
                fontsize=style.SMALL_SIZE,
                color="white" if dark else "black",
            )
    ax.set_xticks(range(width), [str(level) for level in counts.columns])
    ax.set_yticks(range(height), [str(level) for level in counts.index])
    style.clean(ax, x=columns, y=rows, title=None)
    if np.isnan(values).any():
        ax.set_title("hatched: suppressed; dotted: not available", fontsize=style.SMALL_SIZE, color=style.GREY)
    return figure if figure is not None else ax
