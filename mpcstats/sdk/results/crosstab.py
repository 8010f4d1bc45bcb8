"""Results of cross-tabulations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mpcstats.sdk.results.base import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "CrosstabResult"]


class CrosstabResult(Result):
    """A joint table of two columns.

    `table` has a row per cell: the two columns, count (Int64, <NA> where there is none), status ("released",
    "suppressed", "not available"), row_percent and column_percent. `row_margins`, `column_margins` and `total` have the
    margins.
    """

    analysis = "crosstab"
    title = "Joint cross-tabulation of people"

    @property
    def rows(self) -> str:
        """Column whose levels are the rows."""
        return str(self.outcome.values["rows"])

    @property
    def columns(self) -> str:
        """Column whose levels are the columns."""
        return str(self.outcome.values["columns"])

    @property
    def suppressed(self) -> int:
        """Number of cells that are too small."""
        return int((self.table["status"] == "suppressed").sum())

    @property
    def counts(self) -> pd.DataFrame:
        """The cells as a table of rows and columns (Int64, <NA> where there is no number), without margins."""
        return self._wide("count").astype("Int64")

    def percentages(self, of: str = "row") -> pd.DataFrame:
        """Row or column percentages (`of` is "row" or "column") as a table; NaN where there are none."""
        return self._wide(f"{of}_percent").astype("float64")

    def readable(self) -> pd.DataFrame:
        """The cells as they are printed, with margins."""
        shown = self._wide("count").astype(object).to_numpy()
        status = self._wide("status").to_numpy()
        text = np.array(
            [[_text(n, s) for n, s in zip(*line, strict=True)] for line in zip(shown, status, strict=True)],
            dtype=object,
        ).reshape(shown.shape)
        wide = self._wide("count")
        table = pd.DataFrame(text, columns=[str(level) for level in wide.columns])
        table.insert(0, self.rows, [str(level) for level in wide.index])
        margins = self.outcome.tables
        if "total" not in margins:
            return table
        table["all"] = _texts(margins["row_margins"])
        last = ["all", *_texts(margins["column_margins"]), *_texts(margins["total"])]
        return pd.concat([table, pd.DataFrame([last], columns=table.columns)], ignore_index=True)

    def notes(self) -> list[str]:
        """Which way the table is to be read."""
        return [f"Rows: {self.rows}. Columns: {self.columns}."]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Heat map of the counts; suppressed cells are hatched."""
        from mpcstats.sdk.plots.crosstab import plot_crosstab

        return plot_crosstab(self.counts, self._wide("status"), rows=self.rows, columns=self.columns, ax=ax)

    def _wide(self, name: str) -> pd.DataFrame:
        cells = self.table
        rows, columns = (list(dict.fromkeys(cells[key])) for key in (self.rows, self.columns))
        values: Any = cells[name].astype(object).to_numpy().reshape(len(rows), len(columns))
        return pd.DataFrame(values, index=pd.Index(rows, name=self.rows), columns=pd.Index(columns, name=self.columns))


def _text(count: Any, status: str) -> str:
    return status if pd.isna(count) else f"{int(count):,}"


def _texts(margin: pd.DataFrame) -> list[str]:
    return [_text(n, s) for n, s in zip(margin["count"], margin["status"], strict=True)]


RESULTS = (CrosstabResult,)
