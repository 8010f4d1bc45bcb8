"""Results of tables of missing values."""

from __future__ import annotations

import pandas as pd

from mpcstats.sdk.results.base import Result

__all__ = ["RESULTS", "MissingnessResult"]


class MissingnessResult(Result):
    """`table` has variable, the groups, missing and people (Int64, <NA> where suppressed) and percent."""

    analysis = "missingness"
    title = "Missing values"

    @property
    def cases(self) -> pd.DataFrame:
        """Per group: people, incomplete and complete cases; Int64, <NA> where suppressed."""
        return self.outcome.tables["cases"].copy()

    def readable(self) -> pd.DataFrame:
        """Says "suppressed" where there is no number."""
        return _spelled(self.table)

    def notes(self) -> list[str]:
        """The cases of each group."""
        return [
            ", ".join(f"{name} {value}" for name, value in row.items())
            for row in _spelled(self.cases).to_dict("records")
        ]


def _spelled(table: pd.DataFrame) -> pd.DataFrame:
    for name in ("missing", "people", "incomplete", "complete"):
        if name in table.columns:
            table = table.assign(**{name: ["suppressed" if pd.isna(n) else f"{int(n):,}" for n in table[name]]})
    return table


RESULTS = (MissingnessResult,)
