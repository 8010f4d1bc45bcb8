"""Bit planes of many numbers: 64 x 64 bit matrices transposed in registers (Warren: Hacker's Delight, section 7-3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mpcstats.field.kernels import CACHE

__all__ = ["planes"]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def planes(words: Any, out: Any) -> None:
    """out[k, w], bit i = bit k of words[64 w + i]: words (n,), out (64, lanes(n)). Missing values are zero."""
    n = words.shape[0]
    block = np.empty(64, np.uint64)
    for w in range(out.shape[1]):
        start = 64 * w
        size = min(64, n - start)
        for i in range(size):
            block[i] = words[start + i]
        for i in range(size, 64):
            block[i] = np.uint64(0)
        half, mask = 32, np.uint64(0x00000000FFFFFFFF)
        while half:
            shift = np.uint64(half)
            for base in range(0, 64, 2 * half):
                low, high = block[base : base + half], block[base + half : base + 2 * half]
                for i in range(half):
                    swap = ((low[i] >> shift) ^ high[i]) & mask
                    low[i] ^= swap << shift
                    high[i] ^= swap
            half >>= 1
            mask ^= mask << np.uint64(max(half, 0)) if half else np.uint64(0)
        for k in range(64):
            out[k, w] = block[k]
