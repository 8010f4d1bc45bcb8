"""People in the bins of a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.runtime import Session, concatenate
from mpcstats.stats.contributions.values import ValuesContribution, ValuesPlan
from mpcstats.stats.disclosure import Ruling, all_of, enough_people, release_counts

__all__ = ["bins_of", "release_histogram"]

_NAME = "people in bins"


def bins_of(own: ValuesContribution, breaks: Sequence[float]) -> NDArray[np.int64]:
    """People per bin [from, to), the last one with its end; (columns, groups, bins).

    Bounds give by 1e-7 of the median width, as those of R's `hist`: 0.3 belongs to a bin from 3 * 0.1.
    """
    give = 1e-7 * float(np.median(np.diff(breaks)))
    bounds = [*(bound - give for bound in breaks[:-1]), breaks[-1] + give]
    below = [own.below(column, bounds) for column in range(len(own.values))]
    return np.asarray(np.diff(np.stack(below), axis=2), np.int64)


async def release_histogram(
    session: Session,
    plan: ValuesPlan,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    breaks: Sequence[float],
    shown: NDArray[np.bool_],
    ruling: Ruling,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Open the bins of each column and group, (columns, groups, bins), and say which histograms are shown.

    A histogram whose bins do not all have enough people is hidden as a whole: of a single hidden bin, the others and
    the people in all would tell the size.

    Parameters
    ----------
    shown : bool (columns, groups)
        Cells of which numbers may leave at all.
    """
    size = len(breaks) - 1
    shape = (*plan.shape, size)
    session.openings.declare(_NAME, int(np.prod(shape)), "people per bin, rounded; 0 where the histogram is hidden")
    mine = None if own is None else M61.from_int64(bins_of(own, breaks))
    parts = list((await deal(session, M61, mine, dealers, shape)).values())
    pooled = parts[0]
    for part in parts[1:]:
        pooled = pooled + part
    cells = plan.shape[0] * plan.shape[1]
    allowed = await enough_people(session, [part.reshape(cells, size) for part in parts], ruling.rules)
    if allowed is None:
        counts, _ = await release_counts(session, pooled.reshape(cells * size), _NAME, ruling.rules)
        return counts.reshape(shape), shown
    turned = [allowed[:, k].reshape(1, cells) for k in range(size)]
    whole = await all_of(session, concatenate(turned))
    whole = whole.times(M61.from_int64(shown.reshape(cells).astype(np.int64)))
    each = concatenate([whole.reshape(cells, 1)] * size, axis=1).reshape(cells * size)
    counts, visible = await release_counts(session, pooled.reshape(cells * size), _NAME, ruling.rules, each)
    return counts.reshape(shape), np.asarray(visible.reshape(shape).all(axis=2), np.bool_)
