"""Steps that plans of several analyses share: which columns a request names, and what they may be used for."""

from __future__ import annotations

import math

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.filters import check_filter, filter_columns, parse_filter

__all__ = [
    "needed_variants",
    "case_value",
    "check_where",
    "few_levels",
    "levels_of",
    "listed",
    "numeric_or_boolean",
    "refuse_repeated",
    "scale",
    "where_columns",
]


def where_columns(where: str | None) -> tuple[str, ...]:
    """Names of the columns in a filter."""
    return tuple(filter_columns(parse_filter(where))) if where is not None else ()


def check_where(where: str | None, dictionary: Dictionary) -> None:
    """Check a filter against the dictionary."""
    if where is not None:
        check_filter(parse_filter(where), dictionary)


def refuse_repeated(names: tuple[str, ...], where: str) -> None:
    """Refuse a column that is named twice; `where` says in what."""
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise SpecError(f"{where} must name different columns; {', '.join(map(repr, repeated))} is named twice")


def levels_of(name: str, dictionary: Dictionary, where: str) -> tuple[Level, ...]:
    """The levels of a column that makes groups or cells; refuses a column without."""
    column = dictionary.column(name)
    if column.type in {"decimal", "date"}:
        raise SpecError(f"{column.title} cannot be used in {where}: it has no levels, and a breakdown needs some")
    if not column.levels:
        raise SpecError(
            f"{column.title} cannot be used in {where}: the data dictionary lists no levels for it",
            hint=f"add levels = [...] to column {name!r} of the dictionary",
        )
    return column.levels


def numeric_or_boolean(column: Column, role: str) -> Column:
    """The column itself; refuses a category and a date."""
    if column.type == "date":
        raise SpecError(
            f"{column.title} cannot be {role}: a number or a boolean column is needed",
            hint="agree on a column with the days since a day of the study; dates themselves are for `where`",
        )
    if column.type == "category":
        raise SpecError(
            f"{column.title} cannot be {role}: a number or a boolean column is needed",
            hint="code its levels as 0/1 columns",
        )
    return column


def scale(column: Column, use: str) -> tuple[float, float]:
    """Middle and half width of a column's range; half width 1 where the range is a single number."""
    if column.type == "date":
        numeric_or_boolean(column, f"used in {use}")
    if column.type == "boolean":
        return 0.5, 0.5
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be used in {use}: its range is not known, and numbers are scaled by it",
            hint=f"add range = [low, high] to column {column.name!r} of the dictionary",
        )
    low, high = column.range
    center = low / 2 + high / 2
    half_width = max(high - center, center - low)  # rounding of the center must not push an end beyond 1
    return center, half_width if half_width > 0 else 1.0


def few_levels(column: Column, most: int) -> tuple[float, ...]:
    """All values that can occur, if these are at most `most`; else ()."""
    levels = [float(level) for level in column.levels or ()]
    if not levels and column.range is not None and column.step is not None:
        low, high = (math.ceil(column.range[0] / column.step), math.floor(column.range[1] / column.step))
        levels = [k * column.step for k in range(low, min(high, low + most) + 1)]
    return tuple(levels) if len(levels) <= most else ()


def listed(column: Column) -> str:
    """The levels of a column as text, at most thirty."""
    levels = column.levels or ()
    return ", ".join(repr(level) for level in levels[:30]) + (", ..." if len(levels) > 30 else "")


def case_value(name: str, dictionary: Dictionary) -> int:
    """The value that means a case: 1 of 0/1 and of a boolean column, 2 of 1/2.

    Raises
    ------
    SpecError
        The column is coded otherwise.
    """
    column = numeric_or_boolean(dictionary.column(name), "a case/control phenotype")
    if column.type == "boolean":
        return 1
    levels = set(few_levels(column, 2))
    for case in (1, 2):
        if levels and levels <= {float(case - 1), float(case)} and float(case) in levels:
            return case
    raise SpecError(
        f"{column.title} cannot be a case/control phenotype: it must be boolean, 0/1, or 1/2 (2 is a case)",
        hint=f"code {name!r} as 0/1; a range of [0, 1] in the dictionary says so",
    )


def needed_variants(dataset: str, variants: pd.DataFrame | None) -> pd.DataFrame:
    """The variant table of an analysis that cannot do without.

    Raises
    ------
    SpecError
        The data set has no genotypes.
    """
    if variants is None or len(variants) == 0:
        raise SpecError(
            f"data set {dataset!r} has no genotypes",
            hint="name a PLINK prefix or a VCF file: `genotypes` in party.toml, or "
            'ms.Dataset("traits.csv", genotypes="chr10", id="IID")',
        )
    return variants
