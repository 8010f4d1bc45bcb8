"""Lines of a TOML text: every key path is found where it is written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.study.files.positions import line_of, lines_of
from mpcstats.study.files.writing import toml_scalar

TEXT = '''# a comment with = and [brackets]
id = "a # b"
"quoted key" = 'lit # eral'
a.b.c = 1

[table]
text = """
several = lines # no comment
"""
list = [
  1,  # one
  [2, 3],
  { x = 1, y = [4] },
]
'raw' = \'\'\'
x = 1
\'\'\'

[[column]]
name = "age"
range = [0,
         9]

[[column]]
name = "sex"
[column.more]
deep = { a.b = true }
[[column.parts]]
size = 1
[[column.parts]]
size = 2

[table.below."dotted.name"]
last = 1979-05-27T07:32:00Z
'''

LINES = {
    ("id",): 2,
    ("quoted key",): 3,
    ("a", "b", "c"): 4,
    ("table",): 6,
    ("table", "text"): 7,
    ("table", "list"): 10,
    ("table", "list", 0): 11,
    ("table", "list", 1, 1): 12,
    ("table", "list", 2, "y", 0): 13,
    ("table", "raw"): 15,
    ("column", 0): 19,
    ("column", 0, "range", 1): 22,
    ("column", 1, "name"): 25,
    ("column", 1, "more", "deep", "a", "b"): 27,
    ("column", 1, "parts", 0, "size"): 29,
    ("column", 1, "parts", 1): 30,
    ("table", "below", "dotted.name", "last"): 34,
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [path, *(found for key, part in inner for found in paths(part, (*path, key)))]


@pytest.mark.parametrize(("path", "line"), LINES.items(), ids=str)
def test_every_path_has_its_line(path: tuple[Any, ...], line: int) -> None:
    assert lines_of(TEXT)[path] == line


def test_all_paths_that_tomllib_reads_are_found() -> None:
    assert set(paths(tomllib.loads(TEXT))) - {()} <= set(lines_of(TEXT))


def test_the_nearest_table_stands_for_what_is_not_there() -> None:
    assert line_of(TEXT, ("column", 1, "levels")) == 24
    assert line_of(TEXT, ("nowhere",)) is None
    assert line_of("x = [", ("x",)) is None


def toml_of(document: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """A document with tables and arrays of tables."""
    here = {key: value for key, value in document.items() if not tables(value)}
    lines = [f"{toml_scalar(key)} = {toml_scalar(value)}" for key, value in here.items()]
    for key in document.keys() - here.keys():
        value = document[key]
        name = ".".join(map(toml_scalar, (*path, key)))
        for part in [value] if isinstance(value, dict) else value:
            lines += [f"[{name}]" if isinstance(value, dict) else f"[[{name}]]", toml_of(part, (*path, key))]
    return "\n".join(lines) + "\n"


def tables(value: Any) -> bool:
    several = isinstance(value, list) and bool(value) and all(isinstance(part, dict) for part in value)
    return several or isinstance(value, dict)


KEYS = st.text(min_size=1, max_size=6)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text(max_size=12))
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), st.lists(SCALARS, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS)
def test_what_is_written_is_read_back_and_located(document: dict[str, Any]) -> None:
    text = toml_of(document)
    assert tomllib.loads(text) == document
    assert set(paths(document)) - {()} <= set(lines_of(text))
