"""Genomic-control lambda of variants whose statistics stay on shares: the median found by halving an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mpcstats.protocols import at_least, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.statistics import Evidence
from mpcstats.stats.disclosure import open_counts

__all__ = ["LARGEST_LAMBDA", "Distribution", "Hidden", "hidden_lambda"]

Ints = NDArray[np.int64]

LARGEST_LAMBDA = 8.0
_STEPS = 13
"""Halvings of 0 to 8: lambda is exact to 0.0005."""

_MEDIAN_CHI_SQUARE = float(ndtri(0.75)) ** 2

_BIT = "lambda"


@dataclass(frozen=True)
class Hidden:
    """Variants of one block.

    Attributes
    ----------
    evidence : Evidence
    counts : Shared (V,)
        1 where the variant counts.
    people : int64 (V,)
        In its test.
    """

    evidence: Evidence
    counts: Shared
    people: Ints


class Distribution(Protocol):
    """What a test's r^2 is compared with; a `PooledTest` is one."""

    def r_squared(self, tail: float, people: Ints) -> NDArray[np.float64]:
        """r^2 (V,) beyond which the one-sided p is below `tail`."""
        ...


async def hidden_lambda(session: Session, test: Distribution, parts: list[Hidden]) -> float | None:
    """Median of the chi-squares of all variants over its expectation.

    Returns
    -------
    float or None
        To 0.0005; of an even number of variants, from the lower one in the middle. LARGEST_LAMBDA if it is larger.
        None without a variant.

    Reveals
    -------
    One bit per halving: the digits of lambda, and no more. The number of variants that count stays on shares.
    """
    if not parts:
        return None
    session.openings.declare(
        _BIT, _STEPS, "genomic control, digit by digit: is lambda above the middle of what is left"
    )
    evidence = Evidence.joined([part.evidence for part in parts])
    counts = concatenate([part.counts for part in parts])
    people = np.concatenate([part.people for part in parts])
    total, low, high = counts.sum(0), 0.0, LARGEST_LAMBDA
    for _ in range(_STEPS):
        middle = (low + high) / 2
        tail = float(ndtr(-np.sqrt(middle * _MEDIAN_CHI_SQUARE)))
        beyond = await evidence.beyond(session, test.r_squared(tail, people))
        above = (await multiply(session, beyond, counts)).sum(0)
        # the median is above the middle when more than half of all variants are
        more = await at_least(session, (above.times_int(2) - total).reshape(1), 1)
        if (await open_counts(session, more, _BIT))[0]:
            low = middle
        else:
            high = middle
    return high if high == LARGEST_LAMBDA else (low + high) / 2
