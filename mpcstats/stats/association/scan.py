"""A scan: blocks of variants, one after the other, and what is opened of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61, M127, Elements, PrimeField
from mpcstats.protocols import multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared
from mpcstats.stats.association.ahead import Ahead
from mpcstats.stats.association.alleles import CALLED, PASSES, RARER, AlleleCounts, count_alleles
from mpcstats.stats.association.complete import FRACTION, complete_statistics, partial_statistics, pool_sums
from mpcstats.stats.association.genomic_control import Hidden
from mpcstats.stats.association.imputed import count_bits, imputed_statistics, sum_fraction
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.own import own_products, own_sums
from mpcstats.stats.association.pooled_test import LinearTest, PooledTest
from mpcstats.stats.association.scan_filters import ScanFilters
from mpcstats.stats.association.statistics import Statistics
from mpcstats.stats.association.store import Block, BlockStore
from mpcstats.stats.association.variant_filters import VariantFilters
from mpcstats.stats.contributions.association import AssociationContribution
from mpcstats.stats.disclosure import Ruling, open_counts

__all__ = ["BALANCED", "HITS", "Block", "Scan", "rare_code", "scan_blocks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]

BALANCED, HITS = "missing calls balanced", "variant is a hit"
_XX, _XY, _XX_OVER, _XY_OVER = "s_xx", "s_xy", "s_xx over s_yy", "s_xy over s_yy"

_MOST, _CELLS = 8192, 1 << 26
"""Variants of a block, and calls of all people: a site's own are a byte each."""


@dataclass
class Scan:
    """One run over all variants.

    Attributes
    ----------
    hidden : list of Hidden
        With "hits": what lambda is made of, block by block.
    statistics : bool
        False: of hits, their statistics stay on shares, too.
    filters : ScanFilters or None
    """

    session: Session
    test: PooledTest
    own: AssociationContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    options: ScanOptions
    hidden: list[Hidden] = field(default_factory=list)
    statistics: bool = True
    filters: ScanFilters | None = None

    def __post_init__(self) -> None:
        self._count = 0
        self._ahead = None if self.own is None else Ahead(self.session, self._own)

    def declare(self, count: int) -> None:
        """Enter what a scan of `count` variants opens in the manifest."""
        self._count = count
        hits = self.options.release == "hits"
        which = "per hit" if hits else "per variant"
        entries = [(CALLED, "people with a call, pooled" + ("" if self._imputes else ", of every variant"))]
        entries += [(RARER, f"{which}, which of the two alleles is rarer in the pooled data")]
        if hits:
            why = "per variant, whether p is below the threshold, copies of both alleles are enough, and filters passed"
            entries += [(HITS, why)]
        else:
            entries += [(PASSES, "per variant, whether copies of the rarer allele are enough and filters passed")]
        entries += [
            (_XX, f"{which}, sum of squares after the covariates"),
            (_XY, f"{which}, sum of products with the phenotype after the covariates"),
        ]
        if not self._imputes:
            if not hits:
                entries += [(BALANCED, "per variant with missing calls, whether its regression can be solved")]
            entries += [
                (_XX_OVER, f"{which} with missing calls, over the sum of squares of the phenotype"),
                (_XY_OVER, f"{which} with missing calls, over the sum of squares of the phenotype"),
            ]
        for name, why in entries:
            self.session.openings.declare(name, count, why)

    @property
    def _imputes(self) -> bool:
        return self.options.missing == "mean"

    @property
    def block_size(self) -> int:
        """Variants of a block: every party uses the same, from public numbers."""
        return max(64, min(_MOST, _CELLS // self.test.people))

    async def block(self, start: int, stop: int) -> Block:
        """Scan some variants."""
        calls, sums = await self._ahead.get(start, stop, self._count) if self._ahead is not None else (None, None)
        size = stop - start
        block = Block.empty(start, size)
        if self.options.release == "hits":
            # bits of two fields do not mix: significance is decided in M127
            counts = await count_alleles(self.session, M127, calls, size, self.dealers)
        else:
            counts = await count_alleles(self.session, M61, calls, size, self.dealers)
            block.observed = await counts.open_called(self.session)
            await self._open_alleles(block, counts, await self._filtered(calls, size, M61))
        if self._imputes:
            found = await self._imputed(calls, sums, block, counts)
        else:
            if self.options.release == "hits":
                block.observed = await counts.open_called(self.session)
            found = await self._complete_cases(calls, sums, block)
        if self.options.release == "hits":
            await self._open_hits(block, counts, found, await self._filtered(calls, size, M127))
        else:
            await self._open_all(block, found)
        return block

    async def _filtered(self, calls: NDArray[np.int8] | None, size: int, into: PrimeField) -> Shared | None:
        if self.filters is None:
            return None
        return await self.filters.bits(self.session, calls, size, self.dealers, into)

    async def _open_alleles(self, block: Block, counts: AlleleCounts, also: Shared | None) -> None:
        block.a1_is_alt = await counts.open_a1(self.session)
        block.passes = await counts.open_passes(self.session, block.observed, block.a1_is_alt, self._minimum, also)

    def _own(self, start: int, stop: int) -> tuple[NDArray[np.int8], Elements]:
        """Own calls and sums of a block."""
        assert self.own is not None
        calls = self.own.read(start, stop)
        if self._imputes:
            return calls, own_sums(self.test, calls, sum_fraction(self.test.people))
        return calls, own_products(self.test, calls, FRACTION)

    async def close(self) -> None:
        """Nothing is made ahead any more."""
        if self._ahead is not None:
            await self._ahead.close()

    async def _imputed(
        self, calls: NDArray[np.int8] | None, sums: Elements | None, block: Block, counts: AlleleCounts
    ) -> list[tuple[Ints, Statistics]]:
        session, test, size = self.session, self.test, block.observed.size
        if self.options.release == "hits":
            called: Shared | Ints = counts.called
            copies = counts.copies
        else:
            called = block.observed
            copies = await sum_of_inputs(session, M127, _copies(calls), self.dealers, (size,))
        return [(np.arange(size), await imputed_statistics(session, test, sums, copies, called, self.dealers))]

    # --- complete cases ---------------------------------------------------------------------------------------------

    async def _complete_cases(
        self, calls: NDArray[np.int8] | None, own: Elements | None, block: Block
    ) -> list[tuple[Ints, Statistics]]:
        """Statistics of variants with and without missing calls, if they pass."""
        session, test, observed = self.session, self.test, block.observed
        assert isinstance(test, LinearTest)
        wanted = block.passes & (observed > test.order + 1)
        sums = await pool_sums(session, test, own, observed.size, self.dealers)
        found = []
        complete = np.flatnonzero(wanted & (observed == test.people))
        if complete.size:
            found.append((complete, await complete_statistics(session, sums, complete)))
        partial = np.flatnonzero(wanted & (observed < test.people))
        if partial.size:
            called = observed[partial]
            statistics = await partial_statistics(session, test, calls, partial, called, self.dealers)
            found.append((partial, statistics))
        return found

    @property
    def _minimum(self) -> int:
        return max(1, self.ruling.rules.minimum_allele_count)

    # --- what is opened -----------------------------------------------------------------------------------------------

    async def _open_all(self, block: Block, found: list[tuple[Ints, Statistics]]) -> None:
        session = self.session
        if self._imputes:
            kept = np.flatnonzero(block.passes)
            found = [(which[kept], statistics[kept]) for which, statistics in found]
        for which, statistics in found:
            kept = np.arange(which.size)
            if statistics.valid is not None:
                balanced = await open_counts(session, statistics.valid, BALANCED) == 1
                block.solvable[which], kept = balanced, np.flatnonzero(balanced)
            await self._open(block, which[kept], statistics[kept])

    async def _open_hits(
        self, block: Block, counts: AlleleCounts, found: list[tuple[Ints, Statistics]], also: Shared | None
    ) -> None:
        session = self.session
        for which, statistics in found:
            bits = await counts[which].common(session, self._minimum)
            if also is not None:
                bits = await multiply(session, bits, also[which])
            if statistics.valid is not None:
                bits = await multiply(session, bits, statistics.valid)
            evidence = await statistics.evidence(session)
            people = self._people(block.observed[which])
            if self.options.genomic_control:
                counts_in = await multiply(session, bits, await evidence.varies(session))
                self.hidden.append(Hidden(evidence, counts_in, people))
            beyond = await evidence.beyond(session, self.test.r_squared(self.options.threshold / 2, people))
            hits = np.flatnonzero(await open_counts(session, await multiply(session, bits, beyond), HITS) == 1)
            if not hits.size:
                continue
            where, its = which[hits], counts[which[hits]]
            if self._imputes:
                block.observed[where] = await its.open_called(session)
            block.a1_is_alt[where] = await its.open_a1(session)
            block.shown[where] = True
            if self.statistics:
                await self._open(block, where, statistics[hits])

    def _people(self, observed: Ints) -> Ints:
        return np.full(observed.size, self.test.people) if self._imputes else observed

    async def _open(self, block: Block, which: Ints, statistics: Statistics) -> None:
        if not which.size:
            return
        names = (_XX, _XY) if statistics.valid is None else (_XX_OVER, _XY_OVER)
        square, product = await statistics.open(self.session, *names)
        if self._imputes:
            part = block.observed[which] / (1 << count_bits(self.test.people))
            square, product = square / part**2, product / part
        block.s_xx[which], block.s_xy[which] = square / statistics.rate, product / statistics.rate
        block.shown[which] = True


def _copies(calls: NDArray[np.int8] | None) -> Elements | None:
    """Own copies of ALT (V,)."""
    return None if calls is None else M127.from_int64(np.maximum(calls, 0).sum(axis=0, dtype=np.int64))


async def scan_blocks(scan: Scan, count: int, store: BlockStore, inputs: bytes) -> None:
    """Complete the blocks of a store, those of an interrupted scan first. A scan for hits with lambda begins
    anew: it needs what was on shares."""
    scan.declare(count)
    anew = scan.options.release == "hits" and scan.options.genomic_control
    try:
        await store.resumed(scan.session, inputs, count, scan.block_size, scan.block, anew)
    finally:
        await scan.close()


def rare_code(minimum: int, filters: VariantFilters) -> str:
    """Of variants that do not pass: one code for all of them."""
    if filters.active:
        return "FILTERED"
    return "CONST_OMITTED_ALLELE" if minimum <= 1 else "MAC_BELOW_MINIMUM"
