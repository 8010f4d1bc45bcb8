"""A filter evaluated with NumPy, column by column: the slow twin of the queries that sites run (`filter_sql`)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.study.filter_language import (
    And,
    Arithmetic,
    ColumnValue,
    Comparison,
    Constant,
    DatePart,
    Expression,
    Membership,
    Missing,
    Not,
    Or,
    Truth,
    Value,
)
from mpcstats.study.filter_types import ValueType, with_dates
from mpcstats.study.values import FIRST_DAY, LAST_DAY, as_days, as_numbers, as_text, day_number, kind_of

__all__ = ["evaluate_filter", "type_in_frame"]


def evaluate_filter(expression: Expression, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (bool, one per row) for which the filter is true; unknown rows are not selected.

    Raises
    ------
    SpecError
        A column does not exist in the frame, or numbers are compared with text.
    """
    true, _ = _Evaluation(frame).condition(with_dates(expression, lambda name: type_in_frame(frame, name)))
    return np.ascontiguousarray(np.broadcast_to(true, (len(frame),)), dtype=np.bool_)


def type_in_frame(frame: pd.DataFrame, name: str) -> ValueType:
    """What the cells of a column are in a filter.

    Raises
    ------
    SpecError
        There is no such column.
    """
    if name not in frame.columns:
        raise SpecError(f"the table has no column {name!r}")
    if _holds_dates(frame[name]):
        return "date"
    kind = kind_of(frame[name])
    is_text = kind in {"text", "mixed", "other"} or (kind == "empty" and frame[name].dtype == object)
    return "text" if is_text else "number"


_Cells = NDArray[np.float64] | NDArray[np.object_]
_Logic = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # (true, false); neither is unknown

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_COMPUTE: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


class _Evaluation:
    """One frame; columns are converted once. Dates are days since 1 January 1970."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._cells: dict[str, _Cells] = {}

    def condition(self, node: Expression) -> _Logic:  # noqa: PLR0911 - one return per kind of node
        match node:
            case And(conditions):
                return _all([self.condition(part) for part in conditions])
            case Or(conditions):
                true, false = _all([self.condition(part)[::-1] for part in conditions])
                return false, true
            case Not(condition):
                return self.condition(condition)[::-1]
            case Comparison(operators, operands):
                cells = [self.value(operand) for operand in operands]
                return _all([_compare(*pair) for pair in zip(operators, cells[:-1], cells[1:], strict=True)])
            case Membership(value, options):
                cells_of_value = self.value(value)
                parts = [_compare("==", cells_of_value, self.value(option)) for option in options]
                true, false = _all([part[::-1] for part in parts])
                return false, true
            case Missing(value):
                missing = _missing(self.value(value))
                return missing, ~missing
            case Truth(value):
                return _compare("==", self.value(value), np.array(1.0))

    def value(self, node: Value) -> _Cells:
        match node:
            case Constant(value):
                if isinstance(value, datetime.date):
                    return np.array(float(day_number(value)))
                return np.array(value, dtype=object) if isinstance(value, str) else np.array(float(value))
            case ColumnValue(name):
                return self._column(name)
            case Arithmetic(operators, operands):
                return self._compute(operators, [self.value(operand) for operand in operands])
            case DatePart(part, value):
                return _date_part(part, self.value(value))

    def _column(self, name: str) -> _Cells:
        if name not in self._cells:
            series = self._frame[name]
            self._cells[name] = _cells_of(series)
        return self._cells[name]

    @staticmethod
    def _compute(operators: tuple[str, ...], cells: list[_Cells]) -> _Cells:
        if any(part.dtype == object for part in cells):
            raise SpecError("arithmetic needs numbers, but the table holds text")
        if len(cells) == 1:
            return np.negative(cells[0]) if operators[0] == "-" else cells[0]
        result = cells[0]
        with np.errstate(all="ignore"):
            for operator, operand in zip(operators, cells[1:], strict=True):
                result = _COMPUTE[operator](result, operand)
                result = np.where(np.isfinite(result), result, np.nan)
        return result


def _all(parts: list[_Logic]) -> _Logic:
    """Kleene conjunction: false wins over unknown, unknown over true."""
    true, false = parts[0]
    for other_true, other_false in parts[1:]:
        true, false = true & other_true, false | other_false
    return true, false


def _compare(operator: str, left: _Cells, right: _Cells) -> _Logic:
    if (left.dtype == object) != (right.dtype == object):
        known = ~_missing(left) & ~_missing(right)
        if bool(known.any()):
            raise SpecError("numbers cannot be compared with text")
        return known, known
    known = ~(_missing(left) | _missing(right))
    holds = np.asarray(_COMPARE[operator](left, right), dtype=np.bool_)
    return known & holds, known & ~holds


def _missing(cells: _Cells) -> NDArray[np.bool_]:
    if cells.dtype == object:
        return np.asarray(pd.isna(cells), dtype=np.bool_)
    return np.isnan(np.asarray(cells, dtype=np.float64))


def _cells_of(series: pd.Series[Any]) -> _Cells:
    if _holds_dates(series):
        return as_days(series)[0]
    return as_text(series) if kind_of(series) in {"text", "mixed", "other"} else as_numbers(series)


def _holds_dates(series: pd.Series[Any]) -> bool:
    return pd.api.types.is_datetime64_any_dtype(series.dtype) or kind_of(series) == "date"


def _date_part(part: str, days: _Cells) -> _Cells:
    """Year or month of days, which may have fractions; missing beyond the years 1 to 9999."""
    if days.dtype == object:
        raise SpecError(f"{part}(...) needs a date, but the table holds text")
    whole = np.floor(np.asarray(days, dtype=np.float64))
    known = (whole >= FIRST_DAY) & (whole <= LAST_DAY)
    dates = np.where(known, whole, 0).astype(np.int64).astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64)
    numbers = np.floor_divide(months, 12) + 1970 if part == "year" else np.mod(months, 12) + 1
    return np.where(known, numbers, np.nan)
