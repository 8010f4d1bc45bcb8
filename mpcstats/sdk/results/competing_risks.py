"""Results of analyses of competing risks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import SHOWN_ROWS, html_table, p_phrase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "CumulativeIncidenceResult", "GrayResult"]


class CumulativeIncidenceResult(Result):
    """Cumulative incidence; `table` has one row per group, cause and time."""

    analysis = "cumulative-incidence"
    title = "Cumulative incidence of competing risks"

    @property
    def incidence(self) -> pd.DataFrame:
        """group, cause, time, at_risk, events, censored, incidence, standard_error, lower, upper, ..."""
        return self.outcome.tables["incidence"]

    @property
    def causes(self) -> pd.DataFrame:
        """Events of each cause and the end of each curve."""
        return self.outcome.tables["causes"]

    @property
    def gray(self) -> pd.DataFrame | None:
        """Gray's test, a row per cause; None for one group, late entry or rounded numbers."""
        return self.outcome.tables.get("gray")

    @property
    def rounded(self) -> bool:
        """True when disclosure control rounded the numbers."""
        return self.outcome.values.get("curve") == "rounded"

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """The causes of one group in one panel, or a panel per cause with a curve per group; people at risk below."""
        if ax is not None:
            raise SpecError("cumulative incidence has a panel per cause: it cannot be drawn into one axis")
        from mpcstats.sdk.plots.incidence import cumulative_incidence_figure

        values, tests = self.outcome.values, {}
        if self.gray is not None:
            for row in self.gray.itertuples():
                tests[str(row.cause)] = f"Gray's test p {p_phrase(float(str(row.p_value)))}"
        return cumulative_incidence_figure(
            self.incidence,
            self.outcome.tables.get("event_free"),
            by=str(values["by"]) if values.get("by") else None,
            time_label=str(values.get("time_label", "Time")),
            rounded=self.rounded,
            tests=tests,
            band_text=f"band: {100 * float(values['conf_level']):g}% limits ({values['conf_type']})",
            title=title,
        )

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        tables = [("causes", html_table(self.causes))]
        if self.gray is not None:
            tables.append(("Gray's test", html_table(self.gray)))
        return [*tables, (f"incidence, first {SHOWN_ROWS} rows", html_table(self.incidence.head(SHOWN_ROWS)))]

    def readable(self) -> pd.DataFrame:
        """Events of each cause and the end of each curve."""
        return self.causes

    def notes(self) -> list[str]:
        """Gray's test, and how long the curves are."""
        lines = [] if self.gray is None else [_verdict(self.gray)]
        rounded = "rounded by disclosure control" if self.rounded else "exact"
        return [*lines, f"The curves ({rounded}) have {len(self.incidence):,} rows: .to_frame()"]


class GrayResult(Result):
    """Gray's test; `table` has cause, chi_square, degrees_of_freedom, p_value, log_p_value."""

    analysis = "gray"
    title = "Gray's test of competing risks"

    @property
    def groups(self) -> pd.DataFrame:
        """cause, group, records, observed, score."""
        return self.outcome.tables["groups"]

    def notes(self) -> list[str]:
        """The tests in words."""
        return [_verdict(self.table)]


def _verdict(table: pd.DataFrame) -> str:
    parts = [
        f"{row.cause}: chi-square = {float(str(row.chi_square)):.4g} on {row.degrees_of_freedom} df, "
        f"p {p_phrase(float(str(row.p_value)))}"
        for row in table.itertuples()
    ]
    return "Gray's test. " + "; ".join(parts)


RESULTS: tuple[type[Result], ...] = (CumulativeIncidenceResult, GrayResult)
