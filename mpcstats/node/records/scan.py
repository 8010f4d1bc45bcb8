"""Cells counted in one pass of DuckDB over a Parquet file, with the checks of `check_records` in the same pass.

The pass answers only where nothing is odd: types it knows, and not one cell that the dictionary does not allow. In all
other cases the slow way through `check_records` decides, and it finds the words for what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.node.records.parquet import ParquetTable, all_different, is_key, quoted
from mpcstats.node.records.parquet_columns import SourceColumn, source_column
from mpcstats.node.records.queries import QueryFailed
from mpcstats.node.records.rows import Preparation
from mpcstats.stats.contributions import Level
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.filter_sql import FilterQuery, SqlColumn, compile_filter
from mpcstats.study.filters import parse_filter, type_of_column
from mpcstats.study.planning import where_columns

__all__ = ["scan_cells"]


def scan_cells(
    table: ParquetTable,
    dictionary: Dictionary,
    where: str | None,
    by: Sequence[str],
    levels: Sequence[Sequence[Level]],
) -> tuple[NDArray[np.int64], Preparation] | None:
    """Count the people of each cell, as `cell_counts` does.

    Returns
    -------
    (counts, report), or None where the slow way has to decide.

    Raises
    ------
    DataError
        The query took too much time or memory, or the file has changed.
    """
    scan = _scan_of(table, dictionary, where, by)
    if scan is None:
        return None
    shape = [len(axis) for axis in levels]
    axes = [_axis(scan.sources[place], axis) for place, axis in zip(scan.by, levels, strict=True)]
    try:
        tally = scan.tally()
        if tally["bad"].any():
            return None
        used = _placed(tally, axes, shape)
        people = used if scan.is_person_per_row() else _placed(scan.people(), axes, shape)
    except QueryFailed:
        return None
    rows, selected, complete = int(tally["everybody"].sum()), int(tally["people"].sum()), int(used.sum())
    report = Preparation(rows, selected, selected - complete, without_genotype=0, without_row=0, used=complete)
    return people, report


@dataclass(frozen=True)
class _Scan:
    """One table, one filter, the columns of one breakdown.

    Attributes
    ----------
    sources : list of SourceColumn
        By their numbers.
    by : list of int
        Numbers of the columns of the breakdown.
    person : str or None
        The column that tells people apart.
    """

    table: ParquetTable
    sources: list[SourceColumn]
    by: list[int]
    person: str | None
    query: FilterQuery

    def tally(self) -> dict[str, NDArray[Any]]:
        """For each cell: `everybody`, all rows; `people`, the selected ones; `bad`, whether one is not allowed."""
        bad = [condition for source in self.sources for condition in source.bad]
        if self.person is not None:
            bad.append("count(person) < count(*)")
        everybody = "CAST(count(*) AS BIGINT) AS everybody"
        people = "CAST(count_if(selected) AS BIGINT) AS people"
        wrong = " OR ".join(f"coalesce({condition}, false)" for condition in bad) or "false"
        limits = {name: limit for source in self.sources for name, limit in source.parameters.items()}
        return self._run(self._grouped(f"{everybody}, {people}, ({wrong}) AS bad", self._rows()), limits)

    def is_person_per_row(self) -> bool:
        """Whether rows that are counted are certainly different people."""
        if self.person is None:
            return True
        counted = " AND ".join(["selected", *(f"i{number} IS NOT NULL" for number in self.by)])
        found = self._run(f"SELECT hash(person) AS hashed, {counted} AS counted FROM {self._rows()}", {})
        return all_different(found["hashed"][found["counted"]])

    def people(self) -> dict[str, NDArray[Any]]:
        """For each cell: `people`, the different ones among the selected rows."""
        keys = "".join(f"i{number}, " for number in self.by)
        # no WHERE: it would be moved into the layers of the filter, which would then be written again and again
        different = f"(SELECT DISTINCT {keys}CASE WHEN selected THEN person END AS person FROM {self._rows()})"
        return self._run(self._grouped("CAST(count(person) AS BIGINT) AS people", different), {})

    def _run(self, sql: str, limits: dict[str, float]) -> dict[str, NDArray[Any]]:
        levels = {
            f"l{source.number}": source.level_table() for source in self.sources if source.column.levels is not None
        }
        return self.table.query(sql, {**self.query.parameters, **limits}, levels)

    def _grouped(self, counts: str, rows: str) -> str:
        keys = "".join(f"coalesce(i{number}, -1) AS k{axis}, " for axis, number in enumerate(self.by))
        return f"SELECT {keys}{counts} FROM {rows}" + (" GROUP BY ALL" if keys else "")

    def _rows(self) -> str:
        """Rows of the file with the places of their levels, and whether they are selected."""
        cells = []
        for source in self.sources:
            cells += [f"{quoted(source.column.name)} AS r{source.number}", f"{source.value} AS c{source.number}"]
        if self.person is not None:
            cells.append(f"{quoted(self.person)} AS person")
        rows = self.query.over(f"(SELECT {', '.join(cells)} FROM {self.table.rows_sql})")
        joined = [source.number for source in self.sources if source.column.levels is not None]
        places = ", ".join(["t.*", *(f"l{n}.place AS i{n}" for n in joined)])
        joins = "".join(f" LEFT JOIN l{n} ON l{n}.level = t.c{n}" for n in joined)
        return f"(SELECT {places} FROM {rows} t{joins})"


def _scan_of(table: ParquetTable, dictionary: Dictionary, where: str | None, by: Sequence[str]) -> _Scan | None:
    """None where a name or a type of the file is one that DuckDB would read in another way than we do."""
    names = list(dict.fromkeys((*where_columns(where), *by)))
    person = dictionary.unit_of_count
    needed = [*names, *([person] if person is not None else [])]
    if not table.is_plain or any(name not in table.types or "\0" in name for name in needed):
        return None
    if not needed or (person is not None and not is_key(table.types[person])):
        return None
    sources = []
    for number, name in enumerate(names):
        source = source_column(dictionary.column(name), number, table.types[name], name in table.text)
        if source is None:
            return None
        sources.append(source)
    columns = {name: SqlColumn(f"c{n}", type_of_column(dictionary.column(name))) for n, name in enumerate(names)}
    query = compile_filter(None if where is None else parse_filter(where), columns)
    return _Scan(table, sources, [names.index(name) for name in by], person, query)


def _axis(source: SourceColumn, levels: Sequence[Level]) -> NDArray[np.int64]:
    """For each level of the dictionary its place on an axis, -1 where it has none; the last one for no level."""
    place = {level: number for number, level in enumerate(levels)}
    return np.array([*(place.get(level, -1) for level in source.column.levels or ()), -1], dtype=np.int64)


def _placed(
    found: dict[str, NDArray[Any]], axes: Sequence[NDArray[np.int64]], shape: Sequence[int]
) -> NDArray[np.int64]:
    """The number of people of each cell."""
    cell = np.zeros(len(found["people"]), dtype=np.int64)
    known = np.ones(len(cell), dtype=np.bool_)
    for axis, size in enumerate(shape):
        place = axes[axis][found[f"k{axis}"]]
        known &= place >= 0
        cell = cell * size + place
    counts = np.zeros(math.prod(shape), dtype=np.int64)
    np.add.at(counts, cell[known], found["people"][known])
    return counts.reshape(shape)
