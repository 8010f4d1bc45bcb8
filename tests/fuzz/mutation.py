"""Inputs near valid ones: bytes changed, and documents of which single values are replaced by odd ones."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

from tests.fuzz.target import Target

__all__ = ["mutant"]

_LONGEST = 1 << 17
_TOKENS = (
    *(b"", b"\0", b"\xff", b"\n", b"\r\n", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"-1", b"1e999"),
    *(b"NaN", b"null", b"true", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff\xff\xff\xff", b"\x80" * 10, b"9" * 25),
    *(b"[" * 600, b'{"a":' * 600, b"9" * 5000, "é漢\U0001f600".encode(), b"\t", b" ", b"0", b"="),
)


def _deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, 1e308, 1 << 31, 1 << 53, 1 << 63, 1 << 64, -(1 << 70), 10**400),
    *("", "\0", "\ud800", "0" * 64, "x" * 3000, "Infinity", "NaN", "1", "2027-01-31T00:00:00Z", "0001-01-01"),
    *("9999-12-31", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "../x", "é", "\n"),
    *([], {}, [[]], [{}], {"": None}, ["a", "a"], [0] * 50, [None], {"type": []}, {"a": {"b": []}}),
    *(float("nan"), float("inf")),
)
_ODD_TOML = (
    *('""', "1", "-1", "1.5", "nan", "inf", "true", "[]", "{}", "[[]]", '[""]', "[1, 1]", '["a", "a"]', "1e400"),
    *("2027-01-31", "2027-01-31T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31", "9995-01-01", "07:00:00"),
    *('"0001-01-01T00:00:00+23:59"', '"\\u0000"', "'''a\nb'''", '"' + "x" * 3000 + '"', "9" * 4000, "1" + "0" * 400),
    *("[" * 300 + "]" * 300, "{a={b={c=1}}}", '{type=["x"]}', '"9999-12-31T23:59:59-23:59"', "0x7fffffffffffffff1"),
)


def mutant(target: Target, seeds: Sequence[bytes], seed: int) -> bytes:
    """The input that follows from a number."""
    rng = random.Random(seed)
    data = rng.choice(seeds)
    if rng.random() < 0.6:
        if target.kind == "json":
            data = _json_mutant(data, rng)
        elif target.kind == "toml":
            data = _toml_mutant(data, rng)
        else:
            data = _byte_mutant(data, seeds, rng)
    elif rng.random() < 0.8:
        data = _byte_mutant(data, seeds, rng)
    return data[:_LONGEST]


def _byte_mutant(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at, length = rng.randrange(len(out) + 1), rng.choice((0, 1, 1, 2, 4, 16, 200))
        kind = rng.randrange(6)
        if kind == 0:
            out[at : at + length] = rng.choice(_TOKENS)
        elif kind == 1 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + length] * rng.choice((1, 1, 3, 50))
        elif kind == 4:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            out[at : at + length] = other[start : start + rng.choice((1, 8, 64, 1000))]
        elif kind == 5:
            out[at : at + length] = rng.randbytes(length)
    return bytes(out)


def _json_mutant(data: bytes, rng: random.Random) -> bytes:
    """A document, or one of several lines of documents, with some values replaced, dropped or moved."""
    lines = data.splitlines() if data.count(b"\n") > 1 and data.startswith(b"{") and b"}\n{" in data else [data]
    place = rng.randrange(len(lines))
    document = json.loads(lines[place])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        document = _changed(document, rng)
        if not isinstance(document, dict | list):
            break
    lines[place] = json.dumps(document, ensure_ascii=rng.random() < 0.9, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )
    return b"\n".join(lines)


def _changed(document: Any, rng: random.Random) -> Any:
    paths = list(_paths(document, ()))  # not far into what is deep already
    path = rng.choice(paths)
    if not path:
        return _odd(rng)
    root = document
    for part in path[:-1]:
        document = document[part]
    key, kind = path[-1], rng.randrange(8)
    if kind == 0:
        del document[key]
    elif kind == 1 and isinstance(document, dict):
        document[rng.choice(("", "x", "type", "kind", "\ud800"))] = _odd(rng)
    elif kind == 2:
        other: Any = root
        for part in rng.choice(paths):
            other = other[part] if _holds(other, part) else other
        document[key] = _copied(other)
    elif kind == 3 and isinstance(document, list):
        document.append(_copied(document[key]))
    elif kind == 4 and isinstance(document[key], str) and document[key]:
        text = document[key]
        at = rng.randrange(len(text))
        document[key] = text[:at] + rng.choice(("", "0", "f", "\0", " ", "-", "\u0663")) + text[at + 1 :]
    elif kind == 5 and type(document[key]) in (int, float) and abs(document[key]) < 1e15:
        document[key] = document[key] * rng.choice((-1, 2, 0.5, 1000)) + rng.choice((-1, 0, 1))
    else:
        document[key] = _odd(rng)
    return root


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _odd(rng: random.Random) -> Any:
    return _deep(rng.choice((5, 50, 200, 320, 480, 900))) if rng.random() < 0.05 else _copied(rng.choice(_ODD))


def _holds(value: Any, part: Any) -> bool:
    return part in value if isinstance(value, dict) else isinstance(value, list) and part < len(value)


def _paths(value: Any, path: tuple[Any, ...]) -> Any:
    yield path
    if len(path) > 30:
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:200]:
        yield from _paths(part, (*path, key))


_ASSIGNED = re.compile(r"^(\s*[^#=\n]+=\s*)([^\n]*)$", re.MULTILINE)


def _toml_mutant(data: bytes, rng: random.Random) -> bytes:
    text = data.decode()
    for _ in range(rng.choice((1, 1, 2, 3))):
        found = list(_ASSIGNED.finditer(text))
        lines = text.splitlines(keepends=True)
        kind = rng.randrange(5)
        if kind < 3 and found:
            match = rng.choice(found)
            text = text[: match.start(2)] + rng.choice(_ODD_TOML) + text[match.end(2) :]
        elif lines:
            place = rng.randrange(len(lines))
            if kind == 3:
                del lines[place]
            else:
                lines.insert(rng.randrange(len(lines) + 1), lines[place])
            text = "".join(lines)
    return text.encode()
