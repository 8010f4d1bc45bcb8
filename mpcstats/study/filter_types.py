"""Types of the parts of a filter: numbers, texts, truth values and dates; texts that stand for dates become dates."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

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
    fail,
)
from mpcstats.study.values import parse_day

__all__ = ["TypeOfColumn", "ValueType", "children", "step_types", "type_of_value", "walk", "with_dates"]

ValueType = Literal["number", "text", "truth", "date"]
TypeOfColumn = Callable[[str], ValueType]
V = TypeVar("V", bound=Value)


def walk(node: Expression | Value) -> Iterator[Expression | Value]:
    """The node and all parts below it, from the left."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Expression | Value) -> tuple[Expression | Value, ...]:
    """The parts of a node."""
    match node:
        case And(conditions) | Or(conditions):
            return conditions
        case Not(condition):
            return (condition,)
        case Comparison(_, operands) | Arithmetic(_, operands):
            return operands
        case Membership(value, options):
            return (value, *options)
        case Missing(value) | Truth(value) | DatePart(_, value):
            return (value,)
    return ()


def type_of_value(value: Value, type_of: TypeOfColumn) -> ValueType:
    """What a value is: a date minus a date is a number, a date and a number of days make a date."""
    match value:
        case Constant(constant):
            # a truth value is an int, too
            known: dict[type, ValueType] = {bool: "truth", str: "text", datetime.date: "date"}
            return known.get(type(constant), "number")
        case ColumnValue(name):
            return type_of(name)
        case Arithmetic():
            *_, last = step_types(value, type_of)
            return last or "number"
    return "number"


def step_types(value: Arithmetic, type_of: TypeOfColumn) -> Iterator[ValueType | None]:
    """The type after each operation; None where the operands do not go together, and nothing after it."""
    types = [type_of_value(operand, type_of) for operand in value.operands]
    if len(types) == 1:
        yield "number" if types == ["number"] else None
        return
    result = types[0]
    for operator, operand in zip(value.operators, types[1:], strict=True):
        found = _RESULTS.get((result, operator, operand))
        if found is None and (result, operand) == ("number", "number"):
            found = "number"
        yield found
        if found is None:
            return
        result = found


_RESULTS: dict[tuple[str, str, str], ValueType] = {
    ("date", "-", "date"): "number",
    ("date", "-", "number"): "date",
    ("date", "+", "number"): "date",
    ("number", "+", "date"): "date",
}


def with_dates(expression: Expression, type_of: TypeOfColumn) -> Expression:
    """The same filter, where texts that meet a date are dates.

    Raises
    ------
    SpecError
        Such a text is no date; with its position.
    """
    return _Dates(type_of).condition(expression)


class _Dates:
    def __init__(self, type_of: TypeOfColumn) -> None:
        self._type_of = type_of

    def condition(self, node: Expression) -> Expression:
        match node:
            case And(conditions) | Or(conditions):
                return replace(node, conditions=tuple(self.condition(part) for part in conditions))
            case Not(condition):
                return replace(node, condition=self.condition(condition))
            case Comparison(_, operands):
                values = [self.value(operand) for operand in operands]
                flags = [self._is_date(value) for value in values]
                beside = [a or b for a, b in zip([False, *flags[:-1]], [*flags[1:], False], strict=True)]
                return replace(node, operands=tuple(_dated(v, near) for v, near in zip(values, beside, strict=True)))
            case Membership(value, options):
                meets = self._among([self.value(value), *map(self.value, options)])
                return replace(node, value=meets[0], options=tuple(meets[1:]))
            case Missing(value):
                return replace(node, value=self.value(value))
        return node

    def value(self, node: Value) -> Value:
        match node:
            case Arithmetic(operators, operands):
                values = [self.value(operand) for operand in operands]
                sums = all(operator in {"+", "-"} for operator in operators) and len(values) > 1
                return replace(node, operands=tuple(self._among(values) if sums else values))
            case DatePart(_, value):
                return replace(node, value=_dated(self.value(value), True))
        return node

    def _among(self, values: Sequence[Value]) -> list[Value]:
        """All texts become dates if one of the values is a date."""
        has_date = any(self._is_date(value) for value in values)
        return [_dated(value, has_date) for value in values]

    def _is_date(self, value: Value) -> bool:
        return type_of_value(value, self._type_of) == "date"


def _dated(value: V, meets_date: bool) -> V:
    if not (meets_date and isinstance(value, Constant) and isinstance(value.value, str)):
        return value
    day = parse_day(value.value)
    if day is None:
        fail(
            value.position, f"{value.value[:40]!r} is no date", "write a date as 'YYYY-MM-DD', for example '2024-02-29'"
        )
    return replace(value, value=day)
