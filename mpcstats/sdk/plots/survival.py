"""Survival curves with confidence band and number-at-risk table; observed against expected events of a test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style
from mpcstats.sdk.plots.curves import PANEL_CHARACTERS, at_risk_rows, draw_steps, group_labels, head

_ROUNDED = "rounded by disclosure control"

__all__ = ["draw_medians", "draw_notes", "plot_observed_expected", "plot_strata", "plot_survival"]


def plot_survival(
    curve: pd.DataFrame,
    *,
    ax: Axes | None = None,
    by: str | None = None,
    time_label: str = "Time",
    medians: pd.DataFrame | None = None,
    rounded: bool = False,
    censor_ticks: bool | None = None,
    at_risk: bool = True,
    p_text: str | None = None,
    band_text: str | None = None,
    title: str | None = None,
) -> Figure | Axes:
    """Draw Kaplan-Meier curves.

    Parameters
    ----------
    curve : DataFrame
        Columns group, time, at_risk, events, censored, survival, lower, upper.
    ax : Axes, optional
        Where to draw; a new figure when not given.
    by : str, optional
        Name of the grouping column, for the labels.
    medians : DataFrame, optional
        Columns group, median: draws the lines at S = 0.5, and gives the order of the groups.
    rounded : bool
        The numbers are rounded by disclosure control: says so in the plot.
    censor_ticks : bool, optional
        Marks at times with censorings; by default on exact curves with at most 200 such times.
    at_risk : bool
        The number-at-risk table under the axis, one row per group in the colour of its curve.
    p_text, band_text, title : str, optional
        E.g. "log-rank p = 0.0013", "95% limits (log)".

    Returns
    -------
    Figure, or the Axes that were given.
    """
    groups = list(dict.fromkeys((curve if medians is None else medians)["group"].tolist()))
    figure = None
    if ax is None:
        figure = style.new_figure(7.2, 4.6 + (0.2 * len(groups) if at_risk else 0))
        ax = figure.add_subplot()
    names, end = group_labels(groups, by), _end(curve)
    _axes(ax, curve, medians, groups, names, censor_ticks, rounded)
    ticks = _scales(ax, end, time_label)
    head(ax, title, names)
    draw_notes(ax, curve, [p_text, band_text, _ROUNDED if rounded else None])
    if at_risk:
        at_risk_rows(ax, curve, groups, names, ticks, rounded=rounded)
    return figure if figure is not None else ax


def plot_strata(
    curve: pd.DataFrame,
    medians: pd.DataFrame,
    *,
    by: str | None = None,
    time_label: str = "Time",
    rounded: bool = False,
    p_text: str | None = None,
    band_text: str | None = None,
    title: str | None = None,
) -> Figure:
    """A panel of Kaplan-Meier curves for each stratum, two in a row: many curves in one panel cannot be told apart.

    Parameters
    ----------
    curve, medians : DataFrame
        As `plot_survival`, with a column stratum, which is written over its panel.
    """
    groups = list(dict.fromkeys(medians["group"].tolist()))
    strata = list(dict.fromkeys(medians["stratum"].tolist()))
    figure, axes = style.panels(len(strata), 4.1 + 0.2 * len(groups), title)
    names, end = group_labels(groups, by), _end(curve)
    for number, (ax, stratum) in enumerate(zip(axes, strata, strict=True)):
        own, own_medians = curve[curve["stratum"] == stratum], medians[medians["stratum"] == stratum]
        _axes(ax, own, own_medians, groups, names, None, rounded)
        ticks = _scales(ax, end, time_label)
        if number % 2:
            ax.set_ylabel("")
        head(ax, str(stratum), names, characters=PANEL_CHARACTERS)
        if not number:
            draw_notes(ax, own, [p_text, band_text, _ROUNDED if rounded else None])
        at_risk_rows(ax, own, groups, [""] * len(groups) if number % 2 else names, ticks, rounded=rounded)
    return figure


def _end(curve: pd.DataFrame) -> float:
    return float(curve["time"].max()) if len(curve) else 1.0


def _axes(
    ax: Axes,
    curve: pd.DataFrame,
    medians: pd.DataFrame | None,
    groups: list[str],
    names: list[str],
    censor_ticks: bool | None,
    rounded: bool,
) -> None:
    """The curves of all groups, and their medians."""
    if censor_ticks is None:
        censor_ticks = not rounded and int((curve["censored"] > 0).sum()) <= 200
    for index, group in enumerate(groups):
        _draw_curve(ax, curve[curve["group"] == group], index, names[index], ticks=censor_ticks)
    if medians is not None:
        draw_medians(ax, medians, groups)


def _scales(ax: Axes, end: float, time_label: str) -> list[float]:
    """Axes from 0 on; the ticks of time."""
    ticks = style.nice_ticks(end)
    ax.set_xticks(ticks, [style.thousands(tick) for tick in ticks])
    ax.set_xlim(-0.012 * end, end * 1.02)
    ax.set_ylim(0, 1.03)
    ax.set_yticks(np.linspace(0, 1, 6))
    style.clean(ax, x=time_label, y="Survival probability")
    return ticks


def plot_observed_expected(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    by: str | None = None,
    p_text: str | None = None,
    title: str | None = None,
) -> Figure | Axes:
    """Observed events beside those expected if all groups had one survival curve; columns group, observed, expected."""
    figure = None
    if ax is None:
        figure = style.new_figure(6.4, 1.9 + 0.5 * len(table))
        ax = figure.add_subplot()
    names = group_labels(table["group"].tolist(), by)
    if table[["observed", "expected"]].isna().all(axis=None):
        ax.text(
            0.5,
            0.5,
            "counts stayed on shares:\nneither observed nor expected events were opened",
            transform=ax.transAxes,
            fontsize=style.TEXT_SIZE,
            color=style.GREY,
            ha="center",
            va="center",
        )
    _draw_bars(ax, table)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.12 * max([1.0, *table["observed"].dropna(), *table["expected"].dropna()]))
    style.clean(ax, x="Events", title=title)
    ax.tick_params(axis="y", length=0)
    ax.legend(
        frameon=False,
        fontsize=style.TEXT_SIZE,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        title=p_text,
        title_fontsize=style.TEXT_SIZE,
        alignment="left",
    )
    return figure if figure is not None else ax


def _draw_bars(ax: Axes, table: pd.DataFrame) -> None:
    for row, (observed, expected) in enumerate(zip(table["observed"], table["expected"], strict=True)):
        ax.barh(row - 0.19, observed, height=0.34, color=style.COLOURS[0], label="observed" if row == 0 else None)
        ax.barh(
            row + 0.19,
            expected,
            height=0.34,
            color="white",
            edgecolor=style.COLOURS[0],
            hatch="////",
            linewidth=0.8,
            label="expected" if row == 0 else None,
        )
        for place, value in ((row - 0.19, observed), (row + 0.19, expected)):
            if np.isnan(value):
                continue
            ax.annotate(
                f"{value:.1f}".removesuffix(".0"),
                (value, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.SMALL_SIZE,
            )


def _draw_curve(ax: Axes, table: pd.DataFrame, index: int, label: str, *, ticks: bool) -> None:
    draw_steps(ax, table, "survival", index, label, start=1.0)
    if ticks:
        marked = table[table["censored"] > 0]
        ax.plot(
            marked["time"].to_numpy(),
            marked["survival"].to_numpy(),
            linestyle="none",
            marker="|",
            markersize=5,
            markeredgewidth=0.8,
            color=style.colour(index),
            zorder=4,
        )


def draw_medians(ax: Axes, medians: pd.DataFrame, groups: list[str]) -> None:
    """Lines at S = 0.5 to the median of each group."""
    known = medians[np.isfinite(medians["median"].to_numpy(dtype=np.float64))]
    if known.empty:
        return
    furthest = float(known["median"].max())
    ax.plot([0, furthest], [0.5, 0.5], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=2)
    for group, median in zip(known["group"], known["median"], strict=True):
        ax.plot(
            [median, median],
            [0, 0.5],
            color=style.colour(groups.index(group)),
            linestyle=(0, (4, 3)),
            linewidth=0.8,
            zorder=2,
        )


def draw_notes(ax: Axes, curve: pd.DataFrame, notes: list[str | None]) -> None:
    """In the lower left corner, or the upper right one where curves fall too fast for that."""
    text = "\n".join(note for note in notes if note)
    if not text:
        return
    early = curve[curve["time"] <= 0.45 * curve["time"].max()]
    low = len(early) > 0 and float(early["survival"].min()) < 0.25
    ax.text(
        0.985 if low else 0.015,
        0.975 if low else 0.025,
        text,
        transform=ax.transAxes,
        fontsize=style.TEXT_SIZE,
        ha="right" if low else "left",
        va="top" if low else "bottom",
        multialignment="left",
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )
