"""One column of a Parquet file in SQL: its value as a filter sees it, and the cells that the dictionary does not allow.

What is said here is what `check_records` does with pandas; a type of the file that is not treated here is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpcstats.node.records.checks import TIME_TOLERANCE
from mpcstats.node.records.parquet import is_text, quoted
from mpcstats.study.dictionary import Column
from mpcstats.study.values import EXACT_INTEGER, FIRST_DAY, LAST_DAY, day_number

__all__ = ["SourceColumn", "source_column"]


@dataclass
class SourceColumn:
    """A column of the file in a query.

    Attributes
    ----------
    column : Column
        Of the dictionary.
    number : int
        Its cells are called r<number> as they are in the file, c<number> as a filter sees them, i<number> by the place
        of their level in the dictionary (NULL where there is none).
    value : str
        c<number>: numbers, truth values and dates as DOUBLE, categories as VARCHAR.
    bad : list of str
        Conditions on groups of rows; a group for which one of them is true holds a cell that is not allowed.
    parameters : dict
        Of these conditions.
    """

    column: Column
    number: int
    value: str
    bad: list[str] = field(default_factory=list)
    parameters: dict[str, float] = field(default_factory=dict)

    def level_table(self) -> Any:
        """Levels and their places (pyarrow.Table)."""
        import pyarrow as pa

        levels = self.column.levels or ()
        texts = self.column.type == "category"
        cells = pa.array(levels, pa.string()) if texts else pa.array([float(level) for level in levels], pa.float64())
        return pa.table({"level": cells, "place": np.arange(len(levels))})

    def refuse(self, condition: str, *limits: float) -> None:
        """Add a condition; {0}, {1}... stand for the limits."""
        names = [f"limit{self.number}_{len(self.parameters) + place}" for place in range(len(limits))]
        self.parameters.update(zip(names, map(float, limits), strict=True))
        self.bad.append(condition.format(*(f"CAST(${name} AS DOUBLE)" for name in names)))


def source_column(column: Column, number: int, physical: Any, as_text: bool) -> SourceColumn | None:
    """The column in SQL.

    Parameters
    ----------
    physical : pyarrow.DataType
        Of the file.
    as_text : bool
        The column is text, whatever the file stores (identifiers).

    Returns
    -------
    SourceColumn, or None where the file's type is left to `check_records`.
    """
    if column.type == "category":
        source = _text(column, number, physical)
    elif as_text:
        source = None
    else:
        source = _date(column, number, physical) if column.type == "date" else _number(column, number, physical)
    if source is None:
        return None
    if column.missing == "refused":
        source.refuse(f"count(c{number}) < count(*)")
    if column.levels is not None:
        source.refuse(f"count(i{number}) < count(c{number})")
    return source


def _text(column: Column, number: int, physical: Any) -> SourceColumn | None:
    import pyarrow as pa

    if is_text(physical):
        return SourceColumn(column, number, quoted(column.name))
    if pa.types.is_integer(physical):
        return SourceColumn(column, number, f"CAST({quoted(column.name)} AS VARCHAR)")
    return None


def _number(column: Column, number: int, physical: Any) -> SourceColumn | None:
    import pyarrow as pa

    name, c, r = quoted(column.name), f"c{number}", f"r{number}"
    is_float = pa.types.is_float32(physical) or pa.types.is_float64(physical)
    if is_float:
        source = SourceColumn(column, number, f"CASE WHEN isnan({name}) THEN NULL ELSE CAST({name} AS DOUBLE) END")
        source.refuse(f"isinf(min({c})) OR isinf(max({c}))")
    elif pa.types.is_integer(physical):
        source = SourceColumn(column, number, f"CAST({name} AS DOUBLE)")
    elif pa.types.is_boolean(physical) and (column.type == "boolean" or column.levels == (0, 1)):
        return SourceColumn(column, number, f"CAST(CAST({name} AS INTEGER) AS DOUBLE)")
    else:
        return None
    if column.type == "integer":
        if is_float:
            source.refuse(f"bool_or({c} <> round({c}))")
        if is_float or physical.bit_width == 64:  # as DOUBLE, 2^53 + 1 is 2^53
            source.refuse(f"min({r}) < -{EXACT_INTEGER} OR max({r}) > {EXACT_INTEGER}")
    if column.resolution is not None:
        steps = f"{c} / {{0}}"
        source.refuse(f"bool_or(abs({steps} - round({steps})) > {{1}})", column.resolution, TIME_TOLERANCE)
    if column.range is not None:
        source.refuse(f"min({c}) < {{0}} OR max({c}) > {{1}}", *column.range)
    return source


def _date(column: Column, number: int, physical: Any) -> SourceColumn | None:
    import pyarrow as pa

    c, r = f"c{number}", f"r{number}"
    is_moment = pa.types.is_timestamp(physical) and physical.tz is None
    if not (is_moment or pa.types.is_date(physical)):
        return None
    day = f"CAST({quoted(column.name)} AS DATE)"
    source = SourceColumn(column, number, f"CAST({day} - DATE '1970-01-01' AS DOUBLE)")
    if is_moment:
        source.refuse(f"bool_or({r} <> CAST({r} AS DATE))")
    first, last = (FIRST_DAY, LAST_DAY) if column.days is None else map(day_number, column.days)
    source.refuse(f"min({c}) < {{0}} OR max({c}) > {{1}}", first, last)
    return source
