"""Fisher's exact test of tables larger than two by two (Freeman, Halton 1951).

Tables are columns put one after the other, as in the network algorithm of Mehta and Patel (1983): what is left of the
row sums after some columns is a node, and all that matters of the columns so far is the logarithm of their
probability. All but the last two columns are followed path by path; the last two are, at each node, one sorted list of
probabilities, which answers for every path that ends there how much probability is not above that of the table seen.
"""

from __future__ import annotations

import functools
import threading

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from mpcstats.errors import SpecError

__all__ = ["fisher_table"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_WORK = 400_000_000
"""Terms of the last two columns, and paths before them, together."""

_TIE = 3.4525e-7
"""That of R's FEXACT: logarithms of probabilities that are this close are equal."""


_ONE_AT_A_TIME = threading.Lock()


def fisher_table(counts: Counts) -> float:
    """Two-sided p: the probability, margins given, of all tables that are not more likely than the one seen.

    Parameters
    ----------
    counts : int64 (rows, columns)
        Without rows and columns of nobody.

    Raises
    ------
    SpecError
        Too many tables have these margins.
    """
    with _ONE_AT_A_TIME:  # parties in one process ask for the same table
        return _fisher(counts.shape[0], tuple(int(n) for n in counts.reshape(-1)))


@functools.lru_cache(maxsize=16)
def _fisher(height: int, cells: tuple[int, ...]) -> float:
    counts = np.array(cells, np.int64).reshape(height, -1)
    table = counts if counts.shape[0] <= counts.shape[1] else counts.T
    if min(table.shape) < 2:
        return 1.0
    rows, columns = table.sum(axis=1), np.sort(table.sum(axis=0))
    # log probability of a table: this constant less the log factorials of its cells
    factorials = gammaln(np.arange(int(table.sum()) + 1) + 1.0)
    constant = factorials[rows].sum() + factorials[columns].sum() - factorials[table.sum()]
    seen = float(constant - factorials[table].sum()) + _TIE
    nodes, logs = rows[None].astype(np.int64), np.full(1, constant)
    for column in columns[:-2]:
        nodes, logs = _next_column(nodes, logs, int(column), factorials)
    return min(1.0, _ending(nodes, logs, int(columns[-2]), seen, factorials))


def _compositions(total: int, limits: Counts) -> Counts:
    """All columns of this sum with cells up to these limits."""
    found = np.zeros((1, 0), np.int64)
    left = np.full(1, total, np.int64)
    behind = np.concatenate([np.cumsum(limits[::-1])[::-1][1:], [0]])
    for limit, later in zip(limits, behind, strict=True):
        low, high = np.maximum(left - later, 0), np.minimum(left, limit)
        many = high - low + 1
        if int(many.sum()) > MOST_WORK // 8:
            raise _too_many()
        parent = np.repeat(np.arange(len(left)), many)
        cell = np.arange(len(parent)) - np.repeat(np.cumsum(many) - many, many) + low[parent]
        found, left = np.concatenate([found[parent], cell[:, None]], axis=1), left[parent] - cell
    return found


def _next_column(nodes: Counts, logs: Floats, column: int, factorials: Floats) -> tuple[Counts, Floats]:
    cells = _compositions(column, nodes.max(axis=0))
    if len(cells) * len(nodes) > MOST_WORK // 8:
        raise _too_many()
    spent = factorials[cells].sum(axis=1)
    parts, sums = [], []
    for node, log in zip(nodes, logs, strict=True):
        left = node - cells
        fits = (left >= 0).all(axis=1)
        parts.append(left[fits])
        sums.append(log - spent[fits])
    return np.concatenate(parts), np.concatenate(sums)


def _ending(nodes: Counts, logs: Floats, column: int, seen: float, factorials: Floats) -> float:
    """Add up, over all paths, the tables of two more columns that are not likelier than the one seen."""
    different, where = np.unique(nodes, axis=0, return_inverse=True)
    order = np.argsort(where.reshape(-1), kind="stable")
    starts = np.searchsorted(where.reshape(-1)[order], np.arange(len(different) + 1))
    total, work, known = 0.0, 0, {}
    for k, node in enumerate(different):
        limits = np.minimum(node, column)
        if (key := limits.tobytes()) not in known:
            known = {key: _compositions(column, limits)}  # mostly that of the node before
        cells = known[key]
        work += len(cells)
        if work > MOST_WORK:
            raise _too_many()
        ends = np.zeros(len(cells))
        for row, size in enumerate(node):
            ends -= (factorials[: size + 1] + factorials[size::-1])[cells[:, row]]
        paths, most = logs[order[starts[k] : starts[k + 1]]], float(ends.max())
        bars, weights = seen - paths, np.exp(paths + most)
        if bars.min() >= most:
            total += float(weights.sum() * np.exp(ends - most).sum())
            continue
        # fewer paths than ends: sort the paths, and count each end for all paths whose bar it stays below
        rank = np.argsort(bars)
        reached = np.cumsum(weights[rank][::-1])[::-1]
        ends = ends[ends <= bars[rank[-1]]]
        below = ends <= bars[rank[0]]
        between = ends[~below]
        total += float(reached[0] * np.exp(ends[below] - most).sum())
        total += float((np.exp(between - most) * reached[np.searchsorted(bars[rank], between)]).sum())
    return total


def _too_many() -> SpecError:
    return SpecError(
        "too many tables have these margins for Fisher's exact test", hint="use chi_square, or join rows or columns"
    )
