"""Joint counts: every site counts its own people, the sums are formed on shares, small cells never leave them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.runtime import Session
from mpcstats.stats.cell_release import release_cells
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.disclosure import Ruling, size_rules
from mpcstats.stats.noisy_cells import describe_noise, noisy_words, release_noisy_cells
from mpcstats.stats.outcome import Outcome
from mpcstats.types import DisclosureRules

__all__ = ["declare_count", "joint_count"]


def declare_count(session: Session, plan: CountPlan, rules: DisclosureRules) -> None:
    """Enter what a count opens in the manifest."""
    cells = int(np.prod(plan.shape, dtype=np.int64))
    done = noisy_words(rules)
    session.openings.declare("counts", cells, f"people per cell, pooled over all parties, {done}; 0 where suppressed")


async def joint_count(
    session: Session,
    plan: CountPlan,
    own: CountContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    noise: bytes | None = None,
) -> Outcome:
    """Pooled people per cell.

    Parameters
    ----------
    noise : bytes, optional
        Where this party's part of the noise comes from, if the rules ask for noise (`release_noisy_cells`).

    Reveals
    -------
    visible * rounded(count) of each cell: `counts`. A cell is also hidden where one party's own people leave 1 to
    `minimum_count` - 1 others (`small_remainders`). With `noise_scale` the count has noise, and must reach
    `minimum_count` with it, too.

    Cost
    ----
    A few thresholds of small numbers per cell, in one batch: 10 rounds with three parties under `standard`, whatever
    the number of cells (`mpcstats.stats.cell_release`).
    """
    declare_count(session, plan, ruling.rules)
    cells = int(np.prod(plan.shape, dtype=np.int64))
    mine = None if own is None else np.asarray(own.counts, np.int64).reshape(cells)
    session.progress("thresholds and rounding of the cells on shares, before anything is opened")
    if ruling.rules.noise_scale:
        counts, released = await release_noisy_cells(session, mine, dealers, cells, "counts", ruling.rules, noise)
    else:
        counts, released = await release_cells(session, mine, dealers, cells, "counts", ruling.rules)
    return _outcome(plan, counts, released, ruling, describe_noise(session, ruling))


def _outcome(
    plan: CountPlan, counts: np.ndarray, released: np.ndarray, ruling: Ruling, noise: dict[str, str]
) -> Outcome:
    index = pd.MultiIndex.from_product(plan.levels, names=plan.by) if plan.by else None
    table = index.to_frame(index=False) if index is not None else pd.DataFrame(index=range(1))
    table["count"] = pd.array(counts, dtype="Int64")
    table.loc[~released, "count"] = pd.NA
    table["status"] = np.where(released, "released", "suppressed")
    hidden = int((~released).sum())
    withheld = []
    if hidden:
        withheld.append(f"{hidden} of {len(table)} cells hidden ({size_rules(ruling)}); zeros are hidden, too")
    if noise:
        withheld.append(f"counts have noise ({ruling.cite('noise_scale')})")
    if ruling.rules.rounding_base > 1:
        withheld.append(f"counts are rounded to multiples ({ruling.cite('rounding_base')})")
    return Outcome(
        "count",
        {"counts": table},
        conventions={
            "count": "people in the pooled data; rows without a value in a column of `by` are in no cell",
            **noise,
        },
        withheld=withheld,
    )
