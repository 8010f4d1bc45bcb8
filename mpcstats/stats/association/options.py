"""What can be asked of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mpcstats.errors import SpecError

__all__ = ["GENOME_WIDE", "SMALLEST_P", "ScanOptions"]

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
    genomic_control : bool
        With "hits": also lambda, to three decimals.
    """

    missing: Literal["complete", "mean"] = "complete"
    release: Literal["all", "hits"] = "all"
    threshold: float = GENOME_WIDE
    genomic_control: bool = True
    site_indicators: bool = False

    def __post_init__(self) -> None:
        if self.missing not in ("complete", "mean"):
            raise SpecError(f"missing genotypes are 'complete' (left out) or 'mean' (imputed), not {self.missing!r}")
        if self.release not in ("all", "hits"):
            raise SpecError(f"a scan releases 'all' variants or 'hits', not {self.release!r}")
        if not SMALLEST_P <= self.threshold < 1:
            raise SpecError(f"a threshold of p is from {SMALLEST_P:g} to below 1, not {self.threshold:g}")
