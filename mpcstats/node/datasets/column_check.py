"""What is wrong with one column, all of it at once: the words of `dataset check`.

`mpcstats.node.records.checks` stops at the first thing that is wrong, when an analysis reads the column. Both agree on
whether something is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.records.checks import TIME_TOLERANCE, check_records, too_large
from mpcstats.node.records.source import Records
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.files.writing import toml_scalar
from mpcstats.study.values import as_days, as_numbers, as_text, day_number, kind_of

__all__ = ["Finding", "Status", "column_findings"]

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes
    ----------
    status : "ok", "warning" or "problem"
    what : str
        Never with a record's value.
    code : str
        "" for ok.
    column : str
        "" where it is about the table.
    rows : int
        Rows concerned.
    hint : str
        What to do.
    """

    status: Status
    what: str
    code: str = ""
    column: str = ""
    rows: int = 0
    hint: str = ""


def column_findings(records: Records, dictionary: Dictionary, name: str, party: str) -> list[Finding]:
    """Everything that the dictionary does not allow in a column of the table."""
    column = dictionary.column(name)
    cells = records.columns([name])[name]
    found = [*_missing(cells, column), *_content(cells, column)]
    if not any(finding.status == "problem" for finding in found):
        try:
            check_records(records, dictionary, [name], party)
        except DataError as error:
            found.append(Finding("problem", error.message, "E2100", name, hint=error.hint or ""))
    return found


def _missing(cells: pd.Series[Any], column: Column) -> list[Finding]:
    missing = int(cells.isna().sum())
    if not missing:
        return []
    if column.missing == "refused":
        return [_problem(column, missing, "have no value, which the dictionary does not allow", "E2106")]
    if missing == len(cells):
        return [Finding("warning", f"{column.title}: no row has a value", "E2106", column.name, missing)]
    return []


def _content(cells: pd.Series[Any], column: Column) -> list[Finding]:
    if column.type == "category":
        return _texts(cells, column)
    if column.type == "date":
        return _dates(cells, column)
    return _numbers(cells, column)


def _texts(cells: pd.Series[Any], column: Column) -> list[Finding]:
    if kind_of(cells) in {"date", "other"}:
        return [_problem(column, int(cells.notna().sum()), "hold no text", "E2102")]
    return _levels(pd.Series(as_text(cells), dtype=object), column, column.levels)


def _levels(cells: pd.Series[Any], column: Column, levels: Any) -> list[Finding]:
    if levels is None:
        return []
    known = cells.dropna()
    odd = known[~known.isin(list(levels))]
    if odd.empty:
        return []
    hint = f"map them in mapping.toml, [values.{toml_scalar(column.name)}], or agree on another dictionary"
    return [
        _problem(column, len(odd), f"hold {odd.nunique():,} codes that the dictionary does not have", "E2104", hint)
    ]


def _dates(cells: pd.Series[Any], column: Column) -> list[Finding]:
    days, wrong = as_days(cells)
    found = []
    if wrong.any():
        found.append(_problem(column, int(wrong.sum()), "hold no date YYYY-MM-DD", "E2102"))
    if column.days is not None:
        first, last = column.days
        known = days[~np.isnan(days)]
        outside = (known < day_number(first)) | (known > day_number(last))
        found += _rows(column, outside, f"are outside the range {first} to {last}", "E2103")
    return found


def _numbers(cells: pd.Series[Any], column: Column) -> list[Finding]:
    kind = kind_of(cells)
    if kind == "date":
        return [_problem(column, int(cells.notna().sum()), "hold a date instead of a number", "E2102")]
    if kind in {"text", "mixed", "other"}:
        return _no_numbers(cells, column, kind == "other")
    if kind == "boolean" and column.is_number and column.levels != (0, 1):
        return [_problem(column, int(cells.notna().sum()), "hold true or false instead of a number", "E2102")]
    values = as_numbers(cells)
    known = values[~np.isnan(values)]
    found = _rows(column, np.isinf(known), "are infinite", "E2103")
    if column.type == "integer":
        found += _rows(column, too_large(cells, known) & np.isfinite(known), "are larger than 2^53", "E2103")
    known = known[np.isfinite(known)]
    if column.type == "integer":
        found += _rows(column, known != np.rint(known), "are no whole numbers", "E2102")
    if column.resolution is not None:
        steps = known / column.resolution
        off = np.abs(steps - np.rint(steps)) > TIME_TOLERANCE
        found += _rows(column, off, f"are no whole multiples of {column.resolution:g}", "E2105")
    if column.range is not None:
        low, high = column.range
        found += _rows(column, (known < low) | (known > high), f"are outside the range {low:g} to {high:g}", "E2103")
    levels = None if column.levels is None else [float(level) for level in column.levels]
    return [*found, *_levels(pd.Series(known), column, levels)]


def _no_numbers(cells: pd.Series[Any], column: Column, other: bool) -> list[Finding]:
    numbers = pd.Series(np.nan, index=cells.index) if other else pd.to_numeric(cells, errors="coerce")
    bad = cells[numbers.isna() & cells.notna()]
    codes = pd.Series(as_text(bad if len(bad) else cells), dtype=object).dropna()
    hint = f"map them in mapping.toml, [values.{toml_scalar(column.name)}], or correct the records"
    what = f"hold text instead of a number ({codes.nunique():,} different codes)"
    return [_problem(column, len(codes), what, "E2102", hint)]


def _rows(column: Column, bad: NDArray[np.bool_], what: str, code: str) -> list[Finding]:
    return [_problem(column, int(bad.sum()), what, code)] if bad.any() else []


def _problem(
    column: Column, rows: int, what: str, code: str, hint: str = "correct the records, or agree on another dictionary"
) -> Finding:
    return Finding("problem", f"{column.title}: {rows:,} rows {what}", code, column.name, rows, hint)
