"""Observed and predicted risk by groups of predicted risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style

__all__ = ["calibration_plot"]


def calibration_plot(table: pd.DataFrame, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
    """Draw the share of events of each group over the mean of its probabilities; empty groups are left out.

    Parameters
    ----------
    table : DataFrame
        Columns people, events, expected.

    Returns
    -------
    Figure, or the given axes
        Bars are Wald limits of the observed share (95%).
    """
    rows = table[table["people"] > 0]
    people = rows["people"].to_numpy(float)
    observed, predicted = (np.clip(rows[name].to_numpy(float) / people, 0, 1) for name in ("events", "expected"))
    half = 1.959964 * np.sqrt(observed * (1 - observed) / people)
    figure = None
    if ax is None:
        figure = style.new_figure(4.6, 4.4)
        ax = figure.add_subplot()
    end = min(1.0, 1.05 * float(np.max(np.concatenate([observed + half, predicted]), initial=0.1)))
    ax.plot([0, end], [0, end], color=style.GREY, linewidth=0.9, zorder=1)
    ax.vlines(
        predicted,
        np.maximum(observed - half, 0),
        np.minimum(observed + half, end),
        color=style.COLOURS[0],
        linewidth=1.4,
        zorder=2,
    )
    ax.plot(predicted, observed, marker="s", markersize=6, color=style.COLOURS[0], linestyle="none", zorder=3)
    ax.set_xlim(0, end)
    ax.set_ylim(0, end)
    ax.set_aspect("equal")
    style.clean(ax, x="predicted risk", y="observed share of events", title=title)
    return ax if figure is None else figure
