"""Random filters with the rule of one row that says what each of them means, in SQL's three-valued logic."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mpcstats.study.dictionary import parse_dictionary

Row = dict[str, Any]
Rule = Callable[[Row], Any]

DICTIONARY = parse_dictionary(
    {
        "id": "test",
        "column": [
            {"name": "n", "type": "integer", "range": [-3, 3]},
            {"name": "x", "type": "decimal", "range": [-2, 2]},
            {"name": "s", "type": "category", "levels": ["a", "b", "it's"]},
            {"name": "t", "type": "category", "levels": ["a", "b", "it's"]},
            {"name": "b", "type": "boolean"},
            {"name": "waist cm", "type": "decimal"},
            {"name": "ph.ecog", "type": "integer", "levels": [0, 1, 2, 3]},
            {"name": "d", "type": "date", "range": ["1900-01-01", "2030-12-31"]},
            {"name": "e", "type": "date"},
        ],
    }
)


EPOCH = datetime.date(1970, 1, 1).toordinal()
DAYS = [
    float(datetime.date.fromisoformat(text).toordinal() - EPOCH) for text in ("1969-12-31", "2000-02-29", "2020-01-01")
]

# (text, precedence, rule of one row)
Term = tuple[str, int, Rule]


def fit(term: Term, minimum: int) -> str:
    """The text of a part, in parentheses where its precedence needs them."""
    return term[0] if term[1] >= minimum else f"({term[0]})"


def arithmetic(left: Term, operator: str, right: Term) -> Term:
    level = 1 if operator in "+-" else 2

    def rule(row: Row) -> float | None:
        a, b = left[2](row), right[2](row)
        if a is None or b is None or (operator == "/" and b == 0):
            return None
        value = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[operator]()
        return value if math.isfinite(value) else None

    return f"{fit(left, level)} {operator} {fit(right, level + 1)}", level, rule


def negative(part: Term) -> Term:
    def rule(row: Row) -> float | None:
        value = part[2](row)
        return None if value is None else -value

    return f"-{fit(part, 3)}", 3, rule


def part_of_date(part: str, value: Term) -> Term:
    def rule(row: Row) -> float | None:
        days = value[2](row)
        ordinal = None if days is None else math.floor(days) + EPOCH
        if ordinal is None or not 1 <= ordinal <= datetime.date.max.toordinal():
            return None
        return float(getattr(datetime.date.fromordinal(ordinal), part))

    return f"{part}({value[0]})", 4, rule


def compare(operator: str, a: Any, b: Any) -> bool | None:
    if a is None or b is None:
        return None
    return bool(
        {
            "==": lambda: a == b,
            "!=": lambda: a != b,
            "<": lambda: a < b,
            "<=": lambda: a <= b,
            ">": lambda: a > b,
            ">=": lambda: a >= b,
        }[operator]()
    )


def both(parts: list[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def either(parts: list[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def chain(operands: list[Term], operators: list[str]) -> Term:
    text = fit(operands[0], 1) + "".join(f" {o} {fit(p, 1)}" for o, p in zip(operators, operands[1:], strict=True))
    return (
        text,
        4,
        lambda row: both(
            [compare(o, a[2](row), b[2](row)) for o, a, b in zip(operators, operands[:-1], operands[1:], strict=True)]
        ),
    )


def member(value: Term, options: list[Term], is_negated: bool) -> Term:
    text = f"{fit(value, 1)} {'NOT ' if is_negated else ''}in ({', '.join(option[0] for option in options)})"

    def rule(row: Row) -> bool | None:
        found = either([compare("==", value[2](row), option[2](row)) for option in options])
        return negated(found) if is_negated else found

    return text, 4, rule


def between(value: Term, low: Term, high: Term, is_negated: bool) -> Term:
    text = f"{fit(value, 1)} {'not ' if is_negated else ''}between {fit(low, 1)} and {fit(high, 1)}"

    def rule(row: Row) -> bool | None:
        inside = both([compare("<=", low[2](row), value[2](row)), compare("<=", value[2](row), high[2](row))])
        return negated(inside) if is_negated else inside

    return text, 4, rule


def missing(value: Term, is_negated: bool) -> Term:
    return (
        f"{fit(value, 1)} is {'not ' if is_negated else ''}missing",
        4,
        lambda row: (value[2](row) is None) != is_negated,
    )


def column(name: str) -> Term:
    return (f"`{name}`" if " " in name else name), 4, lambda row: row[name]


def day(text: str) -> Term:
    return f"'{text}'", 4, lambda row: float(datetime.date.fromisoformat(text).toordinal() - EPOCH)


def constant(value: float | str | bool) -> Term:
    text = (
        str(value).lower()
        if isinstance(value, bool)
        else repr(value)
        if not isinstance(value, str)
        else ("'" + value.replace("'", "''") + "'")
    )
    return text, 4, lambda row: value


plain_numbers = st.one_of(
    st.sampled_from([column("n"), column("x")]), st.sampled_from([constant(v) for v in (0, 1, 2, 0.5, 3.0, 1e300)])
)
days_of_column = st.sampled_from([column("d"), column("e")])
dates = st.one_of(
    days_of_column,
    st.builds(arithmetic, days_of_column, st.sampled_from("+-"), plain_numbers),
    st.builds(lambda n, d: arithmetic(n, "+", d), plain_numbers, days_of_column),
)
written_days = st.sampled_from([day(text) for text in ("0001-01-01", "1969-12-31", "2000-02-29", "2020-01-01")])
numbers = st.recursive(
    st.one_of(
        plain_numbers,
        plain_numbers,
        st.builds(lambda a, b: arithmetic(a, "-", b), dates, st.one_of(dates, written_days)),
        st.builds(part_of_date, st.sampled_from(["year", "month"]), dates),
    ),
    lambda inner: st.one_of(st.builds(arithmetic, inner, st.sampled_from("+-*/"), inner), st.builds(negative, inner)),
    max_leaves=4,
)
texts = st.sampled_from([column("s"), column("t"), constant("a"), constant("b"), constant("it's")])
truths = st.sampled_from([column("b"), constant(True), constant(False)])
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
equalities = st.sampled_from(["==", "!="])
chains = st.one_of(
    *(
        st.builds(chain, st.lists(numbers, min_size=k + 1, max_size=k + 1), st.lists(operators, min_size=k, max_size=k))
        for k in (1, 2, 3)
    )
)
predicates = st.one_of(
    chains,
    st.builds(lambda a, o, b: chain([a, b], [o]), texts, equalities, texts),
    st.builds(lambda a, o, b, p, c: chain([a, b, c], [o, p]), written_days, operators, dates, operators, written_days),
    st.builds(lambda a, o, b: chain([a, b], [o]), dates, operators, dates),
    st.builds(member, dates, st.lists(st.one_of(dates, written_days), min_size=1, max_size=3), st.booleans()),
    st.builds(between, dates, written_days, written_days, st.booleans()),
    st.builds(lambda a, o, b: chain([a, b], [o]), truths, equalities, truths),
    st.builds(member, numbers, st.lists(numbers, min_size=1, max_size=3), st.booleans()),
    st.builds(member, texts, st.lists(texts, min_size=1, max_size=3), st.booleans()),
    st.builds(between, numbers, numbers, numbers, st.booleans()),
    st.builds(missing, st.one_of(numbers, texts, truths, dates), st.booleans()),
    st.just(column("b")),
)


def conjunction(a: Term, b: Term) -> Term:
    return f"{fit(a, 2)} and {fit(b, 2)}", 2, lambda row: both([a[2](row), b[2](row)])


def disjunction(a: Term, b: Term) -> Term:
    return f"{fit(a, 1)} or {fit(b, 1)}", 1, lambda row: either([a[2](row), b[2](row)])


def opposite(a: Term) -> Term:
    return f"not {fit(a, 3)}", 3, lambda row: negated(a[2](row))


conditions = st.recursive(
    predicates,
    lambda inner: st.one_of(
        st.builds(conjunction, inner, inner), st.builds(disjunction, inner, inner), st.builds(opposite, inner)
    ),
    max_leaves=6,
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.one_of(st.none(), st.integers(-3, 3).map(float)),
            "x": st.one_of(st.none(), st.sampled_from([-2.0, -0.5, -0.0, 0.0, 0.25, 2.0])),
            "s": st.sampled_from([None, "a", "b", "it's"]),
            "t": st.sampled_from([None, "a", "b", "it's"]),
            "b": st.sampled_from([None, True, False]),
            "d": st.one_of(st.none(), st.sampled_from(DAYS)),
            "e": st.one_of(st.none(), st.sampled_from(DAYS)),
        }
    ),
    max_size=12,
)


def frame_of(table: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table whose columns have been checked."""
    numbers = {name: pd.Series([row[name] for row in table], dtype=np.float64) for name in ("n", "x")}
    texts = {name: pd.Series([row[name] for row in table], dtype=object) for name in ("s", "t")}
    truths = {"b": pd.Series([row["b"] for row in table], dtype="boolean")}
    days = {
        name: pd.Series(pd.to_datetime([row[name] for row in table], unit="D")).astype("datetime64[s]")
        for name in ("d", "e")
    }
    return pd.DataFrame({**numbers, **texts, **truths, **days})
