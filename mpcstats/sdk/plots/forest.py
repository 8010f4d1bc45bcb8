"""Forest plot of a regression: a row per term with estimate, interval, and the numbers beside."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from mpcstats.sdk.plots import style

__all__ = ["forest_figure"]

_ROW = 0.27  # inches between two rows
_GAP = 0.28  # inches between two columns
_MARGIN = 0.14
_PLOT = 3.1
_INDENT = "   "
_TICKS = tuple(digit * 10.0**power for power in range(-6, 6) for digit in (1, 2, 5))


def forest_figure(
    table: pd.DataFrame,
    *,
    effect: str = "HR",
    effect_label: str = "Hazard ratio",
    conf_level: float = 0.95,
    footer: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw estimates with their intervals on a log axis, one row per term.

    Parameters
    ----------
    table : DataFrame
        Columns term (str), exp_coef, exp_coef_lower, exp_coef_upper, p_value. A row whose exp_coef is NaN has no
        estimate and is labelled "not estimable"; a row with exp_coef 1 and no interval is a "reference" level; another
        without an interval has a square alone.
        Optional columns: variable (rows of one variable stand under its name), people and events (integers, <NA>
        where hidden).
    effect, effect_label : str
        Short and long name of exp(coef): "HR" and "Hazard ratio", "SHR" and "Subdistribution hazard ratio".
    conf_level : float
        Level of the interval, for the heading.
    footer : str, optional
        Under the plot: events, concordance, tests of the whole model. Line breaks are kept, long lines are wrapped.
    title : str, optional

    Returns
    -------
    Figure
        As high as its rows need. Intervals that leave the axis end in an arrow.
    """
    rows = _rows(table)
    headings = ["", *[name.capitalize() for name in ("people", "events") if name in table]]
    texts = [[row.label for row in rows]]
    texts += [[_count(row.numbers.get(name)) for row in rows] for name in ("people", "events") if name in table]
    right = [[_interval(row) for row in rows], [_p(row) for row in rows]]
    percent = f"{100 * conf_level:g}%"
    right_headings = [f"{effect} ({percent} CI)", "p"]
    figure = style.new_figure(10, 4)
    figure.set_layout_engine("none")  # widths are those of the texts
    left_widths = [_width(figure, [h, *column]) for h, column in zip(headings, texts, strict=True)]
    right_widths = [_width(figure, [h, *column]) for h, column in zip(right_headings, right, strict=True)]
    start = _MARGIN + sum(left_widths) + _GAP * len(left_widths)
    width = start + _PLOT + sum(right_widths) + _GAP * len(right_widths) + _MARGIN
    footer = _wrapped(figure, footer, width - 2 * _MARGIN) if footer else None
    foot = 0.62 + (0.06 + 0.16 * (footer.count("\n") + 1) if footer else 0)
    body = _ROW * (len(rows) + 1)
    height = foot + body + (0.42 if title else 0.1)
    figure.set_size_inches(width, height)
    ax = figure.add_axes((start / width, foot / height, _PLOT / width, body / height))
    _draw(ax, rows, effect_label)
    _columns(ax, [headings, right_headings], [texts, right], [left_widths, right_widths])
    if footer:
        figure.text(
            _MARGIN / width, 0.1 / height, footer, fontsize=style.SMALL_SIZE, va="bottom", color=style.GREY, wrap=False
        )
    if title:
        figure.text(
            _MARGIN / width,
            1 - 0.1 / height,
            title,
            fontsize=style.TITLE_SIZE,
            fontweight="bold",
            va="top",
        )
    return figure


@dataclass(frozen=True)
class _Row:
    label: str
    heading: bool
    estimate: float
    lower: float
    upper: float
    p: float
    numbers: dict[str, object]

    @property
    def reference(self) -> bool:
        return self.estimate == 1 and np.isnan(self.lower) and np.isnan(self.upper)

    @property
    def drawn(self) -> bool:
        return bool(np.isfinite([self.estimate, self.lower, self.upper]).all() and self.lower > 0)

    @property
    def alone(self) -> bool:
        """An estimate whose interval is not known."""
        unknown = np.isnan(self.lower) and np.isnan(self.upper)
        return bool(unknown and np.isfinite(self.estimate) and self.estimate > 0 and self.estimate != 1)


def _rows(table: pd.DataFrame) -> list[_Row]:
    """Rows from top to bottom; a variable with several rows gets a heading and its rows are indented."""
    found: list[_Row] = []
    variables = table["variable"].astype(str).tolist() if "variable" in table else table["term"].astype(str).tolist()
    sizes = {name: variables.count(name) for name in variables}
    last = None
    for variable, (_, entry) in zip(variables, table.iterrows(), strict=True):
        grouped = sizes[variable] > 1
        if grouped and variable != last:
            found.append(_Row(variable, True, np.nan, np.nan, np.nan, np.nan, {}))
        last = variable
        label = f"{_INDENT}{entry['term']}" if grouped else str(entry["term"])
        found.append(
            _Row(
                label,
                False,
                float(entry["exp_coef"]),
                float(entry["exp_coef_lower"]),
                float(entry["exp_coef_upper"]),
                float(entry["p_value"]),
                {name: entry[name] for name in ("people", "events") if name in table},
            )
        )
    return found


def _count(value: object) -> str:
    if value is None:
        return ""
    return "–" if pd.isna(value) else f"{int(value):,}"  # type: ignore[call-overload]


def _interval(row: _Row) -> str:
    if row.heading:
        return ""
    if row.reference:
        return "1 (reference)"
    if row.alone:
        return f"{_number(row.estimate)} (no interval)"
    if not row.drawn:
        return "not estimable"
    return f"{_number(row.estimate)} ({_number(row.lower)}–{_number(row.upper)})"


def _number(value: float) -> str:
    """Two decimals, and never fewer than two significant digits."""
    if value >= 10_000 or 0 < value < 0.0001:
        return f"{value:.1e}"
    return f"{value:.2f}" if 0.095 <= value < 100 else (f"{value:.0f}" if value >= 100 else f"{value:.2g}")


def _p(row: _Row) -> str:
    if row.heading or row.reference or np.isnan(row.p):
        return ""
    if row.p < 0.001:
        return "<0.001"
    return f"{row.p:.3f}" if row.p < 0.095 else f"{row.p:.2f}"


def _limits(rows: Sequence[_Row]) -> tuple[float, float]:
    """All estimates, and intervals as far as 5 times beyond the outermost of them; never narrower than 1/2 to 2."""
    drawn = [row for row in rows if row.drawn]
    estimates = [row.estimate for row in rows if row.drawn or row.alone]
    least, most = (pick([1.0, *estimates]) for pick in (min, max))
    low = min([0.5, *estimates, *(max(row.lower, least / 5) for row in drawn)])
    high = max([2.0, *estimates, *(min(row.upper, most * 5) for row in drawn)])
    return low / 1.12, high * 1.12


def _draw(ax: Axes, rows: Sequence[_Row], label: str) -> None:
    low, high = _limits(rows)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.set_ylim(len(rows) - 0.5, -1.5)  # one row above for the headings
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    ticks = ticks if len(ticks) <= 9 else [tick for tick in ticks if f"{tick:g}".strip("0.") == "1"]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.axvline(1, ymax=len(rows) / (len(rows) + 1), color=style.GREY, linewidth=0.9, zorder=1)
    for place, row in enumerate(rows):
        if row.drawn:
            _whiskers(ax, place, row, low, high)
        elif row.alone:
            _square(ax, place, row)
        elif row.reference:
            ax.plot([1], [place], marker="s", markersize=5.5, color="white", markeredgecolor=style.GREY, zorder=3)
    ax.set_yticks([])
    style.clean(ax, x=f"{label} (log scale)")
    ax.spines["left"].set_visible(False)


def _whiskers(ax: Axes, place: int, row: _Row, low: float, high: float) -> None:
    shade = style.COLOURS[0]
    ends = (max(row.lower, low), min(row.upper, high))
    ax.plot(ends, [place, place], color=shade, linewidth=1.4, solid_capstyle="butt", zorder=2)
    for end, true, arrow in ((ends[0], row.lower, "<"), (ends[1], row.upper, ">")):
        marker = "|" if end == true else arrow
        ax.plot([end], [place], marker=marker, markersize=6, color=shade, markeredgewidth=1.4, zorder=2, clip_on=False)
    _square(ax, place, row)


def _square(ax: Axes, place: int, row: _Row) -> None:
    ax.plot([row.estimate], [place], marker="s", markersize=6.5, color=style.COLOURS[0], linestyle="none", zorder=3)


def _width(
    figure: Figure, texts: Sequence[str], size: float | None = None, weight: Literal["bold", "normal"] = "bold"
) -> float:
    """Inches that the longest text needs."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    size = size or style.TEXT_SIZE
    probes = [figure.text(0, 0, text, fontsize=size, fontweight=weight) for text in set(texts) if text]
    widths = [probe.get_window_extent(renderer).width / figure.dpi for probe in probes]
    for probe in probes:
        probe.remove()
    return float(max(widths, default=0.0))


def _wrapped(figure: Figure, text: str, inches: float) -> str:
    """Lines of small text that fit a width."""
    lines = []
    for line in text.split("\n"):
        letters = len(line)
        while letters > 20 and _width(figure, textwrap.wrap(line, letters), style.SMALL_SIZE, "normal") > inches:
            letters -= 4
        lines += textwrap.wrap(line, max(letters, 1)) or [""]
    return "\n".join(lines)


def _columns(
    ax: Axes, headings: Sequence[Sequence[str]], texts: Sequence[Sequence[list[str]]], widths: Sequence[Sequence[float]]
) -> None:
    """Text left and right of the plot: labels flush left, numbers flush right."""
    place = -sum(widths[0]) - _GAP * len(widths[0])
    for column, (heading, entries, width) in enumerate(zip(headings[0], texts[0], widths[0], strict=True)):
        at, side = (place, "left") if column == 0 else (place + width, "right")
        _column(ax, at, side, heading, entries)
        place += width + _GAP
    place = _PLOT + _GAP
    for column, (heading, entries, width) in enumerate(zip(headings[1], texts[1], widths[1], strict=True)):
        at, side = (place, "left") if column == 0 else (place + width, "right")
        _column(ax, at, side, heading, entries)
        place += width + _GAP


def _column(ax: Axes, inches: float, side: str, heading: str, entries: Sequence[str]) -> None:
    for row, text in enumerate([heading, *entries]):
        if text:
            drawn: Text = ax.annotate(
                text,
                (0, row - 1),
                xycoords=("axes fraction", "data"),
                xytext=(72 * inches, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=style.TEXT_SIZE,
                annotation_clip=False,
            )
            if row == 0:
                drawn.set_fontweight("bold")
