"""One site's standardised genotypes: (g - 2p) / sqrt(2p (1 - p)) at public frequencies p, 0 where the call is missing.

They are formed block by block, in the clear, at their owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.association.common_variants import CommonVariants

__all__ = ["Genotyped", "Standardised", "count_calls", "standardised"]

Floats = NDArray[np.float64]
Calls = NDArray[np.int8]

_BLOCK_CELLS = 1 << 22
_KEPT_BYTES = 1 << 28
"""Genotypes up to this size are read once and kept."""


class Genotyped(Protocol):
    """People with genotypes at one site: an `AssociationContribution` or a `VariantContribution`."""

    @property
    def people(self) -> int:
        """People at this site."""

    @property
    def read(self) -> Callable[[int, int], Calls]:
        """Function (start, stop) -> int8 (people, stop - start): copies of ALT, -1 where the call is missing."""


def _ranges(count: int, people: int) -> Iterator[tuple[int, int]]:
    size = max(64, min(8192, _BLOCK_CELLS // max(people, 1)))
    for start in range(0, count, size):
        yield start, min(count, start + size)


def count_calls(own: Genotyped, count: int, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Own people with a call and their copies of ALT: (2, variants of `index`)."""
    found = np.zeros((2, index.size), np.int64)
    for start, stop in _ranges(count, own.people):
        low, high = np.searchsorted(index, (start, stop))
        if low < high:
            calls = own.read(start, stop)[:, index[low:high] - start]
            found[0, low:high] = (calls >= 0).sum(axis=0)
            found[1, low:high] = np.maximum(calls, 0).sum(axis=0, dtype=np.int64)
    return found


def standardised(calls: Calls, frequency: Floats) -> Floats:
    """z of some variants: float64 of the shape of `calls` (people, variants)."""
    z = (calls - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency))
    z[calls < 0] = 0.0
    return z


@dataclass
class Standardised:
    """Own Z (people, variants), never whole in memory as floating-point numbers.

    Attributes
    ----------
    variant_count : int
        Variants of the study, of which `common` are used.
    """

    own: Genotyped
    common: CommonVariants
    variant_count: int
    _kept: list[Calls] = field(default_factory=list)

    def scores(self, loadings: Floats) -> Floats:
        """Z V: (people, columns)."""
        total = np.zeros((self.own.people, loadings.shape[1]))
        for part, calls in self._blocks():
            total += standardised(calls, self.common.frequency[part]) @ loadings[part]
        return total

    def products(self, loadings: Floats) -> Floats:
        """Z'Z V: (variants, columns)."""
        scores = self.scores(loadings)
        found = np.zeros_like(loadings)
        for part, calls in self._blocks():
            found[part] = standardised(calls, self.common.frequency[part]).T @ scores
        return found

    def squares(self, loadings: Floats) -> Floats:
        """V'Z'Z V: (columns, columns)."""
        scores = self.scores(loadings)
        return np.asarray(scores.T @ scores)

    def _blocks(self) -> Iterator[tuple[slice, Calls]]:
        small = self.own.people * self.common.index.size <= _KEPT_BYTES
        done = 0
        for k, (start, stop) in enumerate(_ranges(self.variant_count, self.own.people)):
            low, high = np.searchsorted(self.common.index, (start, stop))
            if low == high:
                chosen = np.zeros((self.own.people, 0), np.int8)
            elif small and k < len(self._kept):
                chosen = self._kept[k]
            else:
                chosen = np.ascontiguousarray(self.own.read(start, stop)[:, self.common.index[low:high] - start])
            if small and k == len(self._kept):
                self._kept.append(chosen)
            if low < high:
                yield slice(done, done + (high - low)), chosen
            done += high - low
