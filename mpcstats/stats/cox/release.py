"""Opening of real numbers with as many digits as the rules in force let out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import blurred, sum_of_inputs
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.disclosure import number_bits
from mpcstats.types import DisclosureRules

__all__ = ["LOG", "SCORE", "Digits", "SQUARE", "open_numbers", "open_sums"]

Floats = NDArray[np.float64]

_EXACT, _FEW = 40, 24
_SHARED = 50

SCORE, SQUARE, LOG = 0.5, 1.0, 0.3
"""How numbers grow with the number of events: scores with its root, informations with itself."""


@dataclass(frozen=True)
class Digits:
    """Binary digits after which opened numbers are random.

    Exact sums over few people tell their terms, so the last digits never leave. Where counts are released exactly 40
    bits are open, else 24: what is printed then has six to seven decimal digits, as other statistics have
    (`disclosure.number_bits`).
    """

    bits: int
    event_bits: int

    @classmethod
    def of(cls, rules: DisclosureRules, event_bits: int) -> Digits:
        """What the rules let out."""
        return cls(_EXACT if number_bits(rules) > _EXACT else _FEW, event_bits)

    @property
    def relative(self) -> float:
        """Relative error of an information that this leaves."""
        return float(2.0 ** (4 - min(self.bits, 36)))

    def after(self, growth: float) -> int:
        """Fraction bits that stay, of numbers that grow like events^growth."""
        return self.bits - round(growth * self.event_bits)


async def open_numbers(session: Session, x: Shared, name: str, bits: int) -> Floats:
    """Open declared numbers, random below 2^-bits."""
    return decode(M127, await open_declared(session, blurred(session, x, bits), name), x.fraction_bits)


async def open_sums(
    session: Session, own: Floats | None, size: int, dealers: tuple[int, ...], name: str, bits: int
) -> Floats:
    """Share numbers of each site, and open their sums: (size,)."""
    mine = None if own is None else encode(M127, own, _SHARED, 124 - _SHARED)
    pooled = await sum_of_inputs(session, M127, mine, dealers, (size,), _SHARED)
    return await open_numbers(session, pooled, name, bits)
