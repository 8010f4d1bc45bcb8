"""Coefficients of a linear model with their limits, a row each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style

__all__ = ["coefficient_plot"]


def coefficient_plot(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
    """Draw t values with their limits: columns of any unit fit one axis.

    Parameters
    ----------
    table : DataFrame
        Columns term, coef, se_coef (or robust_se), coef_lower, coef_upper; the intercept is left out.

    Returns
    -------
    Figure, or the given axes
    """
    rows = table[table["term"] != "(Intercept)"]
    error = rows["robust_se" if "robust_se" in rows else "se_coef"].to_numpy(float)
    figure = None
    if ax is None:
        figure = style.new_figure(6.5, 0.9 + 0.3 * max(len(rows), 1))
        ax = figure.add_subplot()
    places = np.arange(len(rows))
    middle, low, high = (rows[name].to_numpy(float) / error for name in ("coef", "coef_lower", "coef_upper"))
    ax.axvline(0, color=style.GREY, linewidth=0.9, zorder=1)
    ax.hlines(places, low, high, color=style.COLOURS[0], linewidth=1.4, zorder=2)
    ax.plot(middle, places, marker="s", markersize=6, color=style.COLOURS[0], linestyle="none", zorder=3)
    ax.set_yticks(places, rows["term"].astype(str).tolist())
    ax.set_ylim(len(rows) - 0.5, -0.5)
    style.clean(ax, x="coefficient in standard errors, with limits", title=title)
    return ax if figure is None else figure
