"""Matrix products modulo p: for the Mersenne primes by float64 products of small limbs, which a BLAS does fastest.

Exact, and here is the bound. With limbs as `mpcstats.field.limbs` cuts them, a part is at most

    M61:  |u0 + 2 u1 + 4 u2| <= 2^20 + 2^21 + 2^20                = 4 x 2^20
    M127: |u0 + u1 + u4 + u5| <= 2^20 + 2^20 + 2^20 + 2^21        = 5 x 2^20

so 256 products of two parts add up to at most 25 x 2^48 < 2^53, and so does every partial sum: float64 rounds nothing,
in any order of summation, with or without fused multiply-add. A longer inner dimension is cut into blocks of 256. The
coefficients are sums of products of single limbs, and nothing on the way to them leaves int64.

Measured on one core with AVX-512, 256 x 256 x 256 in M61: 5 ms; 11 ms with a compiled loop over 32-bit halves that
reduces after four products.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field.blas import one_blas_thread

if TYPE_CHECKING:
    from mpcstats.field.prime import Elements, PrimeField

__all__ = ["matmul"]

_ROWS, _COLUMNS, _INNER = 128, 256, 256
"""Largest tile: `_INNER` is part of the proof, the others keep scratch small (5 MB for M61, 19 MB for M127)."""
_INNER_SMALL = 1 << 16


def matmul(field: PrimeField, a: Elements, b: Elements) -> Elements:
    """See `PrimeField.matmul`."""
    left, right = field.shape(a), field.shape(b)
    if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
        raise RangeError(f"no matrix product of shapes {left} and {right}: (..., n, k) times (..., k, m) is needed")
    try:
        batch = np.broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        raise RangeError(f"batches of matrices of shapes {left} and {right} do not fit each other") from None
    if field.modulus < 2**31:
        return _small(field, a, b)
    a = np.broadcast_to(a, field._words_shape((*batch, *left[-2:])))
    b = np.broadcast_to(b, field._words_shape((*batch, *right[-2:])))
    out = field.zeros((*batch, left[-2], right[-1]))
    with one_blas_thread():
        for index in np.ndindex(batch):
            _add_in_limbs(field, np.ascontiguousarray(a[index]), np.ascontiguousarray(b[index]), out[index])
    return out


def _small(field: PrimeField, a: Elements, b: Elements) -> Elements:
    """Primes below 2^31: products of a's 16-bit halves are below 2^47, and 2^16 of them fit a word."""
    p, half, inner = np.uint64(field.modulus), np.uint64(16), a.shape[-1]
    total = a[..., :0] @ b[..., :0, :]
    for k in range(0, inner, _INNER_SMALL):
        left, right = a[..., k : k + _INNER_SMALL], b[..., k : k + _INNER_SMALL, :]
        high = (left >> half) @ right % p
        low = (left & np.uint64(0xFFFF)) @ right % p
        total = (total + (high << half) + low) % p
    return total


def _add_in_limbs(field: PrimeField, a: Elements, b: Elements, out: Elements) -> None:
    """out += a b in tiles, for M61 and M127; contiguous arrays."""
    from mpcstats.field import limbs

    parts, split, join = (5, limbs.split61, limbs.join61) if field.limbs == 1 else (18, limbs.split127, limbs.join127)
    (rows, inner), columns = field.shape(a), field.shape(b)[1]
    for column in range(0, columns, _COLUMNS):
        for k in range(0, inner, _INNER):
            width, depth = min(_COLUMNS, columns - column), min(_INNER, inner - k)
            for row in range(0, rows, _ROWS):
                height = min(_ROWS, rows - row)
                right, left, products = _scratch.arrays(
                    (parts, depth, width), (parts, height, depth), (parts, height, width)
                )
                if not row:
                    split(b, k, column, right)
                split(a, row, k, left)
                np.matmul(left, right, out=products)
                join(products, out, row, column)


class _Scratch(threading.local):
    """Memory that is used again: fresh pages for every product would cost as much as the product."""

    def __init__(self) -> None:
        self._memory = np.empty(0)

    def arrays(self, *shapes: tuple[int, ...]) -> list[NDArray[np.float64]]:
        """Arrays with any content, one after another; the first is at the same place whatever the others are."""
        sizes = [math.prod(shape) for shape in shapes]
        if sum(sizes) > self._memory.size:
            self._memory = np.empty(sum(sizes))
        ends = np.cumsum(sizes)
        return [
            self._memory[end - size : end].reshape(shape) for shape, size, end in zip(shapes, sizes, ends, strict=True)
        ]


_scratch = _Scratch()
