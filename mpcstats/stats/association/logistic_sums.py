"""One site's sums for logistic regressions of many variants at once, at public coefficients.

A variant's columns are x = (Q / sqrt(rate), sigma g): the basis of the null model and the copies of the tested allele,
scaled by public numbers so that the information is near the identity. With p at the public coefficients, the sums over
people with a call of

    score         (y - p) x_a
    information   w x_a x_b,             w = p (1 - p)
    third         w (1/2 - p) x_a x_b x_c
    fourth        w (1/2 - 3 w) x_a x_b x_c x_d

are additive over sites. Each is a matrix product for all variants: products of basis columns times weights, times a
power of g. `third` is half the derivative of the information, and gives Firth's score: U_r + <third_r, I^-1>.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import one_blas_thread
from mpcstats.stats.association.logistic_null import LogisticNull

__all__ = ["SCORE", "INFORMATION", "THIRD", "FOURTH", "Points", "own_sums", "positions", "symmetric_indices"]

Floats = NDArray[np.float64]

SCORE, INFORMATION, THIRD, FOURTH = 1, 2, 3, 4
"""Numbers of columns that are multiplied."""

_CHUNK_CELLS = 1 << 21


@dataclass(frozen=True)
class Points:
    """Where sums are taken: public numbers of V variants.

    Attributes
    ----------
    coefficients : float64 (V, order + 1)
        Of the scaled columns, the variant last, beyond the null model's.
    rate : float64 (V,)
        People with a call / people.
    sigma : float64 (V,)
        Scale of the copies.
    a1_is_alt : bool (V,)
        Copies of ALT are counted, else of REF.
    """

    coefficients: Floats
    rate: Floats
    sigma: Floats
    a1_is_alt: NDArray[np.bool_]

    def of(self, index: NDArray[np.int64]) -> Points:
        """Some of the variants."""
        return Points(self.coefficients[index], self.rate[index], self.sigma[index], self.a1_is_alt[index])

    def scales(self) -> Floats:
        """What each column is multiplied by: (V, order + 1)."""
        size = self.coefficients.shape[1]
        scales = np.repeat(1 / np.sqrt(self.rate)[:, None], size, axis=1)
        scales[:, -1] = self.sigma
        return scales


@functools.cache
def symmetric_indices(size: int, power: int) -> tuple[tuple[int, ...], ...]:
    """Indices of the different elements of a symmetric tensor, each in ascending order."""
    return tuple(itertools.combinations_with_replacement(range(size), power))


@functools.cache
def positions(size: int, power: int) -> NDArray[np.int64]:
    """Where each element of the whole tensor is among the different ones: (size, ..., size)."""
    where = {index: k for k, index in enumerate(symmetric_indices(size, power))}
    shape = (size,) * power
    return np.array([where[tuple(sorted(index))] for index in np.ndindex(shape)], np.int64).reshape(shape)


def own_sums(null: LogisticNull, calls: NDArray[np.int8], points: Points, powers: Sequence[int]) -> dict[int, Floats]:
    """Own sums per power, one row per variant: (V, different elements)."""
    size = points.coefficients.shape[1]
    sums = {k: np.zeros((len(points.sigma), len(symmetric_indices(size, k)))) for k in powers}
    step = max(1, _CHUNK_CELLS // max(1, len(points.sigma)))
    with one_blas_thread():
        for start in range(0, len(calls), step):
            _add_rows(null, calls[start : start + step], points, slice(start, start + step), sums)
    scales = points.scales()
    for k, total in sums.items():
        for column, index in enumerate(symmetric_indices(size, k)):
            total[:, column] *= np.prod(scales[:, index], axis=1)
    return sums


def _add_rows(
    null: LogisticNull, calls: NDArray[np.int8], points: Points, rows: slice, sums: dict[int, Floats]
) -> None:
    """Add the sums over some people, before scaling."""
    basis, y = null.basis[rows], null.phenotype[rows]
    called = calls >= 0
    copies = np.where(points.a1_is_alt, calls, 2 - calls).astype(np.float64)
    g = np.where(called, copies, 0.0)
    slopes = points.coefficients * points.scales()
    linear = null.linear[rows, None] + basis @ slopes[:, :-1].T + g * slopes[:, -1]
    weights = _weights(linear, y, called, sums)
    products: dict[int, Floats] = {0: np.ones((len(basis), 1))}
    order = basis.shape[1]
    for k in range(1, max(sums) + 1):
        products[k] = np.stack([np.prod(basis[:, index], axis=1) for index in symmetric_indices(order, k)], axis=1)
    for k, total in sums.items():
        weighted = weights[k]
        for copies_power in range(k + 1):
            columns = _columns(order, k, copies_power)
            total[:, columns] += (products[k - copies_power].T @ weighted).T
            weighted = weighted * g


def _weights(linear: Floats, y: Floats, called: NDArray[np.bool_], powers: dict[int, Floats]) -> dict[int, Floats]:
    """The factor of the columns' products, per power: (people, V), 0 where the call is missing."""
    small = np.exp(-np.abs(linear))
    below = small / (1 + small)
    p = np.where(linear >= 0, 1 - below, below)
    w = np.where(called, below * (1 - below), 0.0)
    factors = {}
    if SCORE in powers:
        residual = np.where(linear >= 0, below, -below) + np.where(linear >= 0, -1.0, 0.0) + y[:, None]
        factors[SCORE] = np.where(called, residual, 0.0)
    if INFORMATION in powers:
        factors[INFORMATION] = w
    if THIRD in powers:
        factors[THIRD] = w * (0.5 - p)
    if FOURTH in powers:
        factors[FOURTH] = w * (0.5 - 3 * w)
    return factors


@functools.cache
def _columns(order: int, power: int, copies_power: int) -> NDArray[np.int64]:
    """Where products of power - copies_power basis columns and a power of the copies are among the elements."""
    where = {index: k for k, index in enumerate(symmetric_indices(order + 1, power))}
    added = (order,) * copies_power
    return np.array([where[index + added] for index in symmetric_indices(order, power - copies_power)], np.int64)
