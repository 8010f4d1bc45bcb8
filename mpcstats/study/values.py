"""One column of a table, seen as numbers or as text. Missing cells stay missing; nothing is guessed."""

from __future__ import annotations

import datetime
import re
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "EXACT_INTEGER",
    "FIRST_DAY",
    "LAST_DAY",
    "Kind",
    "as_days",
    "as_numbers",
    "as_text",
    "day_number",
    "day_of_number",
    "kind_of",
    "parse_day",
]

Kind = Literal["empty", "boolean", "integer", "decimal", "date", "text", "mixed", "other"]

EXACT_INTEGER = 2**53
"""Whole numbers up to this size are exact as float64; larger ones are refused."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()
FIRST_DAY = datetime.date.min.toordinal() - _EPOCH
"""1 January of the year 1, in days since 1 January 1970."""
LAST_DAY = datetime.date.max.toordinal() - _EPOCH
"""31 December 9999, in days since 1 January 1970."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_INFERRED: dict[str, Kind] = {
    "empty": "empty",
    "string": "text",
    "boolean": "boolean",
    "integer": "integer",
    "floating": "decimal",
    "mixed-integer-float": "decimal",
    "decimal": "decimal",
    "date": "date",
    "datetime": "date",
    "datetime64": "date",
    "mixed-integer": "mixed",
    "mixed": "mixed",
}


def kind_of(series: pd.Series[Any]) -> Kind:
    """What the cells of a column hold, missing ones aside.

    Returns
    -------
    str
        "integer" also for floating point numbers that are all whole (a missing cell makes pandas store integers
        as floats); "empty" if every cell is missing; "date" for points in time, too (see `as_days`); "mixed" for text
        among numbers; "other" for lengths of time and the like.
    """
    if isinstance(series.dtype, pd.CategoricalDtype | pd.ArrowDtype):
        series = series.astype(object)
    if pd.api.types.is_bool_dtype(series.dtype) and series.dtype != object:
        kind: Kind = "boolean"
    elif pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_complex_dtype(series.dtype):
        kind = "decimal"
    elif series.dtype == object or isinstance(series.dtype, pd.StringDtype):
        kind = _INFERRED.get(pd.api.types.infer_dtype(series, skipna=True), "other")
    elif pd.api.types.is_datetime64_any_dtype(series.dtype):
        kind = "date"
    else:
        return "other" if series.notna().any() else "empty"
    if kind in {"decimal", "integer"}:
        return _number_kind(as_numbers(series))
    return kind if series.notna().any() else "empty"


def as_numbers(series: pd.Series[Any]) -> NDArray[np.float64]:
    """A numeric or boolean column as float64 (rows,); true is 1, missing is NaN."""
    if isinstance(series.dtype, np.dtype) and series.dtype != object:
        return series.to_numpy(dtype=np.float64)
    missing = series.isna().to_numpy()
    numbers = np.full(len(series), np.nan)
    numbers[~missing] = series.to_numpy(dtype=object)[~missing].astype(np.float64)
    return numbers


def as_text(series: pd.Series[Any]) -> NDArray[np.object_]:
    """A column as str objects (rows,); whole numbers without decimal point, missing is None."""
    cells = series.to_numpy(dtype=object)
    missing = series.isna().to_numpy()
    text = np.empty(len(cells), dtype=object)
    known = cells[~missing]
    is_text = pd.api.types.infer_dtype(known) == "string"
    text[~missing] = known if is_text else [_as_string(cell) for cell in known]
    return text


def as_days(series: pd.Series[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column of dates, or of text that may be dates, as days since 1 January 1970.

    Returns
    -------
    days : float64 (rows,)
        NaN where a cell is missing, or is no date.
    wrong : bool (rows,)
        The cell holds something that is no date: other text, a time of day, a time zone, a year beyond 1 to 9999.
    """
    missing = series.isna().to_numpy()
    if isinstance(series.dtype, np.dtype) and series.dtype.kind == "M":
        return _whole_days(series.to_numpy(), missing)
    codes, found = pd.factorize(series.astype(object))
    numbers = np.array([_day_of(cell) for cell in found] + [np.nan])  # the last one for code -1, missing
    days = numbers[codes]
    return days, ~missing & np.isnan(days)


def parse_day(text: str) -> datetime.date | None:
    """The date that a text YYYY-MM-DD stands for, None if it is none."""
    if _DAY.fullmatch(text) is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def day_number(day: datetime.date) -> int:
    """Days since 1 January 1970."""
    return day.toordinal() - _EPOCH


def day_of_number(days: int) -> datetime.date:
    """The date so many days after 1 January 1970."""
    return datetime.date.fromordinal(days + _EPOCH)


def _whole_days(times: NDArray[Any], missing: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    whole = times.astype("datetime64[D]")
    days = whole.astype(np.int64).astype(np.float64)
    wrong = ~missing & ((whole != times) | (days < FIRST_DAY) | (days > LAST_DAY))
    return np.where(missing | wrong, np.nan, days), wrong


def _day_of(cell: object) -> float:
    """NaN for what is no day."""
    day: datetime.date | None = None
    if isinstance(cell, np.datetime64):
        cell = pd.Timestamp(cell)
    if isinstance(cell, str):
        day = parse_day(cell)
    elif isinstance(cell, datetime.datetime):
        midnight = cell.time() == datetime.time() and not getattr(cell, "nanosecond", 0)
        day = cell.date() if cell.tzinfo is None and midnight else None
    elif isinstance(cell, datetime.date):
        day = cell
    return np.nan if day is None else float(day_number(day))


def _number_kind(numbers: NDArray[np.float64]) -> Kind:
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return "empty" if np.isnan(numbers).all() else "decimal"
    return "integer" if bool(np.all(finite == np.rint(finite))) else "decimal"


def _as_string(cell: object) -> str:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)
