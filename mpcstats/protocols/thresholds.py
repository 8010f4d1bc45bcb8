"""Thresholds on sums of numbers that parties know in the clear: each deals the bits of its own.

Nothing is masked: what would be a comparison of a shared number, 8 levels deep for 61 bits, is an addition of a few
bits here. A party may clip its numbers at the bound, since a sum of numbers that are not negative reaches a bound
exactly when the clipped ones do; so a threshold of 11 people takes 6 bits whatever the counts are. One of the dealers
adds 2^width - bound, and the sum reaches the bound where it carries out of its lowest `width` bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M61
from mpcstats.protocols import deals
from mpcstats.protocols.bits import carry_out_of, carry_out_of_work, carry_save
from mpcstats.protocols.boolean import CoinDraw, Coins
from mpcstats.protocols.deals import deal_together
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean

__all__ = [
    "DECLARED_PROBLEMS",
    "DECLARED_WIDTH",
    "DealtSums",
    "coins_work",
    "deal_sums",
    "deal_sums_work",
    "reached_work",
    "sums_reach",
]

DECLARED_WIDTH, DECLARED_PROBLEMS = 5, 3
"""Bits and thresholds per cell in the declared cost of `sums_reach`; all parties deal."""

MOST_WIDTH = 59


@dataclass(frozen=True)
class DealtSums:
    """Numbers that were dealt and not yet added: `reached` and `coins` may run side by side.

    Attributes
    ----------
    total : Shared (extra,)
        Sum over the dealers of what they dealt as field elements.
    """

    total: Shared
    _operands: tuple[BooleanShared, ...]
    _shape: tuple[int, int]
    _draw: CoinDraw
    _drawn: tuple[Any, ...]

    async def reached(self, session: Session) -> BooleanShared:
        """Where sums reach 2^width: (problems, words). Carry-save adders down to two numbers, then 1 + log2(width)
        rounds; reveals nothing."""
        problems, cells = self._shape
        x, y = await _down_to_two(session, list(self._operands))
        width = x.words.shape[1] - 1
        low = slice(0, width)
        carry = await carry_out_of(session, x.planes(low), y.planes(low))
        top = x.planes([width]) ^ y.planes([width]) ^ carry
        return BooleanShared(top.words.reshape(len(top.words), problems, boolean.lanes(cells)), cells)

    async def coins(self, session: Session) -> Coins:
        """Random bits for a later `convert`. log2(t + 1) rounds; reveals nothing."""
        return await self._draw.coins(session, self._drawn)


async def deal_sums(
    session: Session,
    own: NDArray[np.int64] | None,
    dealers: tuple[int, ...],
    width: int,
    shape: tuple[int, int],
    coins: int = 0,
    extra: NDArray[np.int64] | None = None,
    extra_size: int = 0,
) -> DealtSums:
    """Deal what `sums_reach` adds. One round; reveals nothing.

    Parameters
    ----------
    own : int64 (problems, cells), or None at a party that deals nothing
        Its numbers; each sum within 0 to 2^(width+1) - 1, single numbers may be negative.
    dealers : tuple of int
        At least one.
    shape : (problems, cells)
    coins : int
        Planes of random bits.
    extra : int64 (extra_size,), or None
        More numbers that each dealer shares in the same round, as elements of M61.

    Raises
    ------
    RangeError
        A width that is not within 1 to 59. Nothing was sent.
    """
    if not 1 <= width <= MOST_WIDTH:
        raise RangeError(f"sums of {width} bits cannot be compared; 1 to {MOST_WIDTH} are possible")
    problems, cells = shape
    lanes = boolean.lanes(cells)
    words = None if own is None else _pack(own, width + 1, lanes)
    numbers = None
    if own is not None:
        numbers = M61.from_int64(np.zeros(0, np.int64) if extra is None else np.asarray(extra, np.int64))
    draw = CoinDraw.of(session, M61, coins, lanes, cells)
    dealt, totals, *drawn = await deal_together(
        session,
        deals.planes(session, words, dealers, (width + 1, problems * lanes), 64 * problems * lanes),
        deals.elements(session, M61, numbers, dealers, (extra_size,)),
        *draw.deals,
    )
    total: Shared = totals[dealers[0]]
    for d in dealers[1:]:
        total = total + totals[d]
    return DealtSums(total, tuple(dealt[d] for d in dealers), shape, draw, tuple(drawn))


def deal_sums_work(c: Case, dealers: int, width: int, problems: int, coins: int = 0, extra: int = 0) -> Work:
    """Cost of `deal_sums` on `c.size` cells."""
    wide, bits = _wide(c, problems), replace(c, field=M61, size=coins * c.size)
    dealt = dealers * ((width + 1) * wide.deal_plane + replace(bits, size=extra).deal)
    return Work(1, dealt + c.committee.t * (coins * c.deal_plane + bits.deal))


def coins_work(c: Case, coins: int) -> Work:
    """Cost of `DealtSums.coins`."""
    total, parts = Work(), c.committee.t + 1
    while coins and parts > 1:
        total += call("multiply", replace(c, field=M61, size=coins * c.size * (parts // 2)))
        parts -= parts // 2
    return total


def reached_work(c: Case, dealers: int, width: int, problems: int) -> Work:
    """Cost of `DealtSums.reached`."""
    total, wide = Work(), _wide(c, problems)
    while dealers > 2:
        triples = dealers // 3
        total += call("bit_and", replace(wide, size=wide.size * triples)).wide(width + 1)
        dealers -= triples
    return total + carry_out_of_work(wide, width)


def _wide(c: Case, problems: int) -> Case:
    return replace(c, size=64 * boolean.lanes(c.size) * problems)


@declared(
    lambda c: (
        deal_sums_work(c, c.committee.m, DECLARED_WIDTH, DECLARED_PROBLEMS)
        + reached_work(c, c.committee.m, DECLARED_WIDTH, DECLARED_PROBLEMS)
    ),
    source="carry-save addition of dealt bits, parallel prefix (Ladner, Fischer 1980)",
)
async def sums_reach(
    session: Session,
    own: NDArray[np.int64] | None,
    dealers: tuple[int, ...],
    width: int,
    shape: tuple[int, int],
) -> BooleanShared:
    """Where sums over the dealers reach 2^width, one plane for each problem. Reveals nothing.

    Parameters as of `deal_sums`.
    """
    dealt = await deal_sums(session, own, dealers, width, shape)
    return await dealt.reached(session)


def _pack(own: NDArray[np.int64], bits: int, lanes: int) -> boolean.Words:
    """Planes of the numbers modulo 2^bits, each problem from a word of its own on."""
    padded = np.zeros((own.shape[0], 64 * lanes), np.uint64)
    padded[:, : own.shape[1]] = (own & ((1 << bits) - 1)).astype(np.uint64)
    return boolean.pack(M61, padded.reshape(-1))[:bits]


async def _down_to_two(session: Session, operands: list[BooleanShared]) -> tuple[BooleanShared, BooleanShared]:
    """Two numbers with the sum of several, modulo a power of two; several triples in the same round."""
    while len(operands) > 2:
        triples, size = len(operands) // 3, operands[0].words.shape[2]
        x, y, z = (_side_by_side([operands[3 * k + i] for k in range(triples)]) for i in range(3))
        total, carry, _ = await carry_save(session, x, y, z, rotate=False)
        parts = [
            replace(operands[0], words=np.ascontiguousarray(both.words[:, :, k * size : (k + 1) * size]))
            for both in (total, carry)
            for k in range(triples)
        ]
        operands = parts + operands[3 * triples :]
    x = operands[0]
    return x, operands[1] if len(operands) == 2 else replace(x, words=np.zeros_like(x.words))


def _side_by_side(parts: list[BooleanShared]) -> BooleanShared:
    return BooleanShared(np.concatenate([part.words for part in parts], axis=2), sum(part.count for part in parts))
