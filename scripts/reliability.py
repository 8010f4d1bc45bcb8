"""docs/reliability.md: text that people write, and sections that scripts replace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_section"]


def write_section(path: Path, name: str, lines: Sequence[str]) -> None:
    """Replace what is between the marks of a section; the section is added to a file that has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    block = "\n".join((begin, *lines, end))
    text = path.read_text(encoding="utf-8") if path.exists() else "# Reliability\n"
    if begin in text:
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _match: block, text, flags=re.S)
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
