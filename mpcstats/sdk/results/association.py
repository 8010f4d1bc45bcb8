"""Results of genetic association."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import beside, html_table, number, pairs, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "GwasResult"]


class GwasResult(Result):
    """Association of a trait with each variant; `table` has PLINK 2 columns and LOG10_P (-log10 of P)."""

    analysis = "gwas"

    @property
    def title(self) -> str:  # type: ignore[override]
        """What was regressed."""
        return f"{'Logistic' if self.logistic else 'Linear'} association, additive model"

    @property
    def logistic(self) -> bool:
        """True for cases and controls."""
        return "OR" in self.table.columns

    @property
    def effect_size(self) -> pd.Series[float]:
        """Change of the trait per copy of A1, or of the log odds of being a case, by variant ID."""
        if not self.logistic:
            return self._column("BETA")
        odds = self._column("OR")
        return pd.Series(np.log(odds.to_numpy()), index=odds.index, name="BETA")

    @property
    def standard_error(self) -> pd.Series[float]:
        """Standard error of the effect, by variant ID."""
        return self._column("LOG(OR)_SE" if self.logistic else "SE")

    @property
    def statistic(self) -> pd.Series[float]:
        """t, or z of a logistic regression, by variant ID."""
        return self._column("Z_STAT" if self.logistic else "T_STAT")

    @property
    def p_value(self) -> pd.Series[float]:
        """Two-sided p, by variant ID."""
        return self._column("P")

    @property
    def hits_alone(self) -> bool:
        """True when only variants beyond the threshold were released."""
        return self.outcome.values.get("release") == "hits"

    @property
    def genomic_control_lambda(self) -> float:
        """Median chi-square over its expectation under the null."""
        if self.hits_alone or self.outcome.values.get("lambda_gc") is not None:
            return float(number(self.outcome.values["lambda_gc"]))
        from mpcstats.stats.association.linear_table import genomic_control_lambda

        return genomic_control_lambda(p=self.table["P"].to_numpy(dtype=np.float64))

    def top(self, count: int = 10) -> pd.DataFrame:
        """The variants with the smallest p."""
        return self.table.nlargest(count, "LOG10_P")

    def plot(self, ax: Axes | None = None, *, kind: Literal["both", "manhattan", "qq"] = "both") -> Figure | Axes:
        """Manhattan and QQ plot side by side; into given axes one of them, the Manhattan plot unless `kind` says qq."""
        from mpcstats.sdk.plots.association import plot_association, plot_manhattan, plot_qq

        if kind == "qq" and self.hits_alone:
            raise SpecError("hits alone have no QQ plot: it needs the statistics of all variants")
        if kind == "qq":
            return plot_qq(self.table, ax=ax, genomic_control_lambda=self.genomic_control_lambda)
        if kind == "manhattan" or ax is not None or self.hits_alone:
            return plot_manhattan(self.table, ax=ax)
        return plot_association(self.table, genomic_control_lambda=self.genomic_control_lambda)

    def figures(self) -> dict[str, Figure]:
        """See `Result.figures`. Hits alone have no QQ plot."""
        if self.hits_alone:
            return {"manhattan": cast("Figure", self.plot(kind="manhattan"))} if len(self.table) else {}
        return {"manhattan": cast("Figure", self.plot(kind="manhattan")), "qq": cast("Figure", self.plot(kind="qq"))}

    def write_plink(self, path: str | Path) -> Path:
        """Write a PLINK 2 `.glm` file (see `plink_suffix`); folders are made as needed."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.logistic:
            from mpcstats.stats.association.logistic_table import write_logistic

            return write_logistic(self.table, path)
        from mpcstats.stats.association.linear_table import write_plink

        return write_plink(self.table, path)

    @property
    def plink_suffix(self) -> str:
        """End of the file's name as PLINK 2 has it."""
        if not self.logistic:
            return ".glm.linear"
        if "FIRTH?" in self.table.columns:
            return ".glm.logistic.hybrid"
        return ".glm.firth" if self.outcome.values.get("method") == "firth" else ".glm.logistic"

    def write_gwas_ssf(self, path: str | Path) -> Path:
        """Write summary statistics in the format of the GWAS catalog (GWAS-SSF 1.0); .gz compresses."""
        from mpcstats.sdk.results.gwas_files import write_gwas_ssf

        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return write_gwas_ssf(self.table, Path(path))

    def html_tables(self) -> list[tuple[str, str]]:
        """See `Result.html_tables`."""
        return [(", ".join(f"{name} {text}" for name, text in self._totals()), html_table(self.top()))]

    def _save_more(self, base: Path) -> list[Path]:
        from mpcstats.sdk.results.gwas_files import write_log

        written = [
            self.write_plink(beside(base, self.plink_suffix)),
            self.write_gwas_ssf(beside(base, ".gwas-ssf.tsv.gz")),
        ]
        return [*written, write_log(self.outcome, written, beside(base, ".log"))]

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
        values = self.outcome.values
        if self.hits_alone:
            rows = [("variants", f"{values['variants']:,}"), (f"hits, p < {values['threshold']:g}", f"{len(table):,}")]
        if self.outcome.values.get("people") is not None:
            rows.insert(0, ("people", f"{int(values['people']):,}"))
        if values.get("cases") is not None:
            rows.insert(1, ("cases", f"{int(values['cases']):,}"))
        rows.append(("lambda", f"{self.genomic_control_lambda:.4f}"))
        if self.hits_alone:
            return rows
        return [
            *rows,
            ("p < 5e-8", f"{int(np.sum(level > -math.log10(5e-8))):,}"),
            ("p < 1e-5", f"{int(np.sum(level > 5)):,}"),
        ]

    def _lines(self) -> list[str]:
        top = self.top().drop(columns=["TEST", "ERRCODE"])
        return [*pairs(self._totals()), "", "Variants with the smallest p", *print_table(top).splitlines()]


RESULTS = (GwasResult,)
