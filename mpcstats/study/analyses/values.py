"""Numeric columns in groups, as a plan of `ValuesPlan`'s kind has them: ranges, steps, possible values."""

from __future__ import annotations

import math
from typing import Any

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.values import FEW_VALUES, MAX_VALUE_CELLS
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, few_levels, levels_of, numeric_or_boolean, refuse_repeated

__all__ = ["value_fields"]


def value_fields(
    columns: tuple[str, ...], by: tuple[str, ...], where: str | None, dictionary: Dictionary, use: str
) -> dict[str, Any]:
    """The fields of a `ValuesPlan`; `use` is the analysis, for errors.

    Raises
    ------
    SpecError
        A column is no number, its range is not known, or there are too many groups.
    """
    check_where(where, dictionary)
    refuse_repeated((*columns, *by), "the columns and `by`")
    found = [_range(numeric_or_boolean(dictionary.column(name), f"described in {use}"), use) for name in columns]
    levels = tuple(levels_of(name, dictionary, "`by`") for name in by)
    cells = len(columns) * math.prod(map(len, levels))
    if cells > MAX_VALUE_CELLS:
        raise SpecError(
            f"{len(columns)} columns in the groups of {', '.join(by)} make {cells:,} cells; at most "
            f"{MAX_VALUE_CELLS:,} are allowed",
            hint="ask for fewer columns at a time, or leave a column out of `by`",
        )
    return {
        "columns": columns,
        "ranges": tuple(ends for ends, _, _ in found),
        "steps": tuple(step for _, step, _ in found),
        "possible": tuple(values for _, _, values in found),
        "by": by,
        "levels": levels,
    }


def _range(column: Column, use: str) -> tuple[tuple[float, float], float, tuple[float, ...]]:
    """Range, step (0: none) and, where these are few, possible values of a column."""
    if column.type == "boolean":
        return (0.0, 1.0), 1.0, (0.0, 1.0)
    if column.range is None and column.levels:
        ends = (float(min(column.levels)), float(max(column.levels)))
    elif column.range is None:
        raise SpecError(
            f"{column.title} cannot be used in {use}: its range is not known, and sums are formed around its middle",
            hint=f"add range = [low, high] to column {column.name!r} of the dictionary",
        )
    else:
        ends = column.range
    return ends, column.step or 0.0, tuple(sorted(few_levels(column, FEW_VALUES)))
