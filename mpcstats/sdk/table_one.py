"""The first table of a paper: people, means, medians and shares by groups, from descriptions and counts.

It holds released numbers alone. Where one level of a category is hidden, the smallest level that is shown is left out
of the table, too: readers of a published table would find the hidden one as the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import beside

__all__ = ["HIDDEN", "TableOne", "category_rows", "category_smd", "numeric_rows", "numeric_smd", "p_text"]

HIDDEN = "suppressed"


@dataclass(frozen=True, repr=False)
class TableOne:
    """A table of characteristics.

    Attributes
    ----------
    table : DataFrame
        Texts: characteristic, a column for each group, and p and SMD where asked for.
    withheld : list of str
        What the parts withhold, each sentence once, and p-values that could not be computed.
    footnote : list of str
        How the numbers are to be read.
    parts : list of Result
        The descriptions, counts and tests behind it.
    """

    table: pd.DataFrame
    withheld: list[str]
    footnote: list[str]
    parts: list[Result]

    def to_frame(self) -> pd.DataFrame:
        """A copy of the table."""
        return self.table.copy()

    def to_markdown(self) -> str:
        """As a Markdown table, with its notes."""
        rows = [list(self.table.columns), *self.table.to_numpy().tolist()]
        lines = [_markdown_line(row) for row in rows]
        lines.insert(1, "|" + "|".join([" --- ", *([" ---: "] * (len(self.table.columns) - 1))]) + "|")
        return "\n".join([*lines, "", *(f"{note}  " for note in self.notes())]).rstrip() + "\n"

    def to_csv(self) -> str:
        """As comma-separated values, without notes."""
        return str(self.table.to_csv(index=False, lineterminator="\n"))

    def to_html(self) -> str:
        """As HTML, escaped, with its notes."""
        head = "".join(f"<th>{escape(str(name))}</th>" for name in self.table.columns)
        rows = "".join(_html_row(row) for row in self.table.to_numpy().tolist())
        notes = "<br>".join(escape(note) for note in self.notes())
        table = f"<table class='table'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return f"{table}<p><small>{notes}</small></p>"

    def notes(self) -> list[str]:
        """Footnotes, and what was withheld."""
        return [*self.footnote, *(f"Withheld: {text}" for text in self.withheld)]

    def save(self, prefix: str | Path) -> list[Path]:
        """Write `PREFIX.csv`, `PREFIX.md` and `PREFIX.html`; folders are made as needed, files are replaced."""
        base = Path(prefix)
        base.parent.mkdir(parents=True, exist_ok=True)
        written = []
        for suffix, text in ((".csv", self.to_csv()), (".md", self.to_markdown()), (".html", self.to_html())):
            written.append(beside(base, suffix))
            written[-1].write_text(text, encoding="utf-8")
        return written

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return str(self.table.to_string(index=False)) + "\n\n" + "\n".join(self.notes())

    def __repr__(self) -> str:
        return f"<TableOne: {len(self.table)} rows, {len(self.table.columns) - 1} columns>"


def _markdown_line(row: Sequence[Any]) -> str:
    cells = [str(cell).replace("|", "\\|").replace("  ", "&nbsp;&nbsp;") for cell in row]
    return "| " + " | ".join(cells) + " |"


def _html_row(row: Sequence[Any]) -> str:
    first, *others = map(str, row)
    indent = " style='padding-left:1.5em'" if first.startswith("  ") else ""
    return f"<tr><td{indent}>{escape(first.strip())}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in others)}</tr>"


# --- rows ----------------------------------------------------------------------------------------------------------


def p_text(p: float) -> str:
    """ "0.012", "<0.001"."""
    return "" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def numeric_rows(name: str, cells: Sequence[Mapping[str, Any]], nonnormal: bool) -> list[list[str]]:
    """One row: mean (SD) or median [quartiles] of each group, with two digits of the standard deviation.

    Parameters
    ----------
    cells : rows of a description, one for each group
    """
    label = f"{name}, median [IQR]" if nonnormal else f"{name}, mean (SD)"
    return [[label, *(_median(cell) if nonnormal else _mean(cell) for cell in cells)]]


def _mean(cell: Mapping[str, Any]) -> str:
    mean, sd = _number(cell["mean"]), _number(cell["sd"])
    if math.isnan(mean):
        return HIDDEN if pd.isna(cell["n"]) else "-"
    places = _places(sd)
    return f"{mean:.{places}f} ({'-' if math.isnan(sd) else f'{sd:.{places}f}'})"


def _median(cell: Mapping[str, Any]) -> str:
    low, middle, high = (_number(cell[f"quantile_{share}"]) for share in ("0.25", "0.5", "0.75"))
    if math.isnan(middle):
        return HIDDEN if pd.isna(cell["n"]) or cell["n"] else "-"
    places = _places(_number(cell["sd"]))
    quartiles = [HIDDEN if math.isnan(value) else f"{value:.{places}f}" for value in (low, high)]
    return f"{middle:.{places}f} [{quartiles[0]}, {quartiles[1]}]"


def _number(value: Any) -> float:
    return math.nan if pd.isna(value) else float(value)


def _places(sd: float) -> int:
    """Decimals that show two digits of a standard deviation."""
    return 1 if math.isnan(sd) or sd <= 0 else min(max(1 - math.floor(math.log10(sd)), 0), 6)


def category_rows(name: str, levels: Sequence[Any], counts: Sequence[Sequence[int | None]]) -> list[list[str]]:
    """A heading, and a row for each level: n (%) of the people of the group that are shown.

    Parameters
    ----------
    counts : for each group, people of each level; None where hidden
        Shares are of the released counts of a group; without them where a level is hidden.
    """
    columns = [_category_column(_with_second(list(column))) for column in counts]
    rows = [[f"{name}, n (%)", *([""] * len(counts))]]
    return rows + [[f"  {level}", *(column[k] for column in columns)] for k, level in enumerate(levels)]


def _with_second(column: list[int | None]) -> list[int | None]:
    """With a single hidden level, the smallest of the others is hidden, too."""
    shown = [(count, k) for k, count in enumerate(column) if count is not None]
    if len(column) - len(shown) == 1 and shown:
        column[min(shown)[1]] = None
    return column


def _category_column(column: Sequence[int | None]) -> list[str]:
    if any(count is None for count in column):
        return [HIDDEN if count is None else f"{count:,}" for count in column]
    total = sum(count for count in column if count is not None)
    return [f"{count:,} ({100 * count / total:.1f}%)" if total else "0" for count in column if count is not None]


# --- differences ---------------------------------------------------------------------------------------------------


def numeric_smd(cells: Sequence[Mapping[str, Any]]) -> float:
    """Difference of two means over the root of the mean variance."""
    (one, other), spread = (_number(cell["mean"]) for cell in cells), [_number(cell["sd"]) ** 2 for cell in cells]
    return abs(one - other) / math.sqrt(sum(spread) / 2) if sum(spread) > 0 else math.nan


def category_smd(counts: Sequence[Sequence[int | None]]) -> float:
    """Standardised difference of the shares of two groups (Yang, Dalton 2012); NaN where a level is hidden."""
    if any(count is None for column in counts for count in column):
        return math.nan
    table = np.array(counts, dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not (table.sum(axis=1) > 0).all():
        return math.nan
    shares = (table / table.sum(axis=1, keepdims=True))[:, 1:]
    spread = sum((np.diag(p) - np.outer(p, p) for p in shares), np.zeros((shares.shape[1],) * 2)) / 2
    difference = shares[0] - shares[1]
    return float(math.sqrt(max(difference @ np.linalg.pinv(spread) @ difference, 0.0)))
