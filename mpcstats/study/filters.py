"""The filter language of `where`: small, typed, checked against the data dictionary, never executed as code.

    age >= 65 and sex == 'F'          40 <= age < 65            stage in ('II', 'III') or not (bmi > 30)
    age between 40 and 64             bmi is not missing        weight / (height * height) > 30
    `waist cm` > 94                   (column names with spaces in backquotes)        consented (a boolean column)
    admitted >= '2020-03-01'          discharged - admitted > 14 (days)               year(admitted) in (2020, 2021)

Comparisons with a missing value are unknown, as in SQL: a row is selected only where the filter is true, and `not`
of unknown is unknown. Arithmetic on a missing value, and division by zero, give a missing value. Numbers are float64.
`and` binds closer than `or`, `not` closer than both. Keywords are not case sensitive; names and texts are.

Where a text meets a date it is one, 'YYYY-MM-DD'. The difference of two dates is a number of days; a date and a number
of days, added or taken off, make a date. There is no today: a filter means the same whenever it runs.

Sites evaluate filters with DuckDB (`mpcstats.node.records.queries`); `evaluate_filter` here is the slow twin that says
what is right.
"""

from __future__ import annotations

import datetime
import difflib

from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.filter_language import (
    Arithmetic,
    ColumnValue,
    Comparison,
    Constant,
    DatePart,
    Expression,
    Membership,
    Operator,
    Truth,
    Value,
    fail,
    parse_filter,
)
from mpcstats.study.filter_rows import evaluate_filter
from mpcstats.study.filter_types import ValueType, children, step_types, type_of_value, walk, with_dates

__all__ = ["Expression", "check_filter", "evaluate_filter", "filter_columns", "parse_filter", "type_of_column"]


def check_filter(expression: Expression, dictionary: Dictionary) -> None:
    """Check names, types, levels and dates against the data dictionary.

    Raises
    ------
    SpecError
        An unknown column (with near names), a comparison of different types, a text that is not a level, or no date.
    """
    for name in filter_columns(expression):
        dictionary.column(name)
    _check_node(with_dates(expression, lambda name: type_of_column(dictionary.column(name))), dictionary)


def _check_node(node: Expression | Value, dictionary: Dictionary) -> None:
    for child in children(node):
        _check_node(child, dictionary)
    if isinstance(node, Comparison):
        for operator, left, right in zip(node.operators, node.operands[:-1], node.operands[1:], strict=True):
            _check_pair(operator, left, right, dictionary, node.position)
    elif isinstance(node, Membership):
        for option in node.options:
            _check_pair("==", node.value, option, dictionary, node.position)
    elif isinstance(node, Arithmetic):
        _check_arithmetic(node, dictionary)
    elif isinstance(node, DatePart) and _type_of(node.value, dictionary) != "date":
        fail(node.position, f"{node.part}(...) needs a date, but {_title(node.value, dictionary)} is none")
    elif isinstance(node, Truth) and _type_of(node.value, dictionary) != "truth":
        fail(node.position, f"{_title(node.value, dictionary)} alone is no condition; compare it with a value")


def filter_columns(expression: Expression) -> tuple[str, ...]:
    """Names of the columns that a filter reads, each once, in order of appearance."""
    return tuple(dict.fromkeys(node.name for node in walk(expression) if isinstance(node, ColumnValue)))


# ---------------------------------------------------------------- checking


def type_of_column(column: Column) -> ValueType:
    """What the cells of a column are in a filter."""
    if column.is_number:
        return "number"
    return {"boolean": "truth", "date": "date"}.get(column.type, "text")  # type: ignore[return-value]


def _type_of(value: Value, dictionary: Dictionary) -> ValueType:
    return type_of_value(value, lambda name: type_of_column(dictionary.column(name)))


def _check_arithmetic(node: Arithmetic, dictionary: Dictionary) -> None:
    for operand in node.operands:
        if _type_of(operand, dictionary) not in {"number", "date"}:
            fail(node.position, f"arithmetic needs numbers, but {_title(operand, dictionary)} is none")
    if None in step_types(node, lambda name: type_of_column(dictionary.column(name))):
        hint = "date - date is a number of days; date + days and date - days are dates"
        date = next(operand for operand in node.operands if _type_of(operand, dictionary) == "date")
        fail(node.position, f"{_title(date, dictionary)} cannot be part of this arithmetic", hint)


def _title(value: Value, dictionary: Dictionary) -> str:
    if isinstance(value, ColumnValue):
        return dictionary.column(value.name).title
    if isinstance(value, Constant):
        if isinstance(value.value, bool):
            return str(value.value).lower()
        if isinstance(value.value, datetime.date):
            return f"the date '{value.value}'"
        return f"the text {value.value[:40]!r}" if isinstance(value.value, str) else f"the number {value.value:.15g}"
    return "the computed date" if _type_of(value, dictionary) == "date" else "the computed number"


def _check_pair(operator: Operator, left: Value, right: Value, dictionary: Dictionary, position: int) -> None:
    types = _type_of(left, dictionary), _type_of(right, dictionary)
    if types[0] != types[1]:
        problem = f"{_title(left, dictionary)} cannot be compared with {_title(right, dictionary)}"
        column = next((v for v in (left, right) if isinstance(v, ColumnValue)), None)
        fail(position, problem, _comparable(dictionary.column(column.name)) if column else None)
    if types[0] not in {"number", "date"} and operator not in {"==", "!="}:
        fail(position, f"{_title(left, dictionary)} has no order; use ==, != or in (...)")
    for column_side, constant in ((left, right), (right, left)):
        if isinstance(column_side, ColumnValue) and isinstance(constant, Constant) and isinstance(constant.value, str):
            _check_level(dictionary.column(column_side.name), constant.value, constant.position)


def _comparable(column: Column) -> str:
    if column.type == "boolean":
        return f"compare {column.name} with true or false"
    if column.is_number:
        return f"compare {column.name} with a number, without quotes"
    if column.type == "date":
        return f"compare {column.name} with a date in quotes, 'YYYY-MM-DD'"
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
