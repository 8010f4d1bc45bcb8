"""The cumulative baseline hazard on a public grid, where every shown step holds enough events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import at_least, blurred, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.cox import pooled_sums
from mpcstats.stats.cox.pooled import PooledRisk, RiskShares
from mpcstats.stats.cox.sites import Cells
from mpcstats.stats.disclosure import open_counts
from mpcstats.types import DisclosureRules

__all__ = ["baseline_hazard"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHOWN = "shown steps of the baseline hazard"
_HAZARD = "cumulative baseline hazard"


async def baseline_hazard(
    session: Session, model: PooledRisk, risk: RiskShares, rules: DisclosureRules, grid: int, visible_bits: int
) -> tuple[Cells, Floats, int]:
    """Grid points that are shown, the cumulative hazard there (where z = 0), and how many are not shown.

    A grid point is shown where at least `step_minimum` events happened since the grid point before, and at least
    `at_risk_floor` and `minimum_count` people are at risk: every difference of shown points holds enough events.

    Reveals
    -------
    Which grid points are shown, and the cumulative hazard there.
    """
    points, place = _points(model.cells, grid)
    size = points.size
    session.openings.declare(_SHOWN, size, "where every step of the baseline hazard holds enough events and people")
    session.openings.declare(_HAZARD, size, "of each stratum, at the shown grid points")
    mine = None
    if model.own is not None:
        events = np.bincount(place, model.own.events, minlength=size)
        last = np.searchsorted(place, np.arange(size), side="right") - 1
        mine = M127.from_int64(np.concatenate([np.rint(events).astype(np.int64), model.own.at_risk[last]]))
    pooled = await sum_of_inputs(session, M127, mine, model.dealers, (2 * size,))
    floor = max(rules.at_risk_floor, rules.minimum_count)
    bounds = np.repeat([-max(1, rules.step_minimum), -floor], size)
    enough = await at_least(session, pooled.plus(M127.from_int64(bounds)), 0)
    shown = await multiply(session, enough[:size], enough[size:])
    running = _running(_per_point(await pooled_sums.hazard(model, risk), place, size), points)
    hidden = await multiply(session, blurred(session, running, visible_bits), shown)
    visible = (await open_counts(session, shown, _SHOWN)).astype(bool)
    opened = await open_declared(session, hidden[np.flatnonzero(visible)], _HAZARD)
    values = decode(M127, opened, hidden.fraction_bits)
    return Cells(points.stratum[visible], points.time[visible]), values, int((~visible).sum())


def _points(cells: Cells, grid: int) -> tuple[Cells, Ints]:
    """The grid points that cells belong to, and the point of each cell: (previous, own]; time 0 is in the first."""
    bins = np.maximum(1, -(-cells.time // grid)) if grid > 1 else cells.time
    keys, place = np.unique(np.stack([cells.stratum, bins]), axis=1, return_inverse=True)
    return Cells(keys[0], keys[1] * grid), place.reshape(-1)


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
