"""People per cell of a site's table: what counts and cross-tabulations have in common at a node."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.ledger.releases import ROWS, Snapshot
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.parquet import ParquetTable
from mpcstats.node.records.rows import Preparation, people_of_rows, positions, report, selected_rows
from mpcstats.node.records.scan import scan_cells
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions import Level
from mpcstats.stats.differencing import Members
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import where_columns
from mpcstats.study.values import as_text

__all__ = ["cell_counts", "cell_people", "table_digest"]


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
    cell, selected, complete = _cells_of_rows(records, dictionary, where, by, levels, party)
    if dictionary.unit_of_count is not None:
        people = people_of_rows(records, dictionary.unit_of_count, party)[complete]
        cell = pd.DataFrame({"cell": cell, "person": people}).drop_duplicates()["cell"].to_numpy(dtype=np.int64)
    shape = tuple(len(axis) for axis in levels)
    counts = np.bincount(cell, minlength=math.prod(shape)).astype(np.int64).reshape(shape)
    return counts, report(selected, complete)


def cell_people(
    records: Records,
    dictionary: Dictionary,
    where: str | None,
    by: Sequence[str],
    levels: Sequence[Sequence[Level]],
    party: str,
) -> Snapshot:
    """Who is counted in which cell; parameters and errors as of `cell_counts`.

    People have the hashed value of the column that tells who is a person (`unit_of_count`), else that of the data set's
    id column, else the number of their row as key.
    """
    cell, _, complete = _cells_of_rows(records, dictionary, where, by, levels, party)
    columns = [dictionary.unit_of_count] if dictionary.unit_of_count is not None else []
    if not columns and records.id_column is not None:
        columns = [*([records.family_column] if records.family_column else []), records.id_column]
    rows = np.flatnonzero(complete)
    if columns:
        frame = records.columns(columns)
        texts = [as_text(frame[column])[complete].astype(str) for column in columns]
        keys = np.array([_key(parts) for parts in zip(*texts, strict=True)], np.uint64)
    else:
        keys = rows.astype(np.uint64)
    if dictionary.unit_of_count is not None:
        once = pd.DataFrame({"cell": cell, "key": keys}).drop_duplicates()
        cell, keys = once["cell"].to_numpy(dtype=np.int64), once["key"].to_numpy(dtype=np.uint64)
    keyed_by = " ".join(columns) if columns else ROWS
    return Snapshot(Members(keys, cell), keyed_by, table_digest(records.source), dictionary.unit_of_count is not None)


def _cells_of_rows(
    records: Records,
    dictionary: Dictionary,
    where: str | None,
    by: Sequence[str],
    levels: Sequence[Sequence[Level]],
    party: str,
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells of the rows that are in one, which rows are selected, and which of them are in a cell."""
    frame = check_records(records, dictionary, (*where_columns(where), *by), party)
    selected = selected_rows(where, frame)
    cell = np.zeros(len(frame), dtype=np.int64)
    complete = selected.copy()
    for name, axis in zip(by, levels, strict=True):
        position = positions(frame[name], axis)
        complete &= position >= 0
        cell = cell * len(axis) + np.maximum(position, 0)
    return cell[complete], selected, complete


def _key(parts: tuple[str, ...]) -> int:
    """64 bits of a hash: that two of 10^6 people share them has a probability below 10^-7."""
    text = "\x1f".join(parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def table_digest(source: pd.DataFrame | ParquetTable) -> str:
    """A digest of a table: whether it is the one of an earlier release."""
    if isinstance(source, ParquetTable):
        source.check_unchanged()
        with source.path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        # with another rule of consent, or other codes, the same file is another table
        return hashlib.sha256(f"{content}\x1f{source.view}".encode()).hexdigest() if source.view else content
    total = hashlib.sha256("\x1f".join(map(str, source.columns)).encode())
    if len(source):
        total.update(pd.util.hash_pandas_object(source, index=False, categorize=False).to_numpy().tobytes())
    return total.hexdigest()
