"""One column of a table, seen as numbers or as text. Missing cells stay missing; nothing is guessed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["EXACT_INTEGER", "Kind", "as_numbers", "as_text", "kind_of"]

Kind = Literal["empty", "boolean", "integer", "decimal", "text", "mixed", "other"]

EXACT_INTEGER = 2**53
"""Whole numbers up to this size are exact as float64; larger ones are refused."""

_INFERRED: dict[str, Kind] = {
    "empty": "empty",
    "string": "text",
    "boolean": "boolean",
    "integer": "integer",
    "floating": "decimal",
    "mixed-integer-float": "decimal",
    "decimal": "decimal",
    "mixed-integer": "mixed",
    "mixed": "mixed",
}


def kind_of(series: pd.Series[Any]) -> Kind:
    """What the cells of a column hold, missing ones aside.

    Returns
    -------
    str
        "integer" also for floating point numbers that are all whole (a missing cell makes pandas store integers
        as floats); "empty" if every cell is missing; "mixed" for text among numbers; "other" for dates and the like.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_bool_dtype(series.dtype) and series.dtype != object:
        kind: Kind = "boolean"
    elif pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_complex_dtype(series.dtype):
        kind = "decimal"
    elif series.dtype == object or isinstance(series.dtype, pd.StringDtype):
        kind = _INFERRED.get(pd.api.types.infer_dtype(series, skipna=True), "other")
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


def _number_kind(numbers: NDArray[np.float64]) -> Kind:
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return "empty" if np.isnan(numbers).all() else "decimal"
    return "integer" if bool(np.all(finite == np.rint(finite))) else "decimal"


def _as_string(cell: object) -> str:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)
