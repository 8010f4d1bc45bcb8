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
        return _Lines.of(small, None, None).suppression()
    rows, columns = _lines_with(small)
    # lines that have a cell to guard with in that column, or row
    by_column = (~small & rows[:, None]).sum(axis=0)
    by_row = (~small & columns[None, :]).sum(axis=1)
    found = [_Lines.of(small, i, j) for i in _best(by_row) for j in _best(by_column)]
    return min(found, key=lambda lines: (-lines.margins, lines.added_cells)).suppression()


def _lines_with(cells: Mask) -> tuple[Mask, Mask]:
    """Rows and columns that have one of these cells."""
    return np.asarray(cells.any(axis=1)), np.asarray(cells.any(axis=0))


def _best(guarded: Weights) -> list[int | None]:
    order = np.argsort(-guarded, kind="stable")[:_CANDIDATES]
    return [None, *(int(line) for line in order)]


@dataclass(frozen=True)
class _Lines:
    """A choice of i0 and j0, as far as it takes to compare it with others."""

    small: Mask
    i0: int | None
    j0: int | None
    rows: Mask
    columns: Mask
    guarded_rows: Mask
    guarded_columns: Mask
    total: str
    clean: bool

    @classmethod
    def of(cls, small: Mask, i0: int | None, j0: int | None) -> _Lines:
        """Guard every line that can be with these two."""
        rows, columns = _lines_with(small)
        guarded_rows, guarded_columns = np.zeros_like(rows), np.zeros_like(columns)
        if j0 is not None:
            guarded_rows = rows & ~small[:, j0]
            if i0 is not None:
                guarded_rows[i0] = False
        if i0 is not None:
            guarded_columns = columns & ~small[i0]
            if j0 is not None:
                guarded_columns[j0] = False
        follows = _follows(guarded_rows, guarded_columns)[small]
        total, clean = "hidden", False
        if not follows.any():
            total = "guarded" if small.any() else "free"
        elif i0 is not None and j0 is not None and not small[i0, j0]:
            total, clean = "corner", bool((follows == 1).all())
        return cls(small, i0, j0, rows, columns, guarded_rows, guarded_columns, total, clean)

    @property
    def free(self) -> tuple[Mask, Mask]:
        """Rows and columns without hidden cells."""
        rows, columns = ~self.rows, ~self.columns
        if self.i0 is not None and (self.guarded_columns.any() or self.total == "corner"):
            rows[self.i0] = False
        if self.j0 is not None and (self.guarded_rows.any() or self.total == "corner"):
            columns[self.j0] = False
        return rows, columns

    @property
    def margins(self) -> int:
        """Margins that can be released."""
        lines = (*self.free, self.guarded_rows, self.guarded_columns)
        return sum(int(line.sum()) for line in lines) + (self.total != "hidden") + 2 * self.clean

    @property
    def added_cells(self) -> int:
        """Cells hidden on top."""
        return int(self.guarded_rows.sum() + self.guarded_columns.sum()) + (self.total == "corner")

    def suppression(self) -> Suppression:
        """With its guards."""
        small, i0, j0 = self.small, self.i0, self.j0
        added, corner = np.zeros_like(small), None
        if j0 is not None:
            added[self.guarded_rows, j0] = True
        if i0 is not None:
            added[i0, self.guarded_columns] = True
        if self.total == "corner" and i0 is not None and j0 is not None:
            added[i0, j0] = True
            corner = _corner(small, _follows(self.guarded_rows, self.guarded_columns), i0, j0)
        hidden = small | added
        guards = [_line(small, hidden, (int(i), None)) for i in np.flatnonzero(self.guarded_rows)]
        guards += [_line(small, hidden, (None, int(j))) for j in np.flatnonzero(self.guarded_columns)]
        return Suppression(
            small,
            added,
            *self.free,
            self.guarded_rows,
            self.guarded_columns,
            tuple(guards),
            self.total,
            corner,
            (i0, j0) if self.clean and i0 is not None and j0 is not None else None,
        )


def _follows(guarded_rows: Mask, guarded_columns: Mask) -> Weights:
    """How the corner has to follow each small cell for the total to stay."""
    return np.asarray(guarded_rows[:, None].astype(np.int64) + guarded_columns[None, :] - 1)


def _line(small: Mask, hidden: Mask, line: tuple[int | None, int | None]) -> Guard:
    """All hidden cells of a row or column."""
    if line[0] is not None:
        across = np.flatnonzero(hidden[line[0]])
        cells = np.stack([np.full(len(across), line[0]), across], axis=1)
    else:
        across = np.flatnonzero(hidden[:, line[1]])
        cells = np.stack([across, np.full(len(across), line[1])], axis=1)
    return Guard(cells, np.ones(len(cells), np.int64), int(small[cells[:, 0], cells[:, 1]].sum()))


def _corner(small: Mask, follows: Weights, i0: int, j0: int) -> Guard:
    """The corner less what it follows."""
    cells = np.argwhere(small & (follows != 0))
    weights = -follows[cells[:, 0], cells[:, 1]]
    everything = np.concatenate([[[i0, j0]], cells])
    return Guard(everything, np.concatenate([[1], weights]), int((weights > 0).sum()))
