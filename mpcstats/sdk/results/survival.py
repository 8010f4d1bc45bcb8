"""Results of survival analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import SHOWN_ROWS, html_table, number, p_phrase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "KaplanMeierResult", "LogrankResult"]


class KaplanMeierResult(Result):
    """Survival curves; `table` has one row per group and time."""

    analysis = "kaplan-meier"
    title = "Kaplan-Meier estimate of survival"

    @property
    def curve(self) -> pd.DataFrame:
        """group, time, at_risk, events, censored, survival, standard_error, lower, upper."""
        return self.outcome.tables["curve"]

    @property
    def medians(self) -> pd.DataFrame:
        """group, records, events, median, lower, upper."""
        return self.outcome.tables["medians"]

    @property
    def rounded(self) -> bool:
        """True when disclosure control rounded the numbers."""
        return self.outcome.values.get("curve") == "rounded"

    def quantiles(
        self, probabilities: Sequence[float] = (0.25, 0.5, 0.75), *, rule: Literal["R", "lifelines"] = "R"
    ) -> pd.DataFrame:
        """Survival time quantiles with limits per group: columns group, probability, quantile, lower, upper.

        `rule` names the convention, see `mpcstats.stats.kaplan_meier.quantiles`.
        """
        from mpcstats.stats.kaplan_meier import quantiles

        parts = [quantiles(table, probabilities, rule=rule).assign(group=group) for group, table in self._groups()]
        found = pd.concat(parts, ignore_index=True)
        return found[["group", "probability", "quantile", "lower", "upper"]]

    def at_risk(self, times: Sequence[float]) -> pd.DataFrame:
        """People at risk just before each time: a row per time, a column per group; NaN beyond the visible curve."""
        from mpcstats.stats.kaplan_meier import at_risk_at

        return pd.DataFrame(
            {str(group): at_risk_at(table, np.asarray(times, dtype=np.float64)) for group, table in self._groups()},
            index=pd.Index(list(times), name="time"),
        )

    def plot(self, ax: Axes | None = None, *, p_text: str | None = None, title: str | None = None) -> Figure | Axes:
        """Curves with confidence band, medians, and number at risk under the axis.

        `p_text` is written into the plot: the `p_text` of a `LogrankResult`, or your own.
        """
        from mpcstats.sdk.plots.survival import plot_survival

        return plot_survival(
            self.curve,
            ax=ax,
            by=self._by(),
            medians=self.medians,
            rounded=self.rounded,
            time_label=str(self.outcome.values.get("time_label", "Time")),
            p_text=p_text,
            band_text=self._band(),
            title=title,
        )

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        shown = self.curve.head(SHOWN_ROWS)
        more = "" if len(shown) == len(self.curve) else f", first {len(shown)} of {len(self.curve)} rows"
        rounded = ", rounded by disclosure control" if self.rounded else ""
        return [("medians", html_table(self.readable())), (f"curve{rounded}{more}", html_table(shown))]

    def notes(self) -> list[str]:
        """How long the curve is, and whether it is rounded."""
        rounded = "rounded by disclosure control" if self.rounded else "exact"
        return [f"The curve ({rounded}) has {len(self.curve):,} rows: .to_frame()"]

    def readable(self) -> pd.DataFrame:
        """The medians, as R prints them."""
        by, level = self._by(), self.outcome.values.get("conf_level")
        table = self.medians.copy()
        if by:
            table["group"] = [f"{by}={group}" for group in table["group"]]
        if level:
            table = table.rename(columns={"lower": f"{float(level):g}LCL", "upper": f"{float(level):g}UCL"})
        return table

    def _band(self) -> str | None:
        values = self.outcome.values
        if values.get("conf_type") and values.get("conf_level"):
            return f"band: {100 * float(values['conf_level']):g}% limits ({values['conf_type']})"
        named = self.outcome.conventions.get("confidence interval")
        return f"band: {named}" if named else None

    def _groups(self) -> list[tuple[str, pd.DataFrame]]:
        names = self.medians["group"].tolist()
        return [(name, self.curve[self.curve["group"] == name]) for name in names]


class LogrankResult(Result):
    """Log-rank test; `table` has group, records, observed, expected."""

    analysis = "logrank"
    title = "Log-rank test"

    @property
    def chi_square(self) -> float:
        """The test statistic."""
        return float(number(self.outcome.values["chi_square"]))

    @property
    def degrees_of_freedom(self) -> int:
        """Groups with expected events, less one."""
        return int(self.outcome.values["degrees_of_freedom"])

    @property
    def p_value(self) -> float:
        """Upper tail of chi-square."""
        return float(number(self.outcome.values["p_value"]))

    @property
    def p_text(self) -> str:
        """For a plot: "log-rank p = 0.0013"."""
        return f"log-rank p {p_phrase(self.p_value)}"

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Observed beside expected events."""
        from mpcstats.sdk.plots.survival import plot_observed_expected

        return plot_observed_expected(self.table, ax=ax, by=self._by(), p_text=self.p_text)

    def notes(self) -> list[str]:
        """The verdict, as R prints it."""
        return [
            f"Chisq= {self.chi_square:.4g}  on {self.degrees_of_freedom} degrees of freedom, p {p_phrase(self.p_value)}"
        ]

    def readable(self) -> pd.DataFrame:
        """Groups with their column's name, and each group's part of the statistic, as R prints them."""
        table, by = self.table.copy(), self._by()
        if by:
            table["group"] = [f"{by}={group}" for group in table["group"]]
        if {"observed", "expected"} <= set(table.columns):
            table["(O-E)^2/E"] = (table["observed"] - table["expected"]) ** 2 / table["expected"]
        return table


RESULTS = (KaplanMeierResult, LogrankResult)
