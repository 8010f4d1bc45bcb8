"""Score and covariance of a weighted log-rank test, on shares.

U_g = sum of w (d_g - d n_g / n) and V_gh = sum of w^2 d (n - d) / (n - 1) n_g / n (delta_gh - n_h / n) over times and
strata. Numerators stay exact integers: with x_g = n_g factor and c = n factor (see `lattice`), d_g c - d x_g is exact,
and only (n - d) / (n - 1), w and 1 / c are fixed-point numbers of 50 bits or more. No difference of nearly equal
rounded numbers is taken and n^2 (n - 1) is never formed. A time with one person left (the reciprocal of n - 1 = 0 is 0
here) adds nothing to the variance, and its full part to the score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mpcstats.field import Elements
from mpcstats.protocols import inner_product
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.protocols.fine import FineReciprocal
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.secure_logrank.lattice import (
    INVERSE,
    WIDTH,
    Lattice,
    check_security,
    fine_reciprocals,
    products,
    row,
    scaled_product,
    shift,
)
from mpcstats.stats.secure_logrank.weights import FRACTION, PointWeights, Weights, people_scale, point_weights

__all__ = ["SCORE_BITS", "VARIANCE_BITS", "Moments", "weighted_moments"]

SCORE_BITS, VARIANCE_BITS = 60, 64
"""Fraction bits."""

_SPREAD = 40
"""Fraction bits of w^2 (n - d) / (n - 1) (1 / c)^2: with d, x_g x_h and a sum, they fill the field."""

_RATIO = 54
"""Fraction bits of (n - d) / (n - 1)."""


@dataclass(frozen=True)
class Moments:
    """What a test is made of, summed over times and strata. Weights are divided by `unit`.

    Attributes
    ----------
    score : Shared (G,), SCORE_BITS fraction bits
        Observed less expected; sums to 0.
    variance : Shared (G, G), VARIANCE_BITS fraction bits
    met : Shared (G,)
        Sum of d n_g: 0 exactly where no event is expected.
    observed : Shared (G,) or None
        Weighted events, SCORE_BITS fraction bits, if asked for.
    unit : Shared () or None
        None: 1.
    """

    score: Shared
    variance: Shared
    met: Shared
    observed: Shared | None
    unit: Shared | None


@dataclass(frozen=True)
class _Points:
    """Per point: c (L,), x_g (G, L), 1 / c or 1 (rho = w / c) and w^2 (n - d) / (n - 1) / c^2."""

    normal: Shared
    scaled: Shared
    rate: Shared | None
    spread: Shared


async def weighted_moments(
    session: Session, lattice: Lattice, weights: Weights, *, want_observed: bool = False
) -> Moments:
    """Score and covariance of all groups.

    Parameters
    ----------
    lattice : Lattice in M127
        G >= 2 groups; fewer than 2^29 people.
    want_observed : bool
        Also the weighted numbers of events.

    Returns
    -------
    Moments
        Error of the covariance, and of the score relative to the sum of its terms' sizes: about 2^-38 with three
        parties.

    Notes
    -----
    About 120 rounds (log-rank), and 18 log2(times) more for weights made of the curve. Reveals nothing.
    """
    check_security(session, lattice.all_events.size, weights.reciprocals, weights.roots)
    d, n = lattice.all_events, lattice.all_at_risk
    numbers = {"wilcoxon": [n.plus_int(-1)], "peto-peto-lifelines": [n, n.plus_int(-1), n.plus_int(1)]}
    found = await fine_reciprocals(session, numbers.get(weights.name, [n, n.plus_int(-1)]))
    session.progress("reciprocals of the numbers at risk")
    chosen: PointWeights | None
    if weights.name == "wilcoxon":
        points, chosen = await _by_people(session, lattice, found[0])
    else:
        chosen = await point_weights(session, weights, lattice, found, want_observed)
        points = await _by_weights(session, lattice, found, chosen)
    session.progress("weights of all times; summing")
    observed = await _observed(session, lattice, chosen) if want_observed else None
    score, variance = await _sums(session, lattice, points)
    met = await inner_product(session, lattice.at_risk, d.reshape(1, d.size), 1)
    return Moments(score, variance, met, observed, None if chosen is None else chosen.unit)


async def _by_people(session: Session, lattice: Lattice, less_one: FineReciprocal) -> tuple[_Points, PointWeights]:
    """Weights n / N, N a power of two just above everybody's number: w / n is one public-free constant, no division."""
    d, n = lattice.all_events, lattice.all_at_risk
    up, down = await people_scale(session, lattice.people.sum(0), WIDTH, even=False)
    factor = _repeated(up, n.size)
    *scaled, normal, left = await products(
        session,
        [*((lattice.at_risk[g], factor) for g in range(lattice.groups)), (n, factor), (n - d, less_one.factor)],
    )
    spread = await scaled_product(session, left, less_one.inverse, WIDTH + INVERSE - _SPREAD)
    weight = normal.times_int(1 << (FRACTION - WIDTH))
    points = _Points(normal, concatenate([row(x) for x in scaled]), None, spread)
    return points, PointWeights(weight, weight, down)


async def _by_weights(
    session: Session, lattice: Lattice, found: list[FineReciprocal], chosen: PointWeights | None
) -> _Points:
    d, n = lattice.all_events, lattice.all_at_risk
    inverse, less_one = found[0].inverse, found[1]
    *scaled, left = await products(
        session,
        [*((lattice.at_risk[g], found[0].factor) for g in range(lattice.groups)), (n - d, less_one.factor)],
    )
    # (n - d) / (n - 1) with 30 bits more, so that both are cut alike
    extra = WIDTH + 1
    ratio, square = await products(session, [(left, less_one.inverse), (inverse, inverse)])
    both = concatenate([row(ratio.times_int(1 << extra)), row(square)])
    both = await shift(session, both, WIDTH + INVERSE + extra - _RATIO)
    squared = 2 * INVERSE - (WIDTH + INVERSE + extra - _RATIO)
    bits = _RATIO + squared
    if chosen is None:
        spread = await scaled_product(session, both[0], both[1], bits - _SPREAD)
        return _Points(found[0].normal, concatenate([row(x) for x in scaled]), inverse, spread)
    product = await scaled_product(session, both[0], both[1], bits - squared)
    weighted, rate = await products(session, [(product, chosen.square), (inverse, chosen.weight)])
    spread = await shift(session, weighted, squared + FRACTION - _SPREAD)
    rate = await shift(session, rate, FRACTION)
    return _Points(found[0].normal, concatenate([row(x) for x in scaled]), rate, spread)


async def _sums(session: Session, lattice: Lattice, points: _Points) -> tuple[Shared, Shared]:
    """Score and covariance from the points. The last group is the negative sum of the others."""
    free, d = lattice.groups - 1, lattice.all_events
    x, rest = points.scaled[:free], points.normal.reshape(1, d.size)
    excess = await reshare(session, local_product(lattice.events[:free], rest) - local_product(x, d.reshape(1, d.size)))
    spread, *pairs = await products(
        session,
        [(points.spread, d)]
        + [(x[g], points.normal - x[g] if g == h else -x[h]) for g in range(free) for h in range(g + 1)],
    )
    if points.rate is None:
        score = excess.sum(1)
        score_bits = WIDTH
    else:
        score = await inner_product(session, excess, points.rate.reshape(1, d.size), 1)
        score_bits = WIDTH + INVERSE
    entries = await inner_product(session, concatenate([row(pair) for pair in pairs]), spread.reshape(1, d.size), 1)
    full_score = concatenate([score, (-score.sum(0)).reshape(1)])
    full_variance = _completed(entries, free)
    return await _cut(session, full_score, score_bits, full_variance)


def _completed(entries: Shared, free: int) -> Shared:
    """The whole covariance from the lower triangle without the last group: rows add up to 0."""
    place = np.empty((free, free), np.intp)
    index = 0
    for g in range(free):
        for h in range(g + 1):
            place[g, h] = place[h, g] = index
            index += 1
    block = entries[place.ravel()].reshape(free, free)
    edge = -block.sum(1)
    corner = -edge.sum(0)
    top = concatenate([block, edge.reshape(free, 1)], axis=1)
    return concatenate([top, concatenate([edge, corner.reshape(1)]).reshape(1, free + 1)])


async def _cut(session: Session, score: Shared, score_bits: int, variance: Shared) -> tuple[Shared, Shared]:
    drop = 2 * WIDTH + _SPREAD - VARIANCE_BITS
    size = score.size
    both = concatenate([score.times_int(1 << (drop + SCORE_BITS - score_bits)), variance.reshape(size * size)])
    both = await shift(session, both, drop)
    return (
        replace(both[:size], fraction_bits=SCORE_BITS),
        replace(both[size:].reshape(size, size), fraction_bits=VARIANCE_BITS),
    )


async def _observed(session: Session, lattice: Lattice, chosen: PointWeights | None) -> Shared:
    if chosen is None:
        return lattice.events.sum(1).shifted(SCORE_BITS)
    total = await inner_product(session, lattice.events, chosen.weight.reshape(1, chosen.weight.size), 1)
    return total.with_fraction_bits(FRACTION).shifted(SCORE_BITS)


def _repeated(x: Shared, count: int) -> Shared:
    """One shared number as a vector."""
    values: Elements = np.broadcast_to(x.values, (count, *x.values.shape[1:]))
    return replace(x, values=np.ascontiguousarray(values))
