"""Circuits on packed shared bits, and the way from bits to field elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import PrimeField
from mpcstats.protocols import deals
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.deals import deal_together
from mpcstats.protocols.declare import protocol
from mpcstats.runtime.opening import open_bits
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared, concatenate
from mpcstats.sharing import blocks, boolean
from mpcstats.sharing.committee import Subset

__all__ = ["CoinDraw", "Coins", "and_planes", "bit_and", "convert", "deal_planes", "to_arithmetic"]


async def deal_planes(
    session: Session, own: boolean.Words | None, dealers: tuple[int, ...], shape: tuple[int, int], count: int
) -> dict[int, BooleanShared]:
    """Every dealer shares bit planes (bits, words) of its own. One round; reveals nothing.

    A dealer sends one array, to the m - t - 1 other members of its correction subset.
    """
    (dealt,) = await deal_together(session, deals.planes(session, own, dealers, shape, count))
    return cast("dict[int, BooleanShared]", dealt)


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: c.committee.m * c.deal_plane,
    source="Araki, Furukawa, Lindell, Nof, Ohara 2016, generalised to subsets of m - t",
)
async def bit_and(session: Session, x: BooleanShared, y: BooleanShared) -> BooleanShared:
    """Bitwise AND of planes (broadcasting over the bit axis). One round; reveals nothing."""
    (n, other), planes = (x.words.shape[1], y.words.shape[1]), np.arange(max(x.words.shape[1], y.words.shape[1]))
    return await and_planes(session, x, planes if n > 1 else 0 * planes, y, planes if other > 1 else 0 * planes)


async def and_planes(
    session: Session,
    x: BooleanShared,
    left: NDArray[np.int64],
    y: BooleanShared,
    right: NDArray[np.int64],
    out: boolean.Words | None = None,
) -> BooleanShared:
    """Plane left[k] of x AND plane right[k] of y, for each k; cost of `bit_and` of so many planes. Reveals nothing.

    `out` (subsets of this party, len(left), words) takes the result; each row of it is contiguous.
    """
    committee, me = session.committee, session.point
    terms = boolean.cross_terms(committee, me, x.words, left, y.words, right)
    shares = np.empty((len(x.words), *terms.shape), np.uint64) if out is None else out
    correction = boolean.redeal(committee, me, terms, session.randomness, session.label("and"), shares)
    data = np.ascontiguousarray(correction, "<u8").data.cast("B")
    outgoing = {j: data for j in committee.correction_subset(me) if j != me}
    senders = [d for d in session.others if me in committee.correction_subset(d)]
    received = await session.exchange(outgoing, dict.fromkeys(senders, len(data)))
    for d, sent in received.items():
        boolean.add_correction(committee, me, shares, d, np.frombuffer(sent, "<u8").reshape(terms.shape))
    return BooleanShared(shares, x.count)


def _conversion_rounds(t: int) -> int:
    # deals in one round, log2(t + 1) products (one after another in pairs), one opening
    return 2 + t.bit_length()


@protocol(
    rounds=lambda c: _conversion_rounds(c.committee.t) if c.committee.t else 1,
    bytes_sent=lambda c: c.committee.t * (c.deal + c.deal_plane + (2 * c.committee.t + 1) * c.deal) + c.open_plane,
    source="random bit as the XOR of t + 1 dealt bits; one bit opened under it",
)
async def to_arithmetic(session: Session, bits: BooleanShared, field: PrimeField) -> Shared:
    """Shared field elements 0 or 1 from shared bits: (bits, words) -> elements of shape (bits, count).

    A random bit that t + 1 parties know only together is dealt both ways; the bits are opened under it. A coalition
    of t parties misses one of its parts. Reveals nothing.
    """
    planes, lanes = bits.words.shape[1:]
    draw = CoinDraw.of(session, field, planes, lanes, bits.count)
    dealt = await deal_together(session, *draw.deals) if draw.deals else []
    return await convert(session, bits, await draw.coins(session, dealt))


@dataclass(frozen=True)
class Coins:
    """Shared random bits that no t parties know: packed, and as field elements (planes, count)."""

    packed: BooleanShared
    elements: Shared


async def convert(session: Session, bits: BooleanShared, coins: Coins) -> Shared:
    """`to_arithmetic` with random bits that are there already, each used once. One round; reveals nothing."""
    opened = await open_bits(session, bits ^ coins.packed, session.label("convert"))
    values = coins.elements
    return replace(values, values=boolean.flip(values.field, values.values, opened))


@dataclass(frozen=True)
class CoinDraw:
    """Random bits on their way: `deals` go into one round, alone or with others; `coins` makes them."""

    field: PrimeField
    common: boolean.Words | None
    shape: tuple[int, int]
    count: int
    deals: tuple[deals.Deal[Any], ...]

    @classmethod
    def of(cls, session: Session, field: PrimeField, planes: int, lanes: int, count: int) -> CoinDraw:
        """Parties 1..t draw bits of their own, the last subset has one in common."""
        committee, me, t = session.committee, session.point, session.committee.t
        dealers = tuple(range(1, t + 1))
        label = session.label("random bits")
        last: Subset = tuple(range(t + 1, committee.m + 1))
        own = common = None
        if me in dealers:
            own = boolean.draw_words(session.randomness.private(label), (planes, lanes))
        else:
            common = boolean.draw_words(session.randomness.subset(last, label), (planes, lanes))
        if not dealers or not planes:
            return cls(field, common, (planes, lanes), count, ())
        own_elements = None if own is None else boolean.to_field(field, own, count)
        parts = (
            deals.planes(session, own, dealers, (planes, lanes), count),
            deals.elements(session, field, own_elements, dealers, (planes, count)),
        )
        return cls(field, common, (planes, lanes), count, parts)

    async def coins(self, session: Session, dealt: Sequence[Any]) -> Coins:
        """From what `deal_together` gave for `deals`; log2(t + 1) rounds."""
        committee, me, planes = session.committee, session.point, self.shape[0]
        last: Subset = tuple(range(committee.t + 1, committee.m + 1))
        packed = boolean.place_common(committee, me, self.common, self.shape)
        parts = [_common_elements(session, self.field, self.common, last, planes, self.count)]
        if dealt:
            bits, numbers = dealt
            for d in range(1, committee.t + 1):
                packed = packed ^ bits[d].words
                parts.append(numbers[d])
        while len(parts) > 1:  # XOR of field bits: x + y - 2 x y, in pairs
            parts = await _xor_pairs(session, parts)
        return Coins(BooleanShared(packed, self.count), parts[0])


def _common_elements(
    session: Session, field: PrimeField, common: boolean.Words | None, last: Subset, planes: int, count: int
) -> Shared:
    """Sharing of bits that exactly the last subset knows: each member's share is bit * f_A(member), no message."""
    t = session.committee.t
    if common is None:
        return Shared(field, field.zeros((planes, count)), t)
    bits = boolean.to_field(field, common, count)
    return Shared(field, field.scale(bits, session.committee.prss_weight(field, last, session.point)), t)


async def _xor_pairs(session: Session, parts: list[Shared]) -> list[Shared]:
    half = len(parts) // 2
    left, right = concatenate(parts[:half]), concatenate(parts[half : 2 * half])
    product = await multiply(session, left, right)
    (values,) = blocks.combine(left.field, [left.values, right.values, product.values], [[1, 1, -2]])
    merged = replace(left, values=values)
    size = parts[0].shape[0]
    return [merged[k * size : (k + 1) * size] for k in range(half)] + parts[2 * half :]
