"""How often one caller may call one procedure: a token bucket, and a bound of calls at the same time.

What is over the bound is refused before anything is done for it; the bucket of one caller is no other caller's.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator

__all__ = ["Rates"]

BURST_SECONDS = 5.0
"""So many seconds' worth of requests may come at once."""

_MOST_BUCKETS = 10_000


class Rates:
    """Buckets by caller and procedure.

    Parameters
    ----------
    per_second : float
        Requests of one caller to one procedure on average.
    at_once : int
        Its calls at the same time.
    clock : function, optional
        Seconds.
    """

    def __init__(self, per_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._most = max(1.0, per_second * BURST_SECONDS)
        self._buckets: dict[tuple[Hashable, str], tuple[float, float]] = {}
        self._now: Counter[tuple[Hashable, str]] = Counter()

    @contextlib.contextmanager
    def call(self, caller: Hashable, method: str) -> Iterator[str]:
        """Around one call; the value is why it is refused, or ""."""
        key = caller, method
        refusal = self._refusal(key)
        if refusal:
            yield refusal
            return
        self._now[key] += 1
        try:
            yield ""
        finally:
            self._now[key] -= 1
            if not self._now[key]:
                del self._now[key]

    def _refusal(self, key: tuple[Hashable, str]) -> str:
        name = key[1].rpartition("/")[2]
        if self._now[key] >= self._at_once:
            return f"{self._now[key]} calls of {name} at the same time are the limit (calls_at_once)"
        now = self._clock()
        left, then = self._buckets.get(key, (self._most, now))
        left = min(self._most, left + (now - then) * self._per_second)
        if left < 1:
            self._buckets[key] = left, now
            return f"{self._per_second:g} calls of {name} a second are the limit (requests_per_second)"
        if len(self._buckets) >= _MOST_BUCKETS:  # more methods than there are: nothing is remembered of them
            self._buckets.clear()
        self._buckets[key] = left - 1, now
        return ""
