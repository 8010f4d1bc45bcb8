"""Exact division by powers of two over the full range of the field, shared random bits, and numbers from bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.arithmetic import deal, multiply
from mpcstats.protocols.bits import (
    Pair,
    carry_out,
    carry_out_work,
    low_bits,
    masked_pair,
    masked_pair_work,
    stack,
)
from mpcstats.protocols.blocks import blocks_work, in_blocks
from mpcstats.protocols.boolean import to_arithmetic
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate
from mpcstats.sharing import boolean

__all__ = ["DECLARED_BITS", "bit_compose", "floor_shift", "floor_shift_work", "random_bits", "truncate_exact"]

DECLARED_BITS = 24
"""Bits dropped in the declared cost of `floor_shift` and `truncate_exact`."""


def floor_shift_work(c: Case, bits: int) -> Work:
    """Cost of `floor_shift` by `bits` bits."""
    t = c.committee.t

    def work(part: Case) -> Work:
        deals = Work(1, t * part.deal) if t else Work()
        counts = call("to_arithmetic", part).wide(2 * max(1, t))
        return masked_pair_work(part) + carry_out_work(part, bits) + deals + counts

    return blocks_work(work, c)


@declared(
    lambda c: floor_shift_work(c, DECLARED_BITS),
    source="full-range mask; wraps and carries counted in a packed circuit (after Catrina, de Hoogh 2010, section 3)",
)
async def floor_shift(session: Session, a: Shared, bits: int) -> Shared:
    """floor(a / 2^bits) for every signed integer |a| < p/2: exact, no statistical loss. Reveals nothing.

    Parameters
    ----------
    a : Shared, any shape
        Read as integers (in units of 2^-fraction_bits); the fraction bits stay.
    bits : int
        0 to field.bits - 1.

    Raises
    ------
    RangeError
        `bits` is out of range, or the field is not a Mersenne prime. Nothing was sent.

    Notes
    -----
    With b = 2^(n-1) - 1 - a in [0, p), floor(a / 2^f) = 2^(n-1-f) - 1 - floor(b / 2^f). b is opened under a full-range
    mask; it is the sum of t + 1 numbers N_i, each known to its group (see `bits`), minus q p; so with p = -1 modulo 2^f

        b mod 2^f = sum of (N_i mod 2^f) + q - 2^f u

    where q counts the wraps and u the carries into position f. Party i deals N_i mod 2^f; the 2 t bits of q and u come
    from the adder circuit. Cost (`floor_shift_work`): about 1.3 comparisons.
    """
    field, n = a.field, a.field.bits
    if not 0 <= bits < n:
        raise RangeError(f"numbers of {n} bits cannot be shifted by {bits} bits")
    if not field.is_mersenne:
        raise RangeError(f"bits need a Mersenne prime, not {field}")
    if bits == 0 or not a.size:
        return a

    async def run(a: Shared) -> tuple[Shared]:
        b = (-a).plus_int((1 << (n - 1)) - 1)
        pair = await masked_pair(session, b)
        low = await _low_part(session, pair, field, bits)
        high = (b - replace(low, fraction_bits=b.fraction_bits)).times_int(pow(2, -bits, field.modulus))
        return ((-high).plus_int((1 << (n - 1 - bits)) - 1),)

    (result,) = await in_blocks(run, a.reshape(a.size))
    return result.reshape(*a.shape)


async def _low_part(session: Session, pair: Pair, field: PrimeField, bits: int) -> Shared:
    """b mod 2^bits."""
    top, adders = field.bits - 1, 1 + len(pair.carries)
    wrap, carry = await carry_out(session, pair.x, pair.y, bits)
    dealt = await _dealt_sum(session, field, low_bits(field, pair.own, bits))
    if not session.committee.t:
        dealt = dealt.plus(low_bits(field, pair.opened, bits))
    planes = stack(
        wrap, *(word.planes([top]) for word in pair.carries), carry, *(word.planes([bits - 1]) for word in pair.carries)
    )
    counts = await to_arithmetic(session, planes, field)
    wraps, carries = counts[:adders].sum(0), counts[adders:].sum(0)
    return dealt + wraps - carries.times_int(1 << bits)


async def _dealt_sum(session: Session, field: PrimeField, own: Elements) -> Shared:
    """Sum of one number per group of mask holders: t parties deal theirs, all of the last subset know theirs."""
    me, t = session.point, session.committee.t
    total = _common(session, field, own if me > t else field.zeros(field.shape(own)))
    if t:
        dealers = tuple(range(1, t + 1))
        for x in (await deal(session, field, own if me <= t else None, dealers, field.shape(own))).values():
            total = total + x
    return total


def _common(session: Session, field: PrimeField, values: Elements) -> Shared:
    """A sharing of numbers that all of the last subset {t+1..m} know: no message; the others give zeros."""
    committee = session.committee
    last = tuple(range(committee.t + 1, committee.m + 1))
    weight = committee.prss_weight(field, last, session.point) if session.point in last else 0
    return Shared(field, field.scale(values, weight), committee.t)


@declared(lambda c: floor_shift_work(c, DECLARED_BITS), source="as floor_shift")
async def truncate_exact(session: Session, z: Shared, bits: int) -> Shared:
    """z with `bits` fewer fraction bits, rounded towards minus infinity: error in (-1, 0] units in the last place.

    Exact for every |z| < p/2 and without statistical loss, at about 1.3 comparisons per element; `truncate` is one
    round and unbiased, but needs headroom. Reveals nothing.

    Raises
    ------
    RangeError
        z has fewer than `bits` fraction bits. Nothing was sent.
    """
    if not 0 <= bits <= z.fraction_bits:
        raise RangeError(f"a number of {z.fraction_bits} fraction bits cannot lose {bits}")
    return (await floor_shift(session, z, bits)).with_fraction_bits(z.fraction_bits - bits)


def _random_bits_work(c: Case) -> Work:
    t = c.committee.t
    total, parts = Work(1, t * c.deal) if t else Work(), t + 1
    while parts > 1:
        total, parts = total + call("multiply", c, c.size * (parts // 2)), parts - parts // 2
    return total


@declared(_random_bits_work, source="XOR of t + 1 bits, each unknown to some coalition of t parties")
async def random_bits(session: Session, field: PrimeField, shape: tuple[int, ...]) -> Shared:
    """Shared uniform bits 0 or 1 that no t parties know, as field elements. 1 + ceil(log2(t + 1)) rounds.

    Parties 1..t deal private bits; the parties t+1..m take one from their common key, without a message. A coalition
    of t parties that holds all private ones has no member in {t+1..m}. Reveals nothing.
    """
    committee, me, t = session.committee, session.point, session.committee.t
    label, count = session.label("random bits"), int(np.prod(shape, dtype=np.int64))
    dealers = tuple(range(1, t + 1))
    last = tuple(range(t + 1, committee.m + 1))
    coins = session.randomness.private(label) if me in dealers else session.randomness.subset(last, label)
    drawn = boolean.unpack(coins.words(boolean.lanes(count)).reshape(1, -1), count)[0]
    own = field.from_int64(drawn.astype(np.int64))
    parts = [_common(session, field, field.zeros((count,)) if me in dealers else own)]
    if dealers:
        parts += (await deal(session, field, own if me in dealers else None, dealers, (count,))).values()
    while len(parts) > 1:  # XOR of field bits: x + y - 2 x y, in pairs
        half = len(parts) // 2
        x, y = concatenate(parts[:half]), concatenate(parts[half : 2 * half])
        merged = x + y - (await multiply(session, x, y)).times_int(2)
        parts = [merged[k * count : (k + 1) * count] for k in range(half)] + parts[2 * half :]
    return parts[0].reshape(*shape)


def bit_compose(bits: Shared, signed: bool = False) -> Shared:
    """Numbers from shared bits along the first axis, lowest first. Local.

    Parameters
    ----------
    bits : Shared (k, *shape)
        k <= field.bits bits.
    signed : bool
        The last bit counts -2^(k-1) (two's complement).
    """
    k = bits.shape[0]
    if k > bits.field.bits:
        raise RangeError(f"{k} bits do not fit {bits.field}")
    weights = [1 << i for i in range(k)]
    if signed and k:
        weights[-1] = -weights[-1]
    powers = bits.field.reshape(bits.field.from_ints(weights), (k, *(1,) * (len(bits.shape) - 1)))
    return bits.times(powers).sum(0)
