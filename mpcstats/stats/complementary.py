"""Which margins of a table can be released beside its cells, and which more cells must then be hidden.

Chosen from the pattern of small cells alone, never from numbers. The proof is in docs/adr/0013; in short:

* A line (row or column) without hidden cells has a margin that says nothing new.
* A row with small cells is *guarded*: one more of its cells is hidden, in a column `j0` whose own margin is not
  released. That cell is in no other equation, so it takes up whatever the small cells may be, as long as it is large
  enough (`Guard.bound`, checked on shares). Columns likewise, with the cells of a row `i0`.
* The total needs one more such cell, the corner (i0, j0); where it guards the total and all other lines with small
  cells are guarded, the margins of i0 and j0 follow from it and are released, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Guard", "Suppression", "choose"]

Mask = NDArray[np.bool_]
Weights = NDArray[np.int64]

_CANDIDATES = 24
"""Columns j0 and rows i0 that are tried: those that can guard most lines."""


@dataclass(frozen=True)
class Guard:
    """What has to be large enough for a margin: a weighted sum of hidden cells.

    Attributes
    ----------
    cells : int64 (cells, 2)
        Positions in the table.
    weights : int64 (cells,)
    slack : int
        Small cells that can take up room: the sum must be above k + slack (k - 1), k = minimum_count.
    """

    cells: Weights
    weights: Weights
    slack: int

    def bound(self, minimum: int) -> int:
        """The least sum with which the margin is released."""
        return minimum + self.slack * (minimum - 1) + 1

    def of(self, counts: Weights) -> int:
        """The sum for a table of counts."""
        return int((counts[self.cells[:, 0], self.cells[:, 1]] * self.weights).sum())


@dataclass(frozen=True)
class Suppression:
    """A public choice: the same at every party.

    Attributes
    ----------
    small : bool (rows, columns)
        Cells below the threshold.
    added : bool (rows, columns)
        Cells that are hidden to protect them.
    free_rows, free_columns : bool
        Margins that are released in any case.
    guarded_rows, guarded_columns : bool
        Margins that are released where their guard is large enough.
    guards : tuple of Guard
        Of the guarded rows, then of the guarded columns, in order.
    total : str
        "free"; "guarded" (where all guards are large enough); "corner" (and the corner, too); "hidden".
    corner : Guard or None
    through_corner : tuple (i0, j0), or None
        Lines whose margins are released together with the total.
    """

    small: Mask
    added: Mask
    free_rows: Mask
    free_columns: Mask
    guarded_rows: Mask
    guarded_columns: Mask
    guards: tuple[Guard, ...]
    total: str
    corner: Guard | None
    through_corner: tuple[int, int] | None

    @property
    def hidden(self) -> Mask:
        """All hidden cells."""
        return np.asarray(self.small | self.added)

    @property
    def margins(self) -> int:
        """Margins that can be released, the total included."""
        lines = (self.free_rows, self.free_columns, self.guarded_rows, self.guarded_columns)
        return sum(int(line.sum()) for line in lines) + (self.total != "hidden") + 2 * (self.through_corner is not None)


def choose(small: Mask) -> Suppression:
    """The choice with the most margins, among these the one with the fewest cells hidden on top.

    Parameters
    ----------
    small : bool (rows, columns)
        Cells below the threshold, as opened.
    """
    if not small.any():
        return _with(small, None, None)
    rows, columns = _lines_with(small)
    # lines that have a cell to guard with in that column, or row
    by_column = (~small & rows[:, None]).sum(axis=0)
    by_row = (~small & columns[None, :]).sum(axis=1)
    found = [_with(small, i, j) for i in _best(by_row) for j in _best(by_column)]
    return min(found, key=lambda choice: (-choice.margins, int(choice.added.sum())))


def _lines_with(cells: Mask) -> tuple[Mask, Mask]:
    """Rows and columns that have one of these cells."""
    return np.asarray(cells.any(axis=1)), np.asarray(cells.any(axis=0))


def _best(guarded: Weights) -> list[int | None]:
    order = np.argsort(-guarded, kind="stable")[:_CANDIDATES]
    return [None, *(int(line) for line in order)]


def _with(small: Mask, i0: int | None, j0: int | None) -> Suppression:
    """The choice with these two lines as guards."""
    rows, columns = _lines_with(small)
    guarded_rows, guarded_columns = np.zeros_like(rows), np.zeros_like(columns)
    added = np.zeros_like(small)
    if j0 is not None:
        guarded_rows = rows & ~small[:, j0]
        if i0 is not None:
            guarded_rows[i0] = False
        added[guarded_rows, j0] = True
    if i0 is not None:
        guarded_columns = columns & ~small[i0]
        if j0 is not None:
            guarded_columns[j0] = False
        added[i0, guarded_columns] = True
    # how the corner would have to follow each small cell for the total to stay
    follows = guarded_rows[:, None].astype(np.int64) + guarded_columns[None, :] - 1
    corner, total = None, "hidden"
    if not (follows != 0)[small].any():
        total = "guarded" if small.any() else "free"
    elif i0 is not None and j0 is not None and not small[i0, j0]:
        total, corner = "corner", _corner(small, follows, i0, j0)
        added[i0, j0] = True
    clean = corner is not None and bool((follows == 1)[small].all())
    hidden = small | added
    row_hidden, column_hidden = _lines_with(hidden)
    guards = [_line(small, hidden, (int(i), None)) for i in np.flatnonzero(guarded_rows)]
    guards += [_line(small, hidden, (None, int(j))) for j in np.flatnonzero(guarded_columns)]
    return Suppression(
        small,
        added,
        ~row_hidden,
        ~column_hidden,
        guarded_rows,
        guarded_columns,
        tuple(guards),
        total,
        corner,
        (i0, j0) if clean and i0 is not None and j0 is not None else None,
    )


def _line(small: Mask, hidden: Mask, line: tuple[int | None, int | None]) -> Guard:
    """All hidden cells of a row or column."""
    here = np.zeros_like(small)
    if line[0] is not None:
        here[line[0]] = True
    else:
        here[:, line[1]] = True
    cells = np.argwhere(hidden & here)
    return Guard(cells, np.ones(len(cells), np.int64), int((small & here).sum()))


def _corner(small: Mask, follows: Weights, i0: int, j0: int) -> Guard:
    """The corner less what it follows."""
    cells = np.argwhere(small & (follows != 0))
    weights = -follows[cells[:, 0], cells[:, 1]]
    everything = np.concatenate([[[i0, j0]], cells])
    return Guard(everything, np.concatenate([[1], weights]), int((weights > 0).sum()))
