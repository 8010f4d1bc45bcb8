"""What statisticians get back: tables, a printed summary, plots, files; the same for every analysis."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.stats.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CountResult", "GwasResult", "KaplanMeierResult", "LogrankResult", "Result", "wrap"]

_SHOWN_ROWS = 40
_LINE = 100  # characters


class Result:
    """The result of one joint analysis.

    Attributes
    ----------
    outcome : Outcome
        Everything that was released, and how it was computed.
    """

    title: ClassVar[str] = "Result"

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    @property
    def table(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.outcome.tables.values()))

    @property
    def conventions(self) -> dict[str, str]:
        """Every choice that changes a digit."""
        return dict(self.outcome.conventions)

    @property
    def withheld(self) -> list[str]:
        """What disclosure control did not let out, and by whose rule."""
        return list(self.outcome.withheld)

    @property
    def run(self) -> dict[str, Any]:
        """How it was computed: parties, rounds, bytes sent, opened values."""
        return dict(self.outcome.run)

    def to_frame(self) -> pd.DataFrame:
        """A copy of the main table."""
        return self.table.copy()

    def summary(self) -> str:
        """Text in the layout of R or PLINK, with conventions, what was withheld, and run facts."""
        parts = [
            self.title,
            "",
            *self._lines(),
            "",
            *_section("Conventions", self._convention_rows()),
            *_withheld_lines(self.outcome),
            *_section("Run", self.run_facts()),
        ]
        return "\n".join(parts).rstrip() + "\n"

    def headline(self) -> str:
        """The numbers of `summary` alone, without conventions and run facts."""
        return "\n".join(self._lines())

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """The plot of this analysis: a new matplotlib Figure, or drawn into `ax`, which is returned."""
        raise SpecError(f"there is no plot for a result of {self.outcome.analysis}")

    def figures(self) -> dict[str, Figure]:
        """All plots by name, as new figures."""
        return {"plot": cast("Figure", self.plot())}

    def save(self, prefix: str | Path) -> list[Path]:
        """Write every table as `PREFIX.NAME.csv`, everything as `PREFIX.json`, the summary as `PREFIX.txt` and the
        plots as `PREFIX.png` or `PREFIX.NAME.png`.

        Doubles keep all their digits; missing values are `NA`. Folders are made as needed, files are replaced.

        Returns
        -------
        list of Path
            The files written.
        """
        base = Path(prefix)
        base.parent.mkdir(parents=True, exist_ok=True)
        written = []
        for name, table in self.outcome.tables.items():
            written.append(_beside(base, f".{name}.csv"))
            table.to_csv(written[-1], index=False, na_rep="NA", lineterminator="\n")
        for suffix, text in ((".json", self.outcome.to_json() + "\n"), (".txt", self.summary())):
            written.append(_beside(base, suffix))
            written[-1].write_text(text, encoding="utf-8")
        written += self._save_more(base)
        figures = self.figures()
        for name, figure in figures.items():
            written.append(_beside(base, ".png" if len(figures) == 1 else f".{name}.png"))
            figure.savefig(written[-1], dpi=200)
        return written

    def html_tables(self) -> list[tuple[str, str]]:
        """The tables a reader wants first, as (caption, HTML); escaped."""
        return [(name.replace("_", " "), _html_table(table)) for name, table in self.outcome.tables.items()]

    def run_facts(self) -> list[tuple[str, str]]:
        """(name, text) of the run: parties, rounds, bytes, openings, rules."""
        return _run_facts(self.outcome.run)

    def _repr_html_(self) -> str:
        tables = "".join(f"<h4>{escape(caption)}</h4>{html}" for caption, html in self.html_tables())
        facts = [*self._convention_rows(), *(("withheld", text) for text in self.withheld), *self.run_facts()]
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in facts
        )
        return f"<div><h3>{escape(self.title)}</h3>{tables}<table>{rows}</table></div>"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(f'{n} {t.shape}' for n, t in self.outcome.tables.items())}>"

    def __str__(self) -> str:
        return self.summary()

    def _lines(self) -> list[str]:
        return _print_table(self.table).splitlines()

    def _convention_rows(self) -> list[tuple[str, str]]:
        return [(name.replace("_", " "), str(text)) for name, text in self.outcome.conventions.items()]

    def _save_more(self, base: Path) -> list[Path]:
        return []

    def _rule(self, name: str) -> tuple[Any, str]:
        entry = self.outcome.run.get("rules", {}).get(name, {})
        return entry.get("value"), str(entry.get("owner", ""))

    def _by(self) -> str | None:
        by = self.outcome.values.get("by")
        return str(by) if by else None


class CountResult(Result):
    """A joint count; `table` has the columns of the breakdown, count (Int64, <NA> where suppressed) and status."""

    title = "Joint count of people"

    @property
    def value(self) -> int | None:
        """The count when there is one cell only; None when it is suppressed.

        Raises
        ------
        SpecError
            The count has a breakdown: read `table`.
        """
        if len(self.table) != 1:
            raise SpecError(f"this count has {len(self.table)} cells", hint="read .table, or count without `by`")
        count = self.table["count"].iloc[0]
        return None if pd.isna(count) else int(count)

    @property
    def suppressed(self) -> int:
        """Number of suppressed cells."""
        return int((self.table["status"] == "suppressed").sum())

    @property
    def by(self) -> list[str]:
        """Columns of the breakdown."""
        return [str(name) for name in self.table.columns if name not in {"count", "status"}]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Bars, suppressed cells hatched."""
        from mpcstats.sdk.plots.counts import plot_counts

        return plot_counts(self.table, by=self.by, minimum_count=int(self._rule("minimum_count")[0] or 0), ax=ax)

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        return [("counts", _html_table(self._readable()))]

    def _lines(self) -> list[str]:
        return _print_table(self._readable()).splitlines()

    def _readable(self) -> pd.DataFrame:
        """The count column says "suppressed" where there is no number."""
        table = self.table.drop(columns="status")
        table["count"] = ["suppressed" if pd.isna(n) else f"{int(n):,}" for n in self.table["count"]]
        return table


class KaplanMeierResult(Result):
    """Survival curves; `table` has one row per group and time."""

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
        shown = self.curve.head(_SHOWN_ROWS)
        more = "" if len(shown) == len(self.curve) else f", first {len(shown)} of {len(self.curve)} rows"
        rounded = ", rounded by disclosure control" if self.rounded else ""
        return [("medians", _html_table(self._median_table())), (f"curve{rounded}{more}", _html_table(shown))]

    def _lines(self) -> list[str]:
        lines = _print_table(self._median_table()).splitlines()
        rounded = "rounded by disclosure control" if self.rounded else "exact"
        return [*lines, "", f"The curve ({rounded}) has {len(self.curve):,} rows: .to_frame()"]

    def _band(self) -> str | None:
        values = self.outcome.values
        if values.get("conf_type") and values.get("conf_level"):
            return f"band: {100 * float(values['conf_level']):g}% limits ({values['conf_type']})"
        named = self.outcome.conventions.get("confidence interval")
        return f"band: {named}" if named else None

    def _median_table(self) -> pd.DataFrame:
        by, level = self._by(), self.outcome.values.get("conf_level")
        table = self.medians.copy()
        if by:
            table["group"] = [f"{by}={group}" for group in table["group"]]
        if level:
            table = table.rename(columns={"lower": f"{float(level):g}LCL", "upper": f"{float(level):g}UCL"})
        return table

    def _groups(self) -> list[tuple[str, pd.DataFrame]]:
        names = self.medians["group"].tolist()
        return [(name, self.curve[self.curve["group"] == name]) for name in names]


class LogrankResult(Result):
    """Log-rank test; `table` has group, records, observed, expected."""

    title = "Log-rank test"

    @property
    def chi_square(self) -> float:
        """The test statistic."""
        return float(_number(self.outcome.values["chi_square"]))

    @property
    def degrees_of_freedom(self) -> int:
        """Groups with expected events, less one."""
        return int(self.outcome.values["degrees_of_freedom"])

    @property
    def p_value(self) -> float:
        """Upper tail of chi-square."""
        return float(_number(self.outcome.values["p_value"]))

    @property
    def p_text(self) -> str:
        """For a plot: "log-rank p = 0.0013"."""
        return f"log-rank p {_p_phrase(self.p_value)}"

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Observed beside expected events."""
        from mpcstats.sdk.plots.survival import plot_observed_expected

        return plot_observed_expected(self.table, ax=ax, by=self._by(), p_text=self.p_text)

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        return [(self._verdict(), _html_table(self._readable()))]

    def _lines(self) -> list[str]:
        return [*_print_table(self._readable()).splitlines(), "", self._verdict()]

    def _verdict(self) -> str:
        return (
            f"Chisq= {self.chi_square:.4g}  on {self.degrees_of_freedom} degrees of freedom, "
            f"p {_p_phrase(self.p_value)}"
        )

    def _readable(self) -> pd.DataFrame:
        table, by = self.table.copy(), self._by()
        if by:
            table["group"] = [f"{by}={group}" for group in table["group"]]
        if {"observed", "expected"} <= set(table.columns):
            table["(O-E)^2/E"] = (table["observed"] - table["expected"]) ** 2 / table["expected"]
        return table


class GwasResult(Result):
    """Association of a trait with each variant; `table` has PLINK 2 columns and LOG10_P (-log10 of P)."""

    title = "Linear association, additive model"

    @property
    def effect_size(self) -> pd.Series[float]:
        """Change of the trait per copy of A1, by variant ID."""
        return self._column("BETA")

    @property
    def standard_error(self) -> pd.Series[float]:
        """Standard error of the effect, by variant ID."""
        return self._column("SE")

    @property
    def statistic(self) -> pd.Series[float]:
        """t, by variant ID."""
        return self._column("T_STAT")

    @property
    def p_value(self) -> pd.Series[float]:
        """Two-sided p, by variant ID."""
        return self._column("P")

    @property
    def genomic_control_lambda(self) -> float:
        """Median chi-square over its expectation under the null."""
        if self.outcome.values.get("lambda_gc") is not None:
            return float(_number(self.outcome.values["lambda_gc"]))
        from mpcstats.stats.association_table import genomic_control_lambda

        return genomic_control_lambda(p=self.table["P"].to_numpy(dtype=np.float64))

    def top(self, count: int = 10) -> pd.DataFrame:
        """The variants with the smallest p."""
        return self.table.nlargest(count, "LOG10_P")

    def plot(self, ax: Axes | None = None, *, kind: Literal["both", "manhattan", "qq"] = "both") -> Figure | Axes:
        """Manhattan and QQ plot side by side; into given axes one of them, the Manhattan plot unless `kind` says qq."""
        from mpcstats.sdk.plots.association import plot_association, plot_manhattan, plot_qq

        if kind == "qq":
            return plot_qq(self.table, ax=ax, genomic_control_lambda=self.genomic_control_lambda)
        if kind == "manhattan" or ax is not None:
            return plot_manhattan(self.table, ax=ax)
        return plot_association(self.table, genomic_control_lambda=self.genomic_control_lambda)

    def figures(self) -> dict[str, Figure]:
        """See `Result.figures`."""
        return {"manhattan": cast("Figure", self.plot(kind="manhattan")), "qq": cast("Figure", self.plot(kind="qq"))}

    def write_plink(self, path: str | Path) -> Path:
        """Write a PLINK 2 `.glm.linear` file; folders are made as needed."""
        from mpcstats.stats.association_table import write_plink

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return write_plink(self.table, path)

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        return [(", ".join(f"{name} {text}" for name, text in self._totals()), _html_table(self.top()))]

    def _save_more(self, base: Path) -> list[Path]:
        return [self.write_plink(_beside(base, ".glm.linear"))]

    def _column(self, name: str) -> pd.Series[float]:
        values = self.table[name].to_numpy(dtype=np.float64)
        return pd.Series(values, index=pd.Index(self.table["ID"], name="ID"), name=name)

    def _totals(self) -> list[tuple[str, str]]:
        table = self.table
        tested = int(table["P"].notna().sum())
        codes = table.loc[table["ERRCODE"] != ".", "ERRCODE"].value_counts()
        level = table["LOG10_P"].to_numpy(dtype=np.float64)
        rows = [("variants", f"{len(table):,}"), ("with a result", f"{tested:,}")]
        rows += [(str(code), f"{int(number):,}") for code, number in codes.items()]
        if self.outcome.values.get("people") is not None:
            rows.insert(0, ("people", f"{int(self.outcome.values['people']):,}"))
        return [
            *rows,
            ("lambda", f"{self.genomic_control_lambda:.4f}"),
            ("p < 5e-8", f"{int(np.sum(level > -math.log10(5e-8))):,}"),
            ("p < 1e-5", f"{int(np.sum(level > 5)):,}"),
        ]

    def _lines(self) -> list[str]:
        top = self.top().drop(columns=["TEST", "ERRCODE"])
        return [*_pairs(self._totals()), "", "Variants with the smallest p", *_print_table(top).splitlines()]


_CLASSES: dict[str, Callable[[Outcome], Result]] = {
    "count": CountResult,
    "kaplan-meier": KaplanMeierResult,
    "logrank": LogrankResult,
    "gwas": GwasResult,
}


def wrap(outcome: Outcome) -> Result:
    """The result object for an outcome.

    Raises
    ------
    SpecError
        This version knows no such analysis.
    """
    if outcome.analysis not in _CLASSES:
        raise SpecError(
            f"this version does not know results of {outcome.analysis!r}",
            hint="update mpcstats, or read outcome.tables",
        )
    return _CLASSES[outcome.analysis](outcome)


def _beside(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _p_phrase(p: float) -> str:
    if math.isnan(p):
        return "= NA"
    return f"= {p:.3g}" if p > 0 else "< 1e-300"


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f"  {line}" for line in _pairs(rows)]
    return [title, *lines, ""] if lines else []


def _withheld_lines(outcome: Outcome) -> list[str]:
    return ["Withheld", *(f"  {text}" for text in outcome.withheld or ["nothing"]), ""]


def _pairs(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, _LINE - width, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"{name:<{width}}  {first}".rstrip(), *(f"{'':<{width}}  {line}" for line in more)]
    return lines


def _run_facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if "parties" in run:
        names = ", ".join(str(name) for name in run["parties"])
        rows.append(("parties", f"{names} (threshold {run['threshold']})" if "threshold" in run else names))
    if "rounds" in run:
        seconds = f" in {float(run['seconds']):.2f} s" if run.get("seconds") is not None else ""
        rows.append(("rounds", f"{run['rounds']}{seconds}"))
    if run.get("bytes_sent"):
        rows.append(("bytes sent", ", ".join(f"{party} {int(n):,}" for party, n in run["bytes_sent"].items())))
    if run.get("opened"):
        rows.append(("opened", "; ".join(_opening(item) for item in run["opened"])))
    if run.get("masked_openings") and run.get("kappa_total") is not None:
        security = f"statistical security {run['kappa_total']:.4g} bits"
        rows.append(("masked openings", f"{run['masked_openings']} ({security})"))
    owners: dict[str, list[str]] = {}
    for name, rule in (run.get("rules") or {}).items():
        owners.setdefault(str(rule.get("owner")), []).append(f"{name} = {rule.get('value')}")
    rows += [(f"rules of {owner}", ", ".join(rules)) for owner, rules in owners.items()]
    return rows


def _opening(item: dict[str, Any]) -> str:
    values = item.get("values")
    if values is None and item.get("shape") is not None:
        values = math.prod(item["shape"])
    count = len(values) if isinstance(values, list | tuple) else values
    if not isinstance(count, int):
        return str(item["name"])
    return f"{item['name']} ({count:,} value{'' if count == 1 else 's'})"


def _print_table(table: pd.DataFrame) -> str:
    shown = table.head(_SHOWN_ROWS)
    lines = _text_columns(shown).to_string(index=False) if len(table) else "(no rows)"
    return lines if len(shown) == len(table) else f"{lines}\n... {len(table) - len(shown):,} more rows"


def _html_table(table: pd.DataFrame) -> str:
    html = _text_columns(table.head(_SHOWN_ROWS)).to_html(index=False, escape=True, border=0, classes="table")
    return str(html)


def _text_columns(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({str(name): [_cell(value) for value in table[name].tolist()] for name in table.columns})


def _cell(value: Any) -> str:
    if value is pd.NA or value is None or (isinstance(value, float) and math.isnan(value)):
        return "NA"
    if isinstance(value, float):
        return f"{value:.5g}" if not value.is_integer() or abs(value) >= 1e15 else f"{value:.0f}"
    return str(value)
