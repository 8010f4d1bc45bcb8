"""The filter language against a slow row-by-row oracle with SQL's three-valued logic, and its errors."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import SpecError
from mpcstats.study.dictionary import Dictionary, parse_dictionary
from mpcstats.study.filters import check_filter, evaluate_filter, filter_columns, parse_filter

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
        ],
    }
)


def select(text: str, frame: pd.DataFrame, dictionary: Dictionary = DICTIONARY) -> list[bool]:
    expression = parse_filter(text)
    check_filter(expression, dictionary)
    chosen = evaluate_filter(expression, frame)
    assert chosen.dtype == np.bool_
    assert chosen.shape == (len(frame),)
    return [bool(row) for row in chosen]


# ------------------------------------------------------------------ the oracle: (text, precedence, rule of one row)

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


def constant(value: float | str | bool) -> Term:
    text = (
        str(value).lower()
        if isinstance(value, bool)
        else repr(value)
        if not isinstance(value, str)
        else ("'" + value.replace("'", "''") + "'")
    )
    return text, 4, lambda row: value


numbers = st.recursive(
    st.one_of(st.sampled_from([column("n"), column("x")]), st.sampled_from([constant(v) for v in (0, 1, 2, 0.5, 3.0)])),
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
    st.builds(lambda a, o, b: chain([a, b], [o]), truths, equalities, truths),
    st.builds(member, numbers, st.lists(numbers, min_size=1, max_size=3), st.booleans()),
    st.builds(member, texts, st.lists(texts, min_size=1, max_size=3), st.booleans()),
    st.builds(between, numbers, numbers, numbers, st.booleans()),
    st.builds(missing, st.one_of(numbers, texts, truths), st.booleans()),
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
            "x": st.one_of(st.none(), st.sampled_from([-2.0, -0.5, 0.0, 0.25, 2.0])),
            "s": st.sampled_from([None, "a", "b", "it's"]),
            "t": st.sampled_from([None, "a", "b", "it's"]),
            "b": st.sampled_from([None, True, False]),
        }
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(conditions, rows)
def test_the_language_agrees_with_three_valued_logic_row_by_row(condition: Term, table: list[Row]) -> None:
    frame = pd.DataFrame(
        {
            "n": pd.Series([row["n"] for row in table], dtype=np.float64),
            "x": pd.Series([row["x"] for row in table], dtype=np.float64),
            "s": pd.Series([row["s"] for row in table], dtype=object),
            "t": pd.Series([row["t"] for row in table], dtype=object),
            "b": pd.Series([row["b"] for row in table], dtype="boolean"),
        }
    )
    assert select(condition[0], frame) == [condition[2](row) is True for row in table]


_WORDS = [
    "age",
    "and",
    "or",
    "not",
    "in",
    "is",
    "missing",
    "between",
    "true",
    "(",
    ")",
    ",",
    "==",
    "<",
    ">=",
    "=",
    "+",
    "-",
    "*",
    "/",
    "1",
    "2.5e3",
    "'x'",
    '"',
    "'",
    "`",
    "`a b`",
    "\n",
    ";",
    "&",
    "[",
    ".",
    "1e999",
    "NULL",
    "é",
    "²",
    "\x00",
]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(_WORDS), max_size=25).map(" ".join),
        st.lists(st.sampled_from(_WORDS), max_size=25).map("".join),
    )
)
def test_whatever_is_parsed_only_spec_errors_escape(text: str) -> None:
    with contextlib.suppress(SpecError):
        expression = parse_filter(text)
        assert parse_filter(text) == expression


# ------------------------------------------------------------------ by example

PEOPLE = pd.DataFrame(
    {
        "n": [1, 2, 3, None],
        "x": [0.5, None, -1.0, 2.0],
        "s": ["a", "b", None, "it's"],
        "b": [True, False, None, True],
        "t": ["a", "a", "a", "a"],
        "waist cm": [80.0, 99.0, 94.0, None],
        "ph.ecog": [0, 1, 2, 3],
    }
)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("n >= 2", [1, 2]),
        ("1 < n <= 3", [1, 2]),
        ("not n > 1", [0]),
        ("not (n > 1)", [0]),
        ("n > 1 or x > 1", [1, 2, 3]),
        ("n > 1 and x < 0 or s == 'a'", [0, 2]),
        ("s in ('a', 'b')", [0, 1]),
        ("s not in ('a')", [1, 3]),
        ('s == "it\'s"', [3]),
        ("s == 'it''s'", [3]),
        ("s != t", [1, 3]),
        ("n between 2 and 3 and ph.ecog == 1", [1]),
        ("n is missing", [3]),
        ("s IS NOT MISSING AND n == 1", [0]),
        ("b", [0, 3]),
        ("not b", [1]),
        ("b == false", [1]),
        ("`waist cm` > 94", [1]),
        ("n / 0 > 1", []),
        ("n / 0 is missing", [0, 1, 2, 3]),
        ("n * 2 - 1 == 3", [1]),
        ("7 - 2 - 1 == 4 and n == 1", [0]),
        ("-n == -1", [0]),
        ("1 == 1", [0, 1, 2, 3]),
        ("n == 1 or n != 1", [0, 1, 2]),
    ],
)
def test_examples(text: str, selected: list[int]) -> None:
    assert [i for i, chosen in enumerate(select(text, PEOPLE)) if chosen] == selected


def test_an_empty_table_gives_an_empty_selection() -> None:
    assert select("n > 1 and s == 'a'", PEOPLE.iloc[:0]) == []
    assert select("1 == 1", PEOPLE.iloc[:0]) == []


def test_a_column_without_any_value_is_unknown_everywhere() -> None:
    frame = PEOPLE.assign(s=np.nan, n=np.nan)
    assert select("s == 'a' or n > 1 or not s != 'a'", frame) == [False] * 4


def test_columns_are_listed_once() -> None:
    expression = parse_filter("n > 1 and (`waist cm` < 3 or n in (x, 2)) and not b")
    assert filter_columns(expression) == ("n", "waist cm", "x", "b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the filter is empty"),
        ("  ", "the filter is empty"),
        ("n = 3", "character 3: '= 3' is not understood\n  next: compare with =="),
        ("n <> 3", "next: write !="),
        ("n => 3", "next: write >="),
        ("n > 1 && b", "next: write and"),
        ("n > 1 | b", "next: write or"),
        ("!b", "next: write not"),
        ("n is null", "next: write `is missing`"),
        ("s == 'a", "next: a text ends with the quote"),
        ("n in [1, 2]", "next: lists are written in parentheses"),
        ("n > 1; drop table", "next: a filter is one condition"),
        ("n >", "character 4: the filter ends too early"),
        ("n > 1 and", "character 10: the filter ends too early"),
        ("(n > 1", "the filter ends too early"),
        ("n in ()", "character 7"),
        ("n + 1", "character 1: a condition is needed here"),
        ("true", "a condition is needed here"),
        ("(n > 1) + 2 > 3", "character 2: a number, a text or a column is needed here"),
        ("1e999 < n", "the number is too large"),
        ("99999999999999999999 < n", "the number is too large"),
        ("__import__('os').system('true')", "character 11"),
        ("x" * 10001, "10001 characters; at most 10000"),
        ("not " * 60 + "b", "nested more than 40 deep"),
        ("-" * 60 + "n > 1", "nested more than 40 deep"),
        ("n in (" + ",".join("1" * 2000) + ")", "more than 2000 parts"),
    ],
)
def test_what_does_not_parse_says_where_and_how_to_mend_it(text: str, complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_filter(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nn > 1", "did you mean 'n'"),
        ("wast_cm > 1", "did you mean 'waist cm'"),
        ("s > 1", "column 's' (category) cannot be compared with the number 1"),
        ("s == 1", "next: compare s with a text in quotes: 'a', 'b'"),
        ("n == 'a'", "compare n with a number, without quotes"),
        ("b == 1", "compare b with true or false"),
        ("s < 'b'", "has no order"),
        ("b < true", "has no order"),
        ("s == 'A'", "'A' is not a level of column 's' (category); levels: 'a', 'b', \"it's\""),
        ("s in ('a', 'bb')", "did you mean 'b'?"),
        ("'q' == s", "character 1: 'q' is not a level"),
        ("s + 1 > 2", "arithmetic needs numbers"),
        ("-b > 0", "arithmetic needs numbers"),
        ("n", "alone is no condition"),
        ("n > 1 and s", "character 11: column 's' (category) alone is no condition"),
        ("s == n", "column 's' (category) cannot be compared with column 'n' (integer)"),
        ("n between 'a' and 2", "cannot be compared"),
        ("zz is missing", "no column 'zz'"),
    ],
)
def test_what_does_not_fit_the_dictionary_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_filter(parse_filter(text), DICTIONARY)
    assert complaint in str(caught.value)


def test_evaluation_without_check_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SpecError, match="no column 'zz'"):
        evaluate_filter(parse_filter("zz > 1"), PEOPLE)
    with pytest.raises(SpecError, match="compared with text"):
        evaluate_filter(parse_filter("s > 1"), PEOPLE)
    with pytest.raises(SpecError, match="arithmetic needs numbers"):
        evaluate_filter(parse_filter("s + 1 > 1"), PEOPLE)
