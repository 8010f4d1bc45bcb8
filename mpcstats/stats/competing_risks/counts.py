"""Pooled counts of competing risks: on shares, and opened where the rules let the exact table out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import deal, multiply
from mpcstats.runtime import Session, Shared
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.disclosure import Ruling, enough_people, open_counts

__all__ = ["KINDS", "exact_counts", "shared_counts"]

Counts = NDArray[np.int64]

KINDS = "events of each cause and censorings"


async def shared_counts(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    by_stratum: bool,
) -> tuple[Shared, Shared | None, list[Shared]]:
    """Pooled numbers of people who leave, (S, K+1, G, T+1), and who enter, (G, T+1); people (S, G) at each data party.

    Not `by_stratum`, S is 1.
    """
    strata, causes, groups, points = plan.shape
    leaving = strata * (causes + 1)
    mine = None
    if own is not None:
        parts = [own.stacked(plan).reshape(leaving, groups, points)]
        if own.entered is not None:
            parts.append(own.entered[None].astype(np.int64))
        mine = M61.from_int64(np.concatenate(parts))
    shape = (leaving + (plan.entry is not None), groups, points)
    dealt = list((await deal(session, M61, mine, dealers, shape)).values())
    pooled = dealt[0]
    for part in dealt[1:]:
        pooled = pooled + part
    session.progress(f"{KINDS} pooled on shares")
    counts = [part[:leaving].reshape(strata, causes + 1, groups, points) for part in (pooled, *dealt)]
    if not by_stratum:
        counts = [part.sum(0).reshape(1, causes + 1, groups, points) for part in counts]
    people = [part.sum(3).sum(1) for part in counts[1:]]
    return counts[0], pooled[leaving] if plan.entry is not None else None, people


async def exact_counts(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    by_stratum: bool = False,
) -> tuple[Counts, Counts | None, NDArray[np.bool_]]:
    """Opened counts (S, K+1, G, T+1) and entries, 0 in groups that are too small, and which groups these are: (S,
    G)."""
    counts, entries, people = await shared_counts(session, plan, own, dealers, by_stratum)
    strata, kinds, groups, points = counts.shape
    session.openings.declare(
        KINDS, strata * kinds * groups * points, "pooled counts per stratum, group and time; 0 where suppressed"
    )
    if entries is not None:
        session.openings.declare("entries", groups * points, "pooled people entering, per group and time; 0 likewise")
    large = await enough_people(session, people, ruling.rules)
    if large is not None:
        counts = await multiply(session, large.reshape(strata, 1, groups, 1), counts)
        if entries is not None:
            entries = await multiply(session, large[0].reshape(groups, 1), entries)
    opened = await open_counts(session, counts, KINDS)
    came = None if entries is None else await open_counts(session, entries, "entries")
    # a group that is shown has people
    hidden = opened.sum(axis=(1, 3)) == 0 if large is not None else np.zeros((strata, groups), np.bool_)
    return opened, came, hidden
