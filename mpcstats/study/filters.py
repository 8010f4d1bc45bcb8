"""The filter language of `where`: small, typed, checked against the data dictionary, never executed as code.

    age >= 65 and sex == 'F'          40 <= age < 65            stage in ('II', 'III') or not (bmi > 30)
    age between 40 and 64             bmi is not missing        weight / (height * height) > 30
    `waist cm` > 94                   (column names with spaces in backquotes)        consented (a boolean column)

Comparisons with a missing value are unknown, as in SQL: a row is selected only where the filter is true, and `not`
of unknown is unknown. Arithmetic on a missing value, and division by zero, give a missing value. Numbers are float64.
`and` binds closer than `or`, `not` closer than both. Keywords are not case sensitive; names and texts are.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.filter_language import (
    And,
    Arithmetic,
    ColumnValue,
    Comparison,
    Constant,
    Expression,
    Membership,
    Missing,
    Not,
    Operator,
    Or,
    Truth,
    Value,
    fail,
    parse_filter,
)
from mpcstats.study.values import as_numbers, as_text, kind_of

__all__ = ["Expression", "check_filter", "evaluate_filter", "filter_columns", "parse_filter"]


def check_filter(expression: Expression, dictionary: Dictionary) -> None:
    """Check names, types and levels against the data dictionary.

    Raises
    ------
    SpecError
        An unknown column (with near names), a comparison of different types, or a text that is not a level.
    """
    for node in _walk(expression):
        if isinstance(node, Comparison):
            for operator, left, right in zip(node.operators, node.operands[:-1], node.operands[1:], strict=True):
                _check_pair(operator, left, right, dictionary, node.position)
        elif isinstance(node, Membership):
            for option in node.options:
                _check_pair("==", node.value, option, dictionary, node.position)
        elif isinstance(node, Arithmetic):
            for operand in node.operands:
                if _type_of(operand, dictionary) != "number":
                    fail(node.position, f"arithmetic needs numbers, but {_title(operand, dictionary)} is none")
        elif isinstance(node, Truth) and _type_of(node.value, dictionary) != "truth":
            fail(node.position, f"{_title(node.value, dictionary)} alone is no condition; compare it with a value")
        elif isinstance(node, ColumnValue):
            dictionary.column(node.name)


def filter_columns(expression: Expression) -> tuple[str, ...]:
    """Names of the columns that a filter reads, each once, in order of appearance."""
    return tuple(dict.fromkeys(node.name for node in _walk(expression) if isinstance(node, ColumnValue)))


def evaluate_filter(expression: Expression, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows (bool, one per row) for which the filter is true; unknown rows are not selected.

    Raises
    ------
    SpecError
        A column does not exist in the frame, or numbers are compared with text.
    """
    true, _ = _Evaluation(frame).condition(expression)
    return np.ascontiguousarray(np.broadcast_to(true, (len(frame),)), dtype=np.bool_)


# ---------------------------------------------------------------- checking


def _walk(node: Expression | Value) -> Iterator[Expression | Value]:
    yield node
    for child in _children(node):
        yield from _walk(child)


def _children(node: Expression | Value) -> tuple[Expression | Value, ...]:
    match node:
        case And(conditions) | Or(conditions):
            return conditions
        case Not(condition):
            return (condition,)
        case Comparison(_, operands) | Arithmetic(_, operands):
            return operands
        case Membership(value, options):
            return (value, *options)
        case Missing(value) | Truth(value):
            return (value,)
    return ()


def _type_of(value: Value, dictionary: Dictionary) -> Literal["number", "text", "truth"]:
    if isinstance(value, Constant):
        return "truth" if isinstance(value.value, bool) else "text" if isinstance(value.value, str) else "number"
    if isinstance(value, ColumnValue):
        column = dictionary.column(value.name)
        return "number" if column.is_number else "truth" if column.type == "boolean" else "text"
    return "number"


def _title(value: Value, dictionary: Dictionary) -> str:
    if isinstance(value, ColumnValue):
        return dictionary.column(value.name).title
    if isinstance(value, Constant):
        if isinstance(value.value, bool):
            return str(value.value).lower()
        return f"the text {value.value[:40]!r}" if isinstance(value.value, str) else f"the number {value.value:.15g}"
    return "the computed number"


def _check_pair(operator: Operator, left: Value, right: Value, dictionary: Dictionary, position: int) -> None:
    types = _type_of(left, dictionary), _type_of(right, dictionary)
    if types[0] != types[1]:
        problem = f"{_title(left, dictionary)} cannot be compared with {_title(right, dictionary)}"
        column = next((v for v in (left, right) if isinstance(v, ColumnValue)), None)
        fail(position, problem, _comparable(dictionary.column(column.name)) if column else None)
    if types[0] != "number" and operator not in {"==", "!="}:
        fail(position, f"{_title(left, dictionary)} has no order; use ==, != or in (...)")
    for column_side, constant in ((left, right), (right, left)):
        if isinstance(column_side, ColumnValue) and isinstance(constant, Constant) and isinstance(constant.value, str):
            _check_level(dictionary.column(column_side.name), constant.value, constant.position)


def _comparable(column: Column) -> str:
    if column.type == "boolean":
        return f"compare {column.name} with true or false"
    if column.is_number:
        return f"compare {column.name} with a number, without quotes"
    return f"compare {column.name} with a text in quotes" + (f": {_levels(column)}" if column.levels else "")


def _check_level(column: Column, text: str, position: int) -> None:
    if column.levels is None or text in column.levels:
        return
    near = difflib.get_close_matches(text[:100], [str(level) for level in column.levels], n=1)
    hint = f"did you mean {near[0]!r}?" if near else None
    fail(position, f"{text[:40]!r} is not a level of {column.title}; levels: {_levels(column)}", hint)


def _levels(column: Column) -> str:
    levels = column.levels or ()
    return ", ".join(repr(level) for level in levels[:30]) + (", ..." if len(levels) > 30 else "")


# ---------------------------------------------------------------- evaluation

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
    """One frame; columns are converted once."""

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
                return np.array(value, dtype=object) if isinstance(value, str) else np.array(float(value))
            case ColumnValue(name):
                return self._column(name)
            case Arithmetic(operators, operands):
                return self._compute(operators, [self.value(operand) for operand in operands])

    def _column(self, name: str) -> _Cells:
        if name not in self._cells:
            if name not in self._frame.columns:
                raise SpecError(f"the table has no column {name!r}")
            series = self._frame[name]
            is_text = kind_of(series) in {"text", "mixed", "other"}
            self._cells[name] = as_text(series) if is_text else as_numbers(series)
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
