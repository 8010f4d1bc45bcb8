"""Calls and allele counts of a block of variants, on shares, and what is decided about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import Elements, PrimeField
from mpcstats.protocols import at_least, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.disclosure import open_counts

__all__ = ["CALLED", "PASSES", "RARER", "AlleleCounts", "count_alleles"]

CALLED, RARER, PASSES = "people with a call", "rarer allele", "variant passes"

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class AlleleCounts:
    """Pooled counts of a block.

    Attributes
    ----------
    called : Shared (V,)
        People with a call.
    copies : Shared (V,)
        Copies of ALT that they carry.
    """

    called: Shared
    copies: Shared

    def __getitem__(self, index: Ints) -> AlleleCounts:
        return AlleleCounts(self.called[index], self.copies[index])

    async def open_called(self, session: Session) -> Ints:
        """People with a call."""
        return await open_counts(session, self.called, CALLED)

    async def open_a1(self, session: Session) -> Bits:
        """True where ALT is A1: unless it is the commoner allele. A comparison and one bit per variant."""
        # commoner: copies > called, of 2 called in all
        alt_is_common = await open_counts(session, await at_least(session, self.copies - self.called, 1), RARER)
        return np.asarray(alt_is_common == 0)

    async def open_passes(
        self, session: Session, called: Ints, a1_is_alt: Bits, minimum: int, also: Shared | None = None
    ) -> Bits:
        """True where A1 has at least `minimum` copies, and `also` (V,) is 1. A comparison and one bit per variant."""
        sign, offset = np.where(a1_is_alt, 1, -1), np.where(a1_is_alt, 0, 2 * called)
        field = self.copies.field
        rarer = self.copies.times(field.from_int64(sign)).plus(field.from_int64(offset))
        bits = await at_least(session, rarer, minimum)
        if also is not None:
            bits = await multiply(session, bits, also)
        return np.asarray(await open_counts(session, bits, PASSES) == 1)

    async def common(self, session: Session, minimum: int) -> Shared:
        """1 where both alleles have at least `minimum` copies; opens nothing. Two comparisons per variant."""
        both = concatenate([self.copies, self.called.times_int(2) - self.copies])
        bits = await at_least(session, both, minimum)
        half = self.copies.size
        return await multiply(session, bits[:half], bits[half:])


async def count_alleles(
    session: Session, field: PrimeField, calls: NDArray[np.int8] | None, size: int, dealers: tuple[int, ...]
) -> AlleleCounts:
    """Pool the counts of a block of `size` variants. One round; reveals nothing."""
    mine: Elements | None = None
    if calls is not None:
        mine = field.from_int64(await local(session, _counts, calls))
    pooled = await sum_of_inputs(session, field, mine, dealers, (2, size))
    return AlleleCounts(pooled[0], pooled[1])


def _counts(calls: NDArray[np.int8]) -> Ints:
    """Own people with a call, and copies of ALT: (2, V)."""
    return np.stack([(calls >= 0).sum(axis=0), np.maximum(calls, 0).sum(axis=0, dtype=np.int64)])
