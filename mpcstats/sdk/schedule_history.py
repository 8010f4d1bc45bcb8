"""What became of the runs of a schedule: a table, a trend, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.text import html_table, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ScheduleHistory"]

_FORMATS = ("csv", "png", "svg")


class ScheduleHistory:
    """The occurrences of one schedule, as a node tells them (`NodeClient.govern("schedule_history", ...)`).

    Parameters
    ----------
    answer : dict
        See `mpcstats.node.schedules.answers.history_answer`.

    Attributes
    ----------
    name, study, tz : str
        Name of the schedule, the study's id (hex), time zone.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        self._rows: list[dict[str, Any]] = answer["rows"]
        self.name, self.study, self.tz = str(answer["name"]), str(answer["study"]), str(answer["tz"])

    @property
    def cells(self) -> list[str]:
        """Labels of the counted cells; "count" when there is one."""
        return list(dict.fromkeys(cell["cell"] for row in self._rows for cell in row["cells"]))

    def to_frame(self) -> pd.DataFrame:
        """One row per occurrence: due and started (local time), state, reason, rounds, and a column per counted cell.

        A cell is a number (int), "suppressed" where disclosure control hid it, "held" where the whole count was held
        back, and empty where there was no count.
        """
        cells = self.cells or ["count"]
        plain = []
        for row in self._rows:
            found = {cell["cell"]: "suppressed" if cell["count"] is None else cell["count"] for cell in row["cells"]}
            absent = "held" if row["state"] == "held" else ""
            plain.append(
                {
                    "due": pd.Timestamp(row["due"]).tz_convert(self.tz),
                    "started": pd.Timestamp(row["started"]).tz_convert(self.tz) if row["started"] else pd.NaT,
                    "state": row["state"],
                    "reason": row["reason"],
                    "rounds": row["rounds"],
                    **{cell: found.get(cell, absent) for cell in cells},
                }
            )
        table = pd.DataFrame(plain, columns=["due", "started", "state", "reason", "rounds", *cells])
        for column in ("due", "started"):
            table[column] = pd.to_datetime(table[column], utc=True).dt.tz_convert(self.tz)
        return table.astype({"rounds": "Int64", **dict.fromkeys(cells, object)})

    def counts(self) -> pd.DataFrame:
        """One row per occurrence and cell: due, cell, count (Int64, <NA> where there is no number), status: released,
        suppressed, or the occurrence's state."""
        plain = []
        for row in self._rows:
            told = {cell["cell"]: (cell["count"], cell["status"]) for cell in row["cells"]}
            for cell in self.cells or ["count"]:
                count, status = told.get(cell, (None, row["state"]))
                plain.append({"due": pd.Timestamp(row["due"]), "cell": cell, "count": count, "status": status})
        table = pd.DataFrame(plain, columns=["due", "cell", "count", "status"])
        table["due"] = pd.to_datetime(table["due"], utc=True).dt.tz_convert(self.tz)
        return table.astype({"count": "Int64"})

    def summary(self) -> str:
        """The table as text."""
        return f"{self.name}: {len(self._rows)} occurrences\n{print_table(self._readable())}\n"

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """The counts over time; gaps where a count was held back or suppressed."""
        from mpcstats.sdk.plots.trend import plot_trend

        return plot_trend(self.counts(), ax=ax, title=self.name)

    def save(self, prefix: str | Path, formats: tuple[str, ...] = _FORMATS) -> list[Path]:
        """Write `PREFIX.csv`, `PREFIX.png` and `PREFIX.svg`, or some of them; the files written."""
        unknown = [name for name in formats if name not in _FORMATS]
        if unknown:
            raise SpecError(f"{unknown[0]!r} is no format; formats: {', '.join(_FORMATS)}")
        base = Path(prefix)
        base.parent.mkdir(parents=True, exist_ok=True)
        written = [base.with_name(f"{base.name}.{name}") for name in formats]
        figure = cast("Figure", self.plot()) if set(formats) & {"png", "svg"} else None
        for path in written:
            if path.suffix == ".csv":
                self.to_frame().to_csv(path, index=False, lineterminator="\n")
            elif figure is not None:
                figure.savefig(path, dpi=200)
        return written

    def _readable(self) -> pd.DataFrame:
        table = self.to_frame().drop(columns=["started"])
        table["due"] = table["due"].dt.strftime("%Y-%m-%d %H:%M %Z")
        for cell in self.cells or ["count"]:
            table[cell] = [f"{value:,}" if isinstance(value, int) else value for value in table[cell]]
        return table

    def _repr_html_(self) -> str:
        return html_table(self._readable())

    def __repr__(self) -> str:
        return self.summary()
