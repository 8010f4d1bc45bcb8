"""Machine arithmetic modulo the Mersenne primes 2^61-1 and 2^127-1, compiled by numba to NumPy ufuncs.

Elements of M61 are uint64 in [0, 2^61-1); elements of M127 are pairs (low, high) of uint64 in the last axis. Products
go through 32-bit halves: that form vectorises and beats 128-bit arithmetic in cache. Every function takes and returns
canonical elements, broadcasts like any ufunc, and runs without the interpreter lock.

Importing this module compiles once and then loads from numba's cache; import it through `mpcstats.field` only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import guvectorize, njit, uint64, vectorize

__all__ = ["add61", "add127", "mul61", "mul127", "neg61", "neg127", "sub61", "sub127"]

_P61 = np.uint64((1 << 61) - 1)
_LOW32 = np.uint64(0xFFFFFFFF)
_LOW29 = np.uint64((1 << 29) - 1)
_LOW63 = np.uint64((1 << 63) - 1)
_ALL64 = np.uint64(0xFFFFFFFFFFFFFFFF)
_U0, _U1, _U3, _U29, _U32, _U61, _U63 = (np.uint64(k) for k in (0, 1, 3, 29, 32, 61, 63))

_inline: dict[str, Any] = {"inline": "always", "cache": True}


@njit(**_inline)  # type: ignore[untyped-decorator]
def _fold61(x: Any) -> Any:
    x = (x & _P61) + (x >> _U61)
    return x - _P61 if x >= _P61 else x


@njit(**_inline)  # type: ignore[untyped-decorator]
def _product61(a: Any, b: Any) -> Any:
    a0, a1 = a & _LOW32, a >> _U32
    b0, b1 = b & _LOW32, b >> _U32
    low = a0 * b0
    middle = a0 * b1 + a1 * b0  # below 2^62
    # a1 b1 2^64 = 8 a1 b1, middle 2^32 = (middle >> 29) + (middle mod 2^29) 2^32, low = (low >> 61) + low mod 2^61
    total = ((a1 * b1) << _U3) + (middle >> _U29) + ((middle & _LOW29) << _U32) + (low & _P61) + (low >> _U61)
    return _fold61(total)


@vectorize([uint64(uint64, uint64)], nopython=True, cache=True)  # type: ignore[untyped-decorator]
def add61(a: Any, b: Any) -> Any:
    """a + b modulo 2^61-1."""
    s = a + b
    return s - _P61 if s >= _P61 else s


@vectorize([uint64(uint64, uint64)], nopython=True, cache=True)  # type: ignore[untyped-decorator]
def sub61(a: Any, b: Any) -> Any:
    """a - b modulo 2^61-1."""
    return a - b if a >= b else a + _P61 - b


@vectorize([uint64(uint64)], nopython=True, cache=True)  # type: ignore[untyped-decorator]
def neg61(a: Any) -> Any:
    """-a modulo 2^61-1."""
    return _P61 - a if a != _U0 else a


@vectorize([uint64(uint64, uint64)], nopython=True, cache=True)  # type: ignore[untyped-decorator]
def mul61(a: Any, b: Any) -> Any:
    """a * b modulo 2^61-1."""
    return _product61(a, b)


@njit(**_inline)  # type: ignore[untyped-decorator]
def _wide(a: Any, b: Any) -> Any:
    """Low and high word of the 128-bit product of two words."""
    a0, a1 = a & _LOW32, a >> _U32
    b0, b1 = b & _LOW32, b >> _U32
    low = a0 * b0
    cross = a1 * b0 + (low >> _U32)
    middle = a0 * b1 + (cross & _LOW32)
    return (middle << _U32) | (low & _LOW32), a1 * b1 + (cross >> _U32) + (middle >> _U32)


@njit(**_inline)  # type: ignore[untyped-decorator]
def _fold127(low: Any, high: Any) -> Any:
    """Reduce a 128-bit number to a canonical element."""
    bit = high >> _U63
    low2 = low + bit
    high2 = (high & _LOW63) + (_U1 if low2 < bit else _U0)
    # only 2^128-1 carries once more, into 2^127; p itself stands for zero
    if high2 > _LOW63:
        return _U1, _U0
    if high2 == _LOW63 and low2 == _ALL64:
        return _U0, _U0
    return low2, high2


@njit(**_inline)  # type: ignore[untyped-decorator]
def _sum127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    low = a0 + b0
    return _fold127(low, a1 + b1 + (_U1 if low < a0 else _U0))


@njit(**_inline)  # type: ignore[untyped-decorator]
def _product127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    r0, h0 = _wide(a0, b0)
    l1, h1 = _wide(a0, b1)
    l2, h2 = _wide(a1, b0)
    l3, h3 = _wide(a1, b1)
    r1 = h0 + l1
    carry = _U1 if r1 < l1 else _U0
    r1 += l2
    carry += _U1 if r1 < l2 else _U0
    r2 = h1 + h2  # both below 2^63: no carry
    r2 += carry
    r2 += l3
    r3 = h3 + (_U1 if r2 < l3 else _U0)
    # the product is r3..r0 = upper 2^127 + lower, and 2^127 = 1
    low = r0 + ((r1 >> _U63) | (r2 << _U1))
    carry = _U1 if low < r0 else _U0
    return _fold127(low, (r1 & _LOW63) + ((r2 >> _U63) | (r3 << _U1)) + carry)


_PAIRS = "(k),(k)->(k)"


@guvectorize(["(uint64[:], uint64[:], uint64[:])"], _PAIRS, nopython=True, cache=True)  # type: ignore[untyped-decorator]
def add127(a: Any, b: Any, out: Any) -> None:
    """a + b modulo 2^127-1; last axis (low, high)."""
    out[0], out[1] = _sum127(a[0], a[1], b[0], b[1])


@guvectorize(["(uint64[:], uint64[:], uint64[:])"], _PAIRS, nopython=True, cache=True)  # type: ignore[untyped-decorator]
def sub127(a: Any, b: Any, out: Any) -> None:
    """a - b modulo 2^127-1; last axis (low, high)."""
    # p - b is the complement of b's 127 bits
    out[0], out[1] = _sum127(a[0], a[1], ~b[0], _LOW63 & ~b[1])


@guvectorize(["(uint64[:], uint64[:])"], "(k)->(k)", nopython=True, cache=True)  # type: ignore[untyped-decorator]
def neg127(a: Any, out: Any) -> None:
    """-a modulo 2^127-1; last axis (low, high)."""
    out[0], out[1] = _fold127(~a[0], _LOW63 & ~a[1])


@guvectorize(["(uint64[:], uint64[:], uint64[:])"], _PAIRS, nopython=True, cache=True)  # type: ignore[untyped-decorator]
def mul127(a: Any, b: Any, out: Any) -> None:
    """a * b modulo 2^127-1; last axis (low, high)."""
    out[0], out[1] = _product127(a[0], a[1], b[0], b[1])
