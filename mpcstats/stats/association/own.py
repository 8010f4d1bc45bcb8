"""One site's own sums over its people, in the clear, a few variants at a time: flat memory for any number of people."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127, Elements
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.null_model import NullModel

__all__ = ["own_products", "own_sums"]

Floats = NDArray[np.float64]

_CELLS = 1 << 20
"""Calls that are floating-point numbers at a time: 8 MiB."""


def own_products(model: NullModel, calls: NDArray[np.int8], fraction: int) -> Elements:
    """Q'g, e'g and g'g over the people with a call, g scaled by 1 / sqrt(people): (order + 2, V)."""
    rows = _rows(model, 0)

    def sums(part: NDArray[np.int8]) -> list[Floats]:
        g = np.maximum(part, 0).astype(np.float64)
        return [rows @ g, _squares(model, g)[None]]

    return encode(M127, _by_parts(sums, calls), fraction, 3)


def own_sums(model: NullModel, calls: NDArray[np.int8], fraction: int) -> Elements:
    """(Q, e)'g, (Q, e)'m and g'g for indicators m of missing calls: (2 order + 1, V), without the intercept's column
    of Q."""
    rows = _rows(model, 1)

    def sums(part: NDArray[np.int8]) -> list[Floats]:
        missing = part < 0
        g = np.where(missing, np.int8(0), part).astype(np.float64)
        return [rows @ g, rows @ missing.astype(np.float64), _squares(model, g)[None]]

    return encode(M127, _by_parts(sums, calls), fraction, 3)


def _rows(model: NullModel, first: int) -> Floats:
    """(Q, e)' / sqrt(people)."""
    return np.column_stack([model.basis[:, first:], model.residual]).T / math.sqrt(model.people)


def _squares(model: NullModel, g: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->j", g, g) / model.people)


def _by_parts(sums: Callable[[NDArray[np.int8]], list[Floats]], calls: NDArray[np.int8]) -> Floats:
    people, variants = calls.shape
    step = max(1, _CELLS // max(1, people))
    parts = [np.vstack(sums(calls[:, k : k + step])) for k in range(0, variants, step)]
    return np.hstack(parts)
