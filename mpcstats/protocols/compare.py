"""Comparison and bits of shared numbers, with perfectly hiding masks, modulo a Mersenne prime p = 2^n - 1.

c = a + r is opened under a uniform r = S_1 + ... + S_(t+1), where each S_i is known to one party (the last one to a
whole subset). The parties deal the bits of -S_i, which for a Mersenne prime is the complement, and add c and these
t + 1 numbers modulo p in a circuit on packed bits: carries rotate around.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.boolean import bit_and, deal_planes, to_arithmetic
from mpcstats.protocols.declare import Case, protocol
from mpcstats.runtime.opening import open_masked_full
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean
from mpcstats.sharing.committee import Subset

__all__ = ["at_least", "bit_decompose", "floor_divide", "is_negative"]


def _tree_planes(n: int) -> tuple[int, int]:
    """Levels and AND gates of the carry-out tree over n positions (the first AND makes the carries)."""
    levels, gates = 1, n
    while n > 1:
        levels, gates, n = levels + 1, gates + 2 * (n // 2), n - n // 2
    return levels, gates


def _compare_rounds(c: Case) -> int:
    t = c.committee.t
    convert = (4 + (t + 1 - 1).bit_length() - 1) if t else 1
    return 1 + (1 if t else 0) + t + _tree_planes(c.field.bits)[0] + convert


def _compare_bytes(c: Case) -> int:
    t, n = c.committee.t, c.field.bits
    ands = n * t + _tree_planes(n)[1]
    convert = t * (c.deal + c.deal_plane + (2 * t + 1) * c.deal) + c.open_plane
    return c.open + t * n * c.deal_plane + ands * c.committee.m * c.deal_plane + convert


@protocol(
    rounds=_compare_rounds,
    bytes_sent=_compare_bytes,
    source="full-range mask; sign as lowest bit of 2a (Reistad, Toft 2009) in a packed carry circuit",
)
async def is_negative(session: Session, a: Shared) -> Shared:
    """1 where a < 0, else 0, for |a| < p/2. Reveals nothing.

    2a mod p is odd exactly when a is negative.
    """
    flat = a.reshape(a.size)
    x, y = await _masked_operands(session, flat.times_int(2))
    wrap = await _carry_out(session, x, y)
    bit = x.planes(slice(0, 1)) ^ y.planes(slice(0, 1)) ^ wrap
    return (await to_arithmetic(session, bit, a.field)).reshape(*a.shape)


async def at_least(session: Session, a: Shared, bound: int) -> Shared:
    """1 where a >= bound (public), else 0, for |a - bound| < p/2. Cost of `is_negative`; reveals nothing.

    Raises
    ------
    RangeError
        The bound itself is not within +-p/4: it would wrap around, and hold for every a.
    """
    if 4 * abs(bound) >= a.field.modulus:
        raise RangeError(f"a bound of {bound.bit_length()} bits is too large for comparisons in {a.field}")
    below = await is_negative(session, a.plus_int(-bound))
    return (-below).plus_int(1)


async def bit_decompose(session: Session, a: Shared, start: int, stop: int) -> Shared:
    """Bits start..stop-1 of a in [0, p), as field elements of shape (stop - start, *a.shape). Reveals nothing.

    Cost: one opening, t deals of n bits, t + log2(n) + 1 ANDs and one conversion of stop - start bits.
    """
    flat = a.reshape(a.size)
    x, y = await _masked_operands(session, flat)
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


async def _masked_operands(session: Session, a: Shared) -> tuple[BooleanShared, BooleanShared]:
    """Two shared numbers of n bits, not both all ones, whose sum modulo p is a (flat)."""
    committee, field, count = session.committee, a.field, a.size
    if not field.is_mersenne:
        raise RangeError(f"comparison needs a Mersenne prime, not {field}")
    shape = (field.bits, boolean.lanes(count))
    opened, parts = await open_masked_full(session, a, session.label("compare"))
    groups = {i: _group(field, committee.mask_holder, parts, i, count) for i in range(1, committee.t + 2)}
    dealers = tuple(range(1, committee.t + 1))
    operands: list[BooleanShared] = []
    if dealers:
        own = boolean.pack(field, groups[session.index]) if session.index in dealers else None
        dealt = await deal_planes(session, own, dealers, shape, count)
        operands = [dealt[d] for d in dealers]
    # the last group is one subset's mask: its members share its bits without a message
    common = boolean.pack(field, groups[committee.t + 1]) if session.index > committee.t else None
    operands.append(BooleanShared(boolean.place_common(committee, session.index, common, shape), count))
    public = boolean.pack(field, opened)
    zero = BooleanShared(np.zeros_like(operands[0].words), count)
    total = BooleanShared(boolean.add_public(committee, session.index, zero.words, public), count)
    if len(operands) == 1:
        return total, operands[0]
    carry, rest = operands[0], operands[1:]
    for operand in rest:
        total, carry = await _carry_save(session, total, carry, operand)
    return total, carry


def _group(field: PrimeField, holder: object, parts: Mapping[Subset, Elements], i: int, count: int) -> Elements:
    """-S_i for the part of the mask that party i accounts for (meaningful at i; at all of the last subset for t+1)."""
    total = field.zeros((count,))
    for A, r in parts.items():
        if holder(A) == i:  # type: ignore[operator]
            total = field.add(total, r)
    return field.neg(total)


async def _carry_save(
    session: Session, x: BooleanShared, y: BooleanShared, z: BooleanShared
) -> tuple[BooleanShared, BooleanShared]:
    """Two numbers with the sum of three modulo 2^n - 1: the carry word rotates, because 2^n = 1. One round."""
    majority = await bit_and(session, x ^ z, y ^ z)
    rotated = np.roll((majority ^ z).words, 1, axis=1)
    return x ^ y ^ z, BooleanShared(rotated, x.count)


def _pairs(words: BooleanShared) -> tuple[BooleanShared, BooleanShared, BooleanShared]:
    """Even positions, odd positions, and a last one without partner (possibly empty)."""
    n = words.words.shape[1]
    return words.planes(slice(0, n - 1, 2)), words.planes(slice(1, n, 2)), words.planes(slice(n - n % 2, n))


def _stack(*parts: BooleanShared) -> BooleanShared:
    return BooleanShared(np.concatenate([part.words for part in parts], axis=1), parts[0].count)


async def _carry_out(session: Session, x: BooleanShared, y: BooleanShared) -> BooleanShared:
    """[x + y >= p]: the carry out of x + y + 1. A tree of (generate, propagate) pairs; 1 + ceil(log2 n) rounds."""
    generate, propagate = await bit_and(session, x, y), x ^ y
    while generate.words.shape[1] > 1:
        g_low, g_high, g_rest = _pairs(generate)
        p_low, p_high, p_rest = _pairs(propagate)
        half = g_high.words.shape[1]
        both = await bit_and(session, _stack(p_high, p_high), _stack(g_low, p_low))
        generate = _stack(g_high ^ both.planes(slice(0, half)), g_rest)
        propagate = _stack(both.planes(slice(half, 2 * half)), p_rest)
    return generate ^ propagate


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
