"""Running sums, products and ORs along an axis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.declare import Case
from mpcstats.protocols.exact import floor_shift, floor_shift_work
from mpcstats.protocols.normalise import require
from mpcstats.protocols.truncate import multiply_fixed
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared

__all__ = [
    "cumulative_product",
    "cumulative_product_exact",
    "cumulative_product_exact_work",
    "cumulative_product_fixed",
    "cumulative_product_fixed_work",
    "cumulative_product_work",
    "prefix_or",
    "prefix_sum",
]


def prefix_sum(x: Shared, axis: int = -1) -> Shared:
    """Sum of elements 0..i along an axis. Local: no message, no error."""
    return x.cumsum(axis)


def _uppers(length: int) -> list[int]:
    """How many elements each level of the scan combines."""
    levels, span = [], 1
    while span < length:
        levels.append(sum(1 for i in range(length) if i & span))
        span *= 2
    return levels


def _scan_work(c: Case, name: str, length: int) -> Work:
    rows = c.size // length if length else 0
    total = Work()
    for upper in _uppers(length):
        total += call(name, c, rows * upper)
    return total


def cumulative_product_work(c: Case, length: int) -> Work:
    """Cost of `cumulative_product` and `prefix_or` along an axis of this length."""
    return _scan_work(c, "multiply", length)


def cumulative_product_fixed_work(c: Case, length: int) -> Work:
    """Cost of `cumulative_product_fixed` along an axis of this length."""
    return _scan_work(c, "multiply_fixed", length)


@declared(lambda c: cumulative_product_work(c, c.size), source="parallel prefix, Sklansky 1960; declared for a vector")
async def cumulative_product(session: Session, x: Shared, axis: int = -1) -> Shared:
    """Product of elements 0..i along an axis, of integers, modulo p. Reveals nothing.

    ceil(log2 n) rounds, about n/2 log2(n) products for each vector of length n (`cumulative_product_work`). Exact as
    long as the products are below p/2.

    Raises
    ------
    RangeError
        x has fraction bits: use `cumulative_product_fixed`.
    """
    if x.fraction_bits:
        raise RangeError(f"{x!r} needs cumulative_product_fixed")
    return await _scan(x, axis, lambda low, high: multiply(session, low, high))


@declared(
    lambda c: cumulative_product_fixed_work(c, c.size), source="parallel prefix, Sklansky 1960; declared for a vector"
)
async def cumulative_product_fixed(session: Session, x: Shared, integer_bits: int, axis: int = -1) -> Shared:
    """Product of elements 0..i along an axis, of fixed-point numbers. Reveals nothing.

    Parameters
    ----------
    integer_bits : int
        The product of every run of neighbouring elements is below 2^integer_bits in size: a promise.

    Returns
    -------
    Shared
        The fraction bits of x. For |elements| <= 1 the error of the product of k elements is below
        (k - 1)(C + 1)/2 units in the last place (C = number of subsets); rounding is unbiased, so about
        sqrt(k) units in practice.

    Raises
    ------
    RangeError
        The format has no headroom at the session's kappa. Nothing was sent.
    """
    needed = integer_bits + 2 * x.fraction_bits + 1
    what = f"a product of ({integer_bits}, {x.fraction_bits}) bits"
    require(needed <= session.headroom(x.field), session, x.field, what, needed)
    return await _scan(x, axis, lambda low, high: multiply_fixed(session, low, high, integer_bits))


DECLARED_FRACTION = 24
"""Fraction bits in the declared cost of `cumulative_product_exact`."""


def cumulative_product_exact_work(c: Case, length: int, fraction_bits: int) -> Work:
    """Cost of `cumulative_product_exact` along an axis of this length."""
    rows = c.size // length if length else 0
    total = Work()
    for upper in _uppers(length):
        level = replace(c, size=rows * upper)
        total += call("multiply", level) + floor_shift_work(level, fraction_bits)
    return total


@declared(
    lambda c: cumulative_product_exact_work(c, c.size, DECLARED_FRACTION),
    source="parallel prefix, Sklansky 1960; declared for a vector",
)
async def cumulative_product_exact(session: Session, x: Shared, axis: int = -1) -> Shared:
    """Product of elements 0..i along an axis, of fixed-point numbers |x| <= 1, without bounded masks. Reveals nothing.

    Every product is rounded towards minus infinity, exactly: no headroom is needed beyond twice the fraction bits, and
    the product of k elements is less than k units in the last place too small. ceil(log2 n) times a product and a
    `floor_shift`.

    Raises
    ------
    RangeError
        Products have no room in the field. Nothing was sent.
    """
    f = x.fraction_bits
    if 2 * f + 2 > x.field.bits:
        raise RangeError(f"products of numbers with {f} fraction bits have no room in {x.field}")

    async def combine(low: Shared, high: Shared) -> Shared:
        product = (await multiply(session, low, high)).with_fraction_bits(f)
        return await floor_shift(session, product, f)

    return await _scan(x, axis, combine)


@declared(lambda c: cumulative_product_work(c, c.size), source="parallel prefix, Sklansky 1960; declared for a vector")
async def prefix_or(session: Session, bits: Shared, axis: int = -1) -> Shared:
    """1 from the first 1 on along an axis of shared bits (field elements 0 or 1). Cost of `cumulative_product`."""

    async def either(x: Shared, y: Shared) -> Shared:
        return x + y - await multiply(session, x, y)

    return await _scan(bits, axis, either)


async def _scan(x: Shared, axis: int, combine: Callable[[Shared, Shared], Awaitable[Shared]]) -> Shared:
    """Level by level, the right half of each block takes in the last element of its left half."""
    at = axis if axis >= 0 else axis + len(x.shape)
    values = np.moveaxis(x.values, at, 0).copy()
    if not x.size:
        return x
    length, span = values.shape[0], 1
    while span < length:
        upper = np.array([i for i in range(length) if i & span])
        lower = (upper & ~(2 * span - 1)) + span - 1
        values[upper] = (await combine(replace(x, values=values[lower]), replace(x, values=values[upper]))).values
        span *= 2
    return replace(x, values=np.moveaxis(values, 0, at))
