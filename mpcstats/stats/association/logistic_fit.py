"""Wald and Firth logistic regression of a phenotype on each of many variants and the covariates, pooled over sites.

Newton's method for all variants of a batch at once. Sites know the public coefficients of the step and sum score and
information (and for Firth the additive third-order sums) over their people; the sums stay on shares, and only the step
is opened, coarsely: its digits below 2^-16 of a standard error are random. Coefficients are in units of the standard
error at the null model, to a factor of two. When the public steps say that one more step is enough, that step is made
on shares, and effect and variance of the variant alone are opened: to about 1e-11 standard errors for Wald, 1e-9 for
Firth, and 1e-8 where single people carry the allele.

People without a call leave the sums of a variant (PLINK's complete cases). What goes wrong with a variant gives it a
code, as PLINK 2 names them, and never ends the batch.

Newton's steps that go too far are halved: where the next step would go back more than half of it, which is seen from
the public steps. Firth's penalty: Heinze, Schemper 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.protocols import at_least, bit_compose, blurred, inner_product, multiply, truncate
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.normalise import leading_one
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.association.logistic_last import Released, declare_last, last_step
from mpcstats.stats.association.logistic_null import LogisticNull
from mpcstats.stats.association.logistic_share import Batch, Wanted, share_sums
from mpcstats.stats.association.logistic_solve import (
    EXACT_BITS,
    INTEGER_BITS,
    fraction_bits,
    inverse_of_covariates,
    newton_step,
    score_in_range,
    solution_masks,
    solve,
    third_in_range,
    third_on_variant,
)
from mpcstats.stats.association.logistic_sums import INFORMATION, SCORE, THIRD, Points, positions
from mpcstats.stats.disclosure import open_counts
from mpcstats.stats.tails import log_normal_two_sided, normal_two_sided

__all__ = ["METHODS", "SEPARATED", "Fits", "block_size", "declare_fits", "fit_variants", "fit_masks"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

METHODS = ("wald", "firth", "firth-fallback")

OK = "."
CONSTANT, TOO_FEW, EXPLAINED = "CONST_OMITTED_ALLELE", "SAMPLE_CT<=PREDICTOR_CT", "VIF_TOO_HIGH"
SEPARATED, WALD_FAILED, FIRTH_FAILED = "SEPARATION", "LOGISTIC_CONVERGE_FAIL", "FIRTH_CONVERGE_FAIL"
UNFINISHED, UNBALANCED = "UNFINISHED", "UNBALANCED_MISSINGNESS"

_LIMIT = {False: 20, True: 30}
"""Points at which sums are taken, Wald and Firth (PLINK: 15 and 25 steps, without those that are repeated)."""

_NEAR = {False: 2.0**-7, True: 2.0**-11}
"""Largest coordinate of a step after which only the last one is due: Newton's error is the square, Firth's steps leave
out the penalty's own slope and gain a factor each."""

_TURN = 2.0**-12
"""Steps shorter than this are not halved: random digits have a part in their sign. It is below _NEAR: the steps of one
carrier alone go back and forth with the same length until they are halved."""

_SHOWN = 20
"""Fraction bits of an opened step over 2^exponent."""

_EXPONENT, _MORE = 4, 6
"""Scores are scaled by 2^-exponent: they must be below 2^7 standard errors, else it is done again with 2^13."""

_LARGEST_VIF = 50
"""PLINK's default."""

_NOTHING_LEFT = 32
"""What the covariates leave must be at least 2^-32 of the people: one carrier among 10^6 has 10^-6."""

_LONGEST = 5.0
"""Largest step of Firth's effect per copy, in log odds (logistf's and PLINK's `maxstep`)."""

_SEPARATED_AFTER = 8
_SEPARATED_STEP = 0.5


@dataclass(frozen=True)
class Fits:
    """Public results of V variants; NaN where `errcode` is not ".".

    Attributes
    ----------
    effect, standard_error, z, p, log10_p : float64 (V,)
        Log odds ratio per copy of A1; Wald's test from the normal distribution; log10_p is -log10 p, which does not
        underflow.
    errcode : object (V,)
        PLINK's codes without the allele, "." where there is none.
    firth : bool (V,)
        Firth's regression was used.
    iterations : int64 (V,)
        Points at which sums were taken.
    """

    effect: Floats
    standard_error: Floats
    z: Floats
    p: Floats
    log10_p: Floats
    errcode: NDArray[np.object_]
    firth: NDArray[np.bool_]
    iterations: Integers


@dataclass
class _State:
    """Public state of the batch."""

    points: Points
    codes: NDArray[np.object_]
    iterations: Integers
    effect: Floats
    variance: Floats


def block_size(order: int) -> int:
    """Variants of a batch such that sums of higher order take some 100 MB on shares."""
    return int(max(32, min(2048, (1 << 20) // (order + 1) ** 3)))


def fit_masks(order: int, variants: int, method: str) -> int:
    """Bounded masks of `fit_variants`, at most."""
    steps = sum(_LIMIT[firth] + 3 for firth in _passes(method))
    return variants * (steps * solution_masks(order))


def _passes(method: str) -> tuple[bool, ...]:
    if method not in METHODS:
        raise RangeError(f"{method!r} is not one of {', '.join(METHODS)}")
    return {"wald": (False,), "firth": (True,), "firth-fallback": (False, True)}[method]


def declare_fits(session: Session, order: int, variants: int, method: str) -> None:
    """Enter what `fit_variants` opens for so many variants in all batches."""
    steps = sum(_LIMIT[firth] for firth in _passes(method))
    again = len(_passes(method))
    for name, count, why in (
        ("size of a variant", variants, "per variant, its information beside the covariates, to a power of two"),
        ("variant not explained", 2 * variants, "per variant, whether missing calls and covariates leave enough of it"),
        ("step can be solved", 2 * steps * variants, "per variant and step, whether all numbers are in range"),
        ("step", steps * variants * (order + 1), "per variant, Newton's step, random below 2^-16 standard errors"),
    ):
        session.openings.declare(name, count, why)
    declare_last(session, again * variants)


async def fit_variants(
    session: Session,
    null: LogisticNull,
    calls: NDArray[np.int8] | None,
    dealers: tuple[int, ...],
    observed: Integers,
    a1_is_alt: NDArray[np.bool_],
    passes: NDArray[np.bool_],
    method: str = "firth-fallback",
) -> Fits:
    """Fit V variants; `declare_fits` comes first, once for all batches.

    Parameters
    ----------
    calls : int8 (own people, V) or None
        Copies of ALT, -1 where missing; rows as in `null`. None without data.
    dealers : tuple of int
        Parties with data.
    observed : int64 (V,)
        Pooled people with a call; public.
    a1_is_alt : bool (V,)
        The rarer allele is ALT; public.
    passes : bool (V,)
        Public: whether the variant may be analysed, and is not constant. Others get CONST_OMITTED_ALLELE.
    method : str
        "wald", "firth", or "firth-fallback": Firth where Wald separates or does not converge.

    Returns
    -------
    Fits
        The same at every party.

    Notes
    -----
    About 60 rounds per point, and 5 points (8 for Firth), whatever V is.
    """
    wanted = _passes(method)
    batch = Batch(session, null, calls, dealers)
    state = _start(null, observed, a1_is_alt, passes)
    firth_used = np.zeros(len(observed), np.bool_)
    if (state.codes == OK).any():
        await _open_sizes(batch, state)
    for k, firth in enumerate(wanted):
        if k:
            failed = np.isin(state.codes, [SEPARATED, WALD_FAILED, UNFINISHED])
            state.codes[failed] = OK
            state.points.coefficients[failed] = 0.0
            index = np.flatnonzero(failed)
        else:
            index = np.flatnonzero(state.codes == OK)
        firth_used[index] = firth
        near = await _approach(batch, state, index, firth)
        if near.size:
            released = await last_step(batch, state.points.of(near), near, firth)
            _store(state, near, released, firth)
    return _fits(state, firth_used)


def _start(null: LogisticNull, observed: Integers, a1_is_alt: NDArray[np.bool_], passes: NDArray[np.bool_]) -> _State:
    count, size = len(observed), null.order + 1
    codes = np.full(count, OK, dtype=object)
    codes[observed <= size] = TOO_FEW
    codes[~passes] = CONSTANT
    rate = np.maximum(observed, 1) / null.people
    sigma = np.full(count, 1 / np.sqrt(null.people))
    points = Points(np.zeros((count, size)), rate, sigma, np.asarray(a1_is_alt, np.bool_))
    nothing = np.full(count, np.nan)
    return _State(points, codes, np.zeros(count, np.int64), nothing, nothing.copy())


async def _open_sizes(batch: Batch, state: _State) -> None:
    """Scale variants such that what the covariates leave of their information is in [1/2, 1) at the null model."""
    session, size = batch.session, batch.size
    index = np.flatnonzero(state.codes == OK)
    f = fraction_bits(session)
    coarse, exact = await share_sums(
        batch, index, state.points.of(index), [Wanted(INFORMATION, f), Wanted(INFORMATION, EXACT_BITS)]
    )
    whole = coarse[:, positions(size, 2)]
    found = await inverse_of_covariates(session, whole[:, :-1, :-1], whole[:, -1, -1])
    exact = exact[:, positions(size, 2)]
    rest, square = await _exact_rest(session, found.x, whole[:, :-1, -1], exact)
    # PLINK's variance inflation: what is left of the variant's variance is at least a 50th
    kept = await at_least(session, (rest.times_int(_LARGEST_VIF) - square).with_fraction_bits(0), 0)
    enough = await at_least(session, rest.with_fraction_bits(0), 1 << (rest.fraction_bits - _NOTHING_LEFT))
    usable = await multiply(session, found.fine, await multiply(session, kept, enough))
    bits = await open_counts(session, concatenate([found.fine, usable]), "variant not explained") == 1
    balanced, opened = bits[: index.size], bits[index.size :]
    state.codes[index[~opened]] = EXPLAINED
    state.codes[index[~balanced]] = UNBALANCED
    chosen = np.flatnonzero(opened)
    if not chosen.size:
        return
    where = await leading_one(session, rest[chosen].with_fraction_bits(0), rest.fraction_bits + 1)
    shift = await open_counts(session, bit_compose(where.shift), "size of a variant")
    # rest is in [2^-shift, 2^(1-shift))
    state.points.sigma[index[chosen]] *= np.sqrt(np.ldexp(1.0, shift - 1))


async def _exact_rest(session: Session, x: Shared, short: Shared, information: Shared) -> tuple[Shared, Shared]:
    """gg - c'A^-1 c, corrected exactly, and gg less the intercept's part of it."""
    count, order, f = x.shape[0], x.shape[1], x.fraction_bits
    a, c, gg = information[:, :-1, :-1], information[:, :-1, -1], information[:, -1, -1]
    line = await truncate(session, local_product(x, short.reshape(count, 1, order)).sum(2), f, INTEGER_BITS)
    aw = await inner_product(session, a, line.reshape(count, 1, order), axis=2)
    twice = c.shifted(EXACT_BITS + f)
    taken = await inner_product(session, line, twice + twice - aw, axis=1)
    total = gg.shifted(EXACT_BITS + 2 * f)
    mean = await multiply(session, short[:, 0], short[:, 0])
    return total - taken, total - mean.shifted(EXACT_BITS + 2 * f)


async def _approach(batch: Batch, state: _State, index: Integers, firth: bool) -> Integers:
    """Coarse steps until the maximum is near; returns the variants that are. Others have a code."""
    size = batch.size
    count = len(state.codes)
    exponents = np.full(count, _EXPONENT, np.int64)
    last = np.zeros((count, size))
    taken = np.zeros(count, np.int64)
    near: list[Integers] = []
    for _ in range(_LIMIT[firth]):
        if not index.size:
            break
        state.iterations[index] += 1
        step, solvable, in_range = await _open_step(batch, state, index, exponents[index], firth)
        broken = index[~solvable]
        state.codes[broken] = _code(state, broken, last, firth)
        exponents[index[solvable & ~in_range]] += _MORE
        moving = np.flatnonzero(solvable & in_range)
        moved = index[moving]
        done = _move(state, moved, step[moving], last, taken, firth)
        exponents[moved] = _EXPONENT
        near.append(moved[done])
        separated = _separated(state, moved, last, taken) & ~done & (not firth)
        state.codes[moved[separated]] = SEPARATED
        gone = np.concatenate([broken, moved[done | separated]])
        index = index[~np.isin(index, gone)]
    state.codes[index] = FIRTH_FAILED if firth else UNFINISHED
    return np.sort(np.concatenate(near)) if near else index[:0]


def _move(
    state: _State, index: Integers, step: Floats, last: Floats, taken: Integers, firth: bool
) -> NDArray[np.bool_]:
    """Add steps to the coefficients, or halve the step before; returns where the maximum is near.

    Every number here must be the same at all parties, to the last bit: elementwise arithmetic only.
    """
    rows = np.arange(len(index))
    before = last[index]
    longest = np.abs(before).argmax(axis=1)
    there, back = before[rows, longest], step[rows, longest]
    overshoot = (taken[index] > 0) & (back * there < -0.5 * there * there) & (np.abs(there) > _TURN)
    if firth:
        size = np.abs(step[:, -1]) * state.points.sigma[index]
        factor = np.where(size > _LONGEST, _LONGEST / np.maximum(size, _LONGEST), 1.0)
        step = step * factor[:, None]
    step = np.where(overshoot[:, None], -before / 2, step)
    state.points.coefficients[index] += step
    # a step that was halved was half as long
    last[index] = np.where(overshoot[:, None], before / 2, step)
    taken[index] += 1
    return np.asarray((np.abs(step).max(axis=1, initial=0) < _NEAR[firth]) & ~overshoot)


def _raw(state: _State, index: Integers, x: Floats) -> Floats:
    """The variant's coefficient or step in log odds per copy."""
    return np.asarray(x[index, -1] * state.points.sigma[index])


def _separated(state: _State, index: Integers, last: Floats, taken: Integers) -> NDArray[np.bool_]:
    """Without a maximum Newton's steps approach 1 in log odds and do not shrink any more."""
    step = _raw(state, index, last)
    reached = _raw(state, index, state.points.coefficients)
    return (taken[index] >= _SEPARATED_AFTER) & (np.abs(step) > _SEPARATED_STEP) & (step * reached > 0)


def _code(state: _State, index: Integers, last: Floats, firth: bool) -> NDArray[np.object_]:
    """Why a step could not be solved: the variant's information is gone, or something else."""
    if firth:
        return np.full(index.size, FIRTH_FAILED, dtype=object)
    step, reached = _raw(state, index, last), _raw(state, index, state.points.coefficients)
    growing = (np.abs(step) > _SEPARATED_STEP) & (step * reached > 0) & (np.abs(reached) > 3)
    codes = np.full(index.size, WALD_FAILED, dtype=object)
    codes[growing] = SEPARATED
    return codes


async def _open_step(
    batch: Batch, state: _State, index: Integers, exponents: Integers, firth: bool
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Coarse steps (V, d), 0 where they cannot be solved, and whether information and score are in range."""
    session = batch.session
    f = fraction_bits(session)
    wanted = [Wanted(INFORMATION, f), Wanted(SCORE, f, exponents)]
    if firth:
        wanted.append(Wanted(THIRD, f, exponents))
    sums = await share_sums(batch, index, state.points.of(index), wanted)
    solution, score = await solve(session, sums[0]), sums[1]
    good = solution.fine
    if firth:
        third = sums[2]
        good = await multiply(session, good, await third_in_range(session, third))
        third = (await multiply(session, good.reshape(index.size, 1), third))[:, positions(batch.size, 3)]
        score = score + await third_on_variant(session, solution, third)
    small = await score_in_range(session, score)
    bits = await open_counts(session, concatenate([good, small]), "step can be solved") == 1
    solvable, in_range = bits[: index.size], bits[index.size :]
    step = np.zeros((index.size, batch.size))
    usable = np.flatnonzero(solvable & in_range)
    if usable.size:
        found = await newton_step(session, solution.of(usable), score[usable])
        shown = blurred(session, found, _SHOWN)
        opened = decode(M127, await open_declared(session, shown, "step"), shown.fraction_bits)
        step[usable] = np.ldexp(opened, exponents[usable, None])
    return step, solvable, in_range


def _store(state: _State, index: Integers, released: Released, firth: bool) -> None:
    good = released.solved
    state.iterations[index] += 1
    state.codes[index[~good]] = FIRTH_FAILED if firth else WALD_FAILED
    state.effect[index] = released.effect
    state.variance[index] = released.variance


def _fits(state: _State, firth: NDArray[np.bool_]) -> Fits:
    good = state.codes == OK
    effect = np.where(good, state.effect, np.nan)
    error = np.sqrt(np.where(good, state.variance, np.nan))
    z = effect / error
    log10_p = -log_normal_two_sided(z) / np.log(10)
    return Fits(effect, error, z, normal_two_sided(z), log10_p, state.codes, firth, state.iterations)
