"""Which variants are common and called well enough for principal components, and their rounded frequencies.

Counts stay on shares: opened are one bit per variant, and of those that pass the frequency's first binary digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import at_least, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import open_counts

__all__ = ["CommonVariants", "LeastCounts", "declare_common", "frequency_digits", "open_common"]

_DIGITS = 12
"""Most binary digits of opened allele frequencies: errors are at most 2^-13."""

_CLASS = 8
"""Counts that an opened frequency stands for at least, where counts must not be opened."""

_PARTS = 1 << 20
"""Shares of people and copies are compared in integers, to a millionth."""

_PASSES, _FREQUENCY = "variant is common", "allele frequency"


@dataclass(frozen=True)
class CommonVariants:
    """Variants that pass.

    Attributes
    ----------
    index : int64 (variants,)
        Positions in the study's variant table.
    frequency : float64 (variants,)
        Of ALT among the called: the middle of an interval of width 2^-digits.
    """

    index: NDArray[np.int64]
    frequency: NDArray[np.float64]


@dataclass(frozen=True)
class LeastCounts:
    """What a variant needs.

    Attributes
    ----------
    copies : int
        Pooled copies of the rarer allele, at least 1.
    calls : int
        People with a call, at least 1.
    maf : float
        Frequency of the rarer allele among them.
    """

    copies: int
    calls: int
    maf: float


def frequency_digits(people: int, exact: bool) -> int:
    """Binary digits of opened frequencies: 12, or fewer where counts must not be `exact`.

    Then an error of a frequency is at most 2 / people, as large as one of counting two people wrong, and the mean that
    it leaves in a column is far below what the columns vary by.
    """
    return _DIGITS if exact else max(1, min(_DIGITS, (2 * people // _CLASS).bit_length() - 1))


def declare_common(session: Session, count: int, digits: int) -> None:
    """Enter what `open_common` opens in the manifest."""
    session.openings.declare(_PASSES, count, "per variant, whether both alleles and calls are frequent enough")
    session.openings.declare(
        _FREQUENCY, digits * count, f"per common variant, pooled allele frequency to {digits} binary digits"
    )


async def open_common(
    session: Session, counts: Shared, index: NDArray[np.int64], least: LeastCounts, digits: int
) -> CommonVariants:
    """Pick variants and open their frequencies, digit by digit.

    Parameters
    ----------
    counts : Shared (2, variants) in M61
        People with a call, and copies of ALT that they carry.
    index : int64 (variants,)
        Which variants these are.
    digits : int
        Of `frequency_digits`.
    """
    called, copies = counts[0], counts[1]
    both = called.times_int(2)
    other = both - copies
    share = both.times_int(round(least.maf * _PARTS))
    # one batch of comparisons with 0
    rows = [copies.plus_int(-least.copies), other.plus_int(-least.copies), called.plus_int(-least.calls)]
    rows += [x.times_int(_PARTS) - share for x in (copies, other)]
    bits = await at_least(session, concatenate([row.reshape(1, row.size) for row in rows]), 0)
    passes = bits[0]
    for k in range(1, len(rows)):
        passes = await multiply(session, passes, bits[k])
    kept = np.flatnonzero(await open_counts(session, passes, _PASSES) == 1)
    if not kept.size:
        return CommonVariants(index[kept], np.zeros(0))
    return CommonVariants(index[kept], await _frequencies(session, copies[kept], both[kept], digits))


async def _frequencies(session: Session, copies: Shared, both: Shared, digits: int) -> NDArray[np.float64]:
    """Digits of copies / both by long division: those found so far are public."""
    found, rest = np.zeros(copies.size, np.int64), copies
    for _ in range(digits):
        rest = rest.times_int(2)
        digit = await open_counts(session, await at_least(session, rest - both, 0), _FREQUENCY)
        rest = rest - both.times(M61.from_int64(digit))
        found = 2 * found + digit
    return (found + 0.5) / (1 << digits)
