"""Prime fields on arrays: two Mersenne primes for production, small primes for exhaustive tests.

An *element array* of shape S is uint64 of shape S (one word per element) or S + (2,) (low and high word). All
functions take and return canonical elements in [0, p).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError

__all__ = ["M127", "M61", "Elements", "PrimeField", "WordSource", "small_field"]

Elements = NDArray[np.uint64]
Words = NDArray[np.uint64]

_LOW32 = np.uint64(0xFFFFFFFF)
_MASK64 = (1 << 64) - 1


class WordSource(Protocol):
    """Something that gives uniform 64-bit words."""

    def words(self, count: int) -> Words:
        """The next `count` words."""
        ...

    def fill(self, out: Words) -> None:
        """Fill a contiguous array with the next words."""
        ...


class PrimeField:
    """Integers modulo a prime p < 2^128, as arrays of words.

    Parameters
    ----------
    modulus : int
        The prime. 2^61-1 and 2^127-1 use compiled kernels; primes below 2^31 use plain NumPy.
    """

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.bits = modulus.bit_length()
        self.limbs = 1 if self.bits <= 64 else 2
        self.item_bytes = 8 * self.limbs
        self.is_mersenne = modulus + 1 == 1 << self.bits
        if not (modulus in (2**61 - 1, 2**127 - 1) or modulus < 2**31):
            raise RangeError(f"no arithmetic for the modulus {modulus}")

    def __repr__(self) -> str:
        return f"PrimeField(2^{self.bits}-1)" if self.is_mersenne else f"PrimeField({self.modulus})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrimeField) and other.modulus == self.modulus

    def __hash__(self) -> int:
        return hash(self.modulus)

    # --- shapes -----------------------------------------------------------------------------------------------

    def shape(self, a: Elements) -> tuple[int, ...]:
        """Shape in elements."""
        return a.shape if self.limbs == 1 else a.shape[:-1]

    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.limbs == 1 else (*shape, 2)

    def zeros(self, shape: tuple[int, ...]) -> Elements:
        """An element array of zeros."""
        return np.zeros(self._words_shape(shape), np.uint64)

    def reshape(self, a: Elements, shape: tuple[int, ...]) -> Elements:
        """The same elements in another shape."""
        return a.reshape(self._words_shape(shape))

    # --- conversion -------------------------------------------------------------------------------------------

    def empty(self, shape: tuple[int, ...]) -> Elements:
        """Room for elements; whatever is there is no element."""
        return np.empty(self._words_shape(shape), np.uint64)

    def constant(self, value: int) -> Elements:
        """One element (shape ()) from any integer."""
        value %= self.modulus
        if self.limbs == 1:
            return np.array(value, np.uint64)
        return np.array([value & _MASK64, value >> 64], np.uint64)

    def from_ints(self, values: Any) -> Elements:
        """Elements from integers of any size and sign (nested lists or arrays). Slow: one Python step each."""
        table = np.asarray(values, dtype=object)
        reduced = [int(v) % self.modulus for v in table.ravel()]
        if self.limbs == 1:
            return np.array(reduced, np.uint64).reshape(table.shape)
        return np.array([(v & _MASK64, v >> 64) for v in reduced], np.uint64).reshape(*table.shape, 2)

    def from_int64(self, values: NDArray[np.int64]) -> Elements:
        """Elements from signed machine integers."""
        signed = np.asarray(values, np.int64)
        size = np.abs(signed).view(np.uint64)  # |-2^63| is 2^63 as a word
        if self.limbs == 2:
            magnitude = np.stack([size, np.zeros_like(size)], axis=-1)
            return np.where((signed < 0)[..., None], self.neg(magnitude), magnitude)
        magnitude = size % np.uint64(self.modulus)
        return np.where(signed < 0, self.neg(magnitude), magnitude)

    def to_ints(self, a: Elements) -> NDArray[np.object_]:
        """Python integers in [0, p), as an object array."""
        if self.limbs == 1:
            return np.asarray(np.asarray(a).astype(object), dtype=object)
        return np.asarray(a[..., 0].astype(object) + a[..., 1].astype(object) * (1 << 64), dtype=object)

    def to_signed(self, a: Elements) -> NDArray[np.object_]:
        """Python integers in (-p/2, p/2)."""
        plain = self.to_ints(a)
        return np.where(plain > self.modulus // 2, np.asarray(plain - self.modulus, dtype=object), plain)

    def to_int64(self, a: Elements) -> NDArray[np.int64]:
        """Signed machine integers.

        Raises
        ------
        RangeError
            An element is not within +-2^62.
        """
        negative = self.is_negative(a)
        size = np.where(negative if self.limbs == 1 else negative[..., None], self.neg(a), a)
        low = size if self.limbs == 1 else size[..., 0]
        if (low >> np.uint64(62)).any() or (self.limbs == 2 and size[..., 1].any()):
            raise RangeError("an element does not fit a signed 62-bit integer")
        return np.where(negative, -low.astype(np.int64), low.astype(np.int64))

    def is_negative(self, a: Elements) -> NDArray[np.bool_]:
        """True where the element stands for a negative number (above p/2)."""
        if self.limbs == 1:
            return np.asarray(a > np.uint64(self.modulus // 2))
        half_low, half_high = np.uint64((self.modulus // 2) & _MASK64), np.uint64((self.modulus // 2) >> 64)
        return np.asarray((a[..., 1] > half_high) | ((a[..., 1] == half_high) & (a[..., 0] > half_low)))

    def to_bytes(self, a: Elements) -> memoryview:
        """Canonical bytes: little-endian words, 8 or 16 bytes per element, C order."""
        return np.ascontiguousarray(a, dtype="<u8").data.cast("B") if a.size else memoryview(b"")

    def from_bytes(self, data: bytes | bytearray | memoryview, shape: tuple[int, ...]) -> Elements:
        """Read canonical bytes.

        Raises
        ------
        RangeError
            The length is wrong, or an element is not below p.
        """
        expected = math.prod(shape) * self.item_bytes
        if len(data) != expected:
            raise RangeError(f"expected {expected} bytes of field elements, got {len(data)}")
        a = np.frombuffer(data, dtype="<u8").reshape(self._words_shape(shape))
        if not self.is_canonical(a):
            raise RangeError("a field element is not below the modulus")
        return a

    def is_canonical(self, a: Elements) -> bool:
        """Whether every element is below p."""
        if self.limbs == 1:
            return not a.size or bool(a.max() < self.modulus)
        high = np.uint64(self.modulus >> 64)
        return not bool(((a[..., 1] > high) | ((a[..., 1] == high) & (a[..., 0] == np.uint64(_MASK64)))).any())

    # --- arithmetic -------------------------------------------------------------------------------------------

    @functools.cached_property
    def _ops(self) -> dict[str, Callable[..., Elements]]:
        if self.modulus >= 2**31:
            from mpcstats.field import kernels

            if self.limbs == 2:
                return _wide_operations()
            return {"add": kernels.add61, "sub": kernels.sub61, "mul": kernels.mul61, "neg": kernels.neg61}
        p = np.uint64(self.modulus)
        return {
            "add": lambda a, b: (a + b) % p,
            "sub": lambda a, b: (a + (p - b)) % p,
            "mul": lambda a, b: (a * b) % p,
            "neg": lambda a: (p - a) % p,
        }

    def add(self, a: Elements, b: Elements) -> Elements:
        """a + b, broadcasting."""
        return self._ops["add"](a, b)

    def sub(self, a: Elements, b: Elements) -> Elements:
        """a - b, broadcasting."""
        return self._ops["sub"](a, b)

    def mul(self, a: Elements, b: Elements) -> Elements:
        """a * b, broadcasting."""
        return self._ops["mul"](a, b)

    def neg(self, a: Elements) -> Elements:
        """-a."""
        return self._ops["neg"](a)

    def scale(self, a: Elements, factor: int) -> Elements:
        """a times one public integer."""
        return self.mul(a, self.constant(factor))

    def lincomb(self, factors: Sequence[int], terms: Sequence[Elements]) -> Elements:
        """Sum of factor * term; at least one term."""
        total = self.scale(terms[0], factors[0])
        for factor, term in zip(factors[1:], terms[1:], strict=True):
            total = self.add(total, self.scale(term, factor))
        return total

    def sum(self, a: Elements, axis: int) -> Elements:
        """Sum over one axis (counted in elements, negative from the end)."""
        return self._join(lambda part, at: part.sum(axis=at), a, axis)

    def cumsum(self, a: Elements, axis: int) -> Elements:
        """Running sum over one axis."""
        return self._join(lambda part, at: part.cumsum(axis=at), a, axis)

    def _join(self, reduce: Callable[[Words, int], Words], a: Elements, axis: int) -> Elements:
        # sums of 32-bit halves do not overflow below 2^32 terms; the halves are put together modulo p
        at = axis if axis >= 0 else axis + len(self.shape(a))
        words = [a] if self.limbs == 1 else [a[..., 0], a[..., 1]]
        halves = [part for word in words for part in (word & _LOW32, word >> np.uint64(32))]
        total: Elements | None = None
        for k, half in enumerate(halves):
            term = self.scale(self._from_words(reduce(half, at)), 1 << (32 * k))
            total = term if total is None else self.add(total, term)
        assert total is not None
        return total

    def _from_words(self, words: Words) -> Elements:
        if self.limbs == 1:
            return words % np.uint64(self.modulus)
        return np.stack([words, np.zeros_like(words)], axis=-1)

    def matmul(self, a: Elements, b: Elements) -> Elements:
        """Matrix product of shapes (..., n, k) and (..., k, m); leading dimensions broadcast.

        Raises
        ------
        RangeError
            The shapes do not fit each other.
        """
        from mpcstats.field.matrix import matmul

        return matmul(self, a, b)

    # --- randomness -------------------------------------------------------------------------------------------

    def uniform(self, source: WordSource, shape: tuple[int, ...]) -> Elements:
        """Uniform elements by rejection: exactly uniform, and the same at everybody who holds the same source."""
        a = self._draw(source, math.prod(shape))
        while True:
            bad = np.flatnonzero(self._too_large(a))
            if not bad.size:
                return self.reshape(a, shape)
            a[bad] = self._draw(source, bad.size)

    def _draw(self, source: WordSource, count: int) -> Elements:
        if self.limbs == 1:
            return source.words(count) & np.uint64((1 << self.bits) - 1)
        a = source.words(2 * count).reshape(count, 2)
        a[:, 1] &= np.uint64((1 << (self.bits - 64)) - 1)
        return a

    def _too_large(self, a: Elements) -> NDArray[np.bool_]:
        if self.limbs == 1:
            return np.asarray(a >= np.uint64(self.modulus))
        # a Mersenne prime: only the string of all ones is not an element
        return np.asarray((a[:, 0] == np.uint64(_MASK64)) & (a[:, 1] == np.uint64(self.modulus >> 64)))


def _wide_operations() -> dict[str, Callable[..., Elements]]:
    """Arithmetic of M127 with broadcasting: the kernels are loops over contiguous arrays of one shape."""
    from mpcstats.field import kernels

    def binary(kernel: Callable[..., None]) -> Callable[[Elements, Elements], Elements]:
        def apply(a: Elements, b: Elements) -> Elements:
            if a.shape != b.shape:
                a, b = np.broadcast_arrays(a, b)
            out = np.empty(a.shape, np.uint64)
            kernel(_pairs(a), _pairs(b), out.reshape(-1, 2))
            return out

        return apply

    general = binary(kernels.mul127)

    def multiply(a: Elements, b: Elements) -> Elements:
        if b.ndim != 1 or a.ndim == 1:
            return general(a, b)
        out = np.empty(a.shape, np.uint64)
        kernels.scale127(_pairs(a), np.ascontiguousarray(b), out.reshape(-1, 2))
        return out

    def negate(a: Elements) -> Elements:
        out = np.empty(a.shape, np.uint64)
        kernels.neg127(_pairs(a), out.reshape(-1, 2))
        return out

    return {"add": binary(kernels.add127), "sub": binary(kernels.sub127), "mul": multiply, "neg": negate}


def _pairs(a: Elements) -> Elements:
    return np.ascontiguousarray(a).reshape(-1, 2)


M61 = PrimeField(2**61 - 1)
"""Counts, integers, genotype sums: 8 bytes per element."""

M127 = PrimeField(2**127 - 1)
"""Fixed point and wide comparisons: 16 bytes per element."""


@functools.cache
def small_field(modulus: int) -> PrimeField:
    """A field small enough to enumerate, e.g. GF(7): for exhaustive privacy tests."""
    return PrimeField(modulus)
