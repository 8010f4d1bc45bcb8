"""Sums over risk sets at one site, in the clear: sorted once, then a few passes over the people per coefficient vector.

A *cell* is a time in a stratum. The risk set of a cell are the people of its stratum with entry < time <= exit.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Membership", "SiteRisk", "Sums", "pairs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pairs(order: int) -> tuple[Ints, Ints]:
    """Rows and columns of the upper triangle, in the order in which second moments are kept."""
    first, second = np.triu_indices(order)
    return first.astype(np.int64), second.astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """Times per stratum, sorted: int64 (cells,) each."""

    stratum: Ints
    time: Ints

    @classmethod
    def lattice(cls, groups: int, horizon: int) -> Cells:
        """All lattice times of all strata."""
        return cls(np.repeat(np.arange(groups), horizon + 1), np.tile(np.arange(horizon + 1), groups))

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.time)

    def spans(self) -> list[slice]:
        """The cells of each stratum that has any."""
        edges = np.flatnonzero(np.diff(self.stratum)) + 1
        bounds = [0, *edges.tolist(), self.size]
        return [slice(a, b) for a, b in itertools.pairwise(bounds) if b > a]

    def last_until(self, stratum: Ints, time: Ints) -> Ints:
        """The last cell of the stratum that is not after the time; -1 where there is none."""
        if not self.size:
            return np.full(len(time), -1, np.int64)
        width = int(max(self.time.max(), time.max(initial=0))) + 2
        keys = self.stratum * width + self.time
        found = np.searchsorted(keys, stratum * width + np.maximum(time, -1), side="right") - 1
        return np.where((found >= 0) & (self.stratum[found] == stratum) & (time >= 0), found, -1)

    def backward(self, values: Floats) -> Floats:
        """Running sums from the end of each stratum over the last axis, in place: 'here' becomes 'from here'."""
        for span in self.spans():
            values[..., span] = np.cumsum(values[..., span][..., ::-1], axis=-1)[..., ::-1]
        return values


class Membership:
    """People sorted by the last cell they reach; sums of a number over all who reach a cell or beyond.

    Attributes
    ----------
    order : int64 (counted people,)
        Positions of the people who reach any cell, sorted.
    """

    def __init__(self, cells: Cells, last: Ints) -> None:
        self.cells = cells
        order = np.argsort(last, kind="stable")
        self.order = order[np.searchsorted(last[order], 0) :]
        reached = last[self.order]
        self._starts = np.flatnonzero(np.diff(reached, prepend=-1))
        self._present = reached[self._starts]

    def at(self, values: Floats) -> Floats:
        """Sums of numbers, given in `order`, over the people whose last cell it is: (cells,)."""
        total = np.zeros(self.cells.size)
        if len(self._starts):
            total[self._present] = np.add.reduceat(values, self._starts)
        return total


@dataclass
class Sums:
    """Weighted sums over people: of 1, of z, and of products of z (upper triangle): (C,), (p, C), (p (p+1) / 2, C)."""

    zeroth: Floats
    first: Floats
    second: Floats

    def backward(self, cells: Cells) -> Sums:
        """From 'last here' to 'here or beyond'."""
        for values in (self.zeroth, self.first, self.second):
            cells.backward(values)
        return self


class SiteRisk:
    """The people of one site on given cells.

    Parameters
    ----------
    z : float64 (people, p)
        Standardised covariates.
    time, stratum, entry : int64 (people,)
    event : bool (people,)
    cells : Cells
    """

    def __init__(
        self, z: Floats, time: Ints, event: NDArray[np.bool_], stratum: Ints, entry: Ints | None, cells: Cells
    ) -> None:
        self.cells = cells
        self.last = cells.last_until(stratum, time)
        self.event = event & (self.last >= 0)
        # the last cell before the entry; -1 where people are at risk from their stratum's first cell
        self.entered = np.full(len(time), -1, np.int64) if entry is None else cells.last_until(stratum, entry)
        start = np.searchsorted(cells.stratum, stratum).astype(np.int64)
        self.first_cell = np.where(self.entered >= 0, self.entered + 1, start)
        self._exits = Membership(cells, self.last)
        self._entries = None if entry is None else Membership(cells, self.entered)
        self._failures = Membership(cells, np.where(self.event, self.last, -1))
        self.z = np.ascontiguousarray(z.T)
        self._by_exit = np.ascontiguousarray(self.z[:, self._exits.order])
        self._by_entry = None if self._entries is None else np.ascontiguousarray(self.z[:, self._entries.order])
        self._by_failure = np.ascontiguousarray(self.z[:, self._failures.order])
        self.at_risk = self._people()
        self._empty = self.at_risk == 0

    @property
    def order(self) -> int:
        """Number of covariates."""
        return len(self.z)

    @property
    def events(self) -> Ints:
        """Events per cell."""
        return np.bincount(self.last[self.event], minlength=self.cells.size).astype(np.int64)

    def event_sums(self, weights: Floats | None = None) -> Floats:
        """Sums of z over the people with an event, each times the weight of its cell: (p,)."""
        rows = self._by_failure if weights is None else self._by_failure * weights[self.last[self._failures.order]]
        return np.asarray(rows.sum(axis=1))

    def predictor(self, beta: Floats, limit: float) -> Floats:
        """Linear predictor of everybody, kept within +-limit."""
        return np.clip(beta @ self.z, -limit, limit)

    def risk(self, weights: Floats, moments: int = 2) -> Sums:
        """Sums over the risk set of every cell; `weights` are e^predictor of everybody. moments: 0, 1 or 2."""
        total = _moments(self._exits, self._by_exit, weights, moments).backward(self.cells)
        if self._entries is not None and self._by_entry is not None:
            late = _moments(self._entries, self._by_entry, weights, moments).backward(self.cells)
            total = Sums(total.zeroth - late.zeroth, total.first - late.first, total.second - late.second)
        # what the subtraction leaves of an empty risk set is rounding
        for values in (total.zeroth, total.first, total.second):
            values[..., self._empty] = 0
        return total

    def failing(self, weights: Floats, moments: int = 2) -> Sums:
        """Sums over the people with an event in each cell."""
        return _moments(self._failures, self._by_failure, weights, moments)

    def _people(self) -> Ints:
        ones = np.ones(len(self.last))
        total = self.cells.backward(self._exits.at(ones[self._exits.order]))
        if self._entries is not None:
            total = total - self.cells.backward(self._entries.at(ones[self._entries.order]))
        return np.rint(total).astype(np.int64)


def _moments(members: Membership, z: Floats, weights: Floats, moments: int) -> Sums:
    order, size = len(z), members.cells.size
    e = weights[members.order]
    first = np.zeros((order if moments > 0 else 0, size))
    second = np.zeros((order * (order + 1) // 2 if moments > 1 else 0, size))
    place = 0
    for k in range(len(first)):
        weighted = e * z[k]
        first[k] = members.at(weighted)
        for other in range(k, order if moments > 1 else k):
            second[place] = members.at(weighted * z[other])
            place += 1
    return Sums(members.at(e), first, second)
