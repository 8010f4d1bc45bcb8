"""A stratum for every site: scores and informations are formed at the sites, and only their sums are opened."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session, local
from mpcstats.stats.contributions.cox import CoxContribution
from mpcstats.stats.cox.partial import Likelihood, OwnLikelihood, symmetric
from mpcstats.stats.cox.release import LOG, SCORE, SQUARE, Digits, open_sums
from mpcstats.stats.cox.sites import pairs
from mpcstats.stats.cox.tests_of_fit import TimeScores

__all__ = ["BySite"]

Floats = NDArray[np.float64]


@dataclass
class BySite:
    """The model, as one party sees it.

    Attributes
    ----------
    own : OwnLikelihood or None
        This party's people; None when it has none to bring.
    order : int
        Number of columns.
    """

    session: Session
    own: OwnLikelihood | None
    dealers: tuple[int, ...]
    order: int
    digits: Digits
    _last: tuple[Floats, Likelihood] | None = field(default=None, repr=False)

    @classmethod
    async def of(
        cls,
        session: Session,
        z: Floats | None,
        own: CoxContribution | None,
        dealers: tuple[int, ...],
        order: int,
        ties: str,
        digits: Digits,
    ) -> BySite:
        """From a site's people."""
        likelihood = None
        if own is not None and z is not None:
            likelihood = await local(session, OwnLikelihood, z, own.time, own.event, own.stratum, own.entry, ties)
        return cls(session, likelihood, dealers, order, digits)

    async def evaluate(self, beta: Floats) -> tuple[Floats, Floats]:
        """Pooled score and information."""
        upper = pairs(self.order)
        at = await self._at(beta)
        score = await self._sums(None if at is None else at.score, self.order, "scores", SCORE)
        information = await self._sums(
            None if at is None else at.information[upper], len(upper[0]), "informations", SQUARE
        )
        return score, symmetric(information, self.order)

    async def log_likelihoods(self, betas: list[Floats]) -> Floats:
        """At several coefficient vectors."""
        found = [await self._at(beta) for beta in betas]
        mine = None if self.own is None else np.array([at.log for at in found if at is not None])
        return await self._sums(mine, len(betas), "log-likelihoods", LOG)

    async def information(self, beta: Floats) -> Floats:
        """Pooled information alone."""
        upper = pairs(self.order)
        at = await self._at(beta)
        mine = None if at is None else at.information[upper]
        return symmetric(await self._sums(mine, len(upper[0]), "informations", SQUARE), self.order)

    async def residual_products(self, beta: Floats) -> Floats:
        """Pooled sum of products of score residuals: the middle of the sandwich."""
        upper = pairs(self.order)
        self.session.openings.declare(
            "products of score residuals", len(upper[0]), "pooled, for robust standard errors"
        )
        mine = None
        if self.own is not None:
            mine = (await local(self.session, self.own.residual_products, beta))[upper]
        opened = await self._sums(mine, len(upper[0]), "products of score residuals", SQUARE)
        return symmetric(opened, self.order)

    async def timed(self, beta: Floats, weights: list[Floats]) -> list[TimeScores]:
        """For each lattice weight of time, the pooled scores and informations of its test."""
        size = self.order + self.order * (self.order + 1)
        mine: Floats | None = None
        at = await self._at(beta)
        if self.own is not None and at is not None:
            times = self.own.cells.time
            mine = np.concatenate([np.concatenate(self.own.weighted(at, g[times])) for g in weights])
        opened = await self._sums(mine, size * len(weights), "time-weighted scores and informations", SQUARE)
        return [time_scores(part, self.order) for part in opened.reshape(len(weights), size)]

    async def _at(self, beta: Floats) -> Likelihood | None:
        """Own likelihood; the last one is kept, as several numbers are wanted of the final coefficients."""
        if self.own is None:
            return None
        if self._last is None or not np.array_equal(self._last[0], beta):
            self._last = (beta, await local(self.session, self.own.at, beta))
        return self._last[1]

    async def _sums(self, own: Floats | None, size: int, name: str, growth: float) -> Floats:
        return await open_sums(self.session, own, size, self.dealers, name, self.digits.after(growth))


def time_scores(values: Floats, order: int) -> TimeScores:
    """From score, and upper triangles of the two informations, one after the other."""
    half = order * (order + 1) // 2
    score, cross, own = np.split(values, [order, order + half])
    return TimeScores(score, symmetric(cross, order), symmetric(own, order))
