"""Writing TOML: values on one line, and comments over them."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mpcstats.errors import SpecError

__all__ = ["comment", "study_text", "toml_block", "toml_scalar"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDE = 110


def toml_scalar(value: Any) -> str:
    """One value on one line; long lists on several.

    Raises
    ------
    SpecError
        It is no text, number, truth value, date, or list or mapping of them.
    """
    if isinstance(value, bool | int | float):
        return _number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Sequence):
        inside = [toml_scalar(part) for part in value]
        line = f"[{', '.join(inside)}]"
        return line if len(line) <= _WIDE or len(inside) < 2 else "[\n  " + ",\n  ".join(inside) + ",\n]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {toml_scalar(part)}" for key, part in value.items() if part is not None)
        return f"{{ {', '.join(pairs)} }}"
    raise SpecError(f"{type(value).__name__} cannot be written as TOML")


def toml_block(text: str) -> str:
    """A PEM text as a multi-line literal string."""
    assert "'''" not in text
    return f"'''\n{text.strip()}\n'''"


def _number(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or math.isfinite(value):
        return repr(value)
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def comment(text: str, width: int = 100) -> list[str]:
    """Lines of a comment."""
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), width)]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_scalar(name)


def study_text(study: Mapping[str, Any]) -> str:
    """A study's content as TOML: the same content, in words of its own (comments are not part of what is signed)."""
    lines = [f"{_key(name)} = {toml_scalar(value)}" for name, value in study.items() if not isinstance(value, Mapping)]
    for name, table in study.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {toml_scalar(value)}" for key, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"
