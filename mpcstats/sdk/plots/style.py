"""One look for all figures: colours, line styles, text sizes, a figure that shows itself in notebooks."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = [
    "COLOURS",
    "GREY",
    "LIGHT_GREY",
    "LINE_STYLES",
    "NotebookFigure",
    "clean",
    "colour",
    "line_style",
    "new_figure",
    "nice_ticks",
    "panels",
    "png_bytes",
    "thousands",
]

# Okabe and Ito: told apart with any common colour blindness; ordered by contrast on white, yellow left out
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# a second code beside colour, for black-and-white print
LINE_STYLES: tuple[Any, ...] = ("solid", (0, (6, 2)), (0, (2, 1.4)), (0, (7, 2, 1.5, 2)), (0, (1, 1)), (0, (10, 3)))
GREY = "#5F6770"
LIGHT_GREY = "#C9CDD2"

TITLE_SIZE = 11
LABEL_SIZE = 10
TEXT_SIZE = 9
SMALL_SIZE = 8


class NotebookFigure(Figure):
    """A matplotlib figure that notebooks display without pyplot."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self, dpi=110)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, constrained layout, drawn by Agg."""
    figure = NotebookFigure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panels(count: int, height: float, title: str | None) -> tuple[Figure, list[Axes]]:
    """A figure of panels with one scale, two in a row: it fits a printed page. `height` is that of a row, in inches."""
    rows = -(-count // 2)
    figure = new_figure(1.2 + 4.0 * min(count, 2), height * rows + (0.3 if title else 0))
    figure.set_layout_engine("constrained", hspace=0.06)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE_SIZE, fontweight="bold")
    axes = figure.subplots(rows, min(count, 2), sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in axes[count:]:
        ax.set_visible(False)
    for ax in axes[:count]:
        ax.tick_params(labelbottom=True)
    return figure, axes[:count]


def png_bytes(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def clean(ax: Axes, *, title: str | None = None, x: str = "", y: str = "") -> None:
    """Labels, sizes and only the two spines that carry numbers."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(labelsize=TEXT_SIZE, color=GREY)
    ax.set_xlabel(x, fontsize=LABEL_SIZE)
    ax.set_ylabel(y, fontsize=LABEL_SIZE)
    if title:
        ax.set_title(title, fontsize=TITLE_SIZE, loc="left", fontweight="bold")


def colour(index: int) -> str:
    """Colour of group `index`; repeats after seven."""
    return COLOURS[index % len(COLOURS)]


def line_style(index: int) -> Any:
    """Line style of group `index`; colour and style together repeat after 42."""
    return LINE_STYLES[index % len(LINE_STYLES)]


def nice_ticks(end: float, count: int = 7) -> list[float]:
    """Round numbers from 0 to at most `end`."""
    if not end > 0:
        return [0.0]
    ticks = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 3, 5, 6, 10]).tick_values(0, end)
    return [float(tick) for tick in ticks if 0 <= tick <= end * (1 + 1e-9)]


def thousands(value: float) -> str:
    """1234567 as "1,234,567"; decimals only where there are any."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"
