"""How the people of a Fine-Gray regression leave, by time: at one site, or pooled and opened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session
from mpcstats.stats.competing_risks.censoring import CensoringRule, censoring_survival
from mpcstats.stats.competing_risks.counts import exact_counts
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.lattice import at_risk_counts

__all__ = ["censoring_of", "open_exits", "own_exits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def own_exits(plan: FineGrayPlan, own: FineGrayContribution) -> Ints:
    """Events, competing events and censorings of one site: (3, T+1)."""
    kind = np.where(own.event, 0, np.where(own.rival, 1, 2))
    counts = np.bincount(kind * (plan.horizon + 1) + own.time, minlength=3 * (plan.horizon + 1))
    return counts.reshape(3, plan.horizon + 1).astype(np.int64)


def censoring_of(exits: Ints, variant: CensoringRule) -> Floats:
    """G(t-) from events, competing events and censorings."""
    events = exits[:2].sum(axis=0)
    return censoring_survival(events, exits[2], at_risk_counts(events, exits[2]), variant)


async def open_exits(
    session: Session,
    plan: FineGrayPlan,
    own: FineGrayContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Ints | None:
    """Pooled events, competing events and censorings by time, (3, T+1); None where they may not be opened."""
    if not ruling.rules.exact_curve:
        return None
    all_people = CompetingRisksPlan(
        None,
        (),
        plan.horizon,
        plan.unit,
        plan.event,
        ("event", "competing event"),
        (plan.event_values, plan.competing_values),
    )
    mine = None
    if own is not None:
        counts = own_exits(plan, own)
        mine = CompetingRisksContribution(counts[None, :2, None], counts[None, 2:])
    opened, _, hidden = await exact_counts(session, all_people, mine, dealers, ruling)
    return None if hidden.any() else opened[0, :, 0]
