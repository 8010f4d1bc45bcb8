"""Many quotients that are added up: fixed-point numbers of one format, whatever the sizes of the denominators."""

from __future__ import annotations

from mpcstats.protocols import floor_shift, multiply
from mpcstats.protocols.fine import fine_inverse
from mpcstats.protocols.normalise import leading_one, power_factors, product_trees
from mpcstats.runtime import Session, Shared, concatenate

__all__ = ["RATIO_BITS", "RATIO_FRACTION", "bounded_ratios", "scale_up"]

RATIO_BITS = 29
"""Promise: quotients, scaled, are below 2^RATIO_BITS in size."""

_NORMAL, _INVERSE, _KEPT = 49, 44, 70

RATIO_FRACTION = _INVERSE + _KEPT - RATIO_BITS
"""Fraction bits of a quotient."""


async def scale_up(session: Session, largest: Shared) -> tuple[Shared, Shared]:
    """2^shift that brings a number (1,) below 2^RATIO_BITS into the upper half of this range; bits of shift.

    Quotients that are at most this number keep the digits that the field has room for.
    """
    where = await leading_one(session, largest, RATIO_BITS)
    (up,) = await product_trees(session, [power_factors(where.shift, 1)])
    return up, where.shift


async def bounded_ratios(session: Session, over: Shared, under: Shared, width: int, up: Shared | None = None) -> Shared:
    """over / under * up with RATIO_FRACTION fraction bits; 0 where under is 0.

    Parameters
    ----------
    over : Shared (..., k) in M127
        Integers; |over| / under * up < 2^RATIO_BITS.
    under : Shared (k,)
        0 <= under < 2^width.
    width : int
        Quotients times 2^width are below 2^126 in size, scaled or not.
    up : Shared (1,), optional

    Returns
    -------
    Shared (..., k)
        Integers below 2^115 in size: some thousand of them may be added up.

    Notes
    -----
    Error: that of `fine_inverse` (about 2^-44 of the quotient with three parties, 2^-39 with seven), and 2^-40
    (scaled). About 110 rounds. Reveals nothing.
    """
    where = await leading_one(session, under, width)
    factors = concatenate([power_factors(where.shift, 1), where.nonzero.reshape(1, under.size)])
    (factor,) = await product_trees(session, [factors])
    nobody = (-where.nonzero).plus_int(1).times_int(1 << (width - 1))
    normal = await _moved(session, await multiply(session, under, factor) + nobody, width - _NORMAL)
    inverse = await fine_inverse(session, normal, _NORMAL, _INVERSE)
    scale = factor if up is None else await multiply(session, factor, up)
    # over * factor is the quotient times under * factor, which is in [2^(width-1), 2^width)
    scaled = await multiply(session, over, scale)
    return await multiply(session, await _moved(session, scaled, RATIO_BITS + width - _KEPT), inverse)


async def _moved(session: Session, x: Shared, down: int) -> Shared:
    return await floor_shift(session, x, down) if down > 0 else x.times_int(1 << -down)
