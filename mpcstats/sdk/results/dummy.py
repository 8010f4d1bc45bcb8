"""Results of dummy records: a mark across every picture."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MARK", "stamp", "stamped"]

MARK = "DUMMY DATA"

T = TypeVar("T")


def stamp(figure: Figure) -> Figure:
    """Write the mark across a figure, once."""
    if not any(text.get_gid() == MARK for text in figure.texts):
        figure.text(
            0.5, 0.5, MARK, rotation=30, fontsize=44, color="#b00020", alpha=0.22, ha="center", va="center", gid=MARK
        )
    return figure


def stamped(plot: Callable[..., T]) -> Callable[..., T]:
    """A plot function whose pictures bear the mark."""

    @functools.wraps(plot)
    def marked(*arguments: Any, **options: Any) -> T:
        drawn = plot(*arguments, **options)
        stamp(getattr(drawn, "figure", None) or cast("Figure", drawn))
        return drawn

    return marked
