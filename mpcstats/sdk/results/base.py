"""What every result has: tables, a printed summary, plots, files."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.dummy import stamp, stamped
from mpcstats.sdk.results.text import DIGITS, beside, html_table, print_table, run_facts, section
from mpcstats.stats.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Result"]

_CERTIFIED = (
    "study_digest",
    "openings_digest",
    "parties",
    "data_parties",
    "threshold",
    "rules",
    "opened",
    "masked_openings",
    "kappa_total",
)


class Result:
    """The result of one joint analysis.

    A class for a new analysis names `analysis` and `title`; where the main table as released is not what a reader
    wants, it says which columns and digits, or overrides `readable`; `notes` are its sentences and `plot` its picture.

    Attributes
    ----------
    outcome : Outcome
        Everything that was released, and how it was computed.
    """

    analysis: ClassVar[str]
    """Name of the analysis whose outcomes are of this class."""

    title: ClassVar[str] = "Result"

    shown: ClassVar[tuple[str, ...] | None] = None
    """Columns of the main table that are printed, in this order; None: all. Those that it lacks are left out."""

    digits: ClassVar[int] = DIGITS
    """Significant digits of printed numbers."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if self.is_dummy:
            # a picture of dummy records must say so wherever it goes
            self.plot = stamped(self.plot)  # type: ignore[method-assign]

    @property
    def is_dummy(self) -> bool:
        """Whether the records were made up from the data dictionary."""
        return bool(self.outcome.run.get("dummy"))

    @property
    def heading(self) -> str:
        """The title; of dummy records with a mark."""
        return f"DUMMY DATA: {self.title}" if self.is_dummy else self.title

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

    @property
    def certificate(self) -> dict[str, Any]:
        """What tells this run from all others: digests of study and openings, parties, rules, openings, security."""
        return {"analysis": self.outcome.analysis} | {
            k: self.outcome.run[k] for k in _CERTIFIED if k in self.outcome.run
        }

    def to_frame(self) -> pd.DataFrame:
        """A copy of the main table."""
        return self.table.copy()

    def summary(self) -> str:
        """Text in the layout of R or PLINK, with conventions, what was withheld, and run facts."""
        parts = [
            self.heading,
            "",
            *self._lines(),
            "",
            *section("Conventions", self._convention_rows()),
            "Withheld",
            *(f"  {text}" for text in self.withheld or ["nothing"]),
            "",
            *section("Run", self.run_facts()),
        ]
        return "\n".join(parts).rstrip() + "\n"

    def headline(self) -> str:
        """The numbers of `summary` alone, without conventions and run facts."""
        return "\n".join(self._lines())

    def readable(self) -> pd.DataFrame:
        """The main table as it is printed."""
        if self.shown is None:
            return self.table
        return self.table[[name for name in self.shown if name in self.table.columns]]

    def notes(self) -> list[str]:
        """Sentences under the main table, e.g. the verdict of a test."""
        return []

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """The plot of this analysis: a new matplotlib Figure, or drawn into `ax`, which is returned."""
        raise SpecError(f"there is no plot for a result of {self.outcome.analysis}")

    def figures(self) -> dict[str, Figure]:
        """All plots by name, as new figures; empty where there is none."""
        if type(self).plot is Result.plot:
            return {}
        return {"plot": cast("Figure", self.plot())}

    def marked_figures(self) -> dict[str, Figure]:
        """As `figures`; of dummy records with a mark across each."""
        return {name: stamp(figure) if self.is_dummy else figure for name, figure in self.figures().items()}

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
            written.append(beside(base, f".{name}.csv"))
            table.to_csv(written[-1], index=False, na_rep="NA", lineterminator="\n")
        for suffix, text in ((".json", self.outcome.to_json() + "\n"), (".txt", self.summary())):
            written.append(beside(base, suffix))
            written[-1].write_text(text, encoding="utf-8")
        written += self._save_more(base)
        figures = self.marked_figures()
        for name, figure in figures.items():
            written.append(beside(base, ".png" if len(figures) == 1 else f".{name}.png"))
            figure.savefig(written[-1], dpi=200)
        return written

    def html_tables(self) -> list[tuple[str, str]]:
        """The tables a reader wants first, as (caption, HTML); escaped. The notes are the main table's caption."""
        (name, _), *others = self.outcome.tables.items()
        main = (" ".join(self.notes()) or name.replace("_", " "), html_table(self.readable(), self.digits))
        return [main, *((name.replace("_", " "), html_table(table, self.digits)) for name, table in others)]

    def run_facts(self) -> list[tuple[str, str]]:
        """(name, text) of the run: parties, rounds, bytes, openings, rules."""
        return run_facts(self.outcome.run)

    def _repr_html_(self) -> str:
        tables = "".join(f"<h4>{escape(caption)}</h4>{html}" for caption, html in self.html_tables())
        facts = [*self._convention_rows(), *(("withheld", text) for text in self.withheld), *self.run_facts()]
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in facts
        )
        return f"<div><h3>{escape(self.heading)}</h3>{tables}<table>{rows}</table></div>"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(f'{n} {t.shape}' for n, t in self.outcome.tables.items())}>"

    def __str__(self) -> str:
        return self.summary()

    def _lines(self) -> list[str]:
        notes = self.notes()
        return [*print_table(self.readable(), self.digits).splitlines(), *(["", *notes] if notes else [])]

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
