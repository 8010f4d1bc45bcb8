"""People per cell of a site's table: what counts and cross-tabulations have in common at a node."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.checks import check_records
from mpcstats.node.datasource import Records
from mpcstats.node.parquet import ParquetTable
from mpcstats.node.rows import Preparation, people_of_rows, positions, report, selected_rows
from mpcstats.node.scan import scan_cells
from mpcstats.stats.contributions import Level
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import where_columns

__all__ = ["cell_counts"]


def cell_counts(
    records: Records,
    dictionary: Dictionary,
    where: str | None,
    by: Sequence[str],
    levels: Sequence[Sequence[Level]],
    party: str,
) -> tuple[NDArray[np.int64], Preparation]:
    """Count the people of each cell among the rows that a filter selects.

    A Parquet file is counted by DuckDB as it is read (`scan_cells`); any other table in memory.

    Parameters
    ----------
    where : str or None
        A filter that fits the dictionary; None selects every row.
    by : sequence of str
        Columns, one per axis; () for a single count.
    levels : sequence of sequences
        Of each axis, in its order. A row whose value is missing, or none of them, is in no cell.
    party : str
        Owner, named in errors.

    Returns
    -------
    counts : int64, one axis per column of `by`
        Rows; with `unit_of_count` people, each once per cell.
    report : Preparation

    Raises
    ------
    DataError
        See `check_records`; or a row without a person, where the dictionary says who is one. Depends on the whole
        table, never on the rows that the filter selects.
    """
    if isinstance(records.source, ParquetTable):
        found = scan_cells(records.source, dictionary, where, by, levels)
        if found is not None:
            return found
    return _from_memory(records, dictionary, where, by, levels, party)


def _from_memory(
    records: Records,
    dictionary: Dictionary,
    where: str | None,
    by: Sequence[str],
    levels: Sequence[Sequence[Level]],
    party: str,
) -> tuple[NDArray[np.int64], Preparation]:
    """As `cell_counts`; the slow twin of `scan_cells`."""
    frame = check_records(records, dictionary, (*where_columns(where), *by), party)
    selected = selected_rows(where, frame)
    cell = np.zeros(len(frame), dtype=np.int64)
    complete = selected.copy()
    for name, axis in zip(by, levels, strict=True):
        position = positions(frame[name], axis)
        complete &= position >= 0
        cell = cell * len(axis) + np.maximum(position, 0)
    cell = cell[complete]
    if dictionary.unit_of_count is not None:
        people = people_of_rows(records, dictionary.unit_of_count, party)[complete]
        cell = pd.DataFrame({"cell": cell, "person": people}).drop_duplicates()["cell"].to_numpy(dtype=np.int64)
    shape = tuple(len(axis) for axis in levels)
    counts = np.bincount(cell, minlength=math.prod(shape)).astype(np.int64).reshape(shape)
    return counts, report(selected, complete)
