"""Comparison and bits of shared numbers, with perfectly hiding masks, modulo a Mersenne prime p = 2^n - 1.

A number is split into operands of shared bits (see `masked`), which are added modulo p in a circuit on packed bits.
"""

from __future__ import annotations

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import PrimeField
from mpcstats.protocols.boolean import and_planes, bit_and, to_arithmetic
from mpcstats.protocols.declare import Case, protocol
from mpcstats.protocols.masked import masked_operands
from mpcstats.runtime.lanes import in_blocks, waves
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared

__all__ = ["at_least", "bit_decompose", "floor_divide", "is_negative"]


def _tree_planes(n: int) -> tuple[int, int]:
    """Levels and AND gates of the carry-out tree over n positions (the first AND makes the carries)."""
    levels, gates = 1, n
    while n > 1:
        levels, gates, n = levels + 1, gates + n - 1, n - n // 2
    return levels, gates


def _compare_rounds(c: Case) -> int:
    t = c.committee.t
    convert = 2 + t.bit_length() if t else 1
    # opening, deal, one carry-save adder for each operand beyond two, tree, conversion
    block = 1 + (1 if t else 0) + max(0, t - 1) + _tree_planes(c.field.bits)[0] + convert
    return block * waves(c.size)


def _compare_bytes(c: Case) -> int:
    t, n = c.committee.t, c.field.bits
    ands = n * max(0, t - 1) + _tree_planes(n)[1]
    convert = t * (c.deal + c.deal_plane + (2 * t + 1) * c.deal) + c.open_plane
    return c.open + t * n * c.deal_plane + ands * c.committee.m * c.deal_plane + convert


@protocol(
    rounds=_compare_rounds,
    bytes_sent=_compare_bytes,
    source="full-range mask; sign as lowest bit of 2a (Reistad, Toft 2009) in a packed carry circuit",
)
async def is_negative(session: Session, a: Shared, into: PrimeField | None = None) -> Shared:
    """1 where a < 0, else 0, for |a| < p/2. Reveals nothing.

    2a mod p is odd exactly when a is negative.

    Parameters
    ----------
    into : PrimeField, optional
        Field of the bits; that of a when left out.
    """

    async def signs(session: Session, a: Shared) -> Shared:
        return await _signs(session, a, into or a.field)

    return (await in_blocks(session, signs, a.reshape(a.size))).reshape(*a.shape)


async def _signs(session: Session, a: Shared, into: PrimeField) -> Shared:
    x, y = await masked_operands(session, a, 2)
    wrap = await _carry_out(session, x, y)
    bit = x.planes(slice(0, 1)) ^ y.planes(slice(0, 1)) ^ wrap
    return (await to_arithmetic(session, bit, into)).reshape(a.size)


async def at_least(session: Session, a: Shared, bound: int, into: PrimeField | None = None) -> Shared:
    """1 where a >= bound (public), else 0, for |a - bound| < p/2. Cost of `is_negative`; reveals nothing.

    Parameters
    ----------
    into : PrimeField, optional
        Field of the bits; that of a when left out.

    Raises
    ------
    RangeError
        The bound itself is not within +-p/4: it would wrap around, and hold for every a.
    """
    if 4 * abs(bound) >= a.field.modulus:
        raise RangeError(f"a bound of {bound.bit_length()} bits is too large for comparisons in {a.field}")
    below = await is_negative(session, a.plus_int(-bound), into)
    return (-below).plus_int(1)


async def bit_decompose(session: Session, a: Shared, start: int, stop: int) -> Shared:
    """Bits start..stop-1 of a in [0, p), as field elements of shape (stop - start, *a.shape). Reveals nothing.

    Cost: one opening, t deals of n bits, t + log2(n) + 1 ANDs and one conversion of stop - start bits.
    """
    flat = a.reshape(a.size)
    x, y = await masked_operands(session, flat)
    carries, wrap = await _all_carries(session, x, y)
    # bit i of x + y + wrap: the sum without carry, and the carry into position i
    bits = BooleanShared((x ^ y).words ^ np.concatenate([wrap.words, carries.words], axis=1), flat.size)
    return (await to_arithmetic(session, bits.planes(slice(start, stop)), a.field)).reshape(stop - start, *a.shape)


async def floor_divide(session: Session, a: Shared, divisor: int, bits: int) -> Shared:
    """floor(a / divisor) for a in [0, 2^bits) and a public divisor. Exact; reveals nothing.

    a * M / 2^s with M = ceil(2^s / divisor) has the same floor when s >= bits + log2(divisor) (Granlund, Montgomery
    1994); the division by 2^s picks bits.

    Raises
    ------
    RangeError
        The numbers are too wide for the field.
    """
    if divisor == 1:
        return a
    s = bits + (divisor - 1).bit_length()
    multiplier = -(-(1 << s) // divisor)
    if multiplier << bits >= a.field.modulus:
        raise RangeError(f"numbers of {bits} bits cannot be divided by {divisor} in {a.field}")
    quotient_bits = max(1, bits - divisor.bit_length() + 1)
    digits = await bit_decompose(session, a.times_int(multiplier), s, s + quotient_bits)
    powers = a.field.from_ints([1 << k for k in range(quotient_bits)])
    shape = (quotient_bits, *(1,) * len(a.shape))
    return digits.times(a.field.reshape(powers, shape)).sum(0)


async def _carry_out(session: Session, x: BooleanShared, y: BooleanShared) -> BooleanShared:
    """[x + y >= p]: the carry out of x + y + 1. A tree of (generate, propagate) pairs; 1 + ceil(log2 n) rounds."""
    rows, n, width = x.words.shape
    # planes: generate of positions 0..n-1, then propagate of 1..n-1; the carry that comes in makes position 0 generate
    # where it would propagate, and nobody asks again whether it does
    tree = np.empty((rows, 2 * n - 1, width), np.uint64)
    await and_planes(session, x, np.arange(n), y, np.arange(n), out=tree[:, :n])
    tree[:, 0] ^= x.words[:, 0] ^ y.words[:, 0]
    np.bitwise_xor(x.words[:, 1:], y.words[:, 1:], out=tree[:, n:])
    while n > 1:
        odd, half = n % 2, n // 2  # an odd position stays at the bottom
        low, high = np.arange(odd, n - 1, 2), np.arange(odd + 1, n, 2)
        through = slice(0 if odd else 1, None)
        left = np.concatenate([n + high - 1, n + high[through] - 1])
        right = np.concatenate([low, n + low[through] - 1])
        above = np.empty((rows, odd + len(left), width), np.uint64)
        above[:, :odd] = tree[:, :odd]
        whole = BooleanShared(tree, x.count)
        await and_planes(session, whole, left, whole, right, out=above[:, odd:])
        above[:, odd : odd + half] ^= tree[:, high]
        tree, n = above, odd + half
    return BooleanShared(tree, x.count)


async def _all_carries(session: Session, x: BooleanShared, y: BooleanShared) -> tuple[BooleanShared, BooleanShared]:
    """Carries into positions 1..n-1, and the end-around one into 0 (Sklansky 1960); 2 + ceil(log2 n) rounds."""
    n = x.words.shape[1]
    generate, propagate = (await bit_and(session, x, y)).words, (x ^ y).words
    span = 1
    while span < n:
        upper = np.array([i for i in range(n) if i & span])
        lower = (upper & ~(2 * span - 1)) + span - 1  # the last position of the block to the right
        left = BooleanShared(np.concatenate([propagate[:, upper]] * 2, axis=1), x.count)
        right = BooleanShared(np.concatenate([generate[:, lower], propagate[:, lower]], axis=1), x.count)
        both = (await bit_and(session, left, right)).words
        generate, propagate = generate.copy(), propagate.copy()
        generate[:, upper] ^= both[:, : len(upper)]
        propagate[:, upper] = both[:, len(upper) :]
        span *= 2
    wrap = BooleanShared(generate[:, n - 1 :] ^ propagate[:, n - 1 :], x.count)
    if n == 1:
        return BooleanShared(generate[:, :0], x.count), wrap
    through = await bit_and(session, BooleanShared(propagate[:, : n - 1], x.count), wrap)
    return BooleanShared(generate[:, : n - 1], x.count) ^ through, wrap
