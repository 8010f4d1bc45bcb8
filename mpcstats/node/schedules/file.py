"""The table `[schedule]` of a `study.toml`: written without touching the rest of the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import parse_toml
from mpcstats.study.files.writing import toml_scalar
from mpcstats.study.schedule import Schedule, parse_schedule

__all__ = ["study_file", "study_schedule", "write_schedule"]

_HEADER = re.compile(r"\s*\[\s*schedule\s*\]\s*(#.*)?")
_NEXT = re.compile(r"\s*\[")


def study_file(path: Path) -> Path:
    """`study.toml` of a folder, or the file itself."""
    return path / "study.toml" if path.is_dir() else path


def study_schedule(path: Path) -> Schedule:
    """The schedule in a `study.toml`.

    Raises
    ------
    ConfigurationError, SpecError
        The file cannot be read, has no schedule, or a wrong one.
    """
    plain = parse_toml(study_file(path))
    if "schedule" not in plain:
        raise ConfigurationError(f"{study_file(path)} has no [schedule]", hint="mpcstats schedule create")
    return parse_schedule(plain["schedule"])


def write_schedule(path: Path, plain: Mapping[str, Any]) -> Schedule:
    """Put a schedule into a `study.toml`, in place of the one there was.

    Parameters
    ----------
    path : Path
        The file, or its folder.
    plain : mapping
        Text, whole numbers and dates; None is left out.

    Raises
    ------
    SpecError
        It is no schedule.
    ConfigurationError
        The file cannot be read, written, or changed without touching the rest.
    """
    path = study_file(path)
    given = {name: value for name, value in plain.items() if value is not None}
    schedule = parse_schedule(given)
    before = parse_toml(path, hint="mpcstats study new")
    text = _replaced(path.read_text(encoding="utf-8"), _table(given))
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        after = {}
    if after != before | {"schedule": given}:
        raise ConfigurationError(f"[schedule] in {path} cannot be replaced", hint="remove it by hand, and try again")
    path.write_text(text, encoding="utf-8")
    return schedule


def _table(given: Mapping[str, Any]) -> str:
    lines = [f"{name} = {toml_scalar(value)}" for name, value in given.items()]
    return "\n".join(["[schedule]", *lines]) + "\n"


def _replaced(text: str, table: str) -> str:
    lines = text.splitlines(keepends=True)
    start = next((place for place, line in enumerate(lines) if _HEADER.fullmatch(line.rstrip("\r\n"))), None)
    if start is None:
        return text.rstrip("\n") + "\n\n" + table
    end = next((place for place in range(start + 1, len(lines)) if _NEXT.match(lines[place])), len(lines))
    rest = "".join(lines[end:])
    return "".join(lines[:start]) + table + ("\n" + rest if rest else "")
