"""One node per party directory: two nodes with one identity would answer for each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mpcstats.errors import ConfigurationError

__all__ = ["hold_lock", "lock_holder"]


@contextlib.contextmanager
def hold_lock(state: Path) -> Iterator[None]:
    """Hold the lock file of a party's state directory. The system frees it however the process ends.

    Raises
    ------
    ConfigurationError
        Another process holds it.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "lock").open("a+") as file:
        if not _try_lock(file.fileno()):
            file.seek(0)
            raise ConfigurationError(
                f"another node (process {file.read().strip() or 'unknown'}) runs with {state.parent}",
                hint=f"mpcstats party stop {state.parent}",
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def lock_holder(state: Path) -> int | None:
    """The process that holds the lock; None when nobody does."""
    try:
        with (state / "lock").open("r") as file:
            if _try_lock(file.fileno()):
                return None
            return int(file.read().strip() or 0)
    except OSError:
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
