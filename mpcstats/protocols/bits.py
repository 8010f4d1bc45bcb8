"""Shared numbers as packed shared bits, and circuits on the bits, modulo a Mersenne prime p = 2^n - 1.

c = a + r is opened under a uniform r = S_1 + ... + S_(t+1); S_i is known to party i alone, the last one to a whole
subset. The parties share the bits of N_i = p - S_i (the complement of S_i, in [1, p]), and add c and the N_i modulo p
with carry-save adders whose carry word is rotated by one, because 2^n = 1. What is left are two numbers x, y with
x + y = a modulo p. They are never both 0 (N_(t+1) is not 0) and never both p (c is not p), so 0 < x + y < 2p, and

* a = 0 exactly when x + y = p, that is when y is the complement of x;
* a = x + y - p [x + y >= p], with [x + y >= p] the carry out of x + y + 1.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.boolean import bit_and, deal_planes
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call, open_full
from mpcstats.runtime.opening import open_masked_full
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean

__all__ = [
    "Pair",
    "add_bits",
    "add_bits_work",
    "all_ones",
    "all_ones_work",
    "carry_out",
    "carry_out_work",
    "complement",
    "low_bits",
    "masked_pair",
    "masked_pair_work",
    "prefix_or_planes",
    "prefix_or_planes_work",
    "stack",
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
        The carry word of each carry-save adder, before it is rotated (t of them).
    opened : Elements
        c, public.
    own : Elements
        S_i at party i <= t, S_(t+1) at all others. Known to nobody else.
    """

    x: BooleanShared
    y: BooleanShared
    carries: tuple[BooleanShared, ...]
    opened: Elements
    own: Elements


def masked_pair_work(c: Case) -> Work:
    """Cost of `masked_pair`."""
    t, n = c.committee.t, c.field.bits
    deals = Work(1, t * n * c.deal_plane) if t else Work()
    return open_full(c) + deals + call("bit_and", c).wide(n) * t


async def masked_pair(session: Session, a: Shared) -> Pair:
    """Split a flat array into two numbers of n shared bits. 1 + (1 + t if t) rounds; reveals nothing.

    Raises
    ------
    RangeError
        The field is not a Mersenne prime. Nothing was sent.
    """
    committee, field, count, me = session.committee, a.field, a.size, session.index
    if not field.is_mersenne:
        raise RangeError(f"bits need a Mersenne prime, not {field}")
    opened, parts = await open_masked_full(session, a, session.label("bits"))
    group = min(me, committee.t + 1)
    own = field.zeros((count,))
    for A, r in parts.items():
        if committee.mask_holder(A) == group:
            own = field.add(own, r)
    complement = boolean.pack(field, own) ^ _ALL
    shape = complement.shape
    operands: list[BooleanShared] = []
    if committee.t:
        dealers = tuple(range(1, committee.t + 1))
        dealt = await deal_planes(session, complement if me in dealers else None, dealers, shape, count)
        operands = [dealt[d] for d in dealers]
    # the last group is one subset's mask: its members share its bits without a message
    common = complement if me > committee.t else None
    operands.append(BooleanShared(boolean.place_common(committee, me, common, shape), count))
    public = boolean.add_public(committee, me, np.zeros_like(operands[0].words), boolean.pack(field, opened))
    x, y, carries = BooleanShared(public, count), operands[0], []
    for z in operands[1:]:
        majority = await bit_and(session, x ^ z, y ^ z) ^ z
        carries.append(majority)
        x, y = x ^ y ^ z, replace(majority, words=np.roll(majority.words, 1, axis=1))
    return Pair(x, y, tuple(carries), opened, own)


# --- circuits on planes ---------------------------------------------------------------------------------------------


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


def _generate_propagate_work(c: Case, outputs: tuple[int, ...]) -> Work:
    gate, n = call("bit_and", c), c.field.bits
    total = gate.wide(n)
    for upper, _ in _prefix_plan(n, outputs):
        total += gate.wide(2 * len(upper))
    return total


def carry_out_work(c: Case, position: int) -> Work:
    """Cost of `carry_out`."""
    outputs = (position - 1, c.field.bits - 1)
    return _generate_propagate_work(c, outputs) + call("bit_and", c)


async def carry_out(session: Session, pair: Pair, position: int) -> tuple[BooleanShared, BooleanShared]:
    """[x + y >= p], and the carry of x + y + [x + y >= p] into a position in 1..n-1."""
    n = pair.x.words.shape[1]
    generate, propagate = await _generate_propagate(session, pair.x, pair.y, (position - 1, n - 1))
    wrap = generate.planes([1]) ^ propagate.planes([1])
    return wrap, generate.planes([0]) ^ await bit_and(session, propagate.planes([0]), wrap)


def add_bits_work(c: Case, positions: tuple[int, ...]) -> Work:
    """Cost of `add_bits`."""
    inner = [i for i in positions if i]
    through = call("bit_and", c).wide(len(inner)) if inner else Work()
    return _generate_propagate_work(c, _carry_positions(c.field.bits, positions)) + through


async def add_bits(session: Session, pair: Pair, positions: tuple[int, ...]) -> tuple[BooleanShared, BooleanShared]:
    """Bits of a in [0, p) at some (increasing) positions, and [a = 0]. 2 + log2(n) rounds; reveals nothing.

    Ladner, Fischer 1980 and Sklansky 1960: parallel prefix of (generate, propagate); only what the positions need.
    """
    n = pair.x.words.shape[1]
    generate, propagate = await _generate_propagate(session, pair.x, pair.y, _carry_positions(n, positions))
    last = generate.words.shape[1] - 1
    wrap = generate.planes([last]) ^ propagate.planes([last])
    inner = [i for i in positions if i]
    into = [wrap] if 0 in positions else []
    if inner:
        index = [k for k, i in enumerate(_carry_positions(n, positions)) if i + 1 in inner]
        into.append(generate.planes(index) ^ await bit_and(session, propagate.planes(index), wrap))
    at = list(positions)
    # no position stops the carry exactly when y is the complement of x
    return pair.x.planes(at) ^ pair.y.planes(at) ^ stack(*into), propagate.planes([last])


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


def low_bits(field: PrimeField, a: Elements, bits: int) -> Elements:
    """a mod 2^bits as an integer."""
    if field.limbs == 1:
        return a & np.uint64((1 << bits) - 1)
    mask = (1 << bits) - 1
    return a & np.array([mask & int(_ALL), mask >> 64], np.uint64)


def complement(field: PrimeField, a: Elements) -> Elements:
    """p - a, in [1, p]: not canonical at a = 0."""
    p = field.modulus
    return a ^ (np.uint64(p) if field.limbs == 1 else np.array([p & int(_ALL), p >> 64], np.uint64))
