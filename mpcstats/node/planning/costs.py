"""What a rehearsal's openings cost, one after the other: from it follows what the run costs where it opens more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from mpcstats.runtime import Session
from mpcstats.runtime.openings import OpeningLog

__all__ = ["Moment", "RecordingLog", "more_rounds", "record"]


@dataclass(frozen=True)
class Moment:
    """One opening.

    Attributes
    ----------
    name : str
    count : int
        Values.
    rounds, sent : int
        Rounds and bytes of this party before it.
    """

    name: str
    count: int
    rounds: int
    sent: int


class RecordingLog(OpeningLog):
    """An opening log that also notes when what was opened."""

    moments: list[Moment]
    clock: Callable[[], tuple[int, int]]

    def allow(self, name: str, count: int) -> None:
        """See `OpeningLog.allow`."""
        super().allow(name, count)
        self.moments.append(Moment(name, count, *self.clock()))

    def part(self) -> OpeningLog:
        """See `OpeningLog.part`."""
        log = super().part()
        log.__class__ = RecordingLog
        assert isinstance(log, RecordingLog)
        log.moments, log.clock = self.moments, self.clock
        return log


def record(session: Session) -> list[Moment]:
    """Note the openings of a session that has opened nothing yet, in the list that is returned."""
    moments: list[Moment] = []

    def clock() -> tuple[int, int]:
        return session.accounts.rounds, sum(session.accounts.bytes_sent.values())

    log = session.openings
    log.__class__ = RecordingLog
    assert isinstance(log, RecordingLog)
    log.moments, log.clock = moments, clock
    return moments


@dataclass(frozen=True)
class _Loop:
    """Openings of one name, in several rounds."""

    first: int
    last: int
    rounds: int
    sent: int


def more_rounds(moments: list[Moment], limits: dict[str, tuple[int, int | None]], value_bytes: int) -> tuple[int, int]:
    """Rounds and bytes of this party beyond the rehearsal's, at most.

    A name that is opened in every turn of a loop can be opened until its limit is reached, and each further turn costs
    what the longest one cost. Loops that ran at the same time are one. What is opened once costs its bytes.

    Parameters
    ----------
    moments : list of Moment
    limits : dict of name to (values, openings or None)
    value_bytes : int
        That a party sends for one opened value, at most.
    """
    loops: list[_Loop] = []
    sent = 0
    for name, (limit, openings) in limits.items():
        mine = [moment for moment in moments if moment.name == name and moment.count]
        turns = sorted({moment.rounds for moment in mine})
        left = limit - sum(moment.count for moment in mine)
        if left <= 0:
            continue
        sent += left * value_bytes
        if len(turns) < 2:
            continue
        by_turn = math.ceil(sum(moment.count for moment in mine) / len(turns))
        more = math.ceil(left / by_turn) if openings is None else max(0, openings - len(turns))
        gaps = [b - a for a, b in itertools.pairwise(turns)]
        places = {moment.rounds: moment.sent for moment in mine}
        bytes_of_turns = [places[b] - places[a] for a, b in itertools.pairwise(turns)]
        loops.append(_Loop(turns[0], turns[-1], more * max(gaps), more * max(bytes_of_turns)))
    rounds = 0
    while loops:
        first = loops.pop()
        beside = [loop for loop in loops if loop.first <= first.last and first.first <= loop.last]
        loops = [loop for loop in loops if loop not in beside]
        rounds += max(loop.rounds for loop in [first, *beside])
        sent += max(loop.sent for loop in [first, *beside])
    return rounds, sent
