"""A meta-analysis block by block: what sites share of their own regressions, and what is opened of the sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.field import M61, M127, Elements, PrimeField
from mpcstats.protocols import at_least, blurred, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared, local, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.association.alleles import PASSES, RARER, AlleleCounts, count_alleles
from mpcstats.stats.association.genomic_control import Hidden
from mpcstats.stats.association.null_model import NullModel
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.scan import HITS
from mpcstats.stats.association.site_regression import SiteEstimates, estimate
from mpcstats.stats.association.statistics import VISIBLE, Statistics
from mpcstats.stats.contributions.association import AssociationContribution
from mpcstats.stats.disclosure import Ruling, open_counts

__all__ = ["MetaBlock", "MetaScan"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]

_FRACTION = 58
"""Fraction bits of the sums."""

_ROOM = 16
"""A site's weight is n 2p(1-p) in units of its own residual variance, which may be so much smaller than the pooled."""

_LARGEST = 4.0
"""Bound of the sums: what is compared must stay below 2^3."""

_BLOCK_CELLS = 1 << 22

_SITES, _ENOUGH, _RANGE, _PEOPLE = (
    "sites of a variant",
    "enough sites for a variant",
    "numbers of a variant out of range",
    "people of a variant",
)
_WEIGHT, _PRODUCT, _SQUARE = "sum of weights", "sum of weighted effects", "sum of weighted squared effects"


@dataclass
class MetaBlock:
    """Opened numbers of a block of variants; sums in units of the pooled residual's standard deviation.

    Attributes
    ----------
    sums : float64 (3, V)
        Of w, w b, w b^2.
    """

    shown: Bits
    a1_is_alt: Bits
    passes: Bits
    enough: Bits
    in_range: Bits
    people: Ints
    sites: Ints
    sums: Floats

    @classmethod
    def empty(cls, size: int) -> MetaBlock:
        """Nothing is opened yet."""
        no, yes, none = np.zeros(size, np.bool_), np.ones(size, np.bool_), np.zeros(size, np.int64)
        bits = (yes.copy(), yes.copy(), yes.copy(), yes.copy())
        return cls(no, bits[0], bits[1], bits[2], bits[3], none, none.copy(), np.full((3, size), np.nan))


@dataclass(frozen=True)
class _Pooled:
    """On shares: alleles, how many sites contribute and have numbers out of range, their people, the three sums."""

    alleles: AlleleCounts
    sites: Shared
    outside: Shared
    people: Shared
    sums: Shared


@dataclass
class MetaScan:
    """One run over all variants.

    Attributes
    ----------
    hidden : list of Hidden
        With "hits": what lambda is made of, block by block.
    """

    session: Session
    model: NullModel
    own: AssociationContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    options: ScanOptions
    hidden: list[Hidden] = field(default_factory=list)

    @property
    def sites_needed(self) -> int:
        """Sites that a variant's effect needs."""
        return max(1, self.ruling.rules.minimum_parties)

    def declare(self, count: int) -> None:
        """Enter what a scan of `count` variants opens in the manifest."""
        hits = self.options.release == "hits"
        which = "per hit" if hits else "per variant that passes"
        entries = [
            (RARER, f"{which}, which of the two alleles is rarer in the pooled data"),
            (_SITES, f"{which}, how many sites contribute"),
            (_PEOPLE, f"{which}, people with a call at these sites, pooled"),
            (_WEIGHT, f"{which}, pooled over sites: its standard error"),
            (_PRODUCT, f"{which}, pooled over sites: its effect"),
            (_SQUARE, f"{which}, pooled over more sites than the rules need: its heterogeneity"),
        ]
        if hits:
            entries += [(HITS, "per variant, whether p is below the threshold and the rules are kept")]
        else:
            entries += [
                (PASSES, "per variant, whether enough copies of both alleles exist"),
                (_ENOUGH, "per variant, whether enough sites contribute"),
                (_RANGE, "per variant, whether a site's numbers are too large to be shared"),
            ]
        for name, why in entries:
            self.session.openings.declare(name, count, why)

    def r_squared(self, tail: float, people: Ints) -> Floats:
        """(sum w b)^2 / sum w (V,) beyond which the one-sided p is below `tail`: z^2 in units of the weights."""
        return np.full(len(people), float(ndtri(tail)) ** 2 / self._weight_unit)

    def ranges(self, count: int) -> Iterator[tuple[int, int]]:
        """Blocks of variants: every party uses the same, from public numbers."""
        size = max(64, min(4096, _BLOCK_CELLS // self.model.people))
        for start in range(0, count, size):
            yield start, min(count, start + size)

    async def block(self, span: tuple[int, int]) -> MetaBlock:
        """Analyse some variants."""
        pooled = await self._pool(span)
        block = MetaBlock.empty(span[1] - span[0])
        if self.options.release == "hits":
            await self._open_hits(block, pooled)
        else:
            await self._open_all(block, pooled)
        return block

    # --- what sites share ---------------------------------------------------------------------------------------------

    async def _pool(self, span: tuple[int, int]) -> _Pooled:
        session, own, size = self.session, self.own, span[1] - span[0]
        # bits of two fields do not mix: significance is decided in M127
        counting: PrimeField = M127 if self.options.release == "hits" else M61
        calls = numbers = integers = None
        if own is not None:
            calls = await local(session, own.read, *span)
            found = await local(session, estimate, own.phenotype / self._width, own.covariates, calls)
            integers, numbers = self._numbers(found, counting)
        alleles = await count_alleles(session, counting, calls, size, self.dealers)
        whole = await sum_of_inputs(session, counting, integers, self.dealers, (3, size))
        sums = await sum_of_inputs(session, M127, numbers, self.dealers, (3, size), _FRACTION)
        return _Pooled(alleles, whole[0], whole[1], whole[2], sums)

    @property
    def _width(self) -> float:
        """The unit of effects: standard deviation of the pooled residual."""
        return self.model.residual_scale / math.sqrt(self.model.people)

    @property
    def _weight_unit(self) -> float:
        return float(_ROOM * self.model.people)

    def _numbers(self, found: SiteEstimates, counting: PrimeField) -> tuple[Elements, Elements]:
        """Own (contributes, out of range, people) and (w, w b, w b^2), each (3, V)."""
        weight = np.where(found.usable, found.standard_error, 1.0) ** -2.0 / self._weight_unit
        numbers = np.stack([weight, weight * found.effect, weight * found.effect**2])
        fits = np.isfinite(numbers).all(axis=0) & (np.abs(numbers) < _LARGEST / len(self.dealers)).all(axis=0)
        kept = found.usable & fits
        numbers = np.where(kept, numbers, 0.0)
        whole = np.stack([kept, found.usable & ~fits, np.where(kept, found.people, 0)]).astype(np.int64)
        return counting.from_int64(whole), encode(M127, numbers, _FRACTION, 3)

    # --- what is opened -----------------------------------------------------------------------------------------------

    async def _open_all(self, block: MetaBlock, pooled: _Pooled) -> None:
        session = self.session
        passes = await pooled.alleles.common(session, self._minimum)
        block.passes = await open_counts(session, passes, PASSES) == 1
        kept = np.flatnonzero(block.passes)
        if kept.size:
            enough = await at_least(session, pooled.sites[kept], self.sites_needed)
            block.enough[kept] = await open_counts(session, enough, _ENOUGH) == 1
        kept = np.flatnonzero(block.passes & block.enough)
        if kept.size:
            outside = await at_least(session, pooled.outside[kept], 1)
            block.in_range[kept] = await open_counts(session, outside, _RANGE) == 0
        await self._open(block, pooled, np.flatnonzero(block.passes & block.enough & block.in_range))

    async def _open_hits(self, block: MetaBlock, pooled: _Pooled) -> None:
        session, size = self.session, block.shown.size
        bits = await pooled.alleles.common(session, self._minimum)
        bits = await multiply(session, bits, await at_least(session, pooled.sites, self.sites_needed))
        bits = await multiply(session, bits, await at_least(session, -pooled.outside, 0))
        evidence = await Statistics(pooled.sums[0], pooled.sums[1], np.ones(size)).evidence(session)
        nobody = np.zeros(size, np.int64)  # no number of people matters to a normal statistic
        if self.options.genomic_control:
            counted = await multiply(session, bits, await evidence.varies(session))
            self.hidden.append(Hidden(evidence, counted, nobody))
        beyond = await evidence.beyond(session, self.r_squared(self.options.threshold / 2, nobody))
        hits = await open_counts(session, await multiply(session, bits, beyond), HITS)
        await self._open(block, pooled, np.flatnonzero(hits == 1))

    @property
    def _minimum(self) -> int:
        return max(1, self.ruling.rules.minimum_allele_count)

    async def _open(self, block: MetaBlock, pooled: _Pooled, which: Ints) -> None:
        if not which.size:
            return
        session = self.session
        block.shown[which] = True
        block.a1_is_alt[which] = await pooled.alleles[which].open_a1(session)
        block.sites[which] = await open_counts(session, pooled.sites[which], _SITES)
        block.people[which] = await open_counts(session, pooled.people[which], _PEOPLE)
        many = which
        if self.sites_needed > 1:
            many = which[block.sites[which] > self.sites_needed]
        for k, (name, where) in enumerate(((_WEIGHT, which), (_PRODUCT, which), (_SQUARE, many))):
            if where.size:
                shown = blurred(session, pooled.sums[k][where], VISIBLE)
                opened = decode(M127, await open_declared(session, shown, name), shown.fraction_bits)
                block.sums[k, where] = opened * self._weight_unit
