"""Kaplan-Meier estimates from merged rows: everything is linear in the shared event bits.

With m people at risk at a row, -log S = sum of e log(m / (m - 1)), and Greenwood's sum is that of e / (m (m - 1)): tied
events multiply to (m - d) / m. The last person's event makes S = 0: it counts `GONE` in -log S, and nothing in
Greenwood's sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpcstats.field import M127, Elements
from mpcstats.protocols import at_least, equal_zero, inner_product, multiply, prefix_or
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.exact_time.fixed_logs import fixed_log, fixed_square
from mpcstats.stats.exact_time.rows import Rows

__all__ = ["FRACTION", "GONE", "Crossings", "Sums", "crossings", "landmark_sums", "row_sums"]

FRACTION = 50
"""Fraction bits of -log S and of Greenwood's sum; squares have twice as many."""

GONE = 64
"""-log S from the last person's event on: more than any other curve below 2^50 people reaches."""

_TOLERANCE_BITS = 26
"""R's quantile rule: a curve within 2^-26, the root of a double's precision, of one half is on it."""


@dataclass(frozen=True)
class Sums:
    """-log S and Greenwood's sum, FRACTION fraction bits."""

    hazard: Shared
    greenwood: Shared


def _coefficients(rows: Rows) -> tuple[Elements, Elements]:
    people = rows.at_risk.tolist()
    hazard = [fixed_log(m, m - 1, FRACTION) if m > 1 else GONE << FRACTION for m in people]
    m = rows.at_risk.astype(np.float64)
    greenwood = np.where(m > 1, 1 / (m * np.maximum(m - 1, 1)), 0.0)
    return M127.from_ints(hazard), encode(M127, greenwood, FRACTION, 7)


def row_sums(rows: Rows) -> Sums:
    """At each row, all rows up to it: (lists, rows). Local."""
    hazard, greenwood = _coefficients(rows)
    return Sums(*(rows.event.times(c).cumsum(1).with_fraction_bits(FRACTION) for c in (hazard, greenwood)))


def landmark_sums(rows: Rows) -> Sums:
    """At each landmark: (lists, landmarks). Local."""
    count = rows.event.shape[1]
    wide = [M127.reshape(c, (count, 1)) for c in _coefficients(rows)]
    return Sums(*(rows.more.times(c).sum(1).with_fraction_bits(FRACTION) for c in wide))


def _margin(greenwood: Shared, z: float) -> Shared:
    """z^2 times Greenwood's sum."""
    return greenwood.times_int(fixed_square(z, FRACTION)).with_fraction_bits(2 * FRACTION)


def _plain(x: Shared) -> Shared:
    return x.with_fraction_bits(0).reshape(x.size)


# --- when a curve crosses one half -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crossings:
    """First rows at which something is at or below one half; arrays of shape (kinds, lists).

    The kinds are S (within R's tolerance), S strictly, the lower and the upper limit.

    Attributes
    ----------
    twice_time : Shared
        0 where there is none.
    exists : Shared
        0 or 1.
    """

    twice_time: Shared
    exists: Shared


async def crossings(session: Session, rows: Rows, z: float) -> Crossings:
    """Where the curve and its "log" limits cross one half.

    Limits count at the last row of each time only, and not once S is 0. Four comparisons and an equality for each row,
    and 2 log2(rows) products; reveals nothing.
    """
    sums, (lists, count) = row_sums(rows), rows.event.shape
    below = sums.hazard.plus_int(-fixed_log(2, 1, FRACTION))
    # of -log S at one half
    tolerance = 1 << (FRACTION - _TOLERANCE_BITS + 1)
    wide = concatenate([_plain(below.plus_int(tolerance)), _plain(below.plus_int(-tolerance))])
    square = await multiply(session, below, below)
    flat = concatenate([wide, _plain(square - _margin(sums.greenwood, z))])
    bits = (await at_least(session, flat, 0)).reshape(3, lists, count)
    met, strictly, far = bits[0], bits[1], bits[2]
    both = await multiply(session, met, far)
    limits = concatenate([((both - far).plus_int(1)).reshape(1, lists, count), both.reshape(1, lists, count)])
    limits = await multiply(session, limits, (await _usable(session, rows)).reshape(1, lists, count))
    seen = await prefix_or(session, limits, 2)
    curves = concatenate([met.reshape(1, lists, count), strictly.reshape(1, lists, count)])
    return await _first(session, rows, concatenate([curves, seen]))


async def _usable(session: Session, rows: Rows) -> Shared:
    """1 in the last row of each time, but not in the very last row when it is an event: S is 0 there."""
    time = rows.twice_time
    same = await equal_zero(session, time[:, 1:] - time[:, :-1])
    last = (-rows.event[:, -1:]).plus_int(1)
    return concatenate([(-same).plus_int(1), last], axis=1)


async def _first(session: Session, rows: Rows, seen: Shared) -> Crossings:
    """The first row where bits (kinds, lists, rows), which stay 1, are 1."""
    kinds, lists, count = seen.shape
    before = concatenate([seen[:, :, :1].times_int(0), seen[:, :, :-1]], axis=2)
    here = seen - before
    times = rows.twice_time.reshape(1, lists, count)
    return Crossings(await inner_product(session, here, times, 2), seen[:, :, count - 1 :].reshape(kinds, lists))
