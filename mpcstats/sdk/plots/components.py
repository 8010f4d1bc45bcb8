"""Scree plot of principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mpcstats.sdk.plots import style

__all__ = ["plot_eigenvalues"]


def plot_eigenvalues(table: pd.DataFrame, *, ax: Axes | None = None, title: str | None = None) -> Figure | Axes:
    """Eigenvalues by component, the largest first; column `eigenvalue`. A new figure, or the axes that were given."""
    figure = None
    if ax is None:
        figure = style.new_figure(5.2, 3.6)
        ax = figure.add_subplot()
    values = table["eigenvalue"].to_numpy(dtype=np.float64)
    ax.plot(np.arange(1, values.size + 1), values, color=style.COLOURS[0], marker="o", markersize=5, linewidth=1.2)
    ax.set_ylim(0, values.max() * 1.08 if values.size else 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.clean(ax, x="Component", y="Eigenvalue", title=title)
    return figure if figure is not None else ax
