"""Small files of a party, written whole or not at all, readable by their owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from mpcstats.errors import ConfigurationError

__all__ = ["read_secret", "replaced", "write_whole"]


@contextlib.contextmanager
def replaced(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """A new file beside `path`, which takes its place when the block ends well and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield fresh
        os.chmod(fresh, mode)  # whatever the umask was
        descriptor = os.open(fresh, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a text file."""
    with replaced(path, mode) as fresh:
        fresh.write_text(text, encoding="utf-8")


def read_secret(path: Path) -> str:
    """The first line of a file that nobody else may read.

    Raises
    ------
    ConfigurationError
        It is missing, or others may read it.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {type(error).__name__}") from None
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by other users (mode {mode & 0o777:o})", hint=f"chmod 600 {path}")
    return text.splitlines()[0].strip() if text.strip() else ""
