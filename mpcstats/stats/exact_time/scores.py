"""Score and covariance of a log-rank test from merged rows: the numbers at risk are public, the groups are not.

A time's number at risk is that of its first row; a bit that tells first rows carries it, and each group's share of it,
to the rows behind. With b people at risk at the first row, the events of a time add up to d (n - d) / (n - 1) when the
event with m at risk counts 2 (m - 1) / (b - 1) - 1: no division, and no number of tied events.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127
from mpcstats.protocols import equal_zero, floor_shift, inner_product, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.exact_time.rows import Rows
from mpcstats.stats.secure_logrank.moments import SCORE_BITS, VARIANCE_BITS, Moments

__all__ = ["EXACT_TIME_WEIGHTS", "check_exact_time_weights", "rows_moments"]

EXACT_TIME_WEIGHTS = ("logrank", "wilcoxon", "tarone-ware")
"""Weights that follow from the number at risk, which is public at each row."""

FRACTION = 56
_PRODUCT = 60
_TIES = 44


def check_exact_time_weights(name: str) -> None:
    """Raise SpecError for weights that are not functions of the number at risk."""
    if name not in EXACT_TIME_WEIGHTS:
        raise SpecError(
            f"weights {name!r} cannot be used with times that stay hidden: they follow from the curve; there are: "
            f"{', '.join(EXACT_TIME_WEIGHTS)}",
            hint="the test on a lattice of times has all weights",
        )


def _weights(name: str, m: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 1: divided by the number of rows, which is public and does not change chi-square."""
    share: NDArray[np.float64] = m / m[0]
    return share if name == "wilcoxon" else np.asarray(np.sqrt(share)) if name == "tarone-ware" else np.ones_like(m)


async def rows_moments(session: Session, rows: Rows, weights: str = "logrank") -> Moments:
    """Score and covariance of all groups.

    Parameters
    ----------
    rows : Rows
        One list, less than 2^14 rows or so; `more` holds the membership of each group but the last.

    Notes
    -----
    An equality, 2 log2(rows) carried products and some 5 exact cuts for each row. Reveals nothing.
    """
    check_exact_time_weights(weights)
    count = rows.event.shape[1]
    event, member = rows.event.reshape(count, 1), rows.more.reshape(count, rows.more.shape[2])
    m = rows.at_risk.astype(np.float64)
    w = _weights(weights, m)
    carried = await _from_first_rows(session, rows, member, m, w)
    ties, weight, shares = carried[:, :1], carried[:, 1:2], carried[:, 2:]
    # 2 (m - 1) / (b - 1) - 1
    part = ties.times(M127.reshape(M127.from_int64(2 * (rows.at_risk - 1)), (count, 1))).plus_int(-(1 << FRACTION))
    active = await multiply(session, event, concatenate([part, weight, shares], axis=1))
    part, weight_then, shares_then = active[:, :1], active[:, 1:2], active[:, 2:]
    groups = member.shape[1]
    score = (await inner_product(session, weight_then, member, 0)) - shares_then.sum(0)
    pairs = [(g, h) for g in range(groups) for h in range(g + 1)]
    left = concatenate([shares[:, g : g + 1] for g, _ in pairs], axis=1)
    right = concatenate(
        [(weight if g == h else shares[:, :1].times_int(0)) - shares[:, h : h + 1] for g, h in pairs], 1
    )
    spread = await multiply(session, left, right)
    # one cut for both: the second has room
    drop = 2 * FRACTION - _PRODUCT
    cut = await floor_shift(
        session, concatenate([spread, part.times_int(1 << (drop - FRACTION + _TIES))], axis=1), drop
    )
    entries = await inner_product(session, cut[:, : len(pairs)], cut[:, len(pairs) :], 0)
    variance = await floor_shift(session, _whole(entries, pairs, groups), _PRODUCT + _TIES - VARIANCE_BITS)
    met = shares_then.sum(0)
    rest = weight_then.sum(0) - met.sum(0).reshape(1)
    full = concatenate([score, (-score.sum(0)).reshape(1)]).times_int(1 << (SCORE_BITS - FRACTION))
    return Moments(
        full.with_fraction_bits(SCORE_BITS),
        variance.with_fraction_bits(VARIANCE_BITS),
        concatenate([met, rest]),
        None,
        None,
    )


async def _from_first_rows(
    session: Session, rows: Rows, member: Shared, m: NDArray[np.float64], w: NDArray[np.float64]
) -> Shared:
    """1 / (b - 1), the weight and weight n_g / b of each row's time, taken from its first row: (rows, 2 + groups)."""
    count = m.size
    time = rows.twice_time.reshape(count)
    same = await equal_zero(session, time[1:] - time[:-1])
    first = concatenate([same[:1].times_int(0).plus_int(1), (-same).plus_int(1)]).reshape(count, 1)
    at_risk = member.sum(0).reshape(1, member.shape[1]) - member.cumsum(0) + member
    share = encode(M127, (w / m)[:, None], FRACTION, 2)
    # the weight as so many shares: those of all groups add up to it, exactly
    weight = M127.mul(share, M127.reshape(M127.from_int64(rows.at_risk), (count, 1)))
    ties = encode(M127, (1 / np.maximum(m - 1, 1) * (m > 1))[:, None], FRACTION, 2)
    public = np.concatenate([ties, weight], axis=1)
    own = concatenate([first.times(public), await multiply(session, first, at_risk.times(share))], axis=1)
    return await _carried(session, own, first)


async def _carried(session: Session, values: Shared, first: Shared) -> Shared:
    """Values of the last first row at or before each row: a scan of (value, flag) pairs (Sklansky 1960)."""
    table = concatenate([values, first], axis=1).values.copy()
    count, span, like = values.shape[0], 1, values
    while span < count:
        upper = np.array([i for i in range(count) if i & span])
        lower = (upper & ~(2 * span - 1)) + span - 1
        right = Shared(like.field, table[upper], like.degree)
        open_ = (-right[:, -1:]).plus_int(1)
        taken = await multiply(session, open_, Shared(like.field, table[lower], like.degree))
        table[upper] = (right + taken).values
        span *= 2
    return Shared(like.field, table, like.degree)[:, : values.shape[1]]


def _whole(entries: Shared, pairs: list[tuple[int, int]], groups: int) -> Shared:
    """The whole covariance: rows add up to 0, which gives the last group."""
    place = np.empty((groups, groups), np.intp)
    for index, (g, h) in enumerate(pairs):
        place[g, h] = place[h, g] = index
    block = entries[place.ravel()].reshape(groups, groups)
    edge = -block.sum(1)
    top = concatenate([block, edge.reshape(groups, 1)], axis=1)
    return concatenate([top, concatenate([edge, (-edge.sum(0)).reshape(1)]).reshape(1, groups + 1)])
