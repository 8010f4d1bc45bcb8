"""Partial likelihood of one site with its own risk sets, in the clear: log-likelihood, score, information and what
tests need besides. Ties after Efron (1977) or Breslow (1974).

For a cell with d events and l = 0..d-1, c = l / d for Efron and 0 for Breslow: the mean over the risk set is
m_l = (S1 - c A1) / (S0 - c A0), where S are sums over the risk set and A over those who have the event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.cox.sites import Cells, SiteRisk, Sums, pairs

__all__ = ["Likelihood", "OwnLikelihood"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LIMIT = 200.0
"""Linear predictors, relative to the largest, stay within: sums of e^x then neither overflow nor vanish."""


@dataclass(frozen=True)
class _Ties:
    """Per cell: sums over l of q^i c^j with q = 1 / (S0 - c A0), and of log(S0 - c A0)."""

    q: Floats  # sum of q
    qc: Floats
    q2: Floats
    q2c: Floats
    q2cc: Floats
    log: Floats


@dataclass(frozen=True)
class Likelihood:
    """At one coefficient vector: log-likelihood, score (p,), information (p, p); per cell the information (P2, C)."""

    log: float
    score: Floats
    information: Floats
    by_cell: Floats
    means: Floats


class OwnLikelihood:
    """One site's own risk sets."""

    def __init__(
        self, z: Floats, time: Ints, event: NDArray[np.bool_], stratum: Ints, entry: Ints | None, ties: str
    ) -> None:
        keys = np.unique(np.stack([stratum[event], time[event]]), axis=1)
        self.cells = Cells(keys[0], keys[1])
        self.risk = SiteRisk(z, time, event, stratum, entry, self.cells)
        self.ties = ties
        self._row, self._fraction = _rows(self.risk.events, ties)

    def at(self, beta: Floats) -> Likelihood:
        """The likelihood and its derivatives."""
        weights, shift = self._weights(beta)
        s, a = self.risk.risk(weights), self.risk.failing(weights)
        ties = self._tie_sums(s, a)
        first, second = pairs(self.risk.order)
        cross = s.first[first] * a.first[second] + a.first[first] * s.first[second]
        squares = ties.q2 * s.first[first] * s.first[second] - ties.q2c * cross
        squares += ties.q2cc * a.first[first] * a.first[second]
        by_cell = ties.q * s.second - ties.qc * a.second - squares
        means = ties.q * s.first - ties.qc * a.first
        total = self.risk.event_sums()
        events = int(self.risk.events.sum())
        return Likelihood(
            float(beta @ total - ties.log.sum() - events * shift),
            total - means.sum(axis=1),
            symmetric(by_cell.sum(axis=1), self.risk.order),
            by_cell,
            means,
        )

    def weighted(self, at: Likelihood, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Score and information with a weight per cell, and the information with its square."""
        score = self.risk.event_sums(weights) - at.means @ weights
        return score, at.by_cell @ weights, at.by_cell @ weights**2

    def residual_products(self, beta: Floats) -> Floats:
        """Sum over people of the products of their score residuals: (p, p). Lin, Wei 1989."""
        risk = self.risk
        weights, _ = self._weights(beta)
        s, a = risk.risk(weights, 1), risk.failing(weights, 1)
        ties = self._tie_sums(s, a)
        # with h = q the hazard of a row: sums over the rows of a cell of h, c h, h m, c h m and m
        hazard, tied_hazard = ties.q, ties.qc
        mean_hazard = ties.q2 * s.first - ties.q2c * a.first
        tied_mean = ties.q2c * s.first - ties.q2cc * a.first
        means = (ties.q * s.first - ties.qc * a.first) / np.maximum(risk.events, 1)
        until = self._forward(np.vstack([hazard, mean_hazard]))
        seen = until[:, risk.last + 1] - until[:, risk.first_cell]
        seen[:, risk.last < 0] = 0
        residual = -weights * (risk.z * seen[0] - seen[1:])
        who = np.flatnonzero(risk.event)
        cell, z = risk.last[who], risk.z[:, who]
        residual[:, who] += z - means[:, cell] + weights[who] * (z * tied_hazard[cell] - tied_mean[:, cell])
        return np.asarray(residual @ residual.T)

    def _forward(self, values: Floats) -> Floats:
        """Running sums over all cells with a 0 in front; differences within a stratum are sums over its cells."""
        return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)

    def _weights(self, beta: Floats) -> tuple[Floats, float]:
        eta = beta @ self.risk.z
        shift = float(eta.max()) if eta.size else 0.0
        return np.exp(np.maximum(eta - shift, -_LIMIT)), shift

    def _tie_sums(self, s: Sums, a: Sums) -> _Ties:
        row, c, size = self._row, self._fraction, self.cells.size
        left = s.zeroth[row] - c * a.zeroth[row]
        q = 1 / left

        def total(values: Floats) -> Floats:
            return np.asarray(np.bincount(row, values, minlength=size), np.float64)

        return _Ties(total(q), total(q * c), total(q * q), total(q * q * c), total(q * q * c * c), total(np.log(left)))


def _rows(events: Ints, ties: str) -> tuple[Ints, Floats]:
    """One row per event: its cell, and c."""
    row = np.repeat(np.arange(len(events)), events)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(events) - events, events)
    return row, rank / events[row] if ties == "efron" else np.zeros(len(row))


def symmetric(upper: Floats, order: int) -> Floats:
    """A matrix from its upper triangle."""
    matrix = np.zeros((order, order))
    first, second = pairs(order)
    matrix[first, second] = upper
    matrix[second, first] = upper
    return matrix
