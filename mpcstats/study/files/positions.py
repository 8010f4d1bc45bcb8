"""Lines of a TOML text: where the value of a key path is written.

    lines_of('[data]\\nset = [1,\\n 2]')[("data", "set", 1)]  # 3

The text is one that `tomllib` reads; this reads it again only to see line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["Path", "line_of", "lines_of"]

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRINGS = re.compile(r'"""(?:\\.|[^\\])*?"""+|' + r"'''.*?'''+|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'", re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and element of a TOML text, by path; elements of arrays by number."""
    reader = _Reader(text)
    reader.document()
    return reader.lines


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line of a path, or of the nearest table around it; None where the text has neither."""
    try:
        lines = lines_of(text)
    except (IndexError, ValueError, RecursionError):  # a text that is no TOML, or nested too deep
        return None
    known = tuple(path)
    while known and known not in lines:
        known = known[:-1]
    return lines.get(known)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        prefix: Path = ()
        while self._skip():
            if self.text.startswith("[[", self.at):
                prefix = self._header(2)
            elif self.text[self.at] == "[":
                prefix = self._header(1)
            else:
                self._pair(prefix)

    def _skip(self) -> bool:
        """To the next sign that is neither space, line break nor comment; False at the end."""
        found = _BLANK.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return self.at < len(self.text)

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _header(self, brackets: int) -> Path:
        line = self._line()
        self.at += brackets
        keys = self._keys()
        self._expect("]" * brackets)
        path = self._resolved(keys[:-1]) + keys[-1:]
        for length in range(1, len(path)):  # tables that are only named on the way
            self.lines.setdefault(path[:length], line)
        if brackets == 2:
            number = self._tables.get(path, 0)
            self._tables[path] = number + 1
            self.lines.setdefault(path, line)
            path = (*path, number)
        else:
            path = self._resolved(keys)
        self.lines.setdefault(path, line)
        return path

    def _resolved(self, keys: Path) -> Path:
        """With the number of the last table, where a key names an array of tables."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, prefix: Path) -> None:
        line = self._line()
        for key in self._keys():
            prefix = (*prefix, key)
            self.lines.setdefault(prefix, line)
        self._expect("=")
        self._skip()
        self._value(prefix)

    def _keys(self) -> Path:
        keys: list[str | int] = []
        while True:
            self._skip()
            bare = _BARE.match(self.text, self.at)
            found = bare or _STRINGS.match(self.text, self.at)
            if found is None:
                raise ValueError("no key")
            keys.append(found[0] if bare else _unquoted(found[0]))
            self.at = found.end()
            self._skip()
            if self.text[self.at] != ".":
                return tuple(keys)
            self.at += 1

    def _value(self, path: Path) -> None:
        sign = self.text[self.at]
        if sign == "[":
            self._several(path, "]")
        elif sign == "{":
            self._several(path, "}")
        else:
            found = _STRINGS.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            assert found is not None
            self.at = found.end()

    def _several(self, path: Path, end: str) -> None:
        """The elements of an array, or the pairs of an inline table."""
        self.at += 1
        number = 0
        while True:
            self._skip()
            before = self.at
            if self.text[self.at] == end:
                self.at += 1
                return
            if end == "]":
                self.lines[(*path, number)] = self._line()
                self._value((*path, number))
                number += 1
            else:
                self._pair(path)
            self._skip()
            if self.text[self.at] == ",":
                self.at += 1
            if self.at == before:
                raise ValueError("no value")

    def _expect(self, sign: str) -> None:
        self._skip()
        if not self.text.startswith(sign, self.at):
            raise ValueError(f"no {sign}")
        self.at += len(sign)


def _unquoted(key: str) -> str:
    import tomllib

    return next(iter(tomllib.loads(f"{key} = 0")))
