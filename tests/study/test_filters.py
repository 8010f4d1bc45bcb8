"""The filter language against a slow row-by-row oracle with SQL's three-valued logic, and its errors."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import SpecError
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.filters import check_filter, evaluate_filter, filter_columns, parse_filter
from tests.study.filter_cases import DICTIONARY, Row, Term, conditions, frame_of, rows


def select(text: str, frame: pd.DataFrame, dictionary: Dictionary = DICTIONARY) -> list[bool]:
    expression = parse_filter(text)
    check_filter(expression, dictionary)
    chosen = evaluate_filter(expression, frame)
    assert chosen.dtype == np.bool_
    assert chosen.shape == (len(frame),)
    return [bool(row) for row in chosen]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(conditions, rows)
def test_the_language_agrees_with_three_valued_logic_row_by_row(condition: Term, table: list[Row]) -> None:
    assert select(condition[0], frame_of(table)) == [condition[2](row) is True for row in table]


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


@settings(max_examples=100, deadline=None, derandomize=True)
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
        "d": pd.to_datetime(["1969-12-31", "2000-02-29", None, "2020-01-01"]).astype("datetime64[s]"),
        "e": pd.to_datetime(["1970-01-02", "1999-03-01", "2000-01-01", "2020-01-01"]).astype("datetime64[s]"),
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
        ("d >= '2000-02-29'", [1, 3]),
        ("'1969-12-31' <= d < '2000-03-01'", [0, 1]),
        ("d between '1900-01-01' and \"2000-02-29\"", [0, 1]),
        ("d in ('2000-02-29', e)", [1, 3]),
        ("'2020-01-01' in (d, '1999-01-01')", [3]),
        ("d not in ('2000-02-29')", [0, 3]),
        ("d is missing", [2]),
        ("d == e", [3]),
        ("not d > e", [0, 3]),
        ("e - d == 2", [0]),
        ("d - '2000-02-28' == 1", [1]),
        ("'2020-01-02' - d < 365.25 * 20", [1, 3]),
        ("(d - e) / 7 > 52", [1]),
        ("d + 1 == '2000-03-01' or 2 + d == e - 0 * n", [0, 1]),
        ("d + 0.5 > d", [0, 1, 3]),
        ("d + 1e300 > '9999-12-31'", [0, 1, 3]),
        ("d + 1e300 * n * 1e300 is missing", [0, 1, 2, 3]),
        ("year(d) in (1969, 2020) and month(d) == 12", [0]),
        ("year(d + 1) == 1970", [0]),
        ("YEAR (d - 0.5) == 2019", [3]),
        ("year(d + 1e9) is missing", [0, 1, 2, 3]),
        ("year('2024-05-01') == 2024 and n == 1", [0]),
        ("month(d) - 1 == year(e) - year(e) + n - 1", [1]),
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
        ("s == \u2018a\u2019", "next: write straight quotes"),
        ("s == 'a\0'", "character 8: a filter is text"),
        ("s == '\ud800'", "a filter is text"),
        ("today() > d", "next: the only functions are year(...) and month(...)"),
        ("read_csv('/etc/passwd') is missing", "the only functions are"),
        ("n in (select n from t)", "character 14"),
        ("n > 1 /* or true", "character 8"),
        ("n > 1 union select 1", "character 7"),
        ("n > 1 # or true", "character 7"),
        ("s == 'a' || 'b'", "next: write or"),
        ("s like 'a%'", "character 3"),
        ("n::text == '1'", "character 2"),
        ("$1 == n", "character 1"),
        ("n == ?", "character 6"),
        ("year() > 1", "character 6"),
        ("year(d, e) > 1", "character 7"),
        ("year(n > 1) > 1", "character 8"),
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
        ("today > d", "no column 'today'"),
        ("d > 1", "next: compare d with a date in quotes, 'YYYY-MM-DD'"),
        ("d > n", "column 'd' (date) cannot be compared with column 'n' (integer)"),
        ("d - e > '2020-01-01'", "the computed number cannot be compared with the text"),
        ("d + 1 > 3", "the computed date cannot be compared with the number 3"),
        ("d > '2020-1-01'", "character 5: '2020-1-01' is no date\n  next: write a date as 'YYYY-MM-DD'"),
        ("d > '2023-02-29'", "is no date"),
        ("d in ('2020-01-01', '0000-01-01')", "'0000-01-01' is no date"),
        ("d > '2020-01-01T00:00'", "is no date"),
        ("d > '\u0662020-01-01'", "is no date"),
        ("d == 'it''s; drop table people --'", "is no date"),
        ("d > s", "column 'd' (date) cannot be compared with column 's' (category)"),
        ("d + e > d", "column 'd' (date) cannot be part of this arithmetic\n  next: date - date"),
        ("1 - d > 1", "cannot be part of this arithmetic"),
        ("d * 2 > 1", "cannot be part of this arithmetic"),
        ("-d > 1", "cannot be part of this arithmetic"),
        ("d - e - e > 1", "cannot be part of this arithmetic"),
        ("d + s > d", "arithmetic needs numbers, but column 's' (category) is none"),
        ("d", "alone is no condition"),
        ("year(n) > 1", "year(...) needs a date, but column 'n' (integer) is none"),
        ("month('x') == 1", "'x' is no date"),
        ("month(d - e) == 1", "month(...) needs a date, but the computed number is none"),
        ("s == 'a'' or 1 == 1 --'", "is not a level"),
        ('`n"; drop table t; --` > 1', "has no column"),
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
