"""Text to tree: the grammar of `where` filters and its parser. The language is described in `filters`."""

from __future__ import annotations

import datetime
import functools
import math
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

from mpcstats.errors import SpecError
from mpcstats.study.values import EXACT_INTEGER

__all__ = [
    "And",
    "Or",
    "Arithmetic",
    "ColumnValue",
    "Comparison",
    "Constant",
    "DatePart",
    "Expression",
    "Membership",
    "Missing",
    "Not",
    "Operator",
    "Truth",
    "Value",
    "fail",
    "parse_filter",
]

MAX_LENGTH = 10_000
MAX_DEPTH = 40
MAX_NODES = 2_000
Operator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Constant:
    """A number (float), a text, a truth value, or a text that was found to be a date."""

    value: float | str | bool | datetime.date
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class ColumnValue:
    """The cell of a column."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Arithmetic:
    """operands[0] op operands[1] op ..., from the left; one operand with "-" is its negative."""

    operators: tuple[str, ...]
    operands: tuple[Value, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class DatePart:
    """The year or the month of a date, a number."""

    part: Literal["year", "month"]
    value: Value
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Comparison:
    """operands[0] op operands[1] op operands[2] ...: every neighbouring pair must hold."""

    operators: tuple[Operator, ...]
    operands: tuple[Value, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Membership:
    """The value equals one of the options."""

    value: Value
    options: tuple[Value, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Missing:
    """The value is missing; never unknown."""

    value: Value
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Truth:
    """A boolean column as a condition."""

    value: ColumnValue
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """The opposite; of unknown, unknown."""

    condition: Expression
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class And:
    """True where all conditions are (`and`)."""

    conditions: tuple[Expression, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Or:
    """True where at least one condition is (`or`)."""

    conditions: tuple[Expression, ...]
    position: int = field(default=0, compare=False)


Value = Constant | ColumnValue | Arithmetic | DatePart
Expression = Comparison | Membership | Missing | Truth | Not | And | Or


def parse_filter(text: str) -> Expression:
    """Parse a filter.

    Parameters
    ----------
    text : str
        At most 10,000 characters, 2,000 parts, nested at most 40 deep.

    Raises
    ------
    SpecError
        Names the position (counted from 1) and what is needed there.
    """
    if len(text) > MAX_LENGTH:
        raise SpecError(f"the filter has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if not text.strip():
        raise SpecError("the filter is empty", hint="leave `where` out to select every row")
    odd = next((place for place, sign in enumerate(text) if sign == "\0" or "\ud800" <= sign <= "\udfff"), None)
    if odd is not None:
        fail(odd, "a filter is text; this character is none")
    return _Builder(text).condition(_parse_tree(text), 0)


def fail(position: int, problem: str, hint: str | None = None) -> NoReturn:
    """Raise SpecError at a position (counted from 0) of the filter."""
    raise SpecError(f"filter, character {position + 1}: {problem}", hint=hint)


_NAMES_OF_TERMINALS = {
    "COMPARE": "a comparison (== != < <= > >=)",
    "SIGN": "+ or -",
    "SCALE": "* or /",
    "_AND": "and",
    "_OR": "or",
    "_NOT": "not",
    "_IN": "in",
    "_BETWEEN": "between",
    "_IS": "is",
    "_MISSING": "missing",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "NAME": "a column",
    "PART": "year(...) or month(...)",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "$END": "the end",
}
_HINTS = (
    ("=>", "write >="),
    ("=<", "write <="),
    ("=", "compare with =="),
    ("<>", "write !="),
    ("&", "write and"),
    ("|", "write or"),
    ("!", "write not"),
    ("~", "write not"),
    (";", "a filter is one condition; join with and, or"),
    ("'", "a text ends with the quote it began with"),
    ('"', "a text ends with the quote it began with"),
    ("\u2018", "write straight quotes: '...'"),
    ("\u2019", "write straight quotes: '...'"),
    ("\u201c", "write straight quotes: '...'"),
    ("\u201d", "write straight quotes: '...'"),
    ("`", "a column name in backquotes ends with a backquote"),
    ("[", "lists are written in parentheses: in (1, 2)"),
)


@functools.cache
def _parser() -> Any:
    import importlib.resources

    import lark

    grammar = importlib.resources.files("mpcstats.study").joinpath("filters.lark").read_text(encoding="utf-8")
    return lark.Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _parse_tree(text: str) -> Any:
    import lark

    try:
        return _parser().parse(text)
    except lark.exceptions.UnexpectedToken as error:
        position = len(text.rstrip()) if error.token.type == "$END" else int(error.token.start_pos)
        _complain(text, position, error.accepts or error.expected)
    except lark.exceptions.UnexpectedCharacters as error:
        _complain(text, int(error.pos_in_stream), error.allowed or ())


def _complain(text: str, position: int, expected: Any) -> NoReturn:
    if position >= len(text.rstrip()):
        problem = "the filter ends too early"
    else:
        problem = f"{text[position : position + 12].splitlines()[0]!r} is not understood"
    hint = _hint(text, position)
    wanted = [name for terminal, name in _NAMES_OF_TERMINALS.items() if terminal in expected]
    if wanted and not hint:
        problem += f"; expected {', '.join(wanted)}"
    fail(position, problem, hint)


def _hint(text: str, position: int) -> str | None:
    rest = text[position:].lower()
    if rest.startswith(("null", "none", "na", "nan")):
        return "write `is missing` or `is not missing`"
    if rest.startswith("(") and (text[:position].rstrip()[-1:].isalnum()):
        return "the only functions are year(...) and month(...) of a date"
    before = text[max(0, position - 1) : position]
    if before in {"<", ">"} and rest.startswith((">", "=")):
        rest = before + rest
    return next((hint for sign, hint in _HINTS if rest.startswith(sign)), None)


class _Builder:
    """Turns the parse tree into the typed tree; counts nodes and depth."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._nodes = 0

    def condition(self, tree: Any, depth: int) -> Expression:
        kind, parts, position = self._enter(tree, depth)
        if kind in {"conjunction", "disjunction"}:
            conditions = tuple(self.condition(part, depth + 1) for part in parts)
            return And(conditions, position) if kind == "conjunction" else Or(conditions, position)
        if kind == "not_":
            return Not(self.condition(parts[0], depth + 1), position)
        if kind == "comparison":
            operands = tuple(self.value(part, depth + 1) for part in parts[0::2])
            return Comparison(tuple(cast(Operator, str(part)) for part in parts[1::2]), operands, position)
        if kind in {"in_", "not_in", "between", "not_between", "missing", "not_missing"}:
            return self._negatable(kind, [self.value(part, depth + 1) for part in parts], position)
        if kind in {"column", "quoted_column"}:
            return Truth(self._column(kind, parts, position), position)
        fail(position, "a condition is needed here, for example age >= 65, not a value alone")

    def value(self, tree: Any, depth: int) -> Value:
        kind, parts, position = self._enter(tree, depth)
        if kind == "number":
            return self._number(str(parts[0]), position)
        if kind == "string":
            quote = str(parts[0])[0]
            return Constant(str(parts[0])[1:-1].replace(quote + quote, quote), position)
        if kind in {"true", "false"}:
            return Constant(kind == "true", position)
        if kind in {"column", "quoted_column"}:
            return self._column(kind, parts, position)
        if kind in {"date_part", "signed", "sum", "product"}:
            return self._computed(kind, parts, position, depth)
        fail(position, "a number, a text or a column is needed here, not a condition")

    def _computed(self, kind: str, parts: list[Any], position: int, depth: int) -> Value:
        if kind == "date_part":
            part = cast(Literal["year", "month"], str(parts[0]).lower())
            return DatePart(part, self.value(parts[1], depth + 1), position)
        if kind == "signed":
            return Arithmetic((str(parts[0]),), (self.value(parts[1], depth + 1),), position)
        operands = tuple(self.value(part, depth + 1) for part in parts[0::2])
        return Arithmetic(tuple(str(part) for part in parts[1::2]), operands, position)

    def _enter(self, tree: Any, depth: int) -> tuple[str, list[Any], int]:
        position = int(tree.meta.start_pos)
        self._nodes += 1
        if depth > MAX_DEPTH:
            fail(position, f"the filter is nested more than {MAX_DEPTH} deep")
        if self._nodes > MAX_NODES:
            fail(position, f"the filter has more than {MAX_NODES} parts")
        return str(tree.data), tree.children, position

    @staticmethod
    def _negatable(kind: str, values: list[Value], position: int) -> Expression:
        plain: Expression
        if kind.endswith("missing"):
            plain = Missing(values[0], position)
        elif kind.endswith("between"):
            plain = Comparison(("<=", "<="), (values[1], values[0], values[2]), position)
        else:
            plain = Membership(values[0], tuple(values[1:]), position)
        return Not(plain, position) if kind.startswith("not_") else plain

    @staticmethod
    def _column(kind: str, parts: list[Any], position: int) -> ColumnValue:
        return ColumnValue(str(parts[0]) if kind == "column" else str(parts[0])[1:-1], position)

    @staticmethod
    def _number(text: str, position: int) -> Constant:
        number = float(text)
        if not math.isfinite(number) or (text.isdigit() and number > EXACT_INTEGER):
            fail(position, "the number is too large")
        return Constant(number, position)
