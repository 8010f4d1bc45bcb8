"""What a node counts while it runs, for metrics: numbers by names from fixed lists and the roster. Never a value."""

from __future__ import annotations

import threading
from collections import Counter

__all__ = ["Meter"]


class Meter:
    """Counters since the start; may be used from any thread.

    Attributes
    ----------
    runs : Counter of (analysis, state)
        State: running, sealed, released, failed (began, and broke off) or refused (never began here).
    rounds : int
        Of finished runs.
    bytes_sent : Counter of party
        Payload of sessions.
    refused_calls : Counter of reason
    refused_connections : Counter of reason
    floods : Counter of party
        Calls over the limit of requests.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.runs: Counter[tuple[str, str]] = Counter()
        self.rounds = 0
        self.bytes_sent: Counter[str] = Counter()
        self.refused_calls: Counter[str] = Counter()
        self.refused_connections: Counter[str] = Counter()
        self.floods: Counter[str] = Counter()

    def run(self, analysis: str, state: str, rounds: int = 0) -> None:
        """A run came to a state."""
        with self._lock:
            self.runs[analysis, state] += 1
            self.rounds += rounds

    def sent(self, party: str, count: int) -> None:
        """Bytes went to a party."""
        with self._lock:
            self.bytes_sent[party] += count

    def refused_call(self, reason: str) -> None:
        """A call was refused."""
        with self._lock:
            self.refused_calls[reason] += 1

    def refused_connection(self, reason: str) -> None:
        """A connection was refused."""
        with self._lock:
            self.refused_connections[reason] += 1

    def flood(self, party: str) -> None:
        """A call came that was one too many."""
        with self._lock:
            self.floods[party] += 1
