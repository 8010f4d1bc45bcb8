"""Secret values as one party holds them: its share, and what everybody knows about the sharing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import Elements, PrimeField

__all__ = ["BooleanShared", "Shared", "concatenate"]


@dataclass(frozen=True, eq=False, repr=False)
class Shared:
    """This party's share of an array of secret field elements.

    Sums, differences, public multiples and indexing are local. The product of two shared arrays needs a round:
    use `protocols.multiply`. There is no truth value: programs must not branch on secrets.

    Attributes
    ----------
    field : PrimeField
    values : Elements
        This party's share of each element.
    degree : int
        Degree of the sharing polynomials, t or 2t.
    fraction_bits : int
        The secret stands for (integer) * 2^-fraction_bits.
    """

    field: PrimeField
    values: Elements
    degree: int
    fraction_bits: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in elements."""
        return self.field.shape(self.values)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        return f"Shared<{self.field}, degree {self.degree}, shape {self.shape}, {self.fraction_bits} fraction bits>"

    def __bool__(self) -> NoReturn:
        raise TypeError("a shared value has no truth value: nobody knows it")

    def _with(self, values: Elements, degree: int | None = None) -> Shared:
        return replace(self, values=values, degree=self.degree if degree is None else degree)

    def _check(self, other: Shared) -> None:
        if other.field != self.field or other.fraction_bits != self.fraction_bits:
            raise TypeError(f"{self!r} and {other!r} do not have the same format")

    def __add__(self, other: Shared) -> Shared:
        if not isinstance(other, Shared):
            return NotImplemented
        self._check(other)
        return self._with(self.field.add(self.values, other.values), max(self.degree, other.degree))

    def __sub__(self, other: Shared) -> Shared:
        if not isinstance(other, Shared):
            return NotImplemented
        self._check(other)
        return self._with(self.field.sub(self.values, other.values), max(self.degree, other.degree))

    def __neg__(self) -> Shared:
        return self._with(self.field.neg(self.values))

    def __mul__(self, other: object) -> Shared:
        if isinstance(other, Shared):
            raise TypeError("the product of two shared values needs a round; use protocols.multiply")
        return NotImplemented

    def plus(self, public: Elements) -> Shared:
        """Add public elements, given in this array's format (broadcasting)."""
        return self._with(self.field.add(self.values, public))

    def plus_int(self, public: int) -> Shared:
        """Add one public integer (in units of 2^-fraction_bits)."""
        return self.plus(self.field.constant(public))

    def times(self, public: Elements) -> Shared:
        """Multiply by public elements (broadcasting); the fraction bits stay."""
        return self._with(self.field.mul(self.values, public))

    def times_int(self, public: int) -> Shared:
        """Multiply by one public integer."""
        return self._with(self.field.scale(self.values, public))

    def with_fraction_bits(self, fraction_bits: int) -> Shared:
        """The same integer read with another number of fraction bits (after a public multiple)."""
        return replace(self, fraction_bits=fraction_bits)

    def shifted(self, fraction_bits: int) -> Shared:
        """The same number carried with more fraction bits."""
        more = fraction_bits - self.fraction_bits
        if more < 0:
            raise TypeError("fewer fraction bits need protocols.truncate")
        return replace(self.times_int(1 << more), fraction_bits=fraction_bits)

    def sum(self, axis: int = -1) -> Shared:
        """Sum over one axis."""
        return self._with(self.field.sum(self.values, axis))

    def cumsum(self, axis: int = -1) -> Shared:
        """Running sum over one axis."""
        return self._with(self.field.cumsum(self.values, axis))

    def reshape(self, *shape: int) -> Shared:
        """The same elements in another shape."""
        return self._with(self.field.reshape(self.values, np.empty(self.shape, np.bool_).reshape(shape).shape))

    def __getitem__(self, index: Any) -> Shared:
        return self._with(self.values[index])


def concatenate(parts: Sequence[Shared], axis: int = 0) -> Shared:
    """Join shared arrays of one format along an axis (counted from the front)."""
    for part in parts[1:]:
        parts[0]._check(part)
    joined = np.concatenate([part.values for part in parts], axis=axis)
    return replace(parts[0], values=joined, degree=max(part.degree for part in parts))


@dataclass(frozen=True, eq=False, repr=False)
class BooleanShared:
    """This party's replicated shares of secret bits of `count` values, packed 64 to a word.

    Attributes
    ----------
    words : uint64 (subsets of this party, bits, words)
    count : int
        Number of values.
    """

    words: NDArray[np.uint64]
    count: int

    def __repr__(self) -> str:
        return f"BooleanShared<{self.words.shape[1]} bits of {self.count} values>"

    def __bool__(self) -> NoReturn:
        raise TypeError("a shared bit has no truth value: nobody knows it")

    def __xor__(self, other: BooleanShared) -> BooleanShared:
        return replace(self, words=self.words ^ other.words)

    def planes(self, index: Any) -> BooleanShared:
        """Some bit positions (a slice or list)."""
        return replace(self, words=self.words[:, index])
