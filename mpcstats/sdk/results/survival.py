"""Results of survival analyses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import SHOWN_ROWS, html_table, number, p_phrase, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "KaplanMeierResult", "LogrankResult"]


class KaplanMeierResult(Result):
    """Survival curves; `table` has one row per (stratum,) group and time."""

    analysis = "kaplan-meier"
    title = "Kaplan-Meier estimate of survival"

    @property
    def curve(self) -> pd.DataFrame:
        """(stratum,) group, time, at_risk, events, censored, survival, standard_error, lower, upper."""
        return self.outcome.tables["curve"]

    @property
    def medians(self) -> pd.DataFrame:
        """(stratum,) group, records, events, median, lower, upper."""
        return self.outcome.tables["medians"]

    @property
    def restricted_mean(self) -> pd.DataFrame:
        """(stratum,) group, tau, restricted_mean, standard_error, lower, upper; where `tau` was asked for."""
        return _asked(self, "restricted_means", "tau=365, 'common' or 'shortest'")

    @property
    def contrasts(self) -> pd.DataFrame:
        """Difference and ratio of each group's restricted mean to that of the reference; where `tau` was asked for."""
        return _asked(self, "contrasts", "tau= and a column of groups (by=)")

    @property
    def hazard(self) -> pd.DataFrame:
        """(stratum,) group, time, ..., cumulative_hazard, standard_error, lower, upper, survival; where asked for."""
        return _asked(self, "hazard", "hazard='nelson-aalen' or 'fleming-harrington'")

    @property
    def life_table(self) -> pd.DataFrame:
        """Actuarial estimates (R: KMsurv::lifetab); where asked for and counts are exact."""
        return _asked(self, "life_table", "life_table=365")

    @property
    def rounded(self) -> bool:
        """True when disclosure control rounded the numbers."""
        return self.outcome.values.get("curve") == "rounded"

    def quantiles(
        self, probabilities: Sequence[float] = (0.25, 0.5, 0.75), *, rule: Literal["R", "lifelines"] = "R"
    ) -> pd.DataFrame:
        """Survival time quantiles with limits: columns (stratum,) group, probability, quantile, lower, upper.

        `rule` names the convention, see `mpcstats.stats.kaplan_meier.quantiles`.
        """
        from mpcstats.stats.kaplan_meier import labelled, quantiles

        tables = [quantiles(table, probabilities, rule=rule, complete=not self.rounded) for table in self._curves()]
        return labelled(tables, self._labels())

    def at_risk(self, times: Sequence[float]) -> pd.DataFrame:
        """People at risk just before each time: a row per time, a column per curve; NaN beyond the visible curve.

        With late entry this is R's number: between two rows of the curve that of the later one. The number at the time
        itself is in the table "at_times" of a request with `times`.
        """
        from mpcstats.stats.kaplan_meier import at_risk_at

        at = np.asarray(times, dtype=np.float64)
        numbers = zip(self._names(), self._curves(), strict=True)
        return pd.DataFrame(
            {name: at_risk_at(table, at, complete=False if self.rounded else None) for name, table in numbers},
            index=pd.Index(list(times), name="time"),
        )

    def plot(self, ax: Axes | None = None, *, p_text: str | None = None, title: str | None = None) -> Figure | Axes:
        """Curves with confidence band, medians, and number at risk under the axis.

        `p_text` is written into the plot: the `p_text` of a `LogrankResult`, or your own. More than four curves of
        several strata have a panel for each stratum, unless `ax` is given.
        """
        from mpcstats.sdk.plots.survival import plot_strata, plot_survival

        curve, medians, by = self.curve, self.medians, self._by()
        if (
            ax is None
            and "stratum" in medians.columns
            and len(medians) > MOST_CURVES
            and medians["group"].nunique() > 1
        ):
            return plot_strata(
                _strata_named(curve, self.outcome.values),
                _strata_named(medians, self.outcome.values),
                by=by,
                rounded=self.rounded,
                time_label=str(self.outcome.values.get("time_label", "Time")),
                p_text=p_text,
                band_text=self._band(),
                title=title,
            )
        if "stratum" in medians.columns:
            values = self.outcome.values
            curve, medians, by = _one_label(_named(curve, values)), _one_label(_named(medians, values)), None
        return plot_survival(
            curve,
            ax=ax,
            by=by,
            medians=medians,
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
        others = [(name.replace("_", " "), html_table(table)) for name, table in self._readings()]
        return [
            ("medians", html_table(self.readable())),
            *others,
            (f"curve{rounded}{more}", html_table(shown)),
        ]

    def notes(self) -> list[str]:
        """How long the curve is, and whether it is rounded."""
        rounded = "rounded by disclosure control" if self.rounded else "exact"
        return [f"The curve ({rounded}) has {len(self.curve):,} rows: .to_frame()"]

    def readable(self) -> pd.DataFrame:
        """The medians, as R prints them."""
        level = self.outcome.values.get("conf_level")
        table = _named(self.medians, self.outcome.values)
        if level:
            table = table.rename(columns={"lower": f"{float(level):g}LCL", "upper": f"{float(level):g}UCL"})
        return table

    def _lines(self) -> list[str]:
        return [*super()._lines(), *_more_tables(self._readings(), self.outcome.values)]

    def _readings(self) -> list[tuple[str, pd.DataFrame]]:
        """What was asked for beside the curve."""
        return [(name, table) for name, table in self.outcome.tables.items() if name not in {"curve", "medians"}]

    def _band(self) -> str | None:
        values = self.outcome.values
        if values.get("conf_type") and values.get("conf_level"):
            return f"band: {100 * float(values['conf_level']):g}% limits ({values['conf_type']})"
        named = self.outcome.conventions.get("confidence interval")
        return f"band: {named}" if named else None

    def _labels(self) -> pd.DataFrame:
        return self.medians[[name for name in _LABELS if name in self.medians.columns]]

    def _names(self) -> list[str]:
        """One text per curve."""
        return [str(name) for name in _one_label(self.medians)["group"]]

    def _curves(self) -> list[pd.DataFrame]:
        """The rows of each curve, without the columns that name it."""
        curve, labels = self.curve, self._labels()
        names = list(labels.columns)
        parts = dict(list(curve.groupby(names)))
        none = curve.iloc[:0]
        return [parts.get(tuple(row), none).drop(columns=names) for row in labels.itertuples(index=False)]


class LogrankResult(Result):
    """Test of the log-rank family; `table` has group, records, observed, expected."""

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
    def trend(self) -> pd.DataFrame:
        """One row: z, chi_square, degrees_of_freedom, p_value, log_p_value; where a trend was asked for.

        Without z where counts stayed on shares: chi-square alone is opened, and so has no direction.
        """
        return _asked(self, "trend", "trend=True")

    @property
    def pairwise(self) -> pd.DataFrame:
        """A row per pair of groups: chi_square, p_value, p_adjusted, ...; where asked for."""
        return _asked(self, "pairwise", "pairwise='holm'")

    @property
    def strata(self) -> pd.DataFrame:
        """stratum, group, records, observed, expected of a stratified test from counts."""
        return _asked(self, "strata", "strata=[...]")

    @property
    def p_text(self) -> str:
        """For a plot: "log-rank p = 0.0013"."""
        weights = self.outcome.values.get("weights", "logrank")
        return f"{'log-rank' if weights == 'logrank' else weights} p {p_phrase(self.p_value)}"

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Observed beside expected events."""
        from mpcstats.sdk.plots.survival import plot_observed_expected

        return plot_observed_expected(self.table, ax=ax, by=self._by(), p_text=self.p_text)

    def notes(self) -> list[str]:
        """The verdicts, as R prints them."""
        lines = [
            f"Chisq= {self.chi_square:.4g}  on {self.degrees_of_freedom} degrees of freedom, p {p_phrase(self.p_value)}"
        ]
        if "trend" in self.outcome.tables:
            row = self.trend.iloc[0]
            direction = f"z= {float(row['z']):.4g}, " if "z" in row.index else ""
            lines.append(
                f"Trend: {direction}Chisq= {float(row['chi_square']):.4g}  on "
                f"{int(row['degrees_of_freedom'])} degrees of freedom, p {p_phrase(float(row['p_value']))}"
            )
        return lines

    def readable(self) -> pd.DataFrame:
        """Groups with their column's name, and each group's part of the statistic, as R prints them.

        Of a test on shares the groups alone, or what was opened of them.
        """
        table = _named(self.table, self.outcome.values)
        if self.outcome.values.get("mode") == "statistic":
            return table.dropna(axis="columns", how="all")
        if {"observed", "expected"} <= set(table.columns):
            table["(O-E)^2/E"] = (table["observed"] - table["expected"]) ** 2 / table["expected"]
        return table

    def _lines(self) -> list[str]:
        others = [(name, table) for name, table in self.outcome.tables.items() if name in {"strata", "pairwise"}]
        return [*super()._lines(), *_more_tables(others, self.outcome.values)]


_LABELS = ("stratum", "group")
MOST_CURVES = 4
"""Curves of several strata that share a panel."""


def _asked(result: Result, name: str, how: str) -> pd.DataFrame:
    """A table that is there only where it was asked for."""
    if name not in result.outcome.tables:
        why = "it was not asked for, or is withheld (.withheld)" if result.withheld else "it was not asked for"
        raise SpecError(f"this result has no table {name!r}: {why}", hint=f"ask with {how}")
    return result.outcome.tables[name]


def _named(table: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """A copy whose groups and strata have their column's name before them, as R prints them."""
    table = table.copy()
    strata = values.get("strata") or []
    if values.get("by") and "group" in table.columns:
        table["group"] = [f"{values['by']}={group}" for group in table["group"]]
    if len(strata) == 1 and "stratum" in table.columns:
        table["stratum"] = [f"{strata[0]}={stratum}" for stratum in table["stratum"]]
    return table


def _strata_named(table: pd.DataFrame, values: dict[str, Any]) -> pd.DataFrame:
    """A copy whose strata have their column's name before them; groups as they are."""
    return _named(table, values | {"by": None})


def _one_label(table: pd.DataFrame) -> pd.DataFrame:
    """Stratum and group as one text in the column group."""
    if "stratum" not in table.columns:
        return table
    both = [f"{stratum}: {group}" for stratum, group in zip(table["stratum"], table["group"], strict=True)]
    return table.drop(columns="stratum").assign(group=both)


def _more_tables(tables: list[tuple[str, pd.DataFrame]], values: dict[str, Any]) -> list[str]:
    """Tables under the main one, each with its name."""
    return [
        line
        for name, table in tables
        for line in ("", name.replace("_", " ").capitalize(), *print_table(_named(table, values)).splitlines())
    ]


RESULTS = (KaplanMeierResult, LogrankResult)
