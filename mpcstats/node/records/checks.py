"""A party's columns against the data dictionary that all parties agreed on."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.records.source import Records
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.values import EXACT_INTEGER, as_days, as_numbers, as_text, day_number, kind_of

__all__ = ["TIME_TOLERANCE", "check_records", "too_large"]

_PLINK_MISSING = -9

TIME_TOLERANCE = 1e-6
"""How far a number may be from a whole multiple of its unit, in units."""


def check_records(records: Records, dictionary: Dictionary, columns: Sequence[str], party: str) -> pd.DataFrame:
    """Check the columns that an analysis reads against the data dictionary.

    Parameters
    ----------
    columns : sequence of str
        Names in the dictionary.

    Returns
    -------
    DataFrame
        These columns only: numbers and booleans as float64 (NaN missing), categories as str objects (None missing),
        dates as datetime64[s] (NaT missing).

    Raises
    ------
    DataError
        A column is absent; text where numbers or dates belong; infinite, out of range or unknown values; missing
        values that the dictionary refuses. With the number of rows concerned.
    """
    checked: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(columns):
        column = dictionary.column(name)
        if name not in records.names:
            near = difflib.get_close_matches(name, records.names, n=1)
            hint = f"is it the column {near[0]!r}?" if near else "check the table, or the dictionary"
            raise DataError(f"the table has no column {name!r}", party=party, hint=hint)
        series = records.columns([name])[name]
        missing = int(series.isna().sum())
        if missing and column.missing == "refused":
            _refuse(column, missing, "have no value, which the dictionary does not allow", party)
        checked[name] = _checked(series, column, party)
    return pd.DataFrame(checked, index=range(records.rows))


def _checked(series: pd.Series[Any], column: Column, party: str) -> NDArray[Any]:
    if column.type == "category":
        return _checked_text(series, column, party)
    if column.type == "date":
        return _checked_dates(series, column, party)
    return _checked_numbers(series, column, party)


def _checked_numbers(series: pd.Series[Any], column: Column, party: str) -> NDArray[np.float64]:
    kind = kind_of(series)
    if kind == "date":
        _refuse(column, int(series.notna().sum()), "hold a date instead of a number", party)
    if kind in {"text", "mixed", "other"}:
        bad = int((pd.to_numeric(series, errors="coerce").isna() & series.notna()).sum()) if kind != "other" else 0
        _refuse(column, bad or int(series.notna().sum()), "hold text instead of a number", party)
    if kind == "boolean" and column.is_number and column.levels != (0, 1):
        _refuse(column, int(series.notna().sum()), "hold true or false instead of a number", party)
    values = as_numbers(series)
    bad = int(np.isinf(values).sum())
    if bad:
        _refuse(column, bad, "are infinite", party)
    known = values[~np.isnan(values)]
    if column.type == "integer":
        _refuse_rows(column, known != np.rint(known), "are no whole numbers", party)
        _refuse_rows(column, too_large(series, known), "are larger than 2^53", party)
    if column.resolution is not None:
        steps = known / column.resolution
        off = np.abs(steps - np.rint(steps)) > TIME_TOLERANCE
        _refuse_rows(column, off, f"are no whole multiples of {column.resolution:g}", party)
    if column.range is not None:
        low, high = column.range
        outside = (known < low) | (known > high)
        _refuse_rows(column, outside, f"are outside the range {low:g} to {high:g}", party, known)
    if column.levels is not None:
        levels = np.array([float(level) for level in column.levels])
        _refuse_rows(column, ~np.isin(known, levels), "are none of the levels in the dictionary", party, known)
    return values


def too_large(series: pd.Series[Any], known: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whole numbers beyond 2^53; 2^53 + 1 is 2^53 as float64, so whole numbers are compared as such."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iu":
        whole = series.to_numpy()
        return (whole > EXACT_INTEGER) | (whole < -EXACT_INTEGER)
    return np.abs(known) > EXACT_INTEGER


def _checked_text(series: pd.Series[Any], column: Column, party: str) -> NDArray[np.object_]:
    if kind_of(series) in {"date", "other"}:
        _refuse(column, int(series.notna().sum()), "hold no text", party)
    text = as_text(series)
    if column.levels is not None:
        known = pd.Series(text).dropna()
        _refuse_rows(column, ~known.isin(column.levels).to_numpy(), "are none of the levels in the dictionary", party)
    return text


def _checked_dates(series: pd.Series[Any], column: Column, party: str) -> NDArray[np.datetime64]:
    days, wrong = as_days(series)
    if kind_of(series) == "date":
        _refuse_rows(column, wrong, "hold a time of day or a time zone, or a year beyond 1 to 9999", party)
    _refuse_rows(column, wrong, "hold no date YYYY-MM-DD", party)
    known = ~np.isnan(days)
    if column.days is not None:
        first, last = column.days
        outside = (days[known] < day_number(first)) | (days[known] > day_number(last))
        _refuse_rows(column, outside, f"are outside the range {first} to {last}", party)
    dates = np.full(len(days), "NaT", dtype="datetime64[s]")
    dates[known] = days[known].astype(np.int64).astype("datetime64[D]")
    return dates


def _refuse_rows(
    column: Column, bad: NDArray[np.bool_], problem: str, party: str, values: NDArray[np.float64] | None = None
) -> None:
    if bad.any():
        codes = 0 if values is None else int((values[bad] == _PLINK_MISSING).sum())
        _refuse(column, int(bad.sum()), problem, party, codes)


def _refuse(column: Column, rows: int, problem: str, party: str, codes: int = 0) -> NoReturn:
    hint = "correct the records, or agree on another dictionary"
    if codes:
        hint = f"{codes} of them hold PLINK's code -9, which is a number here: write NA where a value is missing"
    raise DataError(f"{column.title}: {rows} rows {problem}", party=party, hint=hint)
