"""Fused kernels of the hot path: linear combinations of a product and of raw coins, in one pass through the cache.

`mix` computes, for a block of n elements and R rows of public weights W (R, 1 + K),

    out[r] = W[r, 0] x y + sum over k of W[r, 1 + k] coin[k]

where the coins are raw 64-bit words as they come from a stream, cut to the bits of their mask here. It tells when a
coin is the string of all ones, which is no element: the caller draws these again and repeats the block (see
`mpcstats.protocols.resharing`). `accumulate` adds weight * received. Work goes in chunks that fit the first cache, in
loops that LLVM turns into vector code. Slow twins: the same sums with `PrimeField.mul` and `PrimeField.add`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint64

from mpcstats.field.kernels import CACHE, _fold61, _near_product127, _product61

__all__ = [
    "accumulate61",
    "accumulate127",
    "accumulate_rows61",
    "accumulate_rows127",
    "blend61",
    "blend127",
    "compile_all",
    "mix61",
    "mix127",
    "shifted127",
    "unmask127",
]

_P61 = np.uint64((1 << 61) - 1)
_LOW63 = np.uint64((1 << 63) - 1)
_ALL64 = np.uint64(0xFFFFFFFFFFFFFFFF)
_U0, _U1, _U61, _U63 = np.uint64(0), np.uint64(1), np.uint64(61), np.uint64(63)
_CHUNK = 1024


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def accumulate61(total: Any, received: Any, weight: Any) -> None:
    """total += weight * received, for M61."""
    for i in range(total.shape[0]):
        total[i] = _fold61(total[i] + _product61(received[i], weight))


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _times61(x: Any, y: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = _product61(x[i], y[i])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _scale61(x: Any, weight: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = _product61(x[i], weight)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _cut61(words: Any, mask: Any) -> Any:
    """Cut words to the bits of a mask, in place; returns a word that is not zero when one of them is no element."""
    found = _U0
    for i in range(words.shape[0]):
        coin = words[i] & mask
        words[i] = coin
        # the string of all ones is the only one that carries into bit 61
        found |= (coin + _U1) >> _U61
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def mix61(x: Any, y: Any, coins: Any, masks: Any, weights: Any, out: Any) -> Any:
    """Rows of the combination for M61: x, y (n,), coins (K, n), masks (K,), out (R, n). Not zero: a coin is p."""
    n, found = x.shape[0], _U0
    z = np.empty(_CHUNK, np.uint64)
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        part = z[: stop - start]
        _times61(x[start:stop], y[start:stop], part)
        for k in range(coins.shape[0]):
            found |= _cut61(coins[k, start:stop], masks[k])
        for r in range(weights.shape[0]):
            row = out[r, start:stop]
            _scale61(part, weights[r, 0], row)
            for k in range(coins.shape[0]):
                if weights[r, 1 + k] != _U0:
                    accumulate61(row, coins[k, start:stop], weights[r, 1 + k])
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def blend61(x: Any, coins: Any, masks: Any, weights: Any, out: Any) -> Any:
    """out[r] = W[r, 0] x + sum over k of W[r, 1 + k] coin[k] for M61; shapes and result as for `mix61`."""
    n, found = x.shape[0], _U0
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        for k in range(coins.shape[0]):
            found |= _cut61(coins[k, start:stop], masks[k])
        for r in range(weights.shape[0]):
            row = out[r, start:stop]
            _scale61(x[start:stop], weights[r, 0], row)
            for k in range(coins.shape[0]):
                if weights[r, 1 + k] != _U0:
                    accumulate61(row, coins[k, start:stop], weights[r, 1 + k])
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def accumulate_rows61(total: Any, at: Any, received: Any, weights: Any) -> None:
    """total[r, at : at + n] += W[r] received, for M61: total (R, any), received (n,), weights (R,)."""
    n = received.shape[0]
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        for r in range(total.shape[0]):
            if weights[r] != _U0:
                accumulate61(total[r, at + start : at + stop], received[start:stop], weights[r])


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _sum127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """Sum of two numbers up to 2^127-1, canonical."""
    low = a0 + b0
    high = a1 + b1 + uint64(low < a0)
    bit = high >> _U63
    low += bit
    high = (high & _LOW63) + uint64(low < bit)
    keep = _U1 - uint64((low == _ALL64) & (high == _LOW63))
    return low * keep, high * keep


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def accumulate127(total: Any, received: Any, weight: Any) -> None:
    """total += weight * received, for M127."""
    w0, w1 = weight[0], weight[1]
    for i in range(total.shape[0]):
        c0, c1 = _near_product127(received[i, 0], received[i, 1], w0, w1)
        total[i, 0], total[i, 1] = _sum127(total[i, 0], total[i, 1], c0, c1)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _times127(x: Any, y: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _near_product127(x[i, 0], x[i, 1], y[i, 0], y[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _scale127(x: Any, weight: Any, out: Any) -> None:
    w0, w1 = weight[0], weight[1]
    for i in range(out.shape[0]):
        t0, t1 = _near_product127(x[i, 0], x[i, 1], w0, w1)
        out[i, 0], out[i, 1] = _sum127(t0, t1, _U0, _U0)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _cut127(words: Any, mask: Any) -> Any:
    """Cut pairs of words to the bits of a mask, in place; not zero when one of them is all 127 ones."""
    found, m0, m1 = _U0, mask[0], mask[1]
    for i in range(words.shape[0]):
        low, high = words[i, 0] & m0, words[i, 1] & m1
        words[i, 0], words[i, 1] = low, high
        found |= uint64((high == _LOW63) & (low == _ALL64))
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def mix127(x: Any, y: Any, coins: Any, masks: Any, weights: Any, out: Any) -> Any:
    """As `mix61` for M127: x, y (n, 2), coins (K, n, 2), masks (K, 2), weights (R, 1 + K, 2), out (R, n, 2)."""
    n, found = x.shape[0], _U0
    z = np.empty((_CHUNK, 2), np.uint64)
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        part = z[: stop - start]
        _times127(x[start:stop], y[start:stop], part)
        for k in range(coins.shape[0]):
            found |= _cut127(coins[k, start:stop], masks[k])
        for r in range(weights.shape[0]):
            row = out[r, start:stop]
            _scale127(part, weights[r, 0], row)
            for k in range(coins.shape[0]):
                if weights[r, 1 + k, 0] != _U0 or weights[r, 1 + k, 1] != _U0:
                    accumulate127(row, coins[k, start:stop], weights[r, 1 + k])
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def blend127(x: Any, coins: Any, masks: Any, weights: Any, out: Any) -> Any:
    """As `blend61` for M127."""
    n, found = x.shape[0], _U0
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        for k in range(coins.shape[0]):
            found |= _cut127(coins[k, start:stop], masks[k])
        for r in range(weights.shape[0]):
            row = out[r, start:stop]
            _scale127(x[start:stop], weights[r, 0], row)
            for k in range(coins.shape[0]):
                if weights[r, 1 + k, 0] != _U0 or weights[r, 1 + k, 1] != _U0:
                    accumulate127(row, coins[k, start:stop], weights[r, 1 + k])
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def accumulate_rows127(total: Any, at: Any, received: Any, weights: Any) -> None:
    """As `accumulate_rows61` for M127."""
    n = received.shape[0]
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        for r in range(total.shape[0]):
            if weights[r, 0] != _U0 or weights[r, 1] != _U0:
                accumulate127(total[r, at + start : at + stop], received[start:stop], weights[r])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def shifted127(coins: Any, weights: Any, bits: Any, out: Any) -> None:
    """out = sum over k of weights[k] * (coins[k] >> bits), for M127 and 0 < bits < 127: coins (K, n, 2), out (n, 2)."""
    for i in range(out.shape[0]):
        out[i, 0] = out[i, 1] = _U0
    for k in range(coins.shape[0]):
        row, w0, w1 = coins[k], weights[k, 0], weights[k, 1]
        for i in range(out.shape[0]):
            s0, s1 = _shift127(row[i, 0], row[i, 1], bits)
            c0, c1 = _near_product127(s0, s1, w0, w1)
            out[i, 0], out[i, 1] = _sum127(out[i, 0], out[i, 1], c0, c1)


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _shift127(low: Any, high: Any, bits: Any) -> Any:
    if bits >= 64:
        return high >> np.uint64(bits - 64), _U0
    return (low >> np.uint64(bits)) | (high << np.uint64(64 - bits)), high >> np.uint64(bits)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def unmask127(opened: Any, bits: Any, constant: Any, out: Any) -> None:
    """out = (opened >> bits) - constant - out, for M127: what truncation does with an opened number."""
    k0, k1 = constant[0], constant[1]
    for i in range(out.shape[0]):
        s0, s1 = _shift127(opened[i, 0], opened[i, 1], bits)
        # minus a number is plus the complement of its 127 bits
        d0, d1 = _sum127(s0, s1, ~out[i, 0], _LOW63 & ~out[i, 1])
        out[i, 0], out[i, 1] = _sum127(d0, d1, ~k0, _LOW63 & ~k1)


def compile_all() -> None:
    """Compile every kernel for the kinds of arrays it meets, or load it from numba's cache."""
    one, pair = np.zeros(1, np.uint64), np.zeros((1, 2), np.uint64)
    for kind, mix, accumulate, word in ((one, mix61, accumulate61, _U0), (pair, mix127, accumulate127, pair[0])):
        received = kind.copy()
        received.setflags(write=False)  # what came off the wire is read where it is
        rows = np.zeros((1, *kind.shape), np.uint64)
        mix(
            kind,
            kind,
            rows,
            np.zeros((1, *kind.shape[1:]), np.uint64),
            np.zeros((1, 2, *kind.shape[1:]), np.uint64),
            rows,
        )
        accumulate(kind, kind, word)
        accumulate(kind, received, word)
        blend, accumulate_rows = (blend61, accumulate_rows61) if word is _U0 else (blend127, accumulate_rows127)
        word_rows = np.zeros((1, *kind.shape[1:]), np.uint64)
        for x in (kind, received):
            blend(x, rows, word_rows, np.zeros((1, 2, *kind.shape[1:]), np.uint64), rows)
            accumulate_rows(rows, 0, x, word_rows)
    shifted127(np.zeros((1, 1, 2), np.uint64), np.zeros((1, 2), np.uint64), 1, pair)
    unmask127(pair, 1, pair[0], pair)
