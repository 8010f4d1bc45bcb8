"""Filters of variants, decided on shares: one bit per variant, and nothing about which filter it failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from mpcstats.errors import RangeError
from mpcstats.field import M61, PrimeField
from mpcstats.protocols import at_least, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.pooled_counts import PooledCounts
from mpcstats.stats.association.thresholds import SMALLEST_P
from mpcstats.stats.association.wide_compare import beyond_threshold
from mpcstats.stats.disclosure import all_of
from mpcstats.types import LARGEST_COUNT

__all__ = ["NO_FILTERS", "VariantFilters", "variants_that_pass"]

_DENOMINATOR = 10**8
"""Thresholds are read as the nearest fraction with at most this denominator: those with eight digits are exact."""


@dataclass(frozen=True)
class VariantFilters:
    """Which variants are kept, as PLINK's options of the same names.

    Attributes
    ----------
    maf : float
        Least frequency of the rarer allele, 0 to 0.5. Above 0, monomorphic variants and those without a call go.
    mac : int
        Least copies of the rarer allele.
    geno : float
        Largest rate of missing calls, 0 to 1.
    hwe : float
        Least p of Hardy-Weinberg equilibrium, 0 or from 1e-300 to 1: by chi-square on one degree of freedom without
        continuity correction, among controls where there are cases. (PLINK filters by the exact test.)

    Raises
    ------
    RangeError
        A threshold is out of range.
    """

    maf: float = 0.0
    mac: int = 0
    geno: float = 1.0
    hwe: float = 0.0

    def __post_init__(self) -> None:
        within = 0 <= self.maf <= 0.5 and 0 <= self.mac <= LARGEST_COUNT and 0 <= self.geno <= 1
        if not (within and (self.hwe == 0 or SMALLEST_P <= self.hwe <= 1)):
            raise RangeError(
                "filters need maf within 0 to 0.5, mac from 0 up, geno within 0 to 1, and hwe 0 or within 1e-300 to 1"
            )

    @property
    def wide(self) -> bool:
        """Whether the counts are needed in M127, too."""
        return self.hwe > 0

    @property
    def active(self) -> bool:
        """Whether any variant can fail."""
        return self.maf > 0 or self.mac > 0 or self.geno < 1 or self.hwe > 0

    def with_copies(self, minimum: int) -> VariantFilters:
        """The same, with at least so many copies of the rarer allele."""
        return replace(self, mac=max(self.mac, minimum))

    def described(self) -> str:
        """For people."""
        texts = [
            f"maf >= {self.maf:g}" if self.maf else "",
            f"mac >= {self.mac}" if self.mac else "",
            f"missing calls <= {self.geno:g}" if self.geno < 1 else "",
            f"Hardy-Weinberg p (chi-square) >= {self.hwe:g}" if self.hwe else "",
        ]
        return ", ".join(text for text in texts if text) or "none"


NO_FILTERS = VariantFilters()
"""Every variant passes."""


async def variants_that_pass(
    session: Session, counts: PooledCounts, filters: VariantFilters, into: PrimeField = M61
) -> Shared:
    """1 where a variant passes all filters, else 0: (V,), in the field `into`. Reveals nothing.

    All decisions are exact for every cohort below 2^29 people, with the thresholds as the filters read them and the
    chi-square of `hwe` rounded as `beyond_threshold` says. One batch of comparisons in M61 for maf, mac and geno,
    one in M127 for hwe, and a product for each.

    Raises
    ------
    RangeError
        `hwe` without counts in M127.
    """
    bits = [Shared(into, into.zeros((counts.variants,)), counts.calls.degree).plus_int(1)]
    if bounds := _bounds(counts, filters):
        kept = await at_least(session, concatenate(bounds), 0, into)
        bits += [kept[k * counts.variants : (k + 1) * counts.variants] for k in range(len(bounds))]
    if filters.hwe > 0:
        bits.append(await _in_equilibrium(session, counts, filters.hwe, into))
    return await all_of(session, concatenate([bit.reshape(1, bit.size) for bit in bits]))


def _bounds(counts: PooledCounts, filters: VariantFilters) -> list[Shared]:
    """Numbers (V,) that are not negative where a filter is passed."""
    n = counts.calls.sum(0)
    called, alt = n.sum(0), n[1] + n[2].times_int(2)
    ref = called.times_int(2) - alt
    bounds = []
    if filters.maf > 0:
        maf = _fraction(filters.maf)
        limit = called.times_int(2 * maf.numerator)
        bounds += [allele.times_int(maf.denominator) - limit for allele in (alt, ref)]
    copies = max(filters.mac, 1 if filters.maf > 0 else 0)
    if copies:
        bounds += [allele.plus_int(-copies) for allele in (alt, ref)]
    if filters.geno < 1:
        geno = _fraction(filters.geno)
        least = counts.people.sum(0).reshape(1).times_int(geno.denominator - geno.numerator)
        bounds.append(called.times_int(geno.denominator) - _spread(least, counts.variants))
    return bounds


def _fraction(x: float) -> Fraction:
    return Fraction(x).limit_denominator(_DENOMINATOR)


def _spread(x: Shared, size: int) -> Shared:
    return x[[0] * size]


async def _in_equilibrium(session: Session, counts: PooledCounts, p: float, into: PrimeField) -> Shared:
    """1 where (4 n0 n2 - n1^2)^2 T / ((2 n0 + n1)^2 (2 n2 + n1)^2) is not beyond the threshold."""
    if counts.wide is None:
        raise RangeError("the Hardy-Weinberg filter needs counts in M127")
    n0, n1, n2 = (counts.wide[0, copies] for copies in range(3))
    left = concatenate([_row(n0.times_int(4)), _row(n1), _row(n0.times_int(2) + n1)])
    right = concatenate([_row(n2), _row(n1), _row(n2.times_int(2) + n1)])
    products = await multiply(session, left, right)
    terms = concatenate([_row(products[0] - products[1]), _row(products[2])])
    squares = await multiply(session, terms, terms)
    beyond = await beyond_threshold(session, n0 + n1 + n2, squares[0], squares[1], p, counts.size_bits, into)
    return (-beyond).plus_int(1)


def _row(x: Shared) -> Shared:
    return x.reshape(1, *x.shape)
