"""The cumulative baseline hazard on a public grid, where every shown step holds enough events."""

from __future__ import annotations

import functools
import operator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import at_least, blurred, deal, multiply
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.cox import pooled_sums
from mpcstats.stats.cox.pooled import PooledRisk, RiskShares
from mpcstats.stats.cox.sites import Cells
from mpcstats.stats.curve_release import step_width
from mpcstats.stats.disclosure import enough_without_each, open_counts
from mpcstats.types import DisclosureRules

__all__ = ["baseline_hazard"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHOWN = "shown steps of the baseline hazard"
_HAZARD = "cumulative baseline hazard"


async def baseline_hazard(
    session: Session, model: PooledRisk, risk: RiskShares, rules: DisclosureRules, edges: Ints, visible_bits: int
) -> tuple[Cells, Floats, int]:
    """Grid points that are shown (their time is a position in `edges`), the cumulative hazard there, where z = 0, and
    how many are not shown.

    A grid point is shown where a step's worth of events (`curve_release.step_width`) happened since the grid point
    before, also without any one party (`small_remainders`), and at least `at_risk_floor` and `minimum_count` people are
    at risk: every difference of shown points holds enough events.

    Parameters
    ----------
    edges : int64
        Last lattice time of each interval, from `curve_release.release_grid`.
    visible_bits : int
        Fraction bits that are released; each of the committee's C(m, t) subsets adds noise below them, so a hazard is
        off by at most C(m, t) 2^-(visible_bits + 1): with 40 bits, 1.4e-12 for three parties.

    Reveals
    -------
    Which grid points are shown, and the cumulative hazard there.
    """
    points, place = _points(model.cells, edges)
    size = points.size
    session.openings.declare(_SHOWN, size, "where every step of the baseline hazard holds enough events and people")
    session.openings.declare(_HAZARD, size, "of each stratum, at the shown grid points")
    shown = await _shown(session, model, rules, place, size)
    running = _running(_per_point(await pooled_sums.hazard(model, risk), place, size), points)
    hidden = await multiply(session, blurred(session, running, visible_bits), shown)
    visible = (await open_counts(session, shown, _SHOWN)).astype(bool)
    opened = await open_declared(session, hidden[np.flatnonzero(visible)], _HAZARD)
    values = decode(M127, opened, hidden.fraction_bits)
    return Cells(points.stratum[visible], points.time[visible]), values, int((~visible).sum())


async def _shown(session: Session, model: PooledRisk, rules: DisclosureRules, place: Ints, size: int) -> Shared:
    """1 for the points that are shown."""
    mine = None
    if model.own is not None:
        events = np.rint(np.bincount(place, model.own.events, minlength=size)).astype(np.int64)
        # at the last cell of each point
        at_risk = model.own.at_risk[np.searchsorted(place, np.arange(size), side="right") - 1]
        mine = M127.from_int64(np.concatenate([events, at_risk]))
    parts = list((await deal(session, M127, mine, model.dealers, (2 * size,))).values())
    step, floor = step_width(rules), max(rules.at_risk_floor, rules.minimum_count)
    bounds = M127.from_int64(np.repeat([-step, -floor], size))
    enough = await at_least(session, functools.reduce(operator.add, parts).plus(bounds), 0)
    shown = await multiply(session, enough[:size], enough[size:])
    if rules.minimum_count == 0 or rules.small_remainders:
        return shown
    events_of_each = [part[:size] for part in parts]
    return await multiply(session, shown, await enough_without_each(session, events_of_each, step))


def _points(cells: Cells, edges: Ints) -> tuple[Cells, Ints]:
    """The intervals (edge before, own edge] that cells belong to, and that of each cell; time 0 is in the first."""
    bins = np.searchsorted(edges, cells.time)
    keys, place = np.unique(np.stack([cells.stratum, bins]), axis=1, return_inverse=True)
    return Cells(keys[0], keys[1]), place.reshape(-1)


def _per_point(values: Shared, place: Ints, size: int) -> Shared:
    """Sums over the cells of each point."""
    field = values.field
    running = np.concatenate([field.zeros((1,)), field.cumsum(values.values, -1)])
    bounds = np.searchsorted(place, np.arange(size + 1))
    return replace(values, values=field.sub(running[bounds[1:]], running[bounds[:-1]]))


def _running(values: Shared, points: Cells) -> Shared:
    out = values.field.zeros(values.shape)
    for span in points.spans():
        out[span] = values.field.cumsum(values.values[span], -1)
    return replace(values, values=out)
