"""Plan and contribution of the overlap between sites."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Plan

__all__ = ["KEY_BITS", "MOST_ROWS", "SampleOverlapContribution", "SampleOverlapPlan", "person_keys"]

MOST_ROWS = 400_000
"""Rows of all merged lists together: two lists for each pair of parties."""

KEY_BITS = 60
"""Two of 400,000 different ids have the same key with a probability below 1e-7."""


@dataclass(frozen=True)
class SampleOverlapPlan(Plan):
    """Rows that each party deals: at least the number of its people, and public."""

    kind: ClassVar[str] = "sample-overlap"
    rows: int

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return 0 < self.rows <= MOST_ROWS // 2


@dataclass(frozen=True, repr=False, eq=False)
class SampleOverlapContribution(Contribution):
    """This site's people: int64 (people,), each once, increasing; see `person_keys`."""

    keys: NDArray[np.int64]


def person_keys(ids: Iterable[str]) -> NDArray[np.int64]:
    """A number of 60 bits for each different id, increasing.

    Keys are shared and never opened. The hash makes them short; it need not hide anything, so it has no salt.
    """
    digests = (hashlib.sha256(b"mpcstats person\n" + name.encode()).digest()[:8] for name in set(ids))
    numbers = {int.from_bytes(digest, "little") >> (64 - KEY_BITS) for digest in digests}
    return np.array(sorted(numbers), dtype=np.int64)
