"""Compiled halves of `mpcstats.field.matrix`: elements to sums of small signed limbs, and products of those back.

An element v, centred to |v| <= (p - 1) / 2, is v = u[0] + u[1] X + u[2] X^2 + ... with X = 2^21. All limbs but the last
are in [-2^20, 2^20); the last one is |u[2]| <= 2^18 for M61 and |u[5]| <= 2^21 for M127. Limbs, their sums, and sums of
products of these are integers that float64 holds exactly; `mpcstats.field.matrix` has the bounds.

M61, Toom-Cook: the polynomial in X at 0, 1, -1, 2 and infinity, 5 parts.
M127, Karatsuba twice: pairs of limbs (0, 1), (2, 3), (4, 5), alone and in sums of two pairs, 6 ways; of each the first
limb, the second, and the sum of both, 18 parts.

Products of two parts of one kind, summed over the inner dimension, are that part of the product polynomial. Its
coefficients come back by adding and subtracting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, njit, types, uint64, void

from mpcstats.field.fused import _sum127
from mpcstats.field.kernels import CACHE, _fold61

__all__ = ["join61", "join127", "split61", "split127"]

_P61 = np.uint64((1 << 61) - 1)
_SIGNED_P61 = np.int64((1 << 61) - 1)
_HALF61 = np.uint64((1 << 60) - 1)
_LOW63 = np.uint64((1 << 63) - 1)
_HALF127_HIGH = np.uint64((1 << 62) - 1)
_DIGIT, _WORD_DIGIT = np.int64((1 << 21) - 1), np.uint64((1 << 21) - 1)
# half a digit is added at every place, so that digits are cut from a number without carries, and taken off each again
_HALF_DIGIT = np.int64(1 << 20)
_BIAS61 = np.int64((1 << 20) + (1 << 41))
_BIAS127 = sum(1 << (20 + 21 * k) for k in range(5))
_BIAS127_LOW, _BIAS127_HIGH = np.uint64(_BIAS127 & ((1 << 64) - 1)), np.uint64(_BIAS127 >> 64)
_THIRD = np.uint64(0xAAAAAAAAAAAAAAAB)
"""The inverse of 3 modulo 2^64: divides multiples of 3. Unsigned, because the product of signed words may not wrap."""
_ONE, _OTHER = np.array([0, 2, 4, 0, 0, 2]), np.array([6, 6, 6, 2, 4, 4])
"""First limbs of the pairs that are added in each of the 6 ways; rows 6 and 7 are zero."""
_I0, _I1, _I2, _I4, _I21, _I41, _I42, _I63 = (np.int64(k) for k in (0, 1, 2, 4, 21, 41, 42, 63))
_U0, _U1, _U20, _U21, _U40, _U42, _U43, _U63 = (np.uint64(k) for k in (0, 1, 20, 21, 40, 42, 43, 63))

# one compiled version, also for what came off the wire and may not be written to
_ELEMENTS61, _ELEMENTS127 = (types.Array(uint64, dimensions, "C", readonly=True) for dimensions in (2, 3))
_PARTS = float64[:, :, ::1]


@njit(void(_ELEMENTS61, int64, int64, _PARTS), nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def split61(a: Any, row: Any, column: Any, parts: Any) -> None:
    """parts (5, r, c) of the elements a[row : row + r, column : column + c]."""
    rows, columns = parts.shape[1:]
    for i in range(rows):
        source = a[row + i, column : column + columns]
        at0, at1, at_minus, at2, at_infinity = parts[0, i], parts[1, i], parts[2, i], parts[3, i], parts[4, i]
        for j in range(columns):
            v = source[j]
            w = np.int64(v) - (_SIGNED_P61 if v > _HALF61 else _I0) + _BIAS61
            u0, u1, u2 = (w & _DIGIT) - _HALF_DIGIT, ((w >> _I21) & _DIGIT) - _HALF_DIGIT, w >> _I42
            at0[j] = np.int32(u0)
            at1[j] = np.int32(u0 + u1 + u2)
            at_minus[j] = np.int32(u0 - u1 + u2)
            at2[j] = np.int32(u0 + u1 + u1 + (u2 << _I2))
            at_infinity[j] = np.int32(u2)


@njit(cache=CACHE)  # type: ignore[untyped-decorator]
def _next61(value: Any, term: Any) -> Any:
    """value X + term, one step of Horner's rule; |term| < p."""
    turned = ((value << _U21) & _P61) | (value >> _U40)
    return _fold61(turned + np.uint64(term + (_SIGNED_P61 if term < _I0 else _I0)))


@njit(void(_PARTS, uint64[:, ::1], int64, int64), nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def join61(products: Any, out: Any, row: Any, column: Any) -> None:
    """Add to out[row : row + r, column : column + c] what products (5, r, c) of parts stand for."""
    rows, columns = products.shape[1:]
    for i in range(rows):
        total = out[row + i, column : column + columns]
        p0, p1, p2, p3, p4 = products[0, i], products[1, i], products[2, i], products[3, i], products[4, i]
        for j in range(columns):
            c0, at1, at_minus = np.int64(p0[j]), np.int64(p1[j]), np.int64(p2[j])
            at2, c4 = np.int64(p3[j]), np.int64(p4[j])
            c2 = ((at1 + at_minus) >> _I1) - c0 - c4
            odd = (at1 - at_minus) >> _I1  # c1 + c3
            thrice = ((at2 - c0 - (c2 << _I2) - (c4 << _I4)) >> _I1) - odd  # c1 + 4 c3 less c1 + c3
            c3 = np.int64(np.uint64(thrice) * _THIRD)
            v = _next61(_next61(_next61(_next61(_next61(_U0, c4), c3), c2), odd - c3), c0)
            total[j] = _fold61(total[j] + v)


@njit(cache=CACHE)  # type: ignore[untyped-decorator]
def _limbs127(low: Any, high: Any) -> Any:
    if high > _HALF127_HIGH:
        # v - p = v + 1 - 2^127 in two's complement
        low += _U1
        high += uint64(low == _U0) + (_U1 << _U63)
    low += _BIAS127_LOW
    high += _BIAS127_HIGH + uint64(low < _BIAS127_LOW)
    u0 = np.int64(low & _WORD_DIGIT) - _HALF_DIGIT
    u1 = np.int64((low >> _U21) & _WORD_DIGIT) - _HALF_DIGIT
    u2 = np.int64((low >> _U42) & _WORD_DIGIT) - _HALF_DIGIT
    u3 = np.int64(((low >> _U63) | (high << _U1)) & _WORD_DIGIT) - _HALF_DIGIT
    u4 = np.int64((high >> _U20) & _WORD_DIGIT) - _HALF_DIGIT
    return u0, u1, u2, u3, u4, np.int64(high) >> _I41


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _cut127(source: Any, u: Any) -> None:
    for j in range(source.shape[0]):
        u0, u1, u2, u3, u4, u5 = _limbs127(source[j, 0], source[j, 1])
        u[0, j], u[1, j], u[2, j] = np.int32(u0), np.int32(u1), np.int32(u2)
        u[3, j], u[4, j], u[5, j] = np.int32(u3), np.int32(u4), np.int32(u5)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _add_rows(u: Any, v: Any, out: Any) -> None:
    for j in range(out.shape[0]):
        out[j] = u[j] + v[j]


@njit(void(_ELEMENTS127, int64, int64, _PARTS), nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def split127(a: Any, row: Any, column: Any, parts: Any) -> None:
    """parts (18, r, c) of the elements a[row : row + r, column : column + c]."""
    rows, columns = parts.shape[1:]
    # whole rows of one part at a time: elements of different parts lie a power of two apart and would share cache lines
    u = np.zeros((8, columns), np.int32)
    for i in range(rows):
        _cut127(a[row + i, column : column + columns], u)
        for way in range(6):
            for k in range(2):
                _add_rows(u[_ONE[way] + k], u[_OTHER[way] + k], parts[3 * way + k, i])
            _add_rows(parts[3 * way, i], parts[3 * way + 1, i], parts[3 * way + 2, i])


@njit(cache=CACHE)  # type: ignore[untyped-decorator]
def _next127(low: Any, high: Any, term: Any) -> Any:
    """(low, high) X + term, one step of Horner's rule; any signed word."""
    turned_low = (low << _U21) | (high >> _U42)
    turned_high = ((high << _U21) | (low >> _U43)) & _LOW63
    sign = np.uint64(term >> _I63)  # all ones below zero: p + term = 2^127 - 1 + term
    return _sum127(turned_low, turned_high, np.uint64(term) + sign, sign & _LOW63)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _products_of_pairs(q0: Any, q1: Any, q2: Any, q01: Any, q02: Any, q12: Any, out: Any) -> None:
    """For one kind of part: coefficients (5, n) of (pair 0 + pair 1 Y + pair 2 Y^2)^2, Y = X^2."""
    for j in range(out.shape[1]):
        p0, p1, p2 = np.int64(q0[j]), np.int64(q1[j]), np.int64(q2[j])
        out[0, j], out[4, j] = p0, p2
        out[1, j] = np.int64(q01[j]) - p0 - p1
        out[2, j] = np.int64(q02[j]) - p0 - p2 + p1
        out[3, j] = np.int64(q12[j]) - p1 - p2


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def _horner127(c: Any, total: Any) -> None:
    """Add sums over s of (c[0, s] + (c[2, s] - c[0, s] - c[1, s]) X + c[1, s] X^2) Y^s to an array (n, 2)."""
    for j in range(total.shape[0]):
        low, high = _next127(_U0, _U0, c[1, 4, j])
        for s in range(4, -1, -1):
            low, high = _next127(low, high, c[2, s, j] - c[0, s, j] - c[1, s, j])
            low, high = _next127(low, high, c[0, s, j] + (c[1, s - 1, j] if s else _I0))
        total[j, 0], total[j, 1] = _sum127(total[j, 0], total[j, 1], low, high)


@njit(void(_PARTS, uint64[:, :, ::1], int64, int64), nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def join127(products: Any, out: Any, row: Any, column: Any) -> None:
    """Add to out[row : row + r, column : column + c] what products (18, r, c) of parts stand for."""
    rows, columns = products.shape[1:]
    c = np.empty((3, 5, columns), np.int64)
    for i in range(rows):
        for k in range(3):
            q0, q1, q2 = products[k, i], products[3 + k, i], products[6 + k, i]
            _products_of_pairs(q0, q1, q2, products[9 + k, i], products[12 + k, i], products[15 + k, i], c[k])
        _horner127(c, out[row + i, column : column + columns])
