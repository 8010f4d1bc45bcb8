"""Cumulative incidence of competing causes: step curves with confidence bands, and the numbers at risk under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style
from mpcstats.sdk.plots.curves import PANEL_CHARACTERS, at_risk_rows, draw_steps, group_labels, head

__all__ = ["cumulative_incidence_figure"]


def cumulative_incidence_figure(
    curve: pd.DataFrame,
    at_risk: pd.DataFrame | None = None,
    *,
    causes: Sequence[str] | None = None,
    by: str | None = None,
    time_label: str = "Time",
    rounded: bool = False,
    tests: Mapping[str, str] | None = None,
    band_text: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw cumulative incidence: the causes of one group in one panel, or a panel per cause with a curve per group,
    two in a row.

    Parameters
    ----------
    curve : DataFrame
        Columns group, cause, time, incidence, lower, upper; rows of a curve in the order of time.
    at_risk : DataFrame, optional
        Columns group, time, at_risk, events (of all causes), censored: draws the number-at-risk table under the
        axis, one row per group; unknown numbers are dashes.
    causes : sequence of str, optional
        Which causes, in which order; all by default.
    by : str, optional
        Name of the grouping column, for the labels.
    rounded : bool
        The numbers are rounded by disclosure control: says so in the plot.
    tests : mapping of cause to str, optional
        A line for the panel of each cause, e.g. "Gray's test p = 0.016".
    band_text, title : str, optional
        E.g. "95% limits (log)".
    """
    groups = list(dict.fromkeys(curve["group"].tolist()))
    wanted = list(causes) if causes is not None else list(dict.fromkeys(curve["cause"].tolist()))
    panels = [[cause] for cause in wanted] if len(groups) > 1 else [wanted]
    several = len(panels) > 1
    rows = len(groups) if at_risk is not None else 0
    height = 4.6 + 0.2 * rows
    if several:
        figure, axes = style.panels(len(panels), height if len(panels) < 3 else height - 0.5, title)
    else:
        figure = style.new_figure(7.2, height)
        axes = [figure.add_subplot()]
    end, top = _end(curve), _top(curve[curve["cause"].isin(wanted)])
    for number, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        _panel(ax, curve, panel, groups, by)
        notes = [(tests or {}).get(panel[0]) if len(panel) == 1 else None]
        notes += [band_text if number == 0 else None]
        notes += ["rounded by disclosure control" if rounded and number == 0 else None]
        _finish(ax, end, top, time_label, "" if number % 2 else "Cumulative incidence", notes)
        names = group_labels(groups, by) if len(groups) > 1 else [str(cause) for cause in panel]
        if several:
            head(ax, str(panel[0]), names, characters=PANEL_CHARACTERS)
        else:
            head(ax, title, names)
        if at_risk is not None:
            labels = group_labels(groups, by)
            shown = [""] * rows if number % 2 else labels
            at_risk_rows(ax, at_risk, groups, shown, style.nice_ticks(end), rounded=rounded)
    return figure


def _end(curve: pd.DataFrame) -> float:
    return float(curve["time"].max()) if len(curve) else 1.0


def _top(curve: pd.DataFrame) -> float:
    """End of the vertical axis: the largest limit, rounded up to a tenth; all curves start at 0."""
    largest = float(np.nanmax(curve[["incidence", "upper"]].to_numpy(dtype=np.float64))) if len(curve) else 1.0
    return float(min(1.0, max(0.1, np.ceil(10 * largest - 1e-9) / 10)))


def _panel(ax: Axes, curve: pd.DataFrame, causes: list[str], groups: list[str], by: str | None) -> None:
    """One group: a colour per cause; several groups: a colour per group, as in survival plots."""
    several = len(groups) > 1
    names = group_labels(groups, by) if several else [str(cause) for cause in causes]
    pairs = [(causes[0], group) for group in groups] if several else [(cause, groups[0]) for cause in causes if groups]
    for index, (cause, group) in enumerate(pairs):
        part = curve[(curve["group"] == group) & (curve["cause"] == cause)]
        draw_steps(ax, part, "incidence", index, names[index], start=0.0)


def _finish(ax: Axes, end: float, top: float, x: str, y: str, notes: list[str | None]) -> None:
    ticks = style.nice_ticks(end)
    ax.set_xticks(ticks, [style.thousands(tick) for tick in ticks])
    ax.set_xlim(-0.012 * end, end * 1.02)
    ax.set_ylim(0, top * 1.03)
    ax.set_yticks(style.nice_ticks(top, 6))
    style.clean(ax, x=x, y=y)
    text = "\n".join(note for note in notes if note)
    if text:  # curves start at 0: the upper left corner is free
        ax.text(
            0.02,
            0.97,
            text,
            transform=ax.transAxes,
            fontsize=style.TEXT_SIZE,
            ha="left",
            va="top",
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )
