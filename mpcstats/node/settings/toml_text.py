"""Writing the few TOML files that mpcstats makes: party cards, rosters, first configuration files."""

from __future__ import annotations

import json

__all__ = ["toml_block", "toml_value"]


def toml_value(value: str | int) -> str:
    """A string or integer as TOML. (A JSON string is a TOML basic string, except for DEL.)"""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml_block(text: str) -> str:
    """A PEM text as a multi-line literal string."""
    assert "'''" not in text
    return f"'''\n{text.strip()}\n'''"
