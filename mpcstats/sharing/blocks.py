"""Batches cut into blocks of one transport frame, and raw coins for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpcstats.field import Elements, PrimeField, WordSource

__all__ = ["BLOCK_BYTES", "bounded_masks", "draw", "redraw", "spans", "uniform_masks", "weight"]

BLOCK_BYTES = 1 << 20


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
    coins = field.zeros((len(streams), count))
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
