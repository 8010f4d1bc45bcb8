"""Scale secret numbers to a known range: the position of the leading one, and powers of two from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.bits import (
    add_bits,
    add_bits_work,
    masked_pair,
    masked_pair_work,
    prefix_or_planes,
    prefix_or_planes_work,
    stack,
    xor_planes,
)
from mpcstats.protocols.boolean import to_arithmetic
from mpcstats.protocols.declare import Case
from mpcstats.protocols.truncate import truncate
from mpcstats.protocols.work import Work, call
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = [
    "Checked",
    "Leading",
    "cut",
    "leading_one",
    "leading_one_work",
    "power_factors",
    "product_trees",
    "product_trees_work",
    "require",
    "shift_bits",
    "step",
    "step_work",
]


@dataclass(frozen=True)
class Checked:
    """A result, and where it is not defined.

    Attributes
    ----------
    value : Shared
        Exactly 0 where undefined.
    undefined : Shared
        1 where the result is not defined, else 0; 0 fraction bits.
    """

    value: Shared
    undefined: Shared


@dataclass(frozen=True)
class Leading:
    """Where the leading one of |a| is: |a| 2^shift is in [2^(width-1), 2^width), unless a = 0.

    Attributes
    ----------
    shift : Shared (bits, *shape)
        Bits of the shift, lowest first; all 0 where a = 0.
    nonzero, negative : Shared (shape)
        0 or 1.
    """

    shift: Shared
    nonzero: Shared
    negative: Shared


def shift_bits(width: int) -> int:
    """Bits of a shift in 0..width-1."""
    return (width - 1).bit_length()


def _positions(field: PrimeField, width: int) -> tuple[int, ...]:
    return (*range(width), field.bits - 1)


def leading_one_work(c: Case, width: int) -> Work:
    """Cost of `leading_one`."""
    convert = call("to_arithmetic", c).wide(shift_bits(width) + 2)
    return (
        masked_pair_work(c) + add_bits_work(c, _positions(c.field, width)) + prefix_or_planes_work(c, width) + convert
    )


async def leading_one(session: Session, a: Shared, width: int) -> Leading:
    """Position of the leading one of |a| < 2^width (integers, any shape). Reveals nothing.

    p - a is the complement of a, so the bits of |a| are those of a XOR the highest bit: a sign and a size from one
    addition circuit. A prefix OR from above leaves one step at the leading one; the bits of its position are XORs of
    steps, and only those few are turned into field elements.
    """
    pair = await masked_pair(session, a.reshape(a.size))
    bits, _ = await add_bits(session, pair, _positions(a.field, width))
    sign = bits.planes([width])
    size = bits.planes(slice(width - 1, None, -1)) ^ sign
    seen = await prefix_or_planes(session, size)
    first = seen ^ replace(seen, words=np.concatenate([np.zeros_like(sign.words), seen.words[:, :-1]], axis=1))
    shift = [xor_planes(first, [j for j in range(width) if j >> k & 1]) for k in range(shift_bits(width))]
    planes = stack(*shift, seen.planes([width - 1]), sign)
    out = (await to_arithmetic(session, planes, a.field)).reshape(len(shift) + 2, *a.shape)
    return Leading(out[: len(shift)], out[len(shift)], out[len(shift) + 1])


def power_factors(bits: Shared, log_base: int) -> Shared:
    """Factors whose product is 2^(log_base * number), one for each bit. Local; log_base may be negative."""
    field = bits.field
    powers = field.from_ints([pow(2, log_base << k, field.modulus) - 1 for k in range(bits.shape[0])])
    shape = (bits.shape[0], *(1,) * (len(bits.shape) - 1))
    return bits.times(field.reshape(powers, shape)).plus_int(1)


def product_trees_work(c: Case, sizes: Sequence[int]) -> Work:
    """Cost of `product_trees` with these many factors each, of case.size elements."""
    total, left = Work(), list(sizes)
    while max(left) > 1:
        total += call("multiply", c, c.size * sum(n // 2 for n in left))
        left = [n - n // 2 for n in left]
    return total


async def product_trees(session: Session, trees: Sequence[Shared]) -> list[Shared]:
    """Product over the first axis of each array (integers of one shape behind it), all in the same rounds."""
    trees = list(trees)
    while max(tree.shape[0] for tree in trees) > 1:
        halves = [tree.shape[0] // 2 for tree in trees]
        left = concatenate([tree[:h] for tree, h in zip(trees, halves, strict=True)])
        right = concatenate([tree[h : 2 * h] for tree, h in zip(trees, halves, strict=True)])
        done, at = await multiply(session, left, right), 0
        for k, h in enumerate(halves):
            trees[k] = concatenate([done[at : at + h], trees[k][2 * h :]])
            at += h
    return [tree[0] for tree in trees]


async def cut(session: Session, z: Shared, bits: int, size_bits: int) -> Shared:
    """z / 2^bits, rounded, for integers |z| < 2^size_bits (degree t or 2t). One round; see `truncate`."""
    result = await truncate(session, z.with_fraction_bits(0), bits, size_bits)
    return result.with_fraction_bits(0)


def step_work(c: Case, elements: int = 1) -> Work:
    """Cost of `cut` and `step`."""
    return call("truncate", c, c.size * elements)


async def step(session: Session, factor: Shared, others: Sequence[Shared], bits: int, size_bits: int) -> list[Shared]:
    """factor * other / 2^bits for several others at once. One round."""
    many = concatenate([x.reshape(1, *x.shape) for x in others])
    product = Shared(many.field, many.field.mul(many.values, factor.values), many.degree + factor.degree)
    done = await cut(session, product, bits, size_bits)
    return [done[k] for k in range(len(others))]


def require(condition: bool, session: Session, field: PrimeField, what: str, needed: int) -> None:
    """Refuse a format without headroom.

    Raises
    ------
    RangeError
        With the bits needed and the bits there are.
    """
    if not condition:
        raise RangeError(
            f"{what} needs {needed} bits of headroom; {field} with {session.committee.m} parties has "
            f"{session.headroom(field)} at kappa = {session.kappa}",
            hint="use fewer integer or fraction bits, or a smaller kappa if the policy allows it",
        )


def public(field: PrimeField, value: float, bits: int) -> Elements:
    """One public number with this many fraction bits (at most 53 of them are significant)."""
    return field.constant(round(value * (1 << bits)))
