"""Steps from records to numbers that preparations share: selected rows, positions of levels, people, the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.harmonise import Harmonisation
from mpcstats.node.records.queries import select_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions import Level
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.filters import parse_filter
from mpcstats.study.values import as_text

__all__ = [
    "Preparation",
    "people_of_rows",
    "positions",
    "refuse_missing",
    "refuse_several_rows_per_person",
    "report",
    "selected_rows",
]


@dataclass(frozen=True)
class Preparation:
    """How many rows went which way: for the owner's own log, never sent.

    Attributes
    ----------
    rows : int
        Rows of the table.
    selected : int
        Rows that `where` selects (association: all).
    incomplete : int
        Selected rows left out because a value is missing.
    without_genotype : int
        Association: table rows whose id no genotype sample has.
    without_row : int
        Association: genotype samples whose id no table row has.
    used : int
        Rows in the contribution.
    nearly : int
        Of those without a genotype: rows whose id would fit a sample but for letter case, leading zeros, or a family id
        in front of it.
    variants : Harmonisation or None
        How the site's variants map onto the study's list, where there is one.
    without_consent : int
        Rows that were left out before all others were counted; not among `rows`.
    """

    rows: int
    selected: int
    incomplete: int
    without_genotype: int
    without_row: int
    used: int
    nearly: int = 0
    variants: Harmonisation | None = None
    without_consent: int = 0

    def counts(self) -> dict[str, int]:
        """All numbers by name, for the log."""
        plain = asdict(self)
        variants = plain.pop("variants") or {}
        return plain | {f"variants_{name}": count for name, count in variants.items()}

    def __str__(self) -> str:
        parts = [f"{self.used:,} of {self.rows:,} rows used"]
        reasons = {
            "not selected": self.rows - self.selected,
            "incomplete": self.incomplete,
            "without genotype": self.without_genotype,
        }
        parts += [f"{count:,} {reason}" for reason, count in reasons.items() if count]
        if self.nearly:
            parts.append(f"{self.nearly:,} of them would match but for letter case, leading zeros or the family id")
        if self.without_consent:
            parts.append(f"{self.without_consent:,} rows without consent never looked at")
        if self.without_row:
            parts.append(f"{self.without_row:,} genotype samples without row")
        if self.variants is not None:
            parts.append(str(self.variants))
        return ", ".join(parts)


def report(selected: NDArray[np.bool_], complete: NDArray[np.bool_]) -> Preparation:
    """The report of an analysis without genotypes, from masks of its rows; complete rows are selected ones."""
    chosen, used = int(selected.sum()), int(complete.sum())
    return Preparation(len(selected), chosen, chosen - used, without_genotype=0, without_row=0, used=used)


def selected_rows(where: str | None, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """The rows that a filter selects; all without one."""
    if where is None:
        return np.ones(len(frame), dtype=np.bool_)
    return select_rows(parse_filter(where), frame)


def positions(cells: pd.Series[Any], levels: Sequence[Level]) -> NDArray[np.int64]:
    """Index of each cell's level, -1 where it is missing or another."""
    if cells.dtype == object:
        return pd.Index([str(level) for level in levels], dtype=object).get_indexer(pd.Index(cells)).astype(np.int64)
    return pd.Index([float(level) for level in levels], dtype=np.float64).get_indexer(pd.Index(cells)).astype(np.int64)


def people_of_rows(records: Records, column: str, party: str) -> NDArray[np.int64]:
    """The number of each row's person, by the column that identifies people; refuses rows without a person."""
    if column not in records.names:
        problem = f"the table has no column {column!r}, which identifies people (unit_of_count)"
        raise DataError(problem, party=party, hint="check the table, or the dictionary")
    people = pd.factorize(as_text(records.columns([column])[column]))[0]
    unknown = int((people < 0).sum())
    if unknown:
        raise DataError(f"{unknown} rows have no person in column {column!r} (unit_of_count)", party=party)
    return people.astype(np.int64)


def refuse_several_rows_per_person(records: Records, dictionary: Dictionary, use: str, party: str) -> None:
    """Where the dictionary says who is a person, each has one row; `use` is the analysis, for the error."""
    if dictionary.unit_of_count is None:
        return
    people = people_of_rows(records, dictionary.unit_of_count, party)
    several = int((np.bincount(people) > 1).sum()) if people.size else 0
    if several:
        raise DataError(
            f"{several} people of column {dictionary.unit_of_count!r} have more than one row, and {use} needs one row "
            "per person",
            party=party,
            hint="offer a data set with one row per person",
        )


def refuse_missing(frame: pd.DataFrame, name: str, party: str) -> None:
    """Refuse a table with rows without a value of a column, whatever `where` selects."""
    missing = int(frame[name].isna().sum())
    if missing:
        raise DataError(
            f"{missing} rows have no value of column {name!r}",
            party=party,
            hint='missing="drop" leaves such rows out (complete cases, as R does)',
        )
