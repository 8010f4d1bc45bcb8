"""How many people two sites have in common: lists of keys merged on shares, equal neighbours counted, counts opened.

A person who is at two sites is twice in pooled data: standard errors come out too small.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError, RangeError, SpecError
from mpcstats.field import M61, M127
from mpcstats.protocols import deal, is_negative, merge
from mpcstats.runtime import Session, concatenate
from mpcstats.stats.contributions.sample_overlap import (
    KEY_BITS,
    MOST_ROWS,
    SampleOverlapContribution,
    SampleOverlapPlan,
)
from mpcstats.stats.disclosure import Ruling, release_counts
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_sample_overlap"]

_LISTS = 1 << 20  # more than rows: empty rows of different parties have different keys


async def joint_sample_overlap(
    session: Session,
    plan: SampleOverlapPlan,
    own: SampleOverlapContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Outcome:
    """People that each two parties with data have in common.

    Reveals
    -------
    visible * rounded(count) of each pair: `overlap`. Not who they are, nor how many people a party has.

    Cost
    ----
    N = pairs * 2 rows: about N/2 log2 N comparisons in log2 N levels, then N more in one batch. The merge is Batcher's
    (1968); counting equal neighbours of merged lists as in Huang, Evans, Katz (NDSS 2012).

    Raises
    ------
    SpecError, RangeError
        Fewer than two parties with data; more rows than can be merged. Nothing was sent.
    DataError
        This party has more people than rows.
    """
    pairs = list(combinations(dealers, 2))
    _check(plan, own, pairs)
    session.openings.declare("overlap", len(pairs), "people that two parties have in common, rounded; 0 where hidden")
    rows = None if own is None else M127.from_int64(_rows(plan, own, session.index))
    dealt = await deal(session, M127, rows, dealers, (plan.rows, 1))
    # one merge for all pairs: the keys of a pair are behind those of the pairs before
    lists = [
        concatenate([dealt[pair[side]].plus_int(k << (KEY_BITS + 1)) for k, pair in enumerate(pairs)])
        for side in (0, 1)
    ]
    merged = (await merge(session, lists)).reshape(len(pairs), 2 * plan.rows)
    session.progress("ids of all pairs merged on shares; counting neighbours that are equal")
    differ = await is_negative(session, merged[:, :-1] - merged[:, 1:], into=M61)
    shared = -(differ.sum(axis=1).plus_int(1 - 2 * plan.rows))
    counts, released = await release_counts(session, shared, "overlap", ruling.rules)
    return _outcome([(session.name(a), session.name(b)) for a, b in pairs], counts, released, ruling)


def _check(plan: SampleOverlapPlan, own: SampleOverlapContribution | None, pairs: list[tuple[int, int]]) -> None:
    if not pairs:
        raise SpecError("an overlap is between two parties with data, and there are fewer")
    total = 2 * plan.rows * len(pairs)
    if total > MOST_ROWS:
        raise RangeError(
            f"{len(pairs)} pairs of lists with {plan.rows:,} rows each are {total:,} rows; {MOST_ROWS:,} can be merged",
            hint="fewer rows; or fewer parties at a time",
        )
    if own is not None and own.keys.size > plan.rows:
        raise DataError(
            f"this party has {own.keys.size:,} people where the study has room for {plan.rows:,} rows of each party",
            hint="agree on more rows",
        )


def _rows(plan: SampleOverlapPlan, own: SampleOverlapContribution, party: int) -> NDArray[np.int64]:
    """Keys in order, then rows of nobody, which equal no row of another party."""
    empty = (1 << KEY_BITS) + party * _LISTS + np.arange(plan.rows - own.keys.size, dtype=np.int64)
    return np.concatenate([own.keys, empty])[:, None]


def _outcome(
    pairs: list[tuple[str, str]], counts: NDArray[np.int64], released: NDArray[np.bool_], ruling: Ruling
) -> Outcome:
    table = pd.DataFrame(pairs, columns=["party", "other"])
    table["count"] = pd.array(counts, dtype="Int64")
    table.loc[~released, "count"] = pd.NA
    table["status"] = np.where(released, "released", "suppressed")
    withheld = []
    if hidden := int((~released).sum()):
        withheld.append(
            f"{hidden} of {len(table)} pairs hidden ({ruling.cite('minimum_count')}); zeros are hidden, too"
        )
    if ruling.rules.rounding_base > 1:
        withheld.append(f"counts are rounded to multiples ({ruling.cite('rounding_base')})")
    return Outcome(
        "sample-overlap",
        {"overlap": table},
        conventions={"people": "different ids, compared as they are written"},
        withheld=withheld,
    )
