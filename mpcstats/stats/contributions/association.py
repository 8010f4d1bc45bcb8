"""Plan and contribution of genetic association."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Plan

__all__ = ["MAX_COVARIATES", "MAX_FEW", "AssociationContribution", "AssociationPlan"]

MAX_COVARIATES = 30
MAX_FEW = 3
_MAX_VARIANTS = 100_000_000


@dataclass(frozen=True)
class AssociationPlan(Plan):
    """Phenotype, covariates and the public list of variants (by number and digest)."""

    kind: ClassVar[str] = "association"
    phenotype: str
    covariates: tuple[str, ...]
    variant_count: int
    variant_digest: str
    """SHA-256 (hex) of the variant table: chromosome, position, id, ref and alt of each row in order."""
    few_levels: tuple[tuple[float, ...], ...] = ()
    """Levels of the phenotype and each covariate (phenotype first) where there are at most three, else (). Sums and
    squares tell how many people hold each of so few levels: all must be held by enough people."""
    centers: tuple[float, ...] = ()
    half_widths: tuple[float, ...] = ()
    """Public middle and half width of the range of the phenotype and each covariate (phenotype first), from the
    dictionary: numbers are shared as (x - center) / half_width. Empty: 0 and 1."""
    case_value: int | None = None
    """Value of the phenotype's column that is a case (phenotype 1, else 0); None: the phenotype is the number."""

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        columns = 1 + len(self.covariates)
        return (
            0 < self.variant_count <= _MAX_VARIANTS
            and columns <= 1 + MAX_COVARIATES
            and all(len(numbers) in {0, columns} for numbers in (self.few_levels, self.centers, self.half_widths))
            and all(len(levels) <= MAX_FEW for levels in self.few_levels)
            and all(half_width > 0 for half_width in self.half_widths)
        )


@dataclass(frozen=True, repr=False, eq=False)
class AssociationContribution(Contribution):
    """People with phenotype and covariates at this site.

    Attributes
    ----------
    phenotype : float64 (people,)
    covariates : float64 (people, covariates), without intercept
    read : function (start, stop) -> int8 (people, stop - start)
        Copies of ALT for a range of variants: 0, 1, 2, or -1 where the call is missing. Rows as in `phenotype`.
    origin : bytes
    """

    phenotype: NDArray[np.float64]
    covariates: NDArray[np.float64]
    read: Callable[[int, int], NDArray[np.int8]]
    origin: bytes = b""
    """Tells the genotypes that `read` reads from others: a scan goes on only where they are the same."""

    @property
    def people(self) -> int:
        """People at this site."""
        return len(self.phenotype)
