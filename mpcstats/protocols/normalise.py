"""Scale secret numbers to a known range: the position of the leading one, and powers of two from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import M127, Elements, PrimeField
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.bits import (
    add_bits,
    add_bits_work,
    bounded_pair,
    bounded_pair_work,
    masked_pair,
    masked_pair_work,
    prefix_or_planes,
    prefix_or_planes_work,
    stack,
    sum_bits,
    sum_bits_work,
    xor_planes,
)
from mpcstats.protocols.boolean import to_arithmetic
from mpcstats.protocols.declare import Case
from mpcstats.protocols.split import serves, split_cut, split_cut_work
from mpcstats.protocols.truncate import fused, multiply_in_blocks, truncate
from mpcstats.protocols.work import Work, call
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared, concatenate
from mpcstats.sharing import boolean

__all__ = [
    "Checked",
    "Leading",
    "LeadingBits",
    "affine",
    "complement",
    "cut",
    "cut_product",
    "cut_work",
    "leading_bits",
    "leading_bits_work",
    "leading_one",
    "leading_one_work",
    "power_factors",
    "product_trees",
    "product_trees_work",
    "require",
    "shift_bits",
    "step",
    "step_work",
    "to_bit",
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
    """Where the leading one of |a| is, as field elements.

    |a| 2^shift is in [2^(width-1), 2^width) unless a = 0.

    Attributes
    ----------
    shift : Shared (bits, *shape)
        Bits of the shift, lowest first; those of width - 1 where a = 0.
    nonzero, negative : Shared (shape)
        0 or 1.
    """

    shift: Shared
    nonzero: Shared
    negative: Shared


@dataclass(frozen=True)
class LeadingBits:
    """The same as shared bits, one plane each, of a flat array; `zero` is the complement of `Leading.nonzero`."""

    shift: BooleanShared
    zero: BooleanShared
    negative: BooleanShared


def shift_bits(width: int) -> int:
    """Bits of a shift in 0..width-1."""
    return (width - 1).bit_length()


def _positions(field: PrimeField, width: int) -> tuple[int, ...]:
    return (*range(width), field.bits - 1)


def leading_one_work(c: Case, width: int) -> Work:
    """Cost of `leading_one`."""
    convert = call("to_arithmetic", c).wide(shift_bits(width) + 2)
    positions = _positions(c.field, width)
    return (
        masked_pair_work(c) + add_bits_work(c, c.field.bits, positions) + prefix_or_planes_work(c, width + 1) + convert
    )


async def leading_one(session: Session, a: Shared, width: int) -> Leading:
    """Position of the leading one of |a| < 2^width (integers, any shape). Reveals nothing.

    Under a full-range mask: no statistical loss. p - a is the complement of a, so the bits of |a| are those of a XOR
    the highest bit: a sign and a size from one addition circuit.
    """
    pair = await masked_pair(session, a.reshape(a.size))
    bits, _ = await add_bits(session, pair.x, pair.y, _positions(a.field, width))
    negative = bits.planes([width])
    where = await _leading(session, bits.planes(slice(0, width)) ^ negative, negative)
    planes = stack(where.shift, where.zero, negative)
    out = (await to_arithmetic(session, planes, a.field)).reshape(planes.words.shape[1], *a.shape)
    return Leading(out[:-2], (-out[-2]).plus_int(1), out[-1])


def leading_bits_work(c: Case, width: int) -> Work:
    """Cost of `leading_bits`."""
    return bounded_pair_work(c, width + 1) + sum_bits_work(c, width + 1) + prefix_or_planes_work(c, width + 1)


async def leading_bits(session: Session, a: Shared, width: int) -> LeadingBits:
    """Position of the leading one of flat integers |a| < 2^width, under a bounded mask. Reveals nothing.

    The complement of a negative number is |a| - 1, so the shift of -2^k is one more than that of 2^k: |a| 2^shift is in
    [2^(width-1), 2^width], both ends included. The caller has checked that width + 1 <= `session.headroom(field)`.
    """
    x, y = await bounded_pair(session, a, width + 1)
    bits = await sum_bits(session, x, y)
    negative = _not_bits(session, bits.planes([width]))
    return await _leading(session, bits.planes(slice(0, width)) ^ negative, negative)


async def _leading(session: Session, size: BooleanShared, negative: BooleanShared) -> LeadingBits:
    """From the bits of |a|, lowest first (or of |a| - 1 where a < 0: the sign tells a = -1 from a = 0).

    A prefix OR from above is 1 from the leading one on. The bits of the shift are XORs of its planes: those where a
    bit of the shift changes from one position to the next.
    """
    width = size.words.shape[1]
    above = await prefix_or_planes(session, stack(size.planes(slice(None, None, -1)), negative))
    seen = above.planes(slice(width - 1, None, -1))  # seen[j]: a one at position j or above
    shift = []
    for k in range(shift_bits(width)):
        changes = [j for j in range(1, width) if (width - 1 - j ^ width - j) >> k & 1]
        plane = xor_planes(seen, changes)
        shift.append(_not_bits(session, plane) if (width - 1) >> k & 1 else plane)
    shifts = stack(*shift) if shift else replace(size, words=size.words[:, :0])
    return LeadingBits(shifts, _not_bits(session, above.planes([width])), negative)


def _not_bits(session: Session, bits: BooleanShared) -> BooleanShared:
    ones = np.full(bits.words.shape[1:], 0xFFFFFFFFFFFFFFFF, np.uint64)
    return replace(bits, words=boolean.add_public(session.committee, session.point, bits.words, ones))


def affine(x: Shared, times: int, plus: int = 0, y: Shared | None = None) -> Shared:
    """times * x + y + plus, for integers and y of the shape of x. Local, in one pass through the memory."""
    field = x.field
    if field != M127:
        result = x.times_int(times).plus_int(plus)
        return result if y is None else result + y
    from mpcstats.field.fused_fixed import affine127

    other = field.zeros((0,)) if y is None else _fixed(y.values)
    out = np.empty((x.size, 2), np.uint64)
    affine127(_fixed(x.values), field.constant(times), other, field.constant(plus), out)
    degree = x.degree if y is None else max(x.degree, y.degree)
    return replace(x, values=field.reshape(out, x.shape), degree=degree)


def _fixed(values: Elements) -> Elements:
    """Flat, contiguous and only to be read: one kind of array for the compiled kernel."""
    flat = np.ascontiguousarray(values).reshape(-1, 2).view()
    flat.setflags(write=False)
    return flat


def to_bit(sign: Shared) -> Shared:
    """b from (-1)^b. Local."""
    half = (sign.field.modulus + 1) // 2
    return affine(sign, -half, half)


def complement(bit: Shared) -> Shared:
    """1 - b. Local."""
    return affine(bit, -1, 1)


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


async def cut_product(session: Session, x: Shared, y: Shared, bits: int, size_bits: int, plus: int = 0) -> Shared:
    """(x y + plus) / 2^bits, rounded, for integers |x y + plus| < 2^size_bits. See `truncate`.

    One round; two in large batches with t = 1, see `split_cut`.
    """
    x, y = x.with_fraction_bits(0), y.with_fraction_bits(0)
    if x.degree == y.degree == 1 and serves(session.committee, x.field, max(x.size, y.size)):
        return await split_cut(session, x, y, bits, size_bits, plus)
    if fused(session, x, y):
        return (await multiply_in_blocks(session, x, y, bits, size_bits, plus)).with_fraction_bits(0)
    product = local_product(x, y)
    return await cut(session, product.plus_int(plus) if plus else product, bits, size_bits)


def cut_work(c: Case) -> Work:
    """Cost of `cut_product`."""
    return split_cut_work(c) if serves(c.committee, c.field, c.size) else call("truncate", c)


def step_work(c: Case, others: int = 1) -> Work:
    """Cost of `step`."""
    return cut_work(c) if others == 1 else call("truncate", c, c.size * others)


async def step(session: Session, factor: Shared, others: Sequence[Shared], bits: int, size_bits: int) -> list[Shared]:
    """factor * other / 2^bits for several others at once. One round."""
    if len(others) == 1:
        return [await cut_product(session, factor, others[0], bits, size_bits)]
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
