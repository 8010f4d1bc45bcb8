"""Risk sets of all sites together: which rows there are, and what is opened of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import StatisticalSecurityError
from mpcstats.field import M127
from mpcstats.protocols import at_least, equal_zero, sum_of_inputs
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox import pooled_sums, scaling
from mpcstats.stats.cox.by_site import time_scores
from mpcstats.stats.cox.cohort import Cohort
from mpcstats.stats.cox.event_table import EventTable
from mpcstats.stats.cox.formats import Bounds
from mpcstats.stats.cox.newton import EVALUATIONS
from mpcstats.stats.cox.partial import symmetric
from mpcstats.stats.cox.pooled import PREDICTOR_LIMIT, PooledRisk, RiskShares, Rows
from mpcstats.stats.cox.release import LOG, SCORE, SQUARE, Digits, open_numbers
from mpcstats.stats.cox.sites import Cells, SiteRisk
from mpcstats.stats.cox.tests_of_fit import TimeScores
from mpcstats.stats.disclosure import open_counts

__all__ = ["HIDDEN_TIES", "Pooled", "hidden_rows", "masked_openings", "pooled_model"]

Floats = NDArray[np.float64]

HIDDEN_TIES = 8
"""Tied events up to which Efron's method works without opening how many there are."""

_MOST_ROWS = 4_000_000


@dataclass
class Pooled:
    """The model, as one party sees it.

    Attributes
    ----------
    ties : str
        The method in force, which may not be the one asked for.
    """

    session: Session
    risk: PooledRisk
    ties: str
    digits: Digits
    _last: tuple[Floats, RiskShares] | None = field(default=None, repr=False)

    async def evaluate(self, beta: Floats) -> tuple[Floats, Floats]:
        """Pooled score and information."""
        shares = await self._at(beta)
        score = await self._open(await pooled_sums.score(self.risk, shares), "scores", SCORE)
        return score, await self._information(shares)

    async def log_likelihoods(self, betas: list[Floats]) -> Floats:
        """At several coefficient vectors."""
        found = []
        for beta in betas:
            found.append(await pooled_sums.log_likelihood(self.risk, await self._at(beta, moments=0), beta))
            self.session.progress("log-likelihood on shares")
        return await self._open(concatenate(found), "log-likelihoods", LOG) + pooled_sums.scale_logs(self.risk)

    async def information(self, beta: Floats) -> Floats:
        """Pooled information alone."""
        return await self._information(await self._at(beta))

    async def timed(self, beta: Floats, weights: list[Floats]) -> list[TimeScores]:
        """For each lattice weight of time, the pooled scores and informations of its test."""
        moments = await pooled_sums.moments(self.risk, await self._at(beta))
        result = []
        for g in weights:
            score, information = await pooled_sums.timed(self.risk, moments, g[self.risk.cells.time])
            flat = information.reshape(information.size)
            name = "time-weighted scores and informations"
            opened = [await self._open(score, name, SCORE), await self._open(flat, name, SQUARE)]
            result.append(time_scores(np.concatenate(opened), self.risk.order))
        return result

    async def beyond_limit(self, beta: Floats) -> bool:
        """Whether a linear predictor was kept at the limit; asked only where the ranges allow it."""
        if max(self.risk.largest_predictor(beta), self.risk.largest_predictor(-beta)) <= PREDICTOR_LIMIT:
            return False
        name = "predictor beyond its limit"
        self.session.openings.declare(name, 1, f"whether any linear predictor is beyond +-{PREDICTOR_LIMIT:g}")
        return bool((await open_counts(self.session, await self.risk.beyond_limit(beta), name))[0])

    async def shares(self, beta: Floats) -> RiskShares:
        """For the baseline hazard."""
        return await self._at(beta)

    async def _at(self, beta: Floats, moments: int = 2) -> RiskShares:
        """The last vector's shares are kept: several numbers are wanted of the final one."""
        if self._last is None or not np.array_equal(self._last[0], beta):
            shares = await self.risk.at(beta, moments)
            if moments < 2:
                return shares
            self._last = (beta, shares)
        return self._last[1]

    async def _information(self, shares: RiskShares) -> Floats:
        upper = await self._open(await pooled_sums.information(self.risk, shares), "informations", SQUARE)
        return symmetric(upper, self.risk.order)

    async def _open(self, x: Shared, name: str, growth: float) -> Floats:
        return await open_numbers(self.session, x, name, self.digits.after(growth))


async def pooled_model(
    session: Session,
    plan: CoxPlan,
    cohort: Cohort,
    z: Floats | None,
    own: CoxContribution | None,
    dealers: tuple[int, ...],
    table: EventTable | None,
    ties: str,
    digits: Digits,
    site_risk: Callable[[Cells], SiteRisk] | None = None,
) -> Pooled:
    """Choose cells and rows from what is public.

    `site_risk` makes this party's sums, where its people do not only count at risk until they leave.

    With an open table the cells are the event times, and Efron's method is exact. Without, they are the whole lattice,
    and Efron's method is used where at most HIDDEN_TIES events are tied.

    Reveals
    -------
    With hidden ties and Efron's method: whether there are more than HIDDEN_TIES events at any time.

    Raises
    ------
    StatisticalSecurityError
        More rows than the masks of this session allow.
    """
    if table is not None:
        where = np.nonzero(table.events)
        cells = Cells(where[0].astype(np.int64), where[1].astype(np.int64))
    else:
        cells = Cells.lattice(plan.strata_count, plan.horizon)
    site = None
    if own is not None and z is not None:
        if site_risk is None:
            site = await local(session, SiteRisk, z, own.time, own.event, own.stratum, own.entry, cells)
        else:
            site = await local(session, site_risk, cells)
    if table is not None:
        rows, most, used = _open_rows(table.events[cells.stratum, cells.time], ties)
    else:
        rows, most, used = await hidden_rows(session, cells, site, dealers, ties)
    _refuse_too_many(session, len(rows.cell), plan.order)
    bounds = Bounds(cohort.people_bits, cohort.event_bits, cohort.spread_bits, most)
    risk = PooledRisk(session, site, dealers, cells, rows, bounds, cohort.ranges)
    return Pooled(session, risk, used, digits)


def masked_openings(rows: int, order: int) -> int:
    """Bounded masks of a fit with so many rows, at most."""
    return (EVALUATIONS + 3) * (scaling.masks(rows) + rows) + rows * order


def _refuse_too_many(session: Session, rows: int, order: int) -> None:
    """Before anything about them is shared."""
    left = (1 << max(0, session.kappa - session.kappa_floor)) - session.accounts.masked_openings
    if rows * order > _MOST_ROWS or masked_openings(rows, order) > left:
        raise StatisticalSecurityError(
            f"{rows} tied events and {order} columns are too many for pooled risk sets at kappa = {session.kappa}",
            hint="use ties='breslow', a coarser unit of time, or a stratum for every site",
        )


def _open_rows(events: NDArray[np.int64], ties: str) -> tuple[Rows, int, str]:
    size = len(events)
    if ties == "breslow" or int(events.max(initial=1)) == 1:
        return Rows(np.arange(size), np.zeros(size, np.int64), events, None), 1, ties
    cell = np.repeat(np.arange(size), events)
    tied = np.arange(len(cell)) - np.repeat(np.cumsum(events) - events, events)
    return Rows(cell, tied, np.ones(len(cell), np.int64), events), int(events.max()), ties


async def hidden_rows(
    session: Session, cells: Cells, site: SiteRisk | None, dealers: tuple[int, ...], ties: str
) -> tuple[Rows, int, str]:
    """Rows of a whole lattice whose numbers of events stay on shares; the largest d, and the method they are for."""
    size = cells.size
    mine = None if site is None else M127.from_int64(site.events)
    events = await sum_of_inputs(session, M127, mine, dealers, (size,))
    simple = Rows(np.arange(size), np.zeros(size, np.int64), events, None)
    if ties == "breslow":
        return simple, 1, "breslow"
    session.openings.declare("few ties", 1, f"whether at most {HIDDEN_TIES} events are tied at every time")
    bounds = M127.from_int64(-np.arange(1, HIDDEN_TIES + 2))
    levels = M127.reshape(bounds, (1, HIDDEN_TIES + 1))
    reached = await at_least(session, events.reshape(size, 1).plus(levels), 0)
    few = await equal_zero(session, reached[:, HIDDEN_TIES].sum(0).reshape(1))
    if int((await open_counts(session, few, "few ties"))[0]) == 0:
        return simple, 1, "breslow"
    count = size * HIDDEN_TIES
    weight = reached[:, :HIDDEN_TIES].reshape(count)
    rows = Rows(np.repeat(np.arange(size), HIDDEN_TIES), np.tile(np.arange(HIDDEN_TIES), size), weight, events)
    return rows, HIDDEN_TIES, "efron"
