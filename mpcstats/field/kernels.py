"""Machine arithmetic modulo the Mersenne primes 2^61-1 and 2^127-1, compiled by numba.

Elements of M61 are uint64 in [0, 2^61-1); its functions are NumPy ufuncs, and products go through 32-bit halves, a form
that LLVM turns into vector code. Elements of M127 are pairs (low, high) of uint64; its functions are loops over
contiguous arrays (n, 2), and products use the machine's 64 x 64 -> 128 bit instruction. All take and return canonical
elements and run without the interpreter lock.

Importing this module compiles once and then loads from numba's cache; import it through `mpcstats.field` only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types, uint64, vectorize
from numba.extending import intrinsic

__all__ = [
    "CACHE",
    "add61",
    "add127",
    "compile_all",
    "mul61",
    "mul127",
    "neg61",
    "neg127",
    "scale127",
    "sub61",
    "sub127",
]

_P61 = np.uint64((1 << 61) - 1)
_LOW32 = np.uint64(0xFFFFFFFF)
_LOW29 = np.uint64((1 << 29) - 1)
_LOW63 = np.uint64((1 << 63) - 1)
_ALL64 = np.uint64(0xFFFFFFFFFFFFFFFF)
_U0, _U1, _U3, _U29, _U32, _U61, _U63 = (np.uint64(k) for k in (0, 1, 3, 29, 32, 61, 63))


def _cache_has_a_place() -> bool:
    """Numba keeps compiled code beside this file or in the user's cache folder; a service account may have neither."""

    def probe() -> None:
        pass

    try:
        njit(cache=True)(probe)
    except RuntimeError:
        return False
    return True


CACHE = _cache_has_a_place()
"""Without a place, every process compiles for itself, some seconds."""

_inline: dict[str, Any] = {"inline": "always", "cache": CACHE}


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


@vectorize([uint64(uint64, uint64)], nopython=True, cache=CACHE)  # type: ignore[untyped-decorator]
def add61(a: Any, b: Any) -> Any:
    """a + b modulo 2^61-1."""
    s = a + b
    return s - _P61 if s >= _P61 else s


@vectorize([uint64(uint64, uint64)], nopython=True, cache=CACHE)  # type: ignore[untyped-decorator]
def sub61(a: Any, b: Any) -> Any:
    """a - b modulo 2^61-1."""
    return a - b if a >= b else a + _P61 - b


@vectorize([uint64(uint64)], nopython=True, cache=CACHE)  # type: ignore[untyped-decorator]
def neg61(a: Any) -> Any:
    """-a modulo 2^61-1."""
    return _P61 - a if a != _U0 else a


@vectorize([uint64(uint64, uint64)], nopython=True, cache=CACHE)  # type: ignore[untyped-decorator]
def mul61(a: Any, b: Any) -> Any:
    """a * b modulo 2^61-1."""
    return _product61(a, b)


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


@intrinsic  # type: ignore[untyped-decorator]
def _high(typing_context: Any, a: Any, b: Any) -> Any:
    """High word of the 128-bit product of two words: one machine instruction."""
    signature = types.uint64(types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        one, other = (builder.zext(argument, wide) for argument in arguments)
        shifted = builder.lshr(builder.mul(one, other), ir.Constant(wide, 64))
        return builder.trunc(shifted, ir.IntType(64))

    return signature, generate


@njit(**_inline)  # type: ignore[untyped-decorator]
def _near_product127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    """Product of two numbers up to 2^127-1, at most 2^127-1 (p itself stands for zero)."""
    r0, h0 = a0 * b0, _high(a0, b0)
    l1, h1 = a0 * b1, _high(a0, b1)
    l2, h2 = a1 * b0, _high(a1, b0)
    l3, h3 = a1 * b1, _high(a1, b1)
    r1 = h0 + l1
    carry = uint64(r1 < l1)
    r1 += l2
    carry += uint64(r1 < l2)
    r2 = h1 + h2 + carry
    r2 += l3
    r3 = h3 + uint64(r2 < l3)
    low = r0 + ((r1 >> _U63) | (r2 << _U1))
    high = (r1 & _LOW63) + ((r2 >> _U63) | (r3 << _U1)) + uint64(low < r0)
    bit = high >> _U63
    low += bit
    return low, (high & _LOW63) + uint64(low < bit)


@njit(**_inline)  # type: ignore[untyped-decorator]
def _product127(a0: Any, a1: Any, b0: Any, b1: Any) -> Any:
    low, high = _near_product127(a0, a1, b0, b1)
    keep = _U1 - uint64((low == _ALL64) & (high == _LOW63))
    return low * keep, high * keep


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def add127(a: Any, b: Any, out: Any) -> None:
    """out = a + b modulo 2^127-1, for arrays (n, 2)."""
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _sum127(a[i, 0], a[i, 1], b[i, 0], b[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def sub127(a: Any, b: Any, out: Any) -> None:
    """out = a - b modulo 2^127-1, for arrays (n, 2)."""
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _sum127(a[i, 0], a[i, 1], ~b[i, 0], _LOW63 & ~b[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def mul127(a: Any, b: Any, out: Any) -> None:
    """out = a * b modulo 2^127-1, for arrays (n, 2)."""
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _product127(a[i, 0], a[i, 1], b[i, 0], b[i, 1])


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def scale127(a: Any, b: Any, out: Any) -> None:
    """out = a * b for an array (n, 2) and one element (2,)."""
    b0, b1 = b[0], b[1]
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _product127(a[i, 0], a[i, 1], b0, b1)


@njit(nogil=True, cache=CACHE)  # type: ignore[untyped-decorator]
def neg127(a: Any, out: Any) -> None:
    """out = -a modulo 2^127-1, for arrays (n, 2)."""
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = _fold127(~a[i, 0], _LOW63 & ~a[i, 1])


def compile_all() -> None:
    """Compile the kernels for M127 for the kinds of arrays they meet, or load them from numba's cache."""
    pair = np.zeros((1, 2), np.uint64)
    received = pair.copy()
    received.setflags(write=False)  # what came off the wire is read where it is
    for a in (pair, received):
        for b in (pair, received):
            for kernel in (add127, sub127, mul127):
                kernel(a, b, pair)
        for element in (pair[0], received[0]):
            scale127(a, element, pair)
        neg127(a, pair)
