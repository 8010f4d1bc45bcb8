"""Accidents by seed: which one, where, when, how bad. The same seed gives the same row of accidents everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "Dice", "Fault", "FaultSchedule"]

KINDS: dict[str, str] = {
    "none": "no accident",
    "kill": "SIGKILL at a message of the run",
    "pause": "SIGSTOP at a message, SIGCONT before the others lose patience",
    "freeze": "SIGSTOP at a message, SIGCONT after the others lost patience",
    "drain": "SIGTERM while the run goes on",
    "drop": "a frame is lost",
    "duplicate": "a frame is sent twice",
    "reorder": "two frames change places",
    "corrupt-frame": "the head of a frame is changed",
    "replay": "a frame of an earlier session is sent again",
    "corrupt-bytes": "a byte on the wire is changed",
    "cut": "connections break after some bytes",
    "black-hole": "nothing arrives from one party at another, and nobody is told",
    "partition": "two parties do not reach each other, and then again",
    "isolate": "one party is cut off from all, and is back",
    "latency": "delay and jitter on all connections",
    "throttle": "little bandwidth",
    "slow-reader": "one party takes bytes very slowly",
    "disk-full": "the files of a party cannot grow",
    "clock-jump": "a party's clock jumps by an hour or a day",
    "expired": "a party's clock is past the end of all certificates",
    "journal-torn": "the journal of a sealed run loses its end",
    "journal-rolled-back": "an older copy of the journal of a sealed run comes back",
    "journal-changed": "a bit of the journal of a sealed run is changed",
    "state-rolled-back": "an older copy of a party's state database comes back",
}
"""Every class of accident, and what it is."""

# of a run's messages half are sent
_FRAMES = ("drop", "duplicate", "reorder", "corrupt-frame", "replay")


class Dice:
    """Numbers that follow from a seed and nothing else; no secret comes from here."""

    def __init__(self, seed: str) -> None:
        self._seed, self._thrown = seed, 0

    def below(self, bound: int) -> int:
        """0 to bound - 1."""
        self._thrown += 1
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{self._thrown}".encode()).digest()[:12]) % bound

    def one_of(self, things: Sequence[str]) -> str:
        """One of these."""
        return things[self.below(len(things))]


@dataclass(frozen=True)
class Fault:
    """One accident.

    Attributes
    ----------
    number : int
    kind : str
        Of `KINDS`.
    coordinator, party, other : str
        Whose operator asks for the run, who has the accident, and with whom.
    at : int
        Message, frame or thousandth of the bytes at which it happens.
    sealed : bool
        In a study whose result is sealed and released later; else in a single analysis.
    releasing : bool
        While the result is released; else while it is computed.
    """

    number: int
    kind: str
    coordinator: str
    party: str
    other: str
    at: int
    sealed: bool = False
    releasing: bool = False


class FaultSchedule:
    """Accidents in the order of their numbers: every kind once, in an order by seed, then again in another.

    Parameters
    ----------
    seed : int
    names : sequence of str
        The parties.
    kinds : sequence of str, optional
        Default: all but those that end the use of a consortium ("state-rolled-back").
    messages : int
        About how many messages a party sends and receives in a run.
    """

    def __init__(self, seed: int, names: Sequence[str], kinds: Sequence[str] | None = None, messages: int = 50) -> None:
        self._seed, self._names, self._messages = seed, tuple(names), messages
        self._kinds = tuple(kind for kind in KINDS if kind != "state-rolled-back") if kinds is None else tuple(kinds)

    def fault(self, number: int) -> Fault:
        """The accident with a number, from 0."""
        turn, place = divmod(number, len(self._kinds))
        dice = Dice(f"{self._seed}/{number}")
        kind = self._order(turn)[place]
        party = dice.one_of(self._names)
        other = dice.one_of([name for name in self._names if name != party])
        journal = kind.startswith("journal")
        return Fault(
            number,
            kind,
            coordinator=dice.one_of(self._names),
            party=party,
            other=other,
            at=dice.below(self._messages // 2 if kind in _FRAMES else self._messages),
            sealed=journal or dice.below(5) == 0,
            releasing=journal or dice.below(2) == 0,
        )

    def _order(self, turn: int) -> list[str]:
        dice, left = Dice(f"{self._seed}/turn {turn}"), list(self._kinds)
        return [left.pop(dice.below(len(left))) for _ in self._kinds]
