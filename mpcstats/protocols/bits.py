"""Shared numbers as packed shared bits, and circuits on the bits.

c = a + r is opened under a mask r = S_1 + ... + S_(t+1); S_i is known to party i alone, the last one to a whole subset.
What is left is the sum of t + 1 numbers, each known to its group: c - S_1, and -S_i for the others. Their bits are
dealt by parties 1..t; those of the last group need no message. Carry-save adders bring them down to two.

Two kinds of mask:

* full range, modulo a Mersenne prime p = 2^n - 1: S_i is uniform, -S_i is N_i = p - S_i in [1, p], its complement.
  Carry words rotate, because 2^n = 1. The two numbers x, y that are left are never both 0 (N_(t+1) is not 0) and never
  both p (c - S_1 is not p), so 0 < x + y < 2p, and a = 0 exactly when x + y = p, that is when y is the complement of x;
  a = x + y - p [x + y >= p], with [x + y >= p] the carry out of x + y + 1.
* bounded, modulo 2^n for |a| < 2^(n-1): nothing wraps around p, so the lowest n bits are all that is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M61, Elements, PrimeField
from mpcstats.protocols.boolean import bit_and, deal_planes
from mpcstats.protocols.declare import Case
from mpcstats.protocols.split import complement, halves
from mpcstats.protocols.work import Work, call, open_bounded, open_full
from mpcstats.runtime.opening import open_masked_bounded, open_masked_full
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean
from mpcstats.sharing.committee import Subset

__all__ = [
    "Pair",
    "add_bits",
    "add_bits_work",
    "all_ones",
    "all_ones_work",
    "bounded_pair",
    "bounded_pair_work",
    "carry_out",
    "carry_out_of",
    "carry_out_of_work",
    "carry_out_work",
    "carry_save",
    "low_bits",
    "masked_pair",
    "masked_pair_work",
    "prefix_or_planes",
    "prefix_or_planes_work",
    "share_groups",
    "stack",
    "sum_bits",
    "sum_bits_work",
    "xor_planes",
]

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
Level = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Pair:
    """Two shared numbers whose sum is a modulo p.

    Attributes
    ----------
    x, y : BooleanShared
        n planes each.
    carries : tuple of BooleanShared
        The carry word of each carry-save adder, before it is rotated.
    own : Elements
        The number of this party's group, of the t + 1 (t = 0: 2) whose sum is a modulo p: known to nobody else.
    opened : Elements
        c, public: one of the numbers when t = 0, where no group holds it.
    """

    x: BooleanShared
    y: BooleanShared
    carries: tuple[BooleanShared, ...]
    own: Elements
    opened: Elements


def masked_pair_work(c: Case) -> Work:
    """Cost of `masked_pair`."""
    return open_full(c) + _groups_work(c, c.field.bits)


async def masked_pair(session: Session, a: Shared) -> Pair:
    """Split a flat array into two numbers of n shared bits, modulo p. 1 + t rounds; reveals nothing.

    Raises
    ------
    RangeError
        The field is not a Mersenne prime. Nothing was sent.
    """
    field, first = a.field, _holds_opened(session)
    if not field.is_mersenne:
        raise RangeError(f"bits need a Mersenne prime, not {field}")
    opened, parts = await open_masked_full(session, a, session.label("bits"))
    mask = _group_mask(session, field, parts, a.size)
    own = field.sub(opened, mask) if first else complement(field, mask)
    operands = await share_groups(session, boolean.pack(field, own), a.size)
    if not session.committee.t:
        operands.insert(0, _public(session, boolean.pack(field, opened), a.size))
    x, y, carries = operands[0], operands[1], []
    for z in operands[2:]:
        x, y, carry = await carry_save(session, x, y, z)
        carries.append(carry)
    return Pair(x, y, tuple(carries), own, opened)


def bounded_pair_work(c: Case, bits: int) -> Work:
    """Cost of `bounded_pair`."""
    if c.committee.t == 1:
        return Work(1, 2 * bits * c.deal_plane, c.size)
    return open_bounded(c) + _groups_work(c, bits)


async def bounded_pair(session: Session, a: Shared, bits: int) -> tuple[BooleanShared, BooleanShared]:
    """Two numbers of `bits` shared bits whose sum is a + 2^(bits-1) modulo 2^bits, for a flat |a| < 2^(bits-1).

    1 + t rounds, one for t = 1, and one bounded mask per element; the caller has checked that `bits` <=
    `session.headroom(field)`. Reveals nothing.
    """
    if session.committee.t == 1:
        return await _halves_pair(session, a, bits)
    field, first, complements = a.field, _holds_opened(session), max(1, session.committee.t)
    # -S is the complement of S plus one: the offset has these ones
    shifted = a.plus_int((1 << (bits - 1)) + complements)
    opened, parts = await open_masked_bounded(session, shifted, session.label("bits"), bits + session.kappa)
    mask = _group_mask(session, field, parts, a.size)
    own = _low_planes(field, field.sub(opened, mask), bits) if first else ~_low_planes(field, mask, bits)
    operands = await share_groups(session, own, a.size)
    if not session.committee.t:
        operands.insert(0, _public(session, _low_planes(field, opened, bits), a.size))
    x, y = operands[0], operands[1]
    for z in operands[2:]:
        x, y, _ = await carry_save(session, x, y, z, rotate=False)
    return x, y


async def _halves_pair(session: Session, a: Shared, bits: int) -> tuple[BooleanShared, BooleanShared]:
    """`bounded_pair` without an opening: parties 1 and 2 have halves of the numbers, see `mpcstats.protocols.split`."""
    field, me, count = a.field, session.point, a.size
    session.spend_masks(count)
    # minus the second half's complement is the complement of its bits plus one
    part = await halves(session, a.plus_int((1 << (bits - 1)) + 1))
    own = None
    if me <= 2:
        own = _low_planes(field, part, bits) if me == 1 else ~_low_planes(field, complement(field, part), bits)
    dealt = await deal_planes(session, own, (1, 2), (bits, boolean.lanes(count)), count)
    return dealt[1], dealt[2]


def _holds_opened(session: Session) -> bool:
    """Party 1 subtracts its part of the mask from the opened number; without other parties the number stays public."""
    return session.point == 1 and session.committee.t > 0


def _group_mask(session: Session, field: PrimeField, parts: dict[Subset, Elements], count: int) -> Elements:
    """S_i at party i <= t, S_(t+1) at all others."""
    committee = session.committee
    group = min(session.point, committee.t + 1)
    total: Elements | None = None
    for A, r in parts.items():
        if committee.mask_holder(A) == group:
            total = r if total is None else field.add(total, r)
    return field.zeros((count,)) if total is None else total


def _low_planes(field: PrimeField, a: Elements, bits: int) -> boolean.Words:
    """Bit planes 0..bits-1 of integers in [0, p)."""
    if field.limbs == 2 and bits <= M61.bits:
        return boolean.pack(M61, a[:, 0] & np.uint64(M61.modulus))[:bits]
    return boolean.pack(field, a)[:bits]


def _public(session: Session, planes: boolean.Words, count: int) -> BooleanShared:
    committee, me = session.committee, session.point
    zeros = np.zeros((len(committee.subsets_of(me)), *planes.shape), np.uint64)
    return BooleanShared(boolean.add_public(committee, me, zeros, planes), count)


def _groups_work(c: Case, planes: int) -> Work:
    t = c.committee.t
    deals = Work(1, t * planes * c.deal_plane) if t else Work()
    return deals + call("bit_and", c).wide(planes) * max(0, t - 1)


async def share_groups(session: Session, own: boolean.Words, count: int) -> list[BooleanShared]:
    """Shared bit planes of t + 1 numbers: of parties 1..t, and of the last subset, which needs no message.

    One round, none without other parties. Reveals nothing.
    """
    committee, me = session.committee, session.point
    dealers = tuple(range(1, committee.t + 1))
    shared: list[BooleanShared] = []
    if dealers:
        dealt = await deal_planes(session, own if me in dealers else None, dealers, own.shape, count)
        shared = [dealt[d] for d in dealers]
    common = None if me in dealers else own
    return [*shared, BooleanShared(boolean.place_common(committee, me, common, own.shape), count)]


# --- circuits on planes ---------------------------------------------------------------------------------------------


async def carry_save(
    session: Session, x: BooleanShared, y: BooleanShared, z: BooleanShared, rotate: bool = True
) -> tuple[BooleanShared, BooleanShared, BooleanShared]:
    """Two numbers with the sum of three, and the carry word before it moves up: modulo 2^n - 1, or 2^n. One round."""
    carry = await bit_and(session, x ^ z, y ^ z) ^ z
    moved = np.roll(carry.words, 1, axis=1)
    if not rotate:
        moved[:, 0] = 0
    return x ^ y ^ z, replace(carry, words=moved), carry


def stack(*parts: BooleanShared) -> BooleanShared:
    """Planes one after the other."""
    return replace(parts[0], words=np.concatenate([part.words for part in parts], axis=1))


def xor_planes(bits: BooleanShared, index: Sequence[int]) -> BooleanShared:
    """XOR of some planes; one plane."""
    return replace(bits, words=np.bitwise_xor.reduce(bits.words[:, list(index)], axis=1, keepdims=True))


@functools.cache
def _prefix_plan(n: int, outputs: tuple[int, ...]) -> tuple[Level, ...]:
    """Which positions take in which others, level by level, so that `outputs` hold their whole prefix (Sklansky)."""
    needed, levels, span = set(outputs), [], 1 << max(0, (n - 1).bit_length() - 1)
    while span and n > 1:
        upper = np.array(sorted(i for i in needed if i & span), np.intp)
        if upper.size:
            lower = (upper & ~(2 * span - 1)) + span - 1  # the last position of the block to the right
            levels.append((upper, lower))
            needed |= set(lower.tolist())
        span //= 2
    return tuple(reversed(levels))


async def _generate_propagate(
    session: Session, x: BooleanShared, y: BooleanShared, outputs: tuple[int, ...]
) -> tuple[BooleanShared, BooleanShared]:
    """For each output position: does x + y carry out of it, and does it pass a carry on from position 0?"""
    generate, propagate = (await bit_and(session, x, y)).words.copy(), (x ^ y).words.copy()
    for upper, lower in _prefix_plan(generate.shape[1], outputs):
        left = replace(x, words=np.concatenate([propagate[:, upper]] * 2, axis=1))
        right = replace(x, words=np.concatenate([generate[:, lower], propagate[:, lower]], axis=1))
        both = (await bit_and(session, left, right)).words
        generate[:, upper] ^= both[:, : len(upper)]
        propagate[:, upper] = both[:, len(upper) :]
    index = list(outputs)
    return replace(x, words=generate[:, index]), replace(x, words=propagate[:, index])


def _generate_propagate_work(c: Case, n: int, outputs: tuple[int, ...]) -> Work:
    gate = call("bit_and", c)
    total = gate.wide(n)
    for upper, _ in _prefix_plan(n, outputs):
        total += gate.wide(2 * len(upper))
    return total


def carry_out_work(c: Case, position: int) -> Work:
    """Cost of `carry_out`."""
    n = c.field.bits
    return _generate_propagate_work(c, n, (position - 1, n - 1)) + call("bit_and", c)


async def carry_out(
    session: Session, x: BooleanShared, y: BooleanShared, position: int
) -> tuple[BooleanShared, BooleanShared]:
    """[x + y >= p], and the carry of x + y + [x + y >= p] into a position in 1..n-1."""
    n = x.words.shape[1]
    generate, propagate = await _generate_propagate(session, x, y, (position - 1, n - 1))
    wrap = generate.planes([1]) ^ propagate.planes([1])
    return wrap, generate.planes([0]) ^ await bit_and(session, propagate.planes([0]), wrap)


def carry_out_of_work(c: Case, n: int) -> Work:
    """Cost of `carry_out_of` for n planes."""
    return _generate_propagate_work(c, n, (n - 1,))


async def carry_out_of(session: Session, x: BooleanShared, y: BooleanShared) -> BooleanShared:
    """The carry out of the highest position of x + y. 1 + log2(n) rounds; reveals nothing."""
    generate, _ = await _generate_propagate(session, x, y, (x.words.shape[1] - 1,))
    return generate


def add_bits_work(c: Case, n: int, positions: tuple[int, ...]) -> Work:
    """Cost of `add_bits`."""
    inner = [i for i in positions if i]
    through = call("bit_and", c).wide(len(inner)) if inner else Work()
    return _generate_propagate_work(c, n, _carry_positions(n, positions)) + through


async def add_bits(
    session: Session, x: BooleanShared, y: BooleanShared, positions: tuple[int, ...]
) -> tuple[BooleanShared, BooleanShared]:
    """Bits of a = x + y modulo p = 2^n - 1 at some (increasing) positions, and [x + y = p].

    a in [0, p), unless x = y = p. 2 + log2(n) rounds; reveals nothing. Ladner, Fischer 1980 and Sklansky 1960: parallel
    prefix of (generate, propagate); only what the positions need.
    """
    n = x.words.shape[1]
    generate, propagate = await _generate_propagate(session, x, y, _carry_positions(n, positions))
    last = generate.words.shape[1] - 1
    wrap = generate.planes([last]) ^ propagate.planes([last])
    inner = [i for i in positions if i]
    into = [wrap] if 0 in positions else []
    if inner:
        index = [k for k, i in enumerate(_carry_positions(n, positions)) if i + 1 in inner]
        into.append(generate.planes(index) ^ await bit_and(session, propagate.planes(index), wrap))
    at = list(positions)
    # no position stops the carry exactly when y is the complement of x
    return x.planes(at) ^ y.planes(at) ^ stack(*into), propagate.planes([last])


def _carry_positions(n: int, positions: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({i - 1 for i in positions if i} | {n - 1}))


def all_ones_work(c: Case, planes: int) -> Work:
    """Cost of `all_ones`."""
    total = Work()
    while planes > 1:
        total, planes = total + call("bit_and", c).wide(planes // 2), planes - planes // 2
    return total


async def all_ones(session: Session, bits: BooleanShared) -> BooleanShared:
    """AND of all planes; log2 rounds. Reveals nothing."""
    while (n := bits.words.shape[1]) > 1:
        half = n // 2
        both = await bit_and(session, bits.planes(slice(0, half)), bits.planes(slice(half, 2 * half)))
        bits = stack(both, bits.planes(slice(2 * half, n)))
    return bits


def prefix_or_planes_work(c: Case, planes: int) -> Work:
    """Cost of `prefix_or_planes`."""
    total = Work()
    for upper, _ in _prefix_plan(planes, tuple(range(planes))):
        total += call("bit_and", c).wide(len(upper))
    return total


async def prefix_or_planes(session: Session, bits: BooleanShared) -> BooleanShared:
    """Plane i becomes the OR of planes 0..i (Sklansky 1960); log2 rounds. Reveals nothing."""
    words = bits.words.copy()
    planes = words.shape[1]
    for upper, lower in _prefix_plan(planes, tuple(range(planes))):
        left, right = words[:, upper], words[:, lower]
        both = await bit_and(session, replace(bits, words=left), replace(bits, words=right))
        words[:, upper] = left ^ right ^ both.words
    return replace(bits, words=words)


async def sum_bits(session: Session, x: BooleanShared, y: BooleanShared) -> BooleanShared:
    """All n bits of x + y modulo 2^n. 1 + log2(n) rounds (Sklansky 1960); reveals nothing."""
    last = x.words.shape[1] - 1
    bits = x ^ y
    if not last:
        return bits
    below = slice(0, last)  # nothing is carried out of the highest position
    generate = (await bit_and(session, x.planes(below), y.planes(below))).words.copy()
    propagate = bits.words[:, below].copy()
    for upper, lower in _prefix_plan(last, tuple(range(last))):
        through = _passing(lower)
        left = replace(x, words=np.concatenate([propagate[:, upper], propagate[:, upper[through]]], axis=1))
        right = replace(x, words=np.concatenate([generate[:, lower], propagate[:, lower[through]]], axis=1))
        both = (await bit_and(session, left, right)).words
        generate[:, upper] ^= both[:, : len(upper)]
        propagate[:, upper[through]] = both[:, len(upper) :]
    words = bits.words.copy()
    words[:, 1:] ^= generate
    return replace(x, words=words)


def sum_bits_work(c: Case, bits: int) -> Work:
    """Cost of `sum_bits`."""
    if bits == 1:
        return Work()
    gate = call("bit_and", c)
    total = gate.wide(bits - 1)
    for upper, lower in _prefix_plan(bits - 1, tuple(range(bits - 1))):
        total += gate.wide(len(upper) + int(_passing(lower).sum()))
    return total


def _passing(lower: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Where a carry from below may still pass: not where the prefix already begins at position 0."""
    return np.asarray((lower + 1) & lower != 0)


def low_bits(field: PrimeField, a: Elements, bits: int) -> Elements:
    """a mod 2^bits as an integer."""
    if field.limbs == 1:
        return a & np.uint64((1 << bits) - 1)
    mask = (1 << bits) - 1
    return a & np.array([mask & int(_ALL), mask >> 64], np.uint64)
