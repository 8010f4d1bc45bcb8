"""Parts of figures with step curves: the curve with its band, legend and title above, number-at-risk table below."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from mpcstats.sdk.plots import style
from mpcstats.stats.kaplan_meier import at_risk_at

__all__ = ["PANEL_CHARACTERS", "at_risk_rows", "draw_steps", "group_labels", "head"]

Floats = NDArray[np.float64]
PANEL_CHARACTERS = 44
"""What fits into a line above one of several panels."""

_ROW = 13.0  # points between two rows of the number-at-risk table


def group_labels(groups: list[str], by: str | None) -> list[str]:
    """ "sex = 1" for each group; the group alone without the column's name."""
    return [f"{by} = {group}" if by else str(group) for group in groups]


def draw_steps(ax: Axes, table: pd.DataFrame, column: str, index: int, label: str, *, start: float) -> None:
    """A right-continuous step curve from `start` at time 0, with the band between columns lower and upper."""
    shade, pattern = style.colour(index), style.line_style(index)
    time, value = _steps(table, column, column, start)
    _, lower = _steps(table, "lower", column, start)
    _, upper = _steps(table, "upper", column, start)
    ax.fill_between(time, lower, upper, step="post", color=shade, alpha=0.16, linewidth=0, zorder=1)
    ax.plot(
        time,
        value,
        drawstyle="steps-post",
        color=shade,
        linestyle=pattern,
        linewidth=1.7,
        label=label,
        zorder=3,
        solid_joinstyle="miter",
        dash_joinstyle="miter",
    )


def _steps(table: pd.DataFrame, column: str, curve: str, start: float) -> tuple[Floats, Floats]:
    time = np.append(0.0, table["time"].to_numpy(dtype=np.float64))
    value = np.append(start, table[column].to_numpy(dtype=np.float64))
    level = np.append(start, table[curve].to_numpy(dtype=np.float64))
    # limits do not always exist while the curve is where it starts: the band begins closed
    return time, np.where(np.isnan(value) & (level == start), start, value)


def head(ax: Axes, title: str | None, names: list[str], *, characters: int = 72) -> None:
    """Title and legend above the axes, where no curve can be; `characters` fit into a line."""
    several = len(names) > 1
    columns = max(1, min(len(names), 3, characters // (9 + max(map(len, names), default=0))))
    if several:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=columns,
            frameon=False,
            fontsize=style.TEXT_SIZE,
            handlelength=2.8,
            borderaxespad=0.2,
            borderpad=0,
        )
    if title:
        rows = -(-len(names) // columns) if several else 0
        ax.set_title(title, fontsize=style.TITLE_SIZE, loc="left", fontweight="bold", pad=6 + 14 * rows)


def at_risk_rows(
    ax: Axes, table: pd.DataFrame, groups: list[str], names: list[str], ticks: list[float], *, rounded: bool
) -> None:
    """A row of numbers at risk per group under its ticks, in the colour of its curve; unknown ones are dashes."""
    first = -44.0  # points below the axis: tick labels and axis label come before
    ax.annotate(
        "Number at risk",
        (0, 0),
        xycoords="axes fraction",
        xytext=(-8, first),
        textcoords="offset points",
        ha="left",
        va="center",
        fontsize=style.TEXT_SIZE,
        fontweight="bold",
        annotation_clip=False,
    )
    for index, group in enumerate(groups):
        down = first - _ROW * (index + 1.1)
        shade = style.colour(index)
        if len(groups) > 1:
            ax.annotate(
                names[index],
                (0, 0),
                xycoords="axes fraction",
                xytext=(-22, down),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=style.SMALL_SIZE,
                color=shade,
                annotation_clip=False,
            )
        numbers = at_risk_at(table[table["group"] == group], ticks, complete=False if rounded else None)
        for tick, number in zip(ticks, numbers, strict=True):
            ax.annotate(
                "–" if np.isnan(number) else f"{number:,.0f}",
                (tick, 0),
                xycoords=("data", "axes fraction"),
                xytext=(0, down),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=style.SMALL_SIZE,
                color=shade,
                annotation_clip=False,
            )
