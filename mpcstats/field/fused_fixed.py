"""Fused kernels of fixed-point arithmetic in M127: products that are truncated, and public multiples.

Sums of products stay in 320 bits until they are complete: one reduction per result. Two ways to divide a product by a
power of two have their kernels here:

* under a mask: `masked127` makes the share of x y that is opened, on chunks of a block that fit the second cache
  together with their coins (`CHUNK`); `opened127` puts the shares of all m = 2t + 1 parties together, checks them and
  takes the mask off. Slow twin: `mpcstats.protocols.truncate.truncate`;
* in halves, for t = 1: `half127`, `third127`, `cut127`. Slow twin: `mpcstats.protocols.split.split_truncate`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from mpcstats.field.kernels import CACHE

__all__ = [
    "CHUNK",
    "add127",
    "affine127",
    "compile_all",
    "cut127",
    "half127",
    "masked127",
    "opened127",
    "third127",
    "trim127",
]

CHUNK = 8192
"""Elements for which coins are drawn at a time."""

_ROWS = 256
"""Elements whose sums are in the first cache."""

_LOW32 = np.uint64(0xFFFFFFFF)
_LOW63 = np.uint64((1 << 63) - 1)
_ALL64 = np.uint64(0xFFFFFFFFFFFFFFFF)
_U0, _U1, _U31, _U32, _U62, _U63 = (np.uint64(k) for k in (0, 1, 31, 32, 62, 63))

_WIDE, _WORD = ir.IntType(320), ir.IntType(64)
_SUM = types.UniTuple(types.uint64, 5)
_PAIR = types.UniTuple(types.uint64, 2)


def _joined(builder: Any, words: Any) -> Any:
    """One number of 320 bits from its five words."""
    total = builder.zext(words[0], _WIDE)
    for i, word in enumerate(words[1:], 1):
        total = builder.or_(total, builder.shl(builder.zext(word, _WIDE), ir.Constant(_WIDE, 64 * i)))
    return total


@intrinsic  # type: ignore[untyped-decorator]
def _plus_product(typing_context: Any, total: Any, a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """total + a b for a, b below 2^127, where total has five words: nothing is reduced."""
    word = types.uint64
    signature = _SUM(_SUM, word, word, word, word)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = ir.IntType(128)
        a0, a1, b0, b1 = (builder.zext(argument, half) for argument in arguments[1:])
        # two numbers below 2^127: their sum has no carry
        middle = builder.add(builder.mul(a0, b1), builder.mul(a1, b0))
        low, high = (builder.zext(builder.mul(*pair), _WIDE) for pair in ((a0, b0), (a1, b1)))
        outer = builder.or_(low, builder.shl(high, ir.Constant(_WIDE, 128)))
        total = builder.add(_joined(builder, cgutils.unpack_tuple(builder, arguments[0])), outer)
        total = builder.add(total, builder.shl(builder.zext(middle, _WIDE), ir.Constant(_WIDE, 64)))
        words = [builder.trunc(builder.lshr(total, ir.Constant(_WIDE, 64 * i)), _WORD) for i in range(5)]
        return context.make_tuple(builder, signature.return_type, words)

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def _reduced(typing_context: Any, total: Any) -> Any:
    """The canonical element of a number of five words: its digits of 127 bits are added up."""
    signature = _PAIR(_SUM)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        digit, element = ir.IntType(192), ir.IntType(128)
        wide = _joined(builder, cgutils.unpack_tuple(builder, arguments[0]))
        prime = (1 << 127) - 1
        digits = [builder.lshr(wide, ir.Constant(_WIDE, 127 * i)) for i in range(3)]
        low, middle, high = (builder.trunc(builder.and_(d, ir.Constant(_WIDE, prime)), digit) for d in digits)
        total = builder.add(low, builder.add(middle, high))  # below 2^129
        carry = builder.lshr(total, ir.Constant(digit, 127))
        once = builder.trunc(builder.add(builder.and_(total, ir.Constant(digit, prime)), carry), element)
        p = ir.Constant(element, prime)
        value = builder.select(builder.icmp_unsigned(">=", once, p), builder.sub(once, p), once)
        words = [builder.trunc(v, _WORD) for v in (value, builder.lshr(value, ir.Constant(element, 64)))]
        return context.make_tuple(builder, signature.return_type, words)

    return signature, generate


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _shifted(low: Any, high: Any, bits: Any) -> Any:
    if bits >= 64:
        return high >> np.uint64(bits - 64), _U0
    return (low >> np.uint64(bits)) | (high << np.uint64(64 - bits)), high >> np.uint64(bits)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _start(x: Any, y: Any, total: Any) -> None:
    for i in range(x.shape[0]):
        words = _plus_product((_U0, _U0, _U0, _U0, _U0), x[i, 0], x[i, 1], y[i, 0], y[i, 1])
        total[i, 0], total[i, 1], total[i, 2], total[i, 3], total[i, 4] = words


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _add(total: Any, i: Any, low: Any, high: Any, w0: Any, w1: Any) -> None:
    words = (total[i, 0], total[i, 1], total[i, 2], total[i, 3], total[i, 4])
    total[i, 0], total[i, 1], total[i, 2], total[i, 3], total[i, 4] = _plus_product(words, low, high, w0, w1)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _add_bounded(coins: Any, mask: Any, weight: Any, bits: Any, total: Any, upper: Any) -> None:
    m0, m1, w0, w1 = mask[0], mask[1], weight[0], weight[1]
    for i in range(coins.shape[0]):
        low, high = coins[i, 0] & m0, coins[i, 1] & m1
        _add(total, i, low, high, w0, w1)
        low, high = _shifted(low, high, bits)
        _add(upper, i, low, high, w0, w1)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _add_uniform(coins: Any, weight: Any, total: Any) -> Any:
    found, w0, w1 = _U0, weight[0], weight[1]
    for i in range(coins.shape[0]):
        low, high = coins[i, 0], coins[i, 1] & _LOW63
        found |= uint64((high == _LOW63) & (low == _ALL64))
        _add(total, i, low, high, w0, w1)
    return found


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _finish(total: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        words = (total[i, 0], total[i, 1], total[i, 2], total[i, 3], total[i, 4])
        out[i, 0], out[i, 1] = _reduced(words)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def masked127(x: Any, y: Any, coins: Any, bounded: Any, mask: Any, weights: Any, bits: Any, out: Any, high: Any) -> Any:
    """out = x y + sum of weights[k] coin[k], high = sum over the bounded coins of weights[k] (coin[k] >> bits).

    x, y, out, high (n, 2), coins (K, n, 2), weights (K, 2), 0 < bits < 127. The first `bounded` coins are cut to the
    bits of `mask` (2,), the others to 127 bits. Not zero: one of these is p, which is no element; the caller draws it
    again and repeats the call.
    """
    n, found = x.shape[0], _U0
    total, upper = np.empty((_ROWS, 5), np.uint64), np.empty((_ROWS, 5), np.uint64)
    for start in range(0, n, _ROWS):
        stop = min(n, start + _ROWS)
        size = stop - start
        _start(x[start:stop], y[start:stop], total)
        upper[...] = _U0
        for k in range(bounded):
            _add_bounded(coins[k, start:stop], mask, weights[k], bits, total, upper)
        for k in range(bounded, coins.shape[0]):
            found |= _add_uniform(coins[k, start:stop], weights[k], total)
        _finish(total[:size], out[start:stop])
        _finish(upper[:size], high[start:stop])
    return found


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _folded(low: Any, high: Any) -> Any:
    """The canonical element of a number of two words, below 2^128 - 1."""
    bit = high >> _U63
    low += bit
    high = (high & _LOW63) + uint64(low < bit)
    keep = _U1 - uint64((high == _LOW63) & (low == _ALL64))
    return low * keep, high * keep


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _sum127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """The canonical sum of two numbers up to 2^127 - 1."""
    low = a0 + b0
    return _folded(low, a1 + b1 + uint64(low < a0))


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _add_share(share: Any, weight: Any, digits: Any) -> Any:
    """Digits of 32 bits plus weight * share, as sums that do not overflow; tells when a share is not an element."""
    bad, flip, times = _U0, _U0, weight
    if weight < 0:  # minus a number is plus the complement of its 127 bits
        flip, times = _ALL64, -weight
    factor = np.uint64(times)
    for i in range(share.shape[0]):
        low, high = share[i, 0], share[i, 1]
        bad |= uint64((high > _LOW63) | ((high == _LOW63) & (low == _ALL64)))
        low ^= flip
        high = (high ^ flip) & _LOW63
        digits[i, 0] += (low & _LOW32) * factor
        digits[i, 1] += (low >> _U32) * factor
        digits[i, 2] += (high & _LOW32) * factor
        digits[i, 3] += (high >> _U32) * factor
    return bad


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _carried(digits: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        d0, d1, d2, d3 = digits[i, 0], digits[i, 1], digits[i, 2], digits[i, 3]
        d1 += d0 >> _U32
        d2 += d1 >> _U32
        d3 += d2 >> _U32
        # what is above 2^127 counts once
        above = d3 >> _U31
        low = ((d0 & _LOW32) | (d1 << _U32)) + above
        high = ((d2 & _LOW32) | ((d3 << _U32) & _LOW63)) + uint64(low < above)
        out[i, 0], out[i, 1] = _folded(low, high)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def opened127(shares: Any, weights: Any, offset: Any, bits: Any, minus: Any, opened: Any, result: Any) -> Any:
    """opened = offset + sum of weights[j] shares[j], result = (opened >> bits) - minus - result.

    shares (m, n, 2), weights (m,) integers below 2^20 in size, offset and minus (2,), opened and result (n, 2). Not
    zero: a share is not an element.
    """
    n, bad = result.shape[0], _U0
    digits = np.empty((_ROWS, 4), np.uint64)
    for start in range(0, n, _ROWS):
        stop = min(n, start + _ROWS)
        for k in range(4):
            digits[:, k] = (offset[k // 2] >> np.uint64(32 * (k % 2))) & _LOW32
        for j in range(shares.shape[0]):
            bad |= _add_share(shares[j, start:stop], weights[j], digits)
        _carried(digits, opened[start:stop])
    _unmask(opened, bits, minus, result)
    return bad


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _unmask(opened: Any, bits: Any, minus: Any, result: Any) -> None:
    k0, k1 = ~minus[0], _LOW63 & ~minus[1]
    for i in range(result.shape[0]):
        low, high = _shifted(opened[i, 0], opened[i, 1], bits)
        low, high = _sum127(low, high, ~result[i, 0], _LOW63 & ~result[i, 1])
        result[i, 0], result[i, 1] = _sum127(low, high, k0, k1)


@njit(inline="always", cache=CACHE)  # type: ignore[untyped-decorator]
def _minus127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """a - b: minus a number is plus the complement of its 127 bits."""
    return _sum127(a0, a1, ~b0, _LOW63 & ~b1)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def third127(x: Any, y: Any, out: Any) -> None:
    """out = x y - out: what party 3 sends of a product, under the mask that is in `out`."""
    for i in range(out.shape[0]):
        total = _plus_product((_U0, _U0, _U0, _U0, _U0), x[i, 0], x[i, 1], y[i, 0], y[i, 1])
        low, high = _reduced(total)
        out[i, 0], out[i, 1] = _minus127(low, high, out[i, 0], out[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def half127(x: Any, y: Any, second: Any, out: Any) -> None:
    """out = 3 x y + out, or out = -3 x y: halves of a product from dealers at 1, 2, 3, whose weights are 3, -3, 1."""
    for i in range(out.shape[0]):
        total = _plus_product((_U0, _U0, _U0, _U0, _U0), x[i, 0], x[i, 1], y[i, 0], y[i, 1])
        low, high = _reduced(total)
        a0, a1 = _sum127(low, high, low, high)
        a0, a1 = _sum127(a0, a1, low, high)
        if second:
            out[i, 0], out[i, 1] = _folded(~a0, _LOW63 & ~a1)
        else:
            out[i, 0], out[i, 1] = _sum127(a0, a1, out[i, 0], out[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def cut127(part: Any, bits: Any, second: Any, own: Any, sent: Any) -> None:
    """Deal u = part >> bits as party 1, or u = -((p - part) >> bits) as party 2, with 0 < bits < 127.

    `own` has the coin that is the other one's share, at 2 or at 1, and becomes the own share; sent (R, n, 2) gets the
    shares of parties 3, 4... A line is walked from point to point.
    """
    for i in range(part.shape[0]):
        c0, c1 = own[i, 0], own[i, 1]
        if second:
            low, high = _shifted(~part[i, 0], _LOW63 & ~part[i, 1], bits)
            low, high = _folded(~low, _LOW63 & ~high)
            s0, s1 = _minus127(c0, c1, low, high)
            c0, c1 = _sum127(c0, c1, s0, s1)
            own[i, 0], own[i, 1] = c0, c1
        else:
            low, high = _shifted(part[i, 0], part[i, 1], bits)
            s0, s1 = _minus127(c0, c1, low, high)
            # half of a number: its bits rotate, because 2^127 = 1
            s0, s1 = (s0 >> _U1) | (s1 << _U63), (s1 >> _U1) | ((s0 & _U1) << _U62)
            own[i, 0], own[i, 1] = _sum127(low, high, s0, s1)
        for r in range(sent.shape[0]):
            c0, c1 = _sum127(c0, c1, s0, s1)
            sent[r, i, 0], sent[r, i, 1] = c0, c1


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def affine127(x: Any, times: Any, y: Any, plus: Any, out: Any) -> None:
    """out = times * x + y + plus, for arrays (n, 2) and elements (2,); y is empty or as long as x."""
    w0, w1, k0, k1 = times[0], times[1], plus[0], plus[1]
    for i in range(out.shape[0]):
        total = _plus_product((k0, k1, _U0, _U0, _U0), x[i, 0], x[i, 1], w0, w1)
        out[i, 0], out[i, 1] = _reduced(total)
    for i in range(y.shape[0]):
        out[i, 0], out[i, 1] = _sum127(out[i, 0], out[i, 1], y[i, 0], y[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def add127(total: Any, received: Any) -> Any:
    """total += received; not zero when something received is not an element."""
    bad = _U0
    for i in range(total.shape[0]):
        low, high = received[i, 0], received[i, 1]
        bad |= uint64((high > _LOW63) | ((high == _LOW63) & (low == _ALL64)))
        total[i, 0], total[i, 1] = _sum127(total[i, 0], total[i, 1], low, high & _LOW63)
    return bad


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def trim127(words: Any) -> Any:
    """Cut pairs of words to 127 bits, in place; not zero when one of them is p."""
    found = _U0
    for i in range(words.shape[0]):
        high = words[i, 1] & _LOW63
        words[i, 1] = high
        found |= uint64((high == _LOW63) & (words[i, 0] == _ALL64))
    return found


def compile_all() -> None:
    """Compile every kernel, or load it from numba's cache."""
    row, pair = np.zeros((1, 2), np.uint64), np.zeros(2, np.uint64)
    fixed = row.copy()
    fixed.setflags(write=False)  # factors, and what came off the wire, are only read
    masked127(fixed, fixed, row[None], 1, pair, row, 1, row.copy(), row.copy())
    opened127(row[None], np.ones(1, np.int64), pair, 1, pair, row.copy(), row.copy())
    third127(fixed, fixed, row)
    half127(fixed, fixed, True, row)
    cut127(row, 1, True, row.copy(), row[None].copy())
    for received in (row.copy(), fixed):
        add127(row, received)
    affine127(fixed, pair, fixed, pair, row)
    affine127(row, pair, row.copy(), pair, row)
    trim127(row)
