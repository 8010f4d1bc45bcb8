"""One site's own sums over its people, in the clear, a few variants at a time: flat memory for any number of people."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127, Elements, one_blas_thread
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.pooled_test import PooledTest

__all__ = ["own_products", "own_sums"]

Floats = NDArray[np.float64]

_CELLS = 1 << 20
"""Calls that are floating-point numbers at a time: 8 MiB."""


def own_products(test: PooledTest, calls: NDArray[np.int8], fraction: int) -> Elements:
    """Rows times g and g'Wg over the people with a call, g scaled by 1 / sqrt(people): (order + 2, V)."""
    rows = _rows(test, 0)

    def sums(part: NDArray[np.int8]) -> list[Floats]:
        g = np.maximum(part, 0).astype(np.float64)
        return [rows @ g, _squares(test, g)]

    return encode(M127, _by_parts(sums, calls), fraction, 3)


def own_sums(test: PooledTest, calls: NDArray[np.int8], fraction: int) -> Elements:
    """Rows times g, rows times m, and g'Wg, for indicators m of missing calls.

    Without weights the intercept's row is left out: (2 order + 1, V). With weights all rows are there, and m'Wm behind
    everything: (2 order + 4, V).
    """
    weighted = test.weights is not None
    rows = _rows(test, 0 if weighted else 1)

    def sums(part: NDArray[np.int8]) -> list[Floats]:
        missing = part < 0
        g, m = np.where(missing, np.int8(0), part).astype(np.float64), missing.astype(np.float64)
        return [rows @ g, rows @ m, _squares(test, g), *([_squares(test, m)] if weighted else [])]

    return encode(M127, _by_parts(sums, calls), fraction, 3)


def _rows(test: PooledTest, first: int) -> Floats:
    return np.ascontiguousarray(test.rows[:, first:].T) / math.sqrt(test.people)


def _squares(test: PooledTest, g: Floats) -> Floats:
    if test.weights is None:
        return np.asarray(np.einsum("ij,ij->j", g, g) / test.people)[None]
    return np.asarray(test.weights @ (g * g) / test.people)[None]


def _by_parts(sums: Callable[[NDArray[np.int8]], list[Floats]], calls: NDArray[np.int8]) -> Floats:
    people, variants = calls.shape
    step = max(1, _CELLS // max(1, people))
    with one_blas_thread():  # a few rows: more threads would wait for each other
        return np.hstack([np.vstack(sums(calls[:, k : k + step])) for k in range(0, variants, step)])
