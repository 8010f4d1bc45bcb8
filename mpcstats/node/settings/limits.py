"""`[limits]` of party.toml: how much of everything a party takes, and the errors that say so.

Every limit has a number, a default that ordinary use does not meet, and one sentence when it is met: what there was,
what is allowed, and which setting says so.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mpcstats.errors import LimitExceeded

__all__ = ["Limits", "check", "check_disk", "exceeded"]

_Count = Annotated[int, Field(ge=1, le=1 << 53)]


class Limits(BaseModel):
    """How much of everything a party takes.

    Attributes
    ----------
    rows, columns : int
        Of a table that is read for a run.
    cells : int
        Numbers that this party's contribution to a run holds.
    rounds : int
        Rounds of one run.
    run_seconds : int
        Duration of one run, the waiting for its slot not included.
    memory_mb : int or None
        Resident memory of the node (10^6 bytes) at which its run is ended; default nine tenths of what the machine, or
        the container, has.
    disk_free_mb : int
        Free space (10^6 bytes) on the disk of state/ without which no run begins.
    queue : int
        Runs that wait for the slot.
    requests_per_second : float
        Of one party to one procedure, on average; five seconds' worth may come at once.
    calls_at_once : int
        Of one party to one procedure, streams included.
    entries_per_day : int
        Signed entries of one party that are taken in 24 hours; older ones of a party that was away are not counted.
    comments_per_day : int
        Of them, comments.
    chain_entries, chain_mb : int
        All entries of one party: their number, and their size (10^6 bytes).
    open_proposals : int
        Studies that one party proposed and that are not over.
    audit_records_per_minute : int
        Records that one other party causes in the audit log; of refused runs beyond it only the number is kept.
    run_logs, run_log_mb : int
        Logs of single runs that are kept, and the size of each (10^6 bytes).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rows: _Count = 20_000_000
    columns: _Count = 20_000
    cells: _Count = 100_000_000
    rounds: _Count = 10_000_000
    run_seconds: _Count = 7 * 24 * 3600
    memory_mb: _Count | None = None
    disk_free_mb: int = Field(default=200, ge=0)
    queue: _Count = 50
    requests_per_second: float = Field(default=20.0, ge=0.1, le=1e6)
    calls_at_once: _Count = 32
    entries_per_day: _Count = 10_000
    comments_per_day: _Count = 500
    chain_entries: _Count = 1_000_000
    chain_mb: _Count = 1000
    open_proposals: _Count = 500
    audit_records_per_minute: _Count = 120
    run_logs: _Count = 500
    run_log_mb: _Count = 5


def exceeded(what: str, setting: str, limit: float, party: str | None, *, owner: str = "") -> LimitExceeded:
    """The error of a limit.

    Parameters
    ----------
    what : str
        What there was, with its number: "the table has 12 rows".
    setting : str
        Name in `[limits]`.
    party : str, optional
        Who is at fault.
    owner : str, optional
        Whose limit it is, where that is another party.
    """
    whose = f" of {owner}" if owner and owner != party else ""
    return LimitExceeded(
        f"{what}; the limit{whose} is {limit:,g} ({setting})"
        if limit < 1e6
        else f"{what}; the limit{whose} is {int(limit):,} ({setting})",
        party=party,
        hint=f"{setting} = ... under [limits] in party.toml, if it has to be more",
    )


def check(limits: Limits, setting: str, number: float, what: str, party: str | None) -> None:
    """Raise when a number is over its limit.

    Raises
    ------
    LimitExceeded
    """
    limit = getattr(limits, setting)
    if number > limit:
        raise exceeded(what, setting, limit, party)


def check_disk(limits: Limits, folder: Path, party: str) -> None:
    """Refuse to begin a run on a disk that is nearly full.

    Raises
    ------
    LimitExceeded
    """
    free = shutil.disk_usage(folder).free // 10**6
    if free < limits.disk_free_mb:
        raise LimitExceeded(
            f"the disk of {folder} has {free:,} MB free; {limits.disk_free_mb:,} are needed (disk_free_mb)",
            party=party,
            hint="make room, or lower disk_free_mb under [limits] in party.toml",
        )
