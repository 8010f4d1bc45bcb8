"""Filters of variants in a scan: one more bit that a variant needs, decided on shares and never opened by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61, PrimeField
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, Shared
from mpcstats.stats.association.pooled_counts import Cohort, pool_counts
from mpcstats.stats.association.variant_filters import VariantFilters, variants_that_pass

__all__ = ["ScanFilters"]


@dataclass(frozen=True)
class ScanFilters:
    """Filters, and the people they are about.

    Attributes
    ----------
    filters : VariantFilters
    group : int8 (own people,) or None
        0 control, 1 case; all 0 without cases.
    cohort : Cohort
    """

    filters: VariantFilters
    group: NDArray[np.int8] | None
    cohort: Cohort

    @classmethod
    async def of(
        cls,
        session: Session,
        filters: VariantFilters,
        group: NDArray[np.int8] | None,
        groups: int,
        people: int,
        dealers: tuple[int, ...],
    ) -> ScanFilters | None:
        """Pool the number of people in each group; None where no variant can fail. One round; reveals nothing."""
        if not filters.active:
            return None
        mine = None if group is None else M61.from_int64(np.bincount(group, minlength=groups).astype(np.int64))
        shared = await sum_of_inputs(session, M61, mine, dealers, (groups,))
        return cls(filters, group, Cohort(shared, (), max(4, people.bit_length())))

    async def bits(
        self,
        session: Session,
        calls: NDArray[np.int8] | None,
        size: int,
        dealers: tuple[int, ...],
        into: PrimeField,
    ) -> Shared:
        """1 for the variants of a block that pass (V,), in the field `into`. Reveals nothing."""
        counts = await pool_counts(session, calls, self.group, size, self.cohort, dealers, self.filters.wide)
        return await variants_that_pass(session, counts, self.filters, into)
