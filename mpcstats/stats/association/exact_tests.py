"""Exact tests from opened counts: Hardy-Weinberg equilibrium and Fisher's test of two by two tables.

Both add the probabilities of all tables that are no more likely than the one seen, margins given. The terms follow from
each other, and are kept as logarithms relative to the one seen, so that p neither underflows nor loses digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["fisher_exact", "hardy_exact", "hardy_exact_log"]

Floats = NDArray[np.float64]
Row = tuple[int, ...]

_TIE = 1e-9
"""Tables whose probabilities agree to this relative difference are equally likely: rounding must not part them."""

_FAR = 600.0
"""Logarithms up to this are within the range of doubles."""


def hardy_exact(n0: ArrayLike, n1: ArrayLike, n2: ArrayLike) -> Floats:
    """p of the exact test of Hardy-Weinberg equilibrium, as PLINK's `--hardy`, without mid-p.

    Parameters
    ----------
    n0, n1, n2 : int (V,)
        People with 0, 1, 2 copies of an allele; p is 1 where nobody is.

    Notes
    -----
    Wigginton, Cutler, Abecasis 2005: people with one copy, given both allele counts, by the recurrence.
    """
    return np.exp(hardy_exact_log(n0, n1, n2))


def hardy_exact_log(n0: ArrayLike, n1: ArrayLike, n2: ArrayLike) -> Floats:
    """Natural logarithm of `hardy_exact`, which does not underflow."""
    return _each((n0, n1, n2), _hardy)


def fisher_exact(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Floats:
    """Two-sided p of Fisher's exact test of the tables [[a, b], [c, d]], each (V,); 1 where a margin is empty."""
    return np.exp(_each((a, b, c, d), _fisher))


def _each(columns: tuple[ArrayLike, ...], function: Callable[[Row], float]) -> Floats:
    rows = np.stack([np.atleast_1d(np.asarray(column, dtype=np.int64)) for column in columns], axis=-1)
    if not len(rows):
        return np.zeros(0)
    different, where = np.unique(rows, axis=0, return_inverse=True)
    found = np.array([function(tuple(int(n) for n in row)) for row in different])
    return np.asarray(found[where.reshape(-1)])


def _hardy(row: Row) -> float:
    hom_1, het, hom_2 = row
    people = sum(row)
    rare = het + 2 * min(hom_1, hom_2)
    if rare == 0:
        return 0.0
    # people with one copy are het = parity, parity + 2, ...; as k = 0, 1, ...
    parity, last = rare % 2, rare // 2
    expected = rare * (2 * people - rare) / (2 * people)
    span = _span(last, (het - parity) // 2, expected / 2, rare)
    h = parity + 2 * np.arange(span[0], span[1])
    homozygous = (rare - h) / 2
    common = people - h - homozygous
    steps = np.log(4 * homozygous * common / ((h + 2.0) * (h + 1.0)))
    return _tail(steps, (het - parity) // 2 - span[0])


def _fisher(row: Row) -> float:
    a, b, c, d = row
    total, r, k = a + b + c + d, a + b, a + c
    low, high = max(0, r + k - total), min(r, k)
    if low == high:
        return 0.0
    first, end = _span(high - low, a - low, r * k / total - low, min(r, k, total - r, total - k))
    x = low + np.arange(first, end, dtype=np.float64)
    steps = np.log((r - x) * (k - x) / ((x + 1) * (total - r - k + x + 1)))
    return _tail(steps, a - low - first)


def _span(last: int, seen: int, middle: float, variance: float) -> tuple[int, int]:
    """First and last term that count: tables beyond are far less likely than the one seen (both laws are log-concave,
    with a variance of at most the rarer margin)."""
    reach = 2 * abs(seen - middle) + 12 * variance**0.5 + 64
    return max(0, int(middle - reach)), min(last, int(middle + reach) + 1)


def _tail(steps: Floats, seen: int) -> float:
    """log of the sum of the terms no larger than the one seen over the sum of all, from log ratios of neighbours."""
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    logs -= logs[seen]
    largest = float(logs.max())
    terms = np.exp(logs - largest)
    if logs[logs <= _TIE].size == logs.size:
        return 0.0
    if largest < _FAR:
        return math.log(float(terms[logs <= _TIE].sum()) / float(terms.sum()))
    # the one seen may be too unlikely for a double beside the likeliest
    return math.log(float(np.exp(logs[logs <= _TIE]).sum())) - largest - math.log(float(terms.sum()))
