"""Reading TOML files: bytes to a mapping, a mapping to a model; errors name file, line, field and fix."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mpcstats.errors import ConfigurationError
from mpcstats.study.files.problems import file_error, problems_of

__all__ = ["read_toml", "validated"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_toml(path: Path, hint: str | None = None) -> tuple[dict[str, Any], str]:
    """A TOML file, and its text.

    Raises
    ------
    ConfigurationError
        It cannot be read, or is no TOML; names file, and line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    except (ValueError, RecursionError) as error:  # what is no UTF-8, no TOML, or has a number of 5,000 digits
        raise ConfigurationError(f"{path} cannot be read, it is not TOML: {error}") from None


def validated(
    model: type[_Model],
    plain: Mapping[str, Any],
    source: str,
    text: str | None = None,
    *,
    elsewhere: Mapping[tuple[str, ...], str] | None = None,
) -> _Model:
    """Validate what a file holds.

    Parameters
    ----------
    text : str, optional
        The file's text, for the lines of what is wrong.
    elsewhere : mapping, optional
        See `file_error`.

    Raises
    ------
    ConfigurationError
        Names file, line, field and fix, and never repeats the value.
    """
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        raise file_error(problems_of(error, model, plain), source, plain, text, elsewhere=elsewhere) from None
