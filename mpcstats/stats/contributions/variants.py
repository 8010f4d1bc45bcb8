"""Plan and contribution of counts of genotypes: quality control and contingency tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.contributions import Contribution, Plan

__all__ = ["VariantContribution", "VariantPlan"]

_MAX_VARIANTS = 100_000_000


@dataclass(frozen=True)
class VariantPlan(Plan):
    """The public list of variants (by number and digest), and who is a case."""

    kind: ClassVar[str] = "variants"
    variant_count: int
    variant_digest: str
    """SHA-256 (hex) of the variant table: chromosome, position, id, ref and alt of each row in order."""
    phenotype: str | None = None
    """Column that tells cases and controls; None: everybody is in one group."""
    case_value: int = 1
    """Value of the phenotype that makes a case; one less makes a control."""

    def within_limits(self) -> bool:
        """See `Plan.within_limits`."""
        return 0 < self.variant_count <= _MAX_VARIANTS and self.case_value in {1, 2}

    @property
    def groups(self) -> int:
        """2 (controls, cases) with a phenotype, else 1."""
        return 1 if self.phenotype is None else 2


@dataclass(frozen=True, repr=False, eq=False)
class VariantContribution(Contribution):
    """People with genotypes at this site.

    Attributes
    ----------
    group : int8 (people,)
        0 for a control, 1 for a case; all 0 without a phenotype.
    read : function (start, stop) -> int8 (people, stop - start)
        Copies of ALT for a range of variants: 0, 1, 2, or -1 where the call is missing. Rows as in `group`.
    """

    group: NDArray[np.int8]
    read: Callable[[int, int], NDArray[np.int8]]

    @property
    def people(self) -> int:
        """People at this site."""
        return len(self.group)
