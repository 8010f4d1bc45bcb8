"""Kernels for packed bits: products of shared bits, and the step from bits to field elements.

Slow twins: `np.bitwise_and` on slices, and `np.unpackbits` with field arithmetic; tests compare them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mpcstats.field.kernels import _P61, CACHE, _sum127

__all__ = ["compile_all", "cross_terms", "flip61", "flip127"]

_CHUNK = 512
_U0, _U1, _LOW63, _U63 = np.uint64(0), np.uint64(1), np.uint64((1 << 63) - 1), np.uint64(63)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def cross_terms(x: Any, y: Any, left: Any, right: Any, partners: Any, counts: Any, out: Any) -> None:
    """out[k] = XOR over rows a of x[a, left[k]] AND (XOR over the partners b of a of y[b, right[k]]).

    x, y: words (rows, planes, words); left, right (K,): which planes meet; partners (rows, rows), of which the first
    counts[a] in a row count; out (K, words).
    """
    width = out.shape[1]
    other = np.empty(_CHUNK, np.uint64)
    for start in range(0, width, _CHUNK):
        size = min(_CHUNK, width - start)
        for k in range(out.shape[0]):
            row = out[k, start : start + size]
            row[:] = _U0
            for a in range(x.shape[0]):
                if counts[a] == 0:
                    continue
                first = y[partners[a, 0], right[k], start : start + size]
                for i in range(size):
                    other[i] = first[i]
                for c in range(1, counts[a]):
                    more = y[partners[a, c], right[k], start : start + size]
                    for i in range(size):
                        other[i] ^= more[i]
                own = x[a, left[k], start : start + size]
                for i in range(size):
                    row[i] ^= own[i] & other[i]


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def flip61(shares: Any, words: Any, out: Any) -> None:
    """out = 1 - shares where the public bit is one, else shares: (planes, n), bits packed (planes, words), for M61."""
    for plane in range(out.shape[0]):
        row, source, bits = out[plane], shares[plane], words[plane]
        for i in range(row.shape[0]):
            value = source[i]
            minus = _U1 - value if value <= _U1 else _P61 + _U1 - value
            bit = (bits[i >> 6] >> np.uint64(i & 63)) & _U1
            row[i] = minus if bit else value


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def flip127(shares: Any, words: Any, out: Any) -> None:
    """As `flip61` for M127: (planes, n, 2)."""
    for plane in range(out.shape[0]):
        row, source, bits = out[plane], shares[plane], words[plane]
        for i in range(row.shape[0]):
            low, high = source[i, 0], source[i, 1]
            if (bits[i >> 6] >> np.uint64(i & 63)) & _U1:
                low, high = _sum127(_U1, _U0, ~low, _LOW63 & ~high)
            row[i, 0], row[i, 1] = low, high


def compile_all() -> None:
    """Compile every kernel for the kinds of arrays it meets, or load it from numba's cache."""
    words, index = np.zeros((1, 1, 1), np.uint64), np.zeros(1, np.int64)
    cross_terms(words, words, index, index, np.zeros((1, 1), np.int64), np.zeros(1, np.int64), words[0])
    flip61(words[0], words[0], words[0].copy())
    pair = np.zeros((1, 1, 2), np.uint64)
    flip127(pair, words[0], pair.copy())
