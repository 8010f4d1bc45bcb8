"""Bit planes of many numbers: 64 x 64 bit matrices transposed (Warren: Hacker's Delight, section 7-3).

Eight matrices are transposed side by side: the inner loops over them become vector code, and results are written a
cache line at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mpcstats.field.kernels import CACHE

__all__ = ["planes"]

_SIDE = 8


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _transpose(block: Any) -> None:
    """Transpose the 64 x 64 bit matrices block[:, s]."""
    half, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while half:
        shift = np.uint64(half)
        for base in range(0, 64, 2 * half):
            for i in range(base, base + half):
                low, high = block[i], block[i + half]
                for s in range(_SIDE):
                    swap = ((low[s] >> shift) ^ high[s]) & mask
                    low[s] ^= swap << shift
                    high[s] ^= swap
        half >>= 1
        if half:
            mask ^= mask << np.uint64(half)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def planes(words: Any, out: Any) -> None:
    """out[k, w], bit i = bit k of words[64 w + i]: words (n,), out (64, lanes(n)). Missing values are zero."""
    n = words.shape[0]
    block = np.empty((64, _SIDE), np.uint64)
    for w in range(0, out.shape[1], _SIDE):
        side = min(_SIDE, out.shape[1] - w)
        for s in range(side):
            start = 64 * (w + s)
            size = min(64, n - start)
            for i in range(size):
                block[i, s] = words[start + i]
            for i in range(size, 64):
                block[i, s] = np.uint64(0)
        _transpose(block)
        for k in range(64):
            for s in range(side):
                out[k, w + s] = block[k, s]
