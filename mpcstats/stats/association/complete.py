"""People with a call, as PLINK: s_xx and s_xy of a block of variants on shares, call counts opened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127, Elements
from mpcstats.protocols import inner_product, sum_of_inputs
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.missing import corrected_sums, share_missing_terms
from mpcstats.stats.association.pooled_test import LinearTest
from mpcstats.stats.association.statistics import Statistics

__all__ = ["FRACTION", "BlockSums", "complete_statistics", "partial_statistics", "pool_sums"]

FRACTION = 58
"""Of the per-variant sums."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BlockSums:
    """Pooled sums of a block, on shares: Q'g (V, order), e'g and g'g (V,), with g scaled by 1 / sqrt(people)."""

    basis: Shared
    residual: Shared
    square: Shared


async def pool_sums(
    session: Session, test: LinearTest, mine: Elements | None, size: int, dealers: tuple[int, ...]
) -> BlockSums:
    """Pool a block, from `own_products` with FRACTION bits; missing calls count 0. One round; reveals nothing."""
    pooled = await sum_of_inputs(session, M127, mine, dealers, (test.order + 2, size), FRACTION)
    basis = concatenate([pooled[k].reshape(size, 1) for k in range(test.order)], axis=1)
    return BlockSums(basis, pooled[test.order], pooled[test.order + 1])


async def complete_statistics(session: Session, sums: BlockSums, which: Ints) -> Statistics:
    """Variants of which nobody's call is missing: one inner product each."""
    basis = sums.basis[which]
    squared = await inner_product(session, basis, basis, axis=1)
    square = sums.square[which].shifted(2 * FRACTION) - squared
    return Statistics(square, sums.residual[which], np.ones(which.size))


async def partial_statistics(
    session: Session,
    test: LinearTest,
    calls: NDArray[np.int8] | None,
    which: Ints,
    called: Ints,
    dealers: tuple[int, ...],
) -> Statistics:
    """Variants with missing calls, from `called` people with a call: see `missing`. Numbers are over s_yy."""
    terms = await share_missing_terms(session, test.model, calls, which, called, dealers)
    ok, scaled, rates = await corrected_sums(session, terms)
    return Statistics(scaled[0], scaled[1], rates, ok)
