"""Results of survival analyses of hidden times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import SHOWN_ROWS, html_table, number, p_phrase, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "ExactTimeResult"]


class ExactTimeResult(Result):
    """Survival at chosen times, medians and the log-rank test of times that stay hidden."""

    analysis = "exact-time"
    title = "Survival from hidden times"

    @property
    def landmarks(self) -> pd.DataFrame:
        """group, time, survival, standard_error, lower, upper; where `times` were asked for."""
        return self._asked("landmarks", "times=[...]")

    @property
    def medians(self) -> pd.DataFrame:
        """group, records, events, median, lower, upper; events stay hidden where the curve is exact."""
        return self._asked("medians", "medians=True")

    @property
    def curve(self) -> pd.DataFrame:
        """The rounded curve, where the exact one may not leave; see `KaplanMeierResult.curve`."""
        return self._asked("curve", "a policy that rounds curves: exact ones are opened at `times` only")

    @property
    def rounded(self) -> bool:
        """True when disclosure control rounded the numbers."""
        return self.outcome.values.get("curve") == "rounded"

    @property
    def chi_square(self) -> float:
        """The statistic of the test between groups."""
        return self._of_test("chi_square")

    @property
    def degrees_of_freedom(self) -> int:
        """Groups with expected events, less one."""
        return int(self._of_test("degrees_of_freedom"))

    @property
    def p_value(self) -> float:
        """Upper tail of chi-square."""
        return self._of_test("p_value")

    @property
    def p_text(self) -> str:
        """For a plot: "log-rank p = 0.0013"."""
        weights = self.outcome.values.get("weights", "logrank")
        return f"{'log-rank' if weights == 'logrank' else weights} p {p_phrase(self.p_value)}"

    @property
    def trend_chi_square(self) -> float:
        """The statistic of the test for trend, one degree of freedom."""
        return self._of_test("trend_chi_square")

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Survival at the landmarks with its limits; of rounded numbers the curve."""
        values = self.outcome.values
        p_text = self.p_text if "chi_square" in values else None
        label, by = str(values.get("time_label", "Time")), self._by()
        band = f"{100 * float(values['conf_level']):g}% limits ({values['conf_type']})"
        tables = self.outcome.tables
        if self.rounded:
            from mpcstats.sdk.plots.survival import plot_survival

            return plot_survival(
                self.curve,
                ax=ax,
                by=by,
                time_label=label,
                medians=tables.get("medians"),
                rounded=True,
                p_text=p_text,
                band_text=f"band: {band}",
                title=title,
            )
        from mpcstats.sdk.plots.landmarks import plot_landmarks

        return plot_landmarks(
            self.landmarks,
            ax=ax,
            by=by,
            time_label=label,
            medians=tables.get("medians"),
            notes=[p_text, f"bars: {band}; nothing is known between them"],
            title=title,
        )

    def figures(self) -> dict[str, Figure]:
        """See `Result.figures`; no picture of medians or a test alone."""
        return super().figures() if self.rounded or "landmarks" in self.outcome.tables else {}

    def notes(self) -> list[str]:
        """The verdicts, as R prints them, and where the rest of a rounded curve is."""
        values, lines = self.outcome.values, []
        if "chi_square" in values:
            lines.append(
                f"Chisq= {self.chi_square:.4g}  on {self.degrees_of_freedom} degrees of freedom, "
                f"p {p_phrase(self.p_value)}"
            )
        if "trend_chi_square" in values:
            p = number(values["trend_p_value"])
            degrees = int(values["trend_degrees_of_freedom"])
            lines.append(f"Trend: Chisq= {self.trend_chi_square:.4g}  on {degrees} degrees of freedom, p {p_phrase(p)}")
        if self.rounded:
            lines.append(f"The curve (rounded by disclosure control) has {len(self.curve):,} rows: .curve")
        return lines

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        shown = [(name.replace("_", " "), html_table(self._named(table))) for name, table in self._shown()]
        if self.rounded:
            first = self.curve.head(SHOWN_ROWS)
            shown.append((f"curve, rounded by disclosure control, first {len(first)} rows", html_table(first)))
        verdict = " ".join(self.notes())
        return [(f"{name}. {verdict}" if verdict and not k else name, html) for k, (name, html) in enumerate(shown)]

    def _lines(self) -> list[str]:
        lines: list[str] = []
        for name, table in self._shown():
            lines += [*([""] if lines else []), name.capitalize(), *print_table(self._named(table)).splitlines()]
        notes = self.notes()
        return [*lines, *(["", *notes] if notes and lines else notes)]

    def _shown(self) -> list[tuple[str, pd.DataFrame]]:
        """The tables that are printed; that of the groups is empty, as nothing is opened of it."""
        return [(name, table) for name, table in self.outcome.tables.items() if name in {"landmarks", "medians"}]

    def _named(self, table: pd.DataFrame) -> pd.DataFrame:
        by = self._by()
        table = table.assign(group=[f"{by}={group}" for group in table["group"]]) if by else table
        # events before a median are opened with rounded curves only
        return table.drop(columns="events") if "events" in table and table["events"].isna().all() else table

    def _asked(self, name: str, how: str) -> pd.DataFrame:
        if name not in self.outcome.tables:
            raise SpecError(f"this result has no table {name!r}: it was not asked for", hint=f"ask with {how}")
        return self.outcome.tables[name]

    def _of_test(self, name: str) -> float:
        if name not in self.outcome.values:
            raise SpecError(f"this result has no {name}: it was not asked for", hint="ask with by= and logrank=True")
        return float(number(self.outcome.values[name]))


RESULTS = (ExactTimeResult,)
