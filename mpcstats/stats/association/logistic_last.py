"""The last Newton step of logistic regressions, made on shares; effect and variance of the variant are opened.

From public coefficients that are within about 2^-12 standard errors of the maximum a Newton step s leaves the square of
that. Its last element is corrected for the solver's rounding (see `logistic_solve`). The variance is that at the
maximum: d(I^-1) = -I^-1 dI I^-1 with dI = 2 third(s). Firth's score has a slope of its own: with P = I^-1

    D_rs = <fourth_rs, P> - 2 <third_r, P third_s P>

the step solves (I - D) s = U*, or s = s0 + P D s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import bit_compose, blurred, floor_shift, inner_product, multiply, truncate
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.protocols.normalise import leading_one
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.association.logistic_share import Batch, Wanted, share_sums
from mpcstats.stats.association.logistic_solve import (
    EXACT_BITS,
    INTEGER_BITS,
    LARGEST_SQUARE,
    Solution,
    fraction_bits,
    newton_step,
    score_in_range,
    solve,
    third_in_range,
    third_on_variant,
)
from mpcstats.stats.association.logistic_sums import FOURTH, INFORMATION, SCORE, THIRD, Points, positions
from mpcstats.stats.disclosure import open_counts

__all__ = ["Released", "declare_last", "last_step"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ZOOM = 6
"""The last step is below 2^-7 standard errors: it is carried times 2^6."""

_VISIBLE = 56
"""Fraction bits of opened numbers, in standard errors at the null model; below, they are random."""

_TERMS = 12
"""Rounds of the iteration for Firth's step: each halves the error."""


_SPARE = 6
"""Bits that the inverse has less than EXACT_BITS."""


@dataclass(frozen=True)
class Released:
    """Opened results of V variants, per copy of the tested allele; NaN where not solved."""

    solved: NDArray[np.bool_]
    effect: Floats
    variance: Floats


def declare_last(session: Session, variants: int) -> None:
    """Enter what `last_step` opens."""
    for name, count, why in (
        ("last step can be solved", 2 * variants, "per variant, whether all numbers are in range"),
        ("size of the variance", variants, "per variant, to a power of two; the variance itself is released"),
        ("effect", variants, "per variant, log odds ratio less the coarse coefficient"),
        ("variance", variants, "per variant, of the effect"),
    ):
        session.openings.declare(name, count, why)


async def last_step(batch: Batch, points: Points, index: Integers, firth: bool) -> Released:
    """One Newton step from coefficients that are near the maximum.

    Parameters
    ----------
    points : Points
        Of the variants `index` of the batch.
    """
    points, kept = await _scaled(batch, points, index)
    session, f = batch.session, fraction_bits(batch.session)
    released = Released(kept, np.full(index.size, np.nan), np.full(index.size, np.nan))
    where = np.flatnonzero(kept)
    if not where.size:
        return released
    zoom = np.full(where.size, -_ZOOM, np.int64)
    wanted = [
        Wanted(INFORMATION, f),
        Wanted(INFORMATION, EXACT_BITS),
        Wanted(SCORE, f, zoom),
        Wanted(SCORE, EXACT_BITS, zoom),
        Wanted(THIRD, f),
    ]
    if firth:
        wanted += [Wanted(FOURTH, f), Wanted(THIRD, EXACT_BITS)]
    points = points.of(where)
    sums = await share_sums(batch, index[where], points, wanted)
    solution = await solve(session, sums[0])
    good = await multiply(session, solution.fine, await third_in_range(session, sums[4]))
    third = (await multiply(session, good.reshape(where.size, 1), sums[4]))[:, positions(batch.size, 3)]
    score, exact = sums[2], sums[3]
    if firth:
        score = score + (await third_on_variant(session, solution, third)).times_int(1 << _ZOOM)
    good = await multiply(session, good, await score_in_range(session, score))
    solved = await open_counts(session, good, "last step can be solved") == 1
    released.solved[where[~solved]] = False
    at = np.flatnonzero(solved)
    if not at.size:
        return released
    solution, third = solution.of(at), third[at]
    score, exact, information, slope = score[at], exact[at], sums[1][at], None
    if firth:
        inverse = await _inverse(session, solution)
        exact = exact + await _penalty(session, inverse, information, sums[6][at])
        score = (await floor_shift(session, exact, EXACT_BITS - f)).with_fraction_bits(f)
        slope = await _slope(session, inverse, third, sums[5][at])
    results = await _results(session, solution, information, (score, exact), third, slope)
    effect, variance = await _open(session, *results)
    sigma, reached = points.sigma[at], points.coefficients[at, -1]
    released.effect[where[at]] = (reached + np.ldexp(effect, -_ZOOM)) * sigma
    released.variance[where[at]] = variance * sigma**2
    return released


async def _scaled(batch: Batch, points: Points, index: Integers) -> tuple[Points, NDArray[np.bool_]]:
    """Scale the variant anew, such that the information left of it is in [1/4, 1)."""
    session, f = batch.session, fraction_bits(batch.session)
    (information,) = await share_sums(batch, index, points, [Wanted(INFORMATION, f)])
    solution = await solve(session, information)
    width = LARGEST_SQUARE + 1 + f
    fine = await open_counts(session, solution.fine, "last step can be solved") == 1
    where = await leading_one(session, solution.rest.with_fraction_bits(0), width)
    shift = await open_counts(session, bit_compose(where.shift), "size of the variance")
    # rest 2^shift is in [2^(width - f - 1), 2^(width - f)) = [2^LARGEST_SQUARE, 2 ...)
    half = (shift - LARGEST_SQUARE - 1) // 2
    factor = np.where(fine, np.ldexp(1.0, half), 1.0)
    coefficients = points.coefficients.copy()
    coefficients[:, -1] /= factor
    return Points(coefficients, points.rate, points.sigma * factor, points.a1_is_alt), fine


async def _results(
    session: Session,
    solution: Solution,
    information: Shared,
    scores: tuple[Shared, Shared],
    third: Shared,
    slope: Shared | None,
) -> tuple[Shared, Shared]:
    """The variant's step times 2^_ZOOM, and its variance at the maximum: (V,) each."""
    score, exact = scores
    count, size = score.shape
    f = score.fraction_bits
    z = await truncate(
        session, local_product(solution.direction(), solution.inverse_rest.reshape(count, 1)), f, INTEGER_BITS
    )
    step = await floor_shift(session, await newton_step(session, solution, score), 2 * f)
    step = step.with_fraction_bits(f)
    whole = information[:, positions(size, 2)]
    iz = await inner_product(session, whole, z.reshape(count, 1, size), axis=2)
    last = step[:, size - 1]
    # z'U + s_g - z'I s and 2 z_g - z'I z: off by the product of the errors of z and s
    scale = EXACT_BITS + 2 * f
    effect = (await inner_product(session, z, exact, axis=1)).shifted(scale) + last.shifted(scale)
    effect = effect - await inner_product(session, iz, step, axis=1)
    variance = z[:, size - 1].times_int(2).shifted(scale) - await inner_product(session, iz, z, axis=1)
    if slope is not None:
        better = await _series(session, slope, step)
        effect, step = effect + (better - step)[:, size - 1].shifted(scale), better
    return effect, variance - (await _change(session, third, z, step)).shifted(scale)


async def _series(session: Session, slope: Shared, first: Shared) -> Shared:
    """(I - P D)^-1 s, by s <- (s + s0 + P D s) / 2: eigenvalues of P D are between -1 (one carrier alone) and 1/4."""
    count, size = first.shape
    f, step = first.fraction_bits, first
    for _ in range(_TERMS):
        product = local_product(slope, step.reshape(count, 1, size)).sum(2)
        twice = product + (first + step).shifted(2 * f)
        step = await truncate(session, twice.with_fraction_bits(2 * f + 1), f + 1, INTEGER_BITS - 1)
    return step


async def _change(session: Session, third: Shared, z: Shared, step: Shared) -> Shared:
    """2 third(z, z, s): what the variance loses on the last step. (V,) with 2 f + _ZOOM fraction bits."""
    count, size = z.shape
    f = z.fraction_bits
    squares = await multiply(session, z.reshape(count, size, 1), z.reshape(count, 1, size))
    flat = third.reshape(count, size, size * size)
    along = await inner_product(session, flat, squares.reshape(count, 1, size * size), axis=2)
    along = (await floor_shift(session, along, 2 * f)).with_fraction_bits(f)
    change = await inner_product(session, along, step, axis=1)
    return change.times_int(2).with_fraction_bits(2 * f + _ZOOM)


async def _penalty(session: Session, inverse: Shared, information: Shared, third: Shared) -> Shared:
    """<third_r, P> times 2^_ZOOM with EXACT_BITS, for P = 2 P - P I P, off by the square of the error of P."""
    count, size, f = inverse.shape[0], inverse.shape[1], inverse.fraction_bits
    whole = information[:, positions(size, 2)]
    once = await reshare(session, _matmul(whole, inverse))
    twice = await reshare(session, _matmul(inverse, once))
    better = inverse.times_int(2).shifted(EXACT_BITS + 2 * f) - twice
    better = (await floor_shift(session, better, 2 * f + _SPARE)).with_fraction_bits(EXACT_BITS - _SPARE)
    flat = third[:, positions(size, 3)].reshape(count, size, size * size)
    along = await inner_product(session, flat, better.reshape(count, 1, size * size), axis=2)
    along = await floor_shift(session, along, EXACT_BITS - _SPARE)
    return along.with_fraction_bits(EXACT_BITS).times_int(1 << _ZOOM)


async def _slope(session: Session, inverse: Shared, third: Shared, fourth: Shared) -> Shared:
    """P D: (V, d, d) with f fraction bits."""
    count, size, f = third.shape[0], third.shape[1], third.fraction_bits
    flat = third.reshape(count, size * size, size)
    product = _matmul(flat, inverse)
    s = (await floor_shift(session, await reshare(session, product), f)).with_fraction_bits(f)
    s = s.reshape(count, size, size, size)
    crossed = Shared(s.field, np.swapaxes(s.values, 2, 3), s.degree, s.fraction_bits)
    rows, columns = np.triu_indices(size)
    left, right = (x.reshape(count, size, size * size) for x in (s, crossed))
    twice = await inner_product(session, left[:, rows], right[:, columns], axis=2)
    d = await _along_inverse(session, fourth, inverse) - twice.times_int(2)
    d = (await floor_shift(session, d, f)).with_fraction_bits(f)[:, positions(size, 2)]
    return await truncate(session, _matmul(inverse, d), f, INTEGER_BITS)


async def _along_inverse(session: Session, fourth: Shared, inverse: Shared) -> Shared:
    """<fourth_rs, P> for r <= s: (V, d (d + 1) / 2). Elements of P beside the diagonal count twice."""
    size = inverse.shape[1]
    rows, columns = np.triu_indices(size)
    whole = fourth[:, positions(size, 4)[rows, columns][:, rows, columns]]
    times = M127.from_int64(np.where(rows == columns, 1, 2).astype(np.int64))
    return await inner_product(session, whole, inverse[:, rows, columns].times(times).reshape(-1, 1, len(rows)), axis=2)


async def _inverse(session: Session, solution: Solution) -> Shared:
    """I^-1: X, and the outer product of the variant's direction over V."""
    count, order = solution.line.shape
    size, f = order + 1, solution.line.fraction_bits
    q = solution.direction()
    z = await multiply(session, q, solution.inverse_rest.reshape(count, 1))
    outer = await multiply(session, z.reshape(count, size, 1), q.reshape(count, 1, size))
    outer = (await floor_shift(session, outer, 2 * f)).with_fraction_bits(f)
    values = outer.values.copy()
    values[:, :order, :order] = M127.add(np.ascontiguousarray(values[:, :order, :order]), solution.x.values)
    return Shared(M127, values, outer.degree, f)


def _matmul(a: Shared, b: Shared) -> Shared:
    return Shared(a.field, a.field.matmul(a.values, b.values), a.degree + b.degree, a.fraction_bits + b.fraction_bits)


async def _open(session: Session, effect: Shared, variance: Shared) -> tuple[Floats, Floats]:
    opened = []
    for name, x in (("effect", effect), ("variance", variance)):
        shown = blurred(session, x, _VISIBLE)
        opened.append(decode(M127, await open_declared(session, shown, name), shown.fraction_bits))
    return opened[0], opened[1]
