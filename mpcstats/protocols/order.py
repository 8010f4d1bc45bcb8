"""Order: comparisons of two secrets, equality, extremes, sign and size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from mpcstats.field import PrimeField
from mpcstats.protocols.arithmetic import multiply, select
from mpcstats.protocols.bits import (
    add_bits,
    add_bits_work,
    all_ones,
    all_ones_work,
    masked_pair,
    masked_pair_work,
    stack,
)
from mpcstats.protocols.blocks import blocks_work, in_blocks
from mpcstats.protocols.boolean import to_arithmetic
from mpcstats.protocols.compare import is_negative
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = [
    "absolute",
    "amax",
    "amin",
    "equal",
    "equal_zero",
    "less",
    "less_than_public",
    "maximum",
    "minimum",
    "sign",
]

_COMPARE = "as is_negative"


@declared(lambda c: call("is_negative", c), source=_COMPARE)
async def less(session: Session, x: Shared, y: Shared) -> Shared:
    """1 where x < y, else 0, broadcasting, for |x - y| < p/2. One comparison; reveals nothing."""
    return await is_negative(session, x - y)


@declared(lambda c: call("is_negative", c), source=_COMPARE)
async def less_than_public(session: Session, x: Shared, bound: int) -> Shared:
    """1 where x < bound (public, in units of 2^-fraction_bits), else 0, for |x - bound| < p/2. One comparison."""
    return await is_negative(session, x.plus_int(-bound))


def _equal_work(c: Case) -> Work:
    return blocks_work(
        lambda part: masked_pair_work(part) + all_ones_work(part, part.field.bits) + call("to_arithmetic", part), c
    )


@declared(_equal_work, source="full-range mask; a = 0 when the operands are complements (after Nishide, Ohta 2007)")
async def equal_zero(session: Session, a: Shared) -> Shared:
    """1 where a = 0, else 0, for every a in the field: exact. Reveals nothing.

    Cost: one opening, t deals of n bits, (t - 1) n + n - 1 AND gates and one conversion: half the gates of a comparison
    at m = 3.
    """
    if not a.size:
        return a.with_fraction_bits(0)

    async def run(a: Shared) -> tuple[Shared]:
        pair = await masked_pair(session, a)
        bit = await all_ones(session, pair.x ^ pair.y)
        return ((await to_arithmetic(session, bit, a.field))[0],)

    (result,) = await in_blocks(run, a.reshape(a.size))
    return result.reshape(*a.shape)


@declared(_equal_work, source="as equal_zero")
async def equal(session: Session, x: Shared, y: Shared) -> Shared:
    """1 where x = y, else 0, broadcasting. Cost of `equal_zero`; reveals nothing."""
    return await equal_zero(session, x - y)


def _top(field: PrimeField) -> tuple[int, ...]:
    return (field.bits - 1,)


def _sign_work(c: Case) -> Work:
    def work(part: Case) -> Work:
        adder = add_bits_work(part, part.field.bits, _top(part.field))
        return masked_pair_work(part) + adder + call("to_arithmetic", part).wide(2)

    return blocks_work(work, c)


@declared(_sign_work, source="highest bit and zero test from one adder circuit")
async def sign(session: Session, a: Shared) -> Shared:
    """-1, 0 or 1, for |a| < p/2. Reveals nothing.

    a < 0 exactly when the highest of its n bits is 1; a = 0 when every position of the adder propagates. Both come
    from one masked opening: one comparison and one more converted bit.
    """
    if not a.size:
        return a.with_fraction_bits(0)

    async def run(a: Shared) -> tuple[Shared]:
        pair = await masked_pair(session, a)
        negative, zero = await add_bits(session, pair.x, pair.y, _top(a.field))
        bits = await to_arithmetic(session, stack(negative, zero), a.field)
        return ((-(bits[0].times_int(2) + bits[1])).plus_int(1),)

    (result,) = await in_blocks(run, a.reshape(a.size))
    return result.reshape(*a.shape)


@declared(lambda c: call("is_negative", c) + call("multiply", c), source=_COMPARE)
async def absolute(session: Session, a: Shared) -> Shared:
    """|a| for |a| < p/2, with the fraction bits of a. One comparison and a product; reveals nothing."""
    negative = await is_negative(session, a)
    return await multiply(session, negative.times_int(-2).plus_int(1), a)


def _select_work(c: Case) -> Work:
    return call("is_negative", c) + call("select", c)


@declared(_select_work, source=_COMPARE)
async def minimum(session: Session, x: Shared, y: Shared) -> Shared:
    """The smaller of x and y, elementwise, broadcasting, for |x - y| < p/2. Reveals nothing, not even which."""
    return await select(session, await less(session, x, y), x, y)


@declared(_select_work, source=_COMPARE)
async def maximum(session: Session, x: Shared, y: Shared) -> Shared:
    """The larger of x and y, elementwise, broadcasting, for |x - y| < p/2. Reveals nothing, not even which."""
    return await select(session, await less(session, x, y), y, x)


def _tree_work(c: Case) -> Work:
    total, n = Work(), c.size
    while n > 1:
        level = Case(c.committee, c.field, n // 2)
        total, n = total + _select_work(level), n - n // 2
    return total


@declared(_tree_work, source="tree of comparisons; declared for one vector")
async def amin(session: Session, x: Shared, axis: int = -1) -> Shared:
    """The smallest element along an axis of length n >= 1, for differences below p/2. Reveals nothing.

    ceil(log2 n) comparisons one after another, n - 1 in all per result. The declared cost is that of one vector.
    """
    return await _reduce(session, x, axis, minimum)


@declared(_tree_work, source="tree of comparisons; declared for one vector")
async def amax(session: Session, x: Shared, axis: int = -1) -> Shared:
    """The largest element along an axis of length n >= 1, for differences below p/2. Cost of `amin`."""
    return await _reduce(session, x, axis, maximum)


async def _reduce(
    session: Session, x: Shared, axis: int, better: Callable[[Session, Shared, Shared], Awaitable[Shared]]
) -> Shared:
    at = axis if axis >= 0 else axis + len(x.shape)
    x = replace(x, values=np.moveaxis(x.values, at, 0))
    if not x.shape[0]:
        raise ValueError("an empty axis has no smallest or largest element")
    while (n := x.shape[0]) > 1:
        half = n // 2
        best = await better(session, x[:half], x[half : 2 * half])
        x = concatenate([best, x[2 * half :]]) if n % 2 else best
    return x[0]
