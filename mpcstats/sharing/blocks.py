"""Batches cut into blocks of one transport frame, and raw coins for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpcstats.field import Elements, PrimeField, WordSource

__all__ = [
    "BLOCK_BYTES",
    "blend",
    "bounded_masks",
    "combine",
    "draw",
    "redraw",
    "spans",
    "uniform_masks",
    "weight",
]

BLOCK_BYTES = 1 << 20
_SMALL = 256
"""Elements below which the general operations are as good as fused ones."""
_CACHED = 1 << 14
"""Elements that stay in the cache while several arrays pass by."""


def spans(field: PrimeField, count: int) -> list[slice]:
    """The blocks of a batch. All parties cut alike: they draw the same coins."""
    size = BLOCK_BYTES // field.item_bytes
    return [slice(at, min(count, at + size)) for at in range(0, count, size)]


def uniform_masks(field: PrimeField, count: int) -> Elements:
    """Masks that cut words to the width of the field."""
    if field.limbs == 1:
        return np.full(count, (1 << field.bits) - 1, np.uint64)
    return np.tile(np.array([(1 << 64) - 1, (1 << (field.bits - 64)) - 1], np.uint64), (count, 1))


def draw(field: PrimeField, streams: Sequence[WordSource], count: int) -> Elements:
    """Raw words of a block from each stream: (streams, count) elements."""
    coins = field.empty((len(streams), count))
    for row, stream in zip(coins, streams, strict=True):
        stream.fill(row)
    return coins


def redraw(field: PrimeField, streams: Sequence[WordSource], coins: Elements) -> None:
    """Replace coins that are no elements (p itself); whoever holds the same streams does the same."""
    for row, stream in zip(coins, streams, strict=True):
        bad = np.flatnonzero(field._too_large(row))
        while bad.size:
            row[bad] = field._draw(stream, bad.size)
            bad = bad[field._too_large(row[bad])]


def bounded_masks(field: PrimeField, count: int, bits: int) -> Elements:
    """Masks that cut words to numbers below 2^bits."""
    low, high = (1 << min(64, bits)) - 1, (1 << max(0, bits - 64)) - 1
    return np.tile(np.array([low] if field.limbs == 1 else [low, high], np.uint64), (count, 1))


def weight(field: PrimeField, value: int) -> Elements:
    """A public weight as the fused kernels take it: a scalar word, or a pair of words."""
    constant = field.constant(value)
    return constant if field.limbs == 2 else constant[()]


def blend(field: PrimeField, x: Elements, streams: Sequence[WordSource], rows: Sequence[Sequence[int]]) -> Elements:
    """Rows of rows[r][0] x + sum over k of rows[r][1 + k] coin[k], with a fresh uniform coin array from each stream.

    x is flat; the result has shape (len(rows), elements).
    """
    count = field.shape(x)[0]
    if not _fused(field, count):
        return combine(field, [x, *(field.uniform(stream, (count,)) for stream in streams)], rows)
    from mpcstats.field import fused

    kernel = fused.blend61 if field.limbs == 1 else fused.blend127
    weights, masks = field.from_ints(rows), uniform_masks(field, len(streams))
    coins = draw(field, streams, count)
    out = field.empty((len(rows), count))
    x = np.ascontiguousarray(x)
    if kernel(x, coins, masks, weights, out):
        redraw(field, streams, coins)
        kernel(x, coins, masks, weights, out)
    return out


def combine(field: PrimeField, arrays: Sequence[Elements], rows: Sequence[Sequence[int]]) -> Elements:
    """Linear combinations of arrays of one shape: (len(rows), *shape)."""
    shape = field.shape(arrays[0])
    count = math.prod(shape)
    if not _fused(field, count):
        return np.stack([field.lincomb(row, arrays) for row in rows])
    from mpcstats.field import fused

    kernel = fused.accumulate_rows61 if field.limbs == 1 else fused.accumulate_rows127
    weights = field.from_ints(list(zip(*rows, strict=True)))
    flat = [np.ascontiguousarray(field.reshape(a, (count,))) for a in arrays]
    out = field.zeros((len(rows), count))
    for at in range(0, count, _CACHED):
        for a, weights_of in zip(flat, weights, strict=True):
            kernel(out, at, a[at : at + _CACHED], weights_of)
    return field.reshape(out, (len(rows), *shape))


def _fused(field: PrimeField, count: int) -> bool:
    return field.modulus > 2**60 and count >= _SMALL
