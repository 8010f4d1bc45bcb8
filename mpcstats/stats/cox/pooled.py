"""Risk sets of all sites together, on shares: sums per time are never opened, only what is summed over all times.

A *row* is a cell (time in a stratum), or one of its tied events: S0_r = d S0 - l A0 for Efron's l = 0..d-1 (times d, so
that all factors are integers), S0 for Breslow. With a secret number of events d, rows that do not exist have weight 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61, M127, Elements
from mpcstats.protocols import at_least, multiply, sum_of_inputs
from mpcstats.protocols.truncate import truncate
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.cox import scaling
from mpcstats.stats.cox.formats import Bounds, Formats
from mpcstats.stats.cox.sites import Cells, SiteRisk, Sums

__all__ = ["COEFFICIENT_BITS", "PREDICTOR_LIMIT", "PooledRisk", "Rows", "RiskShares"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = Ints | Shared

PREDICTOR_LIMIT = 20.0
"""Linear predictors stay within +- this."""

COEFFICIENT_BITS = 40
"""Standardised coefficients are multiples of 2^-40: so are they the same at all parties."""


@dataclass(frozen=True)
class Rows:
    """Rows of a risk-set sum.

    Attributes
    ----------
    cell, tied : int64 (rows,)
        Cell of each row, ascending, and its l. Public.
    weight : int64 or Shared (rows,)
        How often a row counts.
    scale : int64 or Shared (cells,), or None for 1
        d.
    """

    cell: Ints
    tied: Ints
    weight: Weights
    scale: Weights | None

    @property
    def efron(self) -> bool:
        """Whether sums over tied events are needed."""
        return self.scale is not None

    def per_cell(self, values: Shared, cells: int) -> Shared:
        """Sums over the rows of each cell, over the last axis. Local."""
        field = values.field
        running = np.concatenate([field.zeros((*values.shape[:-1], 1)), field.cumsum(values.values, -1)], axis=-2)
        bounds = np.searchsorted(self.cell, np.arange(cells + 1))
        ends, starts = running[..., bounds[1:], :], running[..., bounds[:-1], :]
        return replace(values, values=field.sub(ends, starts))


@dataclass
class RiskShares:
    """Everything at one coefficient vector, on shares.

    Attributes
    ----------
    formats : Formats
    number, shift : Shared (rows,)
        S0 of the rows, scaled.
    inverse : Shared (rows,)
        g y with the second precision: 1 / S0 of the row with `formats.inverse_fraction` bits.
    means : Shared (p, rows)
    second, tied_second : Shared (p (p+1) / 2, cells)
    """

    formats: Formats
    number: Shared
    shift: Shared
    inverse: Shared
    means: Shared
    second: Shared
    tied_second: Shared


async def weigh(session: Session, values: Shared, weights: Weights | None) -> Shared:
    """values times weights over the last axis; one round if the weights are secret."""
    if weights is None:
        return values
    if isinstance(weights, Shared):
        return await multiply(session, values, weights)
    return values.times(M127.from_int64(weights))


class PooledRisk:
    """Score, information, log-likelihood and more of the pooled risk sets.

    Parameters
    ----------
    own : SiteRisk or None
        This party's people on the common cells.
    dealers : tuple of int
        Parties with people.
    order : int
        Number of covariates.
    ranges : float64 (2, p)
        Public bounds of the standardised covariates.
    """

    def __init__(
        self,
        session: Session,
        own: SiteRisk | None,
        dealers: tuple[int, ...],
        cells: Cells,
        rows: Rows,
        bounds: Bounds,
        ranges: Floats,
    ) -> None:
        self.session, self.own, self.dealers = session, own, dealers
        self.cells, self.rows, self.bounds, self.ranges = cells, rows, bounds, ranges
        self.order = ranges.shape[1]
        self.total: Shared | None = None

    async def at(self, beta: Floats, moments: int = 2) -> RiskShares:
        """Share the sums at public coefficients and form reciprocals and means. Reveals nothing.

        moments: 2, or 0 for what the log-likelihood needs.
        """
        session, rows = self.session, self.rows
        formats = self._formats(beta)
        first = self.order if moments else 0
        base, second = await self._deal(beta, formats, moments)
        full = base[0]
        if rows.efron:
            full = await weigh(session, full, rows.scale)
        full = full[:, rows.cell]
        if rows.efron:
            full = full - base[1][:, rows.cell].times(M127.from_int64(rows.tied))
            if isinstance(rows.weight, Shared):
                # rows that do not exist become 0: their quotients would be out of all bounds
                full = await multiply(session, full, rows.weight)
        scale = await scaling.scaled(session, full[0], formats.width)
        y = await scaling.reciprocal(session, scale.number, formats.precision)
        less = formats.precision - formats.second_precision
        # |y| is at most 2 and a bit
        y2 = (await truncate(session, y, less, formats.precision + 2)).with_fraction_bits(0) if less else y
        both = concatenate([v.reshape(1, v.size) for v in (y, y2)])
        inverse = await multiply(session, both, scale.factor)
        means = full[1:]
        if first:
            means = await scaling.rounded(session, await multiply(session, means, inverse[0]), formats.drop)
        means = means.with_fraction_bits(formats.mean)
        return RiskShares(formats, scale.number, scale.shift, inverse[1], means, second[0], second[1])

    def _formats(self, beta: Floats) -> Formats:
        most = scaling.kept_bits(self.session, M127)
        return Formats.choose(self.bounds, min(PREDICTOR_LIMIT, self.largest_predictor(beta)), most)

    def largest_predictor(self, beta: Floats) -> float:
        """Public bound of all linear predictors."""
        return math.fsum(np.maximum(beta * self.ranges[0], beta * self.ranges[1]).tolist())

    async def beyond_limit(self, beta: Floats) -> Shared:
        """1 if a linear predictor lies beyond the limit and was kept at it, else 0: (1,) in M61."""
        mine = None
        if self.own is not None:
            mine = M61.from_int64(np.array([int((np.abs(beta @ self.own.z) > PREDICTOR_LIMIT).sum())], np.int64))
        return await at_least(self.session, await sum_of_inputs(self.session, M61, mine, self.dealers, (1,)), 1)

    async def _deal(self, beta: Floats, formats: Formats, moments: int) -> tuple[list[Shared], list[Shared]]:
        """Sums over risk sets and over tied events: [(1 + p, cells)] and [(P2, cells)] of each, as integers."""
        kinds = 2 if self.rows.efron else 1
        firsts = 1 + (self.order if moments else 0)
        seconds = self.order * (self.order + 1) // 2 if moments else 0
        mine: Elements | None = None
        if self.own is not None:
            mine = await local(self.session, self._own_sums, self.own, beta, formats, moments)
        size = firsts + seconds
        pooled = await sum_of_inputs(self.session, M127, mine, self.dealers, (kinds * size, self.cells.size))
        starts = [0, size] if kinds == 2 else [0, 0]
        base = [pooled[s : s + firsts] for s in starts]
        return base, [pooled[s + firsts : s + size] for s in starts]

    def _own_sums(self, own: SiteRisk, beta: Floats, formats: Formats, moments: int) -> Elements:
        weights = np.exp(own.predictor(beta, PREDICTOR_LIMIT))
        sums = [own.risk(weights, moments)]
        if self.rows.efron:
            sums.append(own.failing(weights, moments))
        return np.concatenate([self._encoded(s, formats) for s in sums])

    def _encoded(self, sums: Sums, formats: Formats) -> Elements:
        spread = self.bounds.spread
        low = np.vstack([sums.zeroth[None], sums.first])
        return np.concatenate(
            [
                encode(M127, low, formats.fraction, formats.integer + spread),
                encode(M127, sums.second, formats.second_fraction, formats.integer + 2 * spread),
            ]
        )
