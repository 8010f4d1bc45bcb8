"""Joint counts: every site counts its own people, the sums are formed on shares, small cells never leave them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.field import M61
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.disclosure import Ruling, release_counts
from mpcstats.stats.outcome import Outcome

__all__ = ["declare_count", "joint_count"]


def declare_count(session: Session, plan: CountPlan) -> None:
    """Enter what a count opens in the manifest."""
    cells = int(np.prod(plan.shape, dtype=np.int64))
    session.openings.declare("counts", cells, "people per cell, pooled over all parties, rounded; 0 where suppressed")


async def joint_count(
    session: Session, plan: CountPlan, own: CountContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> Outcome:
    """Pooled people per cell.

    Reveals
    -------
    visible * rounded(count) of each cell: `counts`.

    Cost
    ----
    One comparison and one division by a public number per cell, in one batch: about 40 rounds whatever the number
    of cells.
    """
    declare_count(session, plan)
    shape = plan.shape or (1,)
    mine = None if own is None else M61.from_int64(np.asarray(own.counts, np.int64).reshape(shape))
    pooled = await sum_of_inputs(session, M61, mine, dealers, shape)
    session.progress("cells pooled on shares; applying thresholds before anything is opened")
    counts, released = await release_counts(session, pooled, "counts", ruling.rules)
    return _outcome(plan, counts.reshape(-1), released.reshape(-1), ruling)


def _outcome(plan: CountPlan, counts: np.ndarray, released: np.ndarray, ruling: Ruling) -> Outcome:
    index = pd.MultiIndex.from_product(plan.levels, names=plan.by) if plan.by else None
    table = index.to_frame(index=False) if index is not None else pd.DataFrame(index=range(1))
    table["count"] = pd.array(counts, dtype="Int64")
    table.loc[~released, "count"] = pd.NA
    table["status"] = np.where(released, "released", "suppressed")
    hidden = int((~released).sum())
    withheld = []
    if hidden:
        withheld.append(
            f"{hidden} of {len(table)} cells hidden ({ruling.cite('minimum_count')}); zeros are hidden, too"
        )
    if ruling.rules.rounding_base > 1:
        withheld.append(f"counts are rounded to multiples ({ruling.cite('rounding_base')})")
    return Outcome(
        "count",
        {"counts": table},
        conventions={"count": "people in the pooled data; rows without a value in a column of `by` are in no cell"},
        withheld=withheld,
    )
