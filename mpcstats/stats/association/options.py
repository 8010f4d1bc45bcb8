"""What can be asked of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.stats.association.variant_filters import NO_FILTERS, VariantFilters
from mpcstats.stats.disclosure import Ruling

__all__ = ["GENOME_WIDE", "SMALLEST_P", "ScanOptions", "refuse_too_much"]

GENOME_WIDE = 5e-8
"""The usual threshold of p."""

SMALLEST_P = 1e-100


@dataclass(frozen=True)
class ScanOptions:
    """What is asked.

    Attributes
    ----------
    missing : "complete" or "mean"
        People without a call of a variant: left out of it (PLINK), or given the variant's pooled mean (regenie, hail).
    release : "all" or "hits"
        Statistics of every variant, or of those alone whose p is below `threshold`; which the others are, and their
        statistics, stay on shares.
    threshold : float
        Of p, for "hits"; 1e-100 to below 1.
    site_indicators : bool
        A covariate for each site but the first; the numbers of people at each site are then opened.
    filters : VariantFilters
        Variants that fail have no statistics. Hardy-Weinberg equilibrium is that of controls where there are cases.
    genomic_control : bool
        With "hits": also lambda, to three decimals.
    """

    missing: Literal["complete", "mean"] = "complete"
    release: Literal["all", "hits"] = "all"
    threshold: float = GENOME_WIDE
    genomic_control: bool = True
    site_indicators: bool = False
    filters: VariantFilters = NO_FILTERS

    def __post_init__(self) -> None:
        if self.missing not in ("complete", "mean"):
            raise SpecError(f"missing genotypes are 'complete' (left out) or 'mean' (imputed), not {self.missing!r}")
        if self.release not in ("all", "hits"):
            raise SpecError(f"a scan releases 'all' variants or 'hits', not {self.release!r}")
        if not SMALLEST_P <= self.threshold < 1:
            raise SpecError(f"a threshold of p is from {SMALLEST_P:g} to below 1, not {self.threshold:g}")


def refuse_too_much(options: ScanOptions, ruling: Ruling) -> None:
    """Refuse what the rules do not let out, before anything is shared.

    Raises
    ------
    DisclosureRefused
        Statistics of all variants, or of hits up to a large p.
    """
    if options.release == "all" and not ruling.rules.all_variants:
        raise DisclosureRefused(
            f"statistics of all variants are not allowed ({ruling.cite('all_variants')})",
            hint='release="hits", or all_variants = true under [disclosure] in the policy.toml of every party named',
        )
    largest = 10.0**-ruling.rules.hits_log10_p
    if options.release == "hits" and not ruling.rules.all_variants and options.threshold > largest * (1 + 1e-9):
        raise DisclosureRefused(
            f"hits with p below {options.threshold:g} are too many: the threshold may be {largest:g} at most "
            f"({ruling.cite('hits_log10_p')})",
            hint=f"threshold={largest:g}",
        )
