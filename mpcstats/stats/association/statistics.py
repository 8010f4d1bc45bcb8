"""s_xx and s_xy of several variants on shares: what opens them, or decides about them without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import at_least, blurred, floor_shift, multiply
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.sharing.fixedpoint import decode

__all__ = ["VISIBLE", "Evidence", "Statistics"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VISIBLE = 56
"""Fraction bits of opened numbers; below, they are random: an exact sum of products would tell its terms."""

_COMPARED = 44
"""Fraction bits of the numbers that are compared."""

_FACTOR = 30
"""Significant bits of the public factor of a comparison: products then fill the field."""

_NOTHING = 2.0**-32
"""A variant that the covariates explain has s_xx = 0 but for rounding; it is no hit."""


@dataclass(frozen=True)
class Statistics:
    """Of V variants: s_xx and s_xy in units such that s_yy is 1 and all numbers are below 2^3.

    Attributes
    ----------
    square, product : Shared (V,)
        s_xx and s_xy, over whatever `rate` says.
    rate : float64 (V,)
        Public: r^2 = product^2 / (rate * square).
    valid : Shared (V,) or None
        1 where the numbers mean something; None: everywhere.
    """

    square: Shared
    product: Shared
    rate: Floats
    valid: Shared | None = None

    def __getitem__(self, index: Ints) -> Statistics:
        valid = None if self.valid is None else self.valid[index]
        return Statistics(self.square[index], self.product[index], self.rate[index], valid)

    async def open(self, session: Session, square_name: str, product_name: str) -> tuple[Floats, Floats]:
        """Square and product, in their units."""
        opened = []
        for shared, name in ((self.square, square_name), (self.product, product_name)):
            shown = blurred(session, shared, VISIBLE)
            opened.append(decode(M127, await open_declared(session, shown, name), shown.fraction_bits))
        return opened[0], opened[1]

    async def evidence(self, session: Session) -> Evidence:
        """What comparisons need, cut to few digits. Costs a bit more than two comparisons per variant."""
        count, most = self.square.size, max(self.square.fraction_bits, self.product.fraction_bits)
        both = concatenate([self.square.shifted(most), self.product.shifted(most)]).with_fraction_bits(0)
        cut = await floor_shift(session, both, most - _COMPARED)
        squared = await multiply(session, cut[count:], cut[count:])
        return Evidence(cut[:count], squared, self.rate)


@dataclass(frozen=True)
class Evidence:
    """s_xx with 44 fraction bits and s_xy^2 with 88, of V variants, as integers; see `Statistics`."""

    square: Shared
    product_squared: Shared
    rate: Floats

    @classmethod
    def joined(cls, parts: list[Evidence]) -> Evidence:
        """Several blocks."""
        square, squared = (concatenate([getattr(p, name) for p in parts]) for name in ("square", "product_squared"))
        return cls(square, squared, np.concatenate([part.rate for part in parts]))

    async def varies(self, session: Session) -> Shared:
        """1 where s_xx is not 0. A comparison per variant; opens nothing."""
        return await at_least(session, self.square, round(_NOTHING * (1 << _COMPARED)))

    async def beyond(self, session: Session, r_squared: Floats) -> Shared:
        """1 where r^2 > `r_squared` (V,), and s_xx is not 0. A comparison per variant; opens nothing.

        Variants within 1e-8 or so of the bound may go either way.
        """
        # product^2 / r_squared > rate * square, without a division
        factor = 1 / (np.maximum(r_squared, 2.0**-40) * self.rate)
        exponent = _FACTOR - 1 - np.floor(np.log2(factor)).astype(np.int64)
        exponent = np.minimum(exponent, _FACTOR)
        whole = np.rint(np.ldexp(factor, exponent)).astype(np.int64)
        left = self.product_squared.times(M127.from_int64(whole))
        scale = [1 << int(_COMPARED + k) for k in exponent]
        margin = [round(_NOTHING * (1 << _COMPARED)) * s for s in scale]
        right = self.square.times(M127.from_ints(scale)).plus(M127.from_ints(margin))
        return await at_least(session, left - right, 1)
