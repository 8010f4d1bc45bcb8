"""A checked filter as an SQL expression for DuckDB: values are parameters, columns have names that we gave them.

No text of the filter gets into the SQL: not its constants, not its column names. Numbers, truth values and dates (days
since 1 January 1970) are DOUBLE, texts VARCHAR, missing is NULL; there is no NaN and no infinity in a column.

Arithmetic stands in columns of nested tables, one for each pair of parentheses, so that its result is written once and
can be looked at twice: what is not finite is missing. Within one chain of operations that can wait for the end, because
nothing but a division by it makes a finite number of one that is not, and divisors are results of their own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from mpcstats.study.values import FIRST_DAY, LAST_DAY, day_number

__all__ = ["FilterQuery", "SqlColumn", "compile_filter"]

_LONGEST_CHAIN = 100
_OPERATORS = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(frozen=True)
class SqlColumn:
    """A column of the innermost table: its name there (letters and digits of ours) and what a filter may do with it."""

    name: str
    type: ValueType


@dataclass(frozen=True)
class FilterQuery:
    """A filter for DuckDB.

    Attributes
    ----------
    layers : tuple of tuples of str
        Columns to add, `expression AS name`, a nested SELECT for each tuple, the innermost first.
    condition : str
        BOOLEAN: true, false, or NULL for unknown.
    parameters : dict
        Values of the named parameters.
    """

    layers: tuple[tuple[str, ...], ...]
    condition: str
    parameters: dict[str, float | str]

    def over(self, table: str) -> str:
        """The table, a name or a SELECT in parentheses, with a column `selected` that is never NULL."""
        for layer in (*self.layers, (f"coalesce({self.condition}, false) AS selected",)):
            table = f"(SELECT *, {', '.join(layer)} FROM {table})"  # noqa: S608 - written by us, see above
        return table


def compile_filter(expression: Expression | None, columns: Mapping[str, SqlColumn]) -> FilterQuery:
    """Turn a filter that fits the dictionary into SQL.

    Parameters
    ----------
    expression : Expression or None
        None selects every row.
    columns : mapping of column name to SqlColumn

    Raises
    ------
    SpecError
        A column is not there, or types do not go together (which `check_filter` has found before).
    """
    if expression is None:
        return FilterQuery((), "true", {})

    def type_of(name: str) -> ValueType:
        if name not in columns:
            raise SpecError(f"the table has no column {name!r}")
        return columns[name].type

    writer = _Writer(columns)
    condition = writer.condition(with_dates(expression, type_of))
    return FilterQuery(tuple(tuple(layer) for layer in writer.layers), condition, writer.parameters)


@dataclass
class _Text:
    """SQL of a value, and the number of layers below it that it needs."""

    sql: str
    layer: int
    is_text: bool = False


@dataclass
class _Writer:
    columns: Mapping[str, SqlColumn]
    layers: list[list[str]] = field(default_factory=list)
    parameters: dict[str, float | str] = field(default_factory=dict)
    names: int = 0

    def condition(self, node: Expression) -> str:  # noqa: PLR0911 - one return per kind of node
        match node:
            case And(conditions):
                return _joined("AND", [self.condition(part) for part in conditions])
            case Or(conditions):
                return _joined("OR", [self.condition(part) for part in conditions])
            case Not(condition):
                return f"(NOT {self.condition(condition)})"
            case Comparison(operators, operands):
                values = [self.value(operand) for operand in operands]
                pairs = zip(operators, values[:-1], values[1:], strict=True)
                return _joined("AND", [_compared(_OPERATORS[sign], left, right) for sign, left, right in pairs])
            case Membership(value, options):
                found = self.value(value)
                return _joined("OR", [_compared("=", found, self.value(option)) for option in options])
            case Missing(value):
                return f"({self.value(value).sql} IS NULL)"
            case Truth(value):
                return f"({self.value(value).sql} = 1)"

    def value(self, node: Value) -> _Text:
        match node:
            case Constant(value):
                return self._constant(value)
            case ColumnValue(name):
                return _Text(self.columns[name].name, 0, self.columns[name].type == "text")
            case Arithmetic(operators, operands):
                return self._chain(operators, [self.value(operand) for operand in operands])
            case DatePart(part, value):
                return self._date_part(part, self.value(value), isinstance(value, ColumnValue))

    def _constant(self, value: float | str | bool | datetime.date) -> _Text:
        name = f"p{len(self.parameters)}"
        if isinstance(value, str):
            self.parameters[name] = value
            return _Text(f"CAST(${name} AS VARCHAR)", 0, is_text=True)
        self.parameters[name] = float(day_number(value) if isinstance(value, datetime.date) else value)
        return _Text(f"CAST(${name} AS DOUBLE)", 0)

    def _chain(self, operators: Sequence[str], operands: list[_Text]) -> _Text:
        if any(operand.is_text for operand in operands):
            raise SpecError("arithmetic needs numbers, but the table holds text")
        if len(operands) == 1:
            only = operands[0]
            return _Text(f"(-{only.sql})", only.layer) if operators[0] == "-" else only
        sql, layer = operands[0].sql, operands[0].layer
        for step, (operator, operand) in enumerate(zip(operators, operands[1:], strict=True), start=1):
            sql, layer = f"({sql} {operator} {operand.sql})", max(layer, operand.layer)
            if step % _LONGEST_CHAIN == 0:
                sql, layer = self._named(sql, layer), layer + 1
        name = self._named(sql, layer)
        return _Text(f"(CASE WHEN isfinite({name}) THEN {name} END)", layer + 1)

    def _date_part(self, part: str, days: _Text, is_column: bool) -> _Text:
        if days.is_text:
            raise SpecError(f"{part}(...) needs a date, but the table holds text")
        if is_column:  # whole days of the years 1 to 9999
            return _Text(f"CAST({part}(DATE '1970-01-01' + CAST({days.sql} AS INTEGER)) AS DOUBLE)", 0)
        name = self._named(days.sql, days.layer)
        inside = f"least(greatest(floor({name}), {FIRST_DAY}), {LAST_DAY})"  # CASE alone need not keep the cast from it
        date = f"DATE '1970-01-01' + CAST({inside} AS INTEGER)"
        known = f"{name} >= {FIRST_DAY} AND {name} < {LAST_DAY + 1}"
        return _Text(f"(CASE WHEN {known} THEN CAST({part}({date}) AS DOUBLE) END)", days.layer + 1)

    def _named(self, sql: str, layer: int) -> str:
        """Give the expression a name that layers above `layer` can use."""
        while len(self.layers) <= layer:
            self.layers.append([])
        self.names += 1
        self.layers[layer].append(f"{sql} AS e{self.names}")
        return f"e{self.names}"


def _compared(sign: str, left: _Text, right: _Text) -> str:
    if left.is_text != right.is_text:
        raise SpecError("numbers cannot be compared with text")
    return f"({left.sql} {sign} {right.sql})"


def _joined(word: str, parts: list[str]) -> str:
    """All parts joined by AND or OR, as a tree that is balanced: DuckDB bounds the depth of expressions."""
    while len(parts) > 1:
        pairs = [f"({' '.join((a, word, b))})" for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]
