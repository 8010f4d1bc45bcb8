"""How much one party may write: entries and comments a day, and its chain as a whole.

A day's bound passes by itself: what is refused today is offered again and taken tomorrow. Old entries are history that
a party catches up with, and count in the chain alone.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable

from mpcstats.node.settings.limits import Limits, check, exceeded
from mpcstats.study.canonical import parse_moment
from mpcstats.study.entries import Entry

__all__ = ["EntryQuota"]

_DAY = datetime.timedelta(days=1)


class EntryQuota:
    """What each party wrote in the last 24 hours, as this node took it; begins anew with the process.

    Parameters
    ----------
    limits : Limits
    now : function
        The clock.
    chain_bytes : function of party
        Size of a party's chain in the database; asked once per party.
    """

    def __init__(self, limits: Limits, now: Callable[[], datetime.datetime], chain_bytes: Callable[[str], int]) -> None:
        self._limits, self._now, self._chain_bytes = limits, now, chain_bytes
        self._taken: dict[tuple[str, str], deque[datetime.datetime]] = {}
        self._bytes: dict[str, int] = {}

    def check(self, entry: Entry, size: int) -> None:
        """Refuse an entry of `size` bytes that is one too many.

        Raises
        ------
        LimitExceeded
            Names the party that wrote it.
        """
        limits, party = self._limits, entry.party
        check(limits, "chain_entries", entry.number, f"the chain of entries has {entry.number:,}", party)
        total = self._size(party) + size
        check(limits, "chain_mb", total / 1e6, f"the chain of entries has {total / 1e6:,.1f} MB", party)
        for kind, setting, what in self._kinds(entry):
            taken = self._taken.setdefault((party, kind), deque())
            while taken and self._now() - taken[0] >= _DAY:
                taken.popleft()
            if len(taken) >= getattr(limits, setting):
                raise exceeded(f"wrote {len(taken) + 1:,} {what} in 24 hours", setting, getattr(limits, setting), party)

    def took(self, entry: Entry, size: int) -> None:
        """Count an entry that was kept."""
        self._bytes[entry.party] = self._size(entry.party) + size
        for kind, _, _ in self._kinds(entry):
            self._taken.setdefault((entry.party, kind), deque()).append(self._now())

    def _kinds(self, entry: Entry) -> list[tuple[str, str, str]]:
        if self._now() - parse_moment(entry.time) >= _DAY:
            return []
        kinds = [("", "entries_per_day", "entries")]
        return [*kinds, ("comment", "comments_per_day", "comments")] if entry.action == "comment" else kinds

    def _size(self, party: str) -> int:
        if party not in self._bytes:
            self._bytes[party] = self._chain_bytes(party)
        return self._bytes[party]
