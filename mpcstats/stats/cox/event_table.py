"""The pooled table of events and people at risk, where the rules let the exact table out, and transforms of time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import deal, sum_of_inputs
from mpcstats.runtime import Session
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox.options import Transform
from mpcstats.stats.disclosure import Ruling, all_of, enough_people, open_counts

__all__ = ["EventTable", "open_events", "time_weights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EventTable:
    """Pooled events (strata, horizon + 1); of all strata together, who leaves and is at risk at each time, or None."""

    events: Ints
    leaving: Ints | None
    at_risk: Ints | None


async def open_events(
    session: Session,
    plan: CoxPlan,
    own: CoxContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    everybody: bool,
) -> EventTable | None:
    """Open the table if the rules allow exact curves and every stratum is large enough; else None.

    Reveals
    -------
    Whether every stratum reaches `minimum_count`; if so, the events of each stratum and time, and, for everybody, how
    many leave and are at risk at each time.
    """
    rules = ruling.rules
    if not rules.exact_curve:
        return None
    width = plan.horizon + 1
    events, people, others = _own_counts(plan, own)
    if rules.minimum_count > 0:
        name = "strata large enough"
        session.openings.declare(name, 1, "whether every stratum has enough people for its exact table")
        mine = None if own is None else M61.from_int64(people)
        dealt = list((await deal(session, M61, mine, dealers, (plan.strata_count,))).values())
        enough = await enough_people(session, dealt, rules)
        assert enough is not None
        every = await all_of(session, enough)
        if int((await open_counts(session, every.reshape(1), name))[0]) == 0:
            return None
    parts = plan.strata_count + (2 if everybody else 0)
    session.openings.declare(
        "events by time", parts * width, "events per stratum and time, people leaving and at risk, as in exact curves"
    )
    mine = None if own is None else M61.from_int64(np.vstack([events, others])[:parts])
    pooled = await sum_of_inputs(session, M61, mine, dealers, (parts, width))
    opened = await open_counts(session, pooled, "events by time")
    if not everybody:
        return EventTable(opened, None, None)
    return EventTable(opened[:-2], opened[-2], opened[-1])


def _own_counts(plan: CoxPlan, own: CoxContribution | None) -> tuple[Ints, Ints, Ints]:
    """Own events, people per stratum, and people leaving and at risk (2, horizon + 1)."""
    width, groups = plan.horizon + 1, plan.strata_count
    if own is None:
        return np.zeros((groups, width), np.int64), np.zeros(groups, np.int64), np.zeros((2, width), np.int64)
    flat = own.stratum[own.event] * width + own.time[own.event]
    events = np.bincount(flat, minlength=groups * width).reshape(groups, width)
    leaving = np.bincount(own.time, minlength=width)
    risk = np.cumsum(leaving[::-1])[::-1]
    if own.entry is not None:
        late = np.bincount(own.entry[own.entry >= 0], minlength=width)
        risk = risk - np.cumsum(late[::-1])[::-1]
    people = np.bincount(own.stratum, minlength=groups)
    return events.astype(np.int64), people.astype(np.int64), np.stack([leaving, risk]).astype(np.int64)


def time_weights(transform: Transform, plan: CoxPlan, table: EventTable | None) -> Floats:
    """g(t) at every lattice time as R's `cox.zph` has it, moved and scaled into +-1: the test does not change.

    "km": 1 - S(t-) of all strata together; "rank": rank among everybody's times. Both need the table. "log" counts
    time 0 as half a unit.
    """
    lattice = np.arange(plan.horizon + 1, dtype=np.float64)
    if transform == "identity":
        g = lattice
    elif transform == "log":
        g = np.array([_log(t) for t in np.maximum(lattice, 0.5).tolist()])
    else:
        assert table is not None
        assert table.leaving is not None
        assert table.at_risk is not None
        if transform == "rank":
            g = np.cumsum(table.leaving) - (table.leaving - 1) / 2
        else:
            survival = np.cumprod(1 - table.events.sum(axis=0) / np.maximum(table.at_risk, 1))
            g = 1 - np.concatenate([[1.0], survival[:-1]])
    middle, half = (g.max() + g.min()) / 2, (g.max() - g.min()) / 2
    return np.asarray((g - middle) / half if half > 0 else g - middle)


def _log(x: float) -> float:
    # rounded alike on every machine: these numbers multiply shares
    return float(Decimal(x).ln(Context(prec=25)))
