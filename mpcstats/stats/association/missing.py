"""Variants with missing calls: sums over the people who have a call, without opening who has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M127, Elements, one_blas_thread
from mpcstats.protocols import at_least, floor_shift, inner_product, multiply, sum_of_inputs, truncate
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.solve import NEWTON_STEPS, masked_openings, reciprocal_near_one, solve_near_identity
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.null_model import NullModel

__all__ = ["MissingTerms", "corrected_sums", "missing_openings", "share_missing_terms"]

Floats = NDArray[np.float64]

_INTEGER = 6
"""Everything in the solver is below 2^6: call rates are at least 1/64 and A / rate is within 1/2 of the identity."""

_LOWEST_CALL_RATE = 1 / 64
_BALANCE_BITS = 24
"""Fraction bits of E in the test of its norm: squares of small numbers, compared with 1/4."""

_EXACT_BITS = 50
"""Fraction bits of sums: with those of two solutions, they must leave room for the number."""

_PRECISE_BITS, _RATE_BITS, _STEP_BITS, _INVERSE_BITS, _SUM_BITS = 60, 30, 50, 46, 74
"""Fraction bits of s_yy, of the public factor beside it, of the last step to its reciprocal, of that, of the sums."""


@dataclass(frozen=True)
class MissingTerms:
    """For V variants: over the people without a call the products E of (Q, e), over the others u = (Q, e)'g and g'g.

    The residual e of the phenotype is the last of the `order` + 1 columns.

    Attributes
    ----------
    exact : Shared (V, order, order + 1)
        E without the last row.
    corner : Shared (V,)
        e'e.
    u : Shared (V, order + 1)
    gg : Shared (V,)
    coarse : Shared (V, order + 1, order + 2)
        (E, u) / call rate with the solver's fraction bits.
    rough : Shared (V, order + 1, order + 1)
        ((I - E) / rate - I) with few fraction bits, for the test of its norm.
    rates : float64 (V,)
        Public call rates.
    """

    exact: Shared
    corner: Shared
    u: Shared
    gg: Shared
    coarse: Shared
    rough: Shared
    rates: Floats


def missing_openings(order: int, variants: int) -> int:
    """Bounded masks of `corrected_sums` for so many variants."""
    # the two solutions, and the reciprocal of the residual's own sum of squares
    return masked_openings(order, variants, 2) + variants * (1 + 2 * NEWTON_STEPS + 1)


async def share_missing_terms(
    session: Session,
    model: NullModel,
    calls: NDArray[np.int8] | None,
    partial: NDArray[np.int64],
    observed: NDArray[np.int64],
    dealers: tuple[int, ...],
) -> MissingTerms:
    """Sum the terms over sites. Three rounds; reveals nothing."""
    order, count = model.order, partial.size
    rates = np.maximum(observed / model.people, _LOWEST_CALL_RATE)
    exact = scaled = None
    if calls is not None:
        exact, scaled = await local(session, _terms, model, calls[:, partial], rates)
    products = order * (order + 1)
    fine = await _sum(session, exact, (count, products + order + 3), dealers, _EXACT_BITS)
    coarse = await _sum(session, scaled, (count, order + 1, order + 2), dealers, _solver_fraction(session))
    # (I - E) / rate - I; the identity's part is public and added below
    rough = await _sum(
        session,
        None if scaled is None else -scaled[:, :, : order + 1],
        (count, order + 1, order + 1),
        dealers,
        _BALANCE_BITS,
    )
    return MissingTerms(
        fine[:, :products].reshape(count, order, order + 1),
        fine[:, products + order + 2],
        fine[:, products : products + order + 1],
        fine[:, products + order + 1],
        coarse,
        rough.plus(_shift(order + 1, rates, _BALANCE_BITS)),
        rates,
    )


def _terms(model: NullModel, calls: NDArray[np.int8], rates: Floats) -> tuple[Floats, Floats]:
    """Own terms: exact (V, order (order + 1) + order + 3), and over the call rates (V, order + 1, order + 2)."""
    rows = np.column_stack([model.basis, model.residual])
    g = np.maximum(calls, 0).astype(np.float64)
    with one_blas_thread():
        own = _own_terms(rows, calls < 0)
        u = (rows.T @ g / np.sqrt(model.people)).T
    squares = np.einsum("ij,ij->j", g, g) / model.people
    most = own[:, : model.order].reshape(len(own), model.order * (model.order + 1))
    exact = np.column_stack([most, u, squares, own[:, model.order, model.order]])
    return exact, np.concatenate([own, u[:, :, None]], axis=2) / rates[:, None, None]


def _shift(size: int, rates: Floats, fraction: int) -> Elements:
    """I / rate - I, public."""
    return encode(M127, np.eye(size) * (1 / rates - 1)[:, None, None], fraction, 7)


def _own_terms(rows: Floats, missing: NDArray[np.bool_]) -> Floats:
    """Sums of products of (Q, e) over own people without a call: (V, order + 1, order + 1)."""
    size = rows.shape[1]
    upper = np.triu_indices(size)
    products = (rows[:, upper[0]] * rows[:, upper[1]]).T @ missing.astype(np.float64)
    terms = np.empty((missing.shape[1], size, size))
    terms[:, upper[0], upper[1]] = products.T
    terms[:, upper[1], upper[0]] = products.T
    return terms


async def _sum(
    session: Session, own: Floats | None, shape: tuple[int, ...], dealers: tuple[int, ...], fraction: int
) -> Shared:
    mine = None if own is None else encode(M127, own, fraction, 7)
    return await sum_of_inputs(session, M127, mine, dealers, shape, fraction)


def _solver_fraction(session: Session) -> int:
    """Fraction bits of the solver: the widest product has _INTEGER + 2 f + 1 bits."""
    fraction = min(30, (session.headroom(M127) - _INTEGER - 1) // 2)
    if fraction < 20:
        raise RangeError(f"only {fraction} fraction bits are left for missing calls at kappa = {session.kappa}")
    return fraction


async def corrected_sums(session: Session, terms: MissingTerms) -> tuple[Shared, Shared, Floats]:
    """s_xx and s_xy over the people with a call, both divided by s_yy: effect and standard error, and nothing more.

    s_yy itself would tell about the people without a call: of a single one, the residual.

    Returns
    -------
    (ok, sums, rates)
        ok in M127 (V,): 1 where (I - E) / rate is within 1/2 of the identity (Frobenius norm); elsewhere the sums mean
        nothing. sums: s_xx and s_xy, times a public rate (V,) / s_yy: (2, V). Relative error 2^-44. Reveals nothing.
    """
    order = terms.exact.shape[1]
    ok = await _balanced(session, terms)
    matrix, sides, corner = await _safe_systems(session, terms, ok)
    solution = await solve_near_identity(session, matrix, sides, _INTEGER)  # (V, order, 2): w and z
    inverse = await _rough_inverse(session, corner, sides[:, :, 1], solution[:, :, 1])
    s_yy, sums = await _exact_sums(session, terms, solution[:, :, 0], solution[:, :, 1], order)
    inverse, rates = await _polished(session, s_yy, inverse, terms.rates)
    return ok, await multiply(session, sums, inverse.reshape(1, inverse.size)), rates


async def _exact_sums(session: Session, terms: MissingTerms, w: Shared, z: Shared, order: int) -> tuple[Shared, Shared]:
    """s_yy (V,) and (s_xx, s_xy) (2, V), off by the squares of the errors of w ~ A^-1 u and z ~ A^-1 b."""
    count, solver = terms.corner.size, w.fraction_bits
    u, gy = terms.u[:, :order], terms.u[:, order]
    identity = encode(M127, np.broadcast_to(np.eye(order), (count, order, order)), _EXACT_BITS, 7)
    a = (-terms.exact[:, :, :order]).plus(identity)
    both = concatenate([x.reshape(1, count, 1, order) for x in (w, z)])
    images = await inner_product(session, a.reshape(1, count, order, order), both, axis=3)
    aw, az = images[0], images[1]
    # s_xx = g'g - w.(2u - A w); s_xy = g'y - w.b - z.(u - A w); s_yy = 1 - e'e - z.(2b - A z)
    u, b = u.shifted(_EXACT_BITS + solver), (-terms.exact[:, :, order]).shifted(_EXACT_BITS + solver)
    left = concatenate([x.reshape(1, count, order) for x in (w, w, z, z)])
    right = concatenate([x.reshape(1, count, order) for x in (u + u - aw, b, u - aw, b + b - az)])
    product = await inner_product(session, left, right, axis=2)
    scale = _EXACT_BITS + 2 * solver
    s_xx = terms.gg.shifted(scale) - product[0]
    s_xy = gy.shifted(scale) - product[1] - product[2]
    s_yy = (-terms.corner.shifted(scale)).plus_int(1 << scale) - product[3]
    sums = concatenate([x.reshape(1, count) for x in (s_xx, s_xy)])
    return await _cut(session, s_yy, _PRECISE_BITS), await _cut(session, sums, _SUM_BITS)


async def _cut(session: Session, x: Shared, fraction: int) -> Shared:
    drop = x.fraction_bits - fraction
    return (await floor_shift(session, x.with_fraction_bits(0), drop)).with_fraction_bits(fraction)


async def _rough_inverse(session: Session, corner: Shared, b: Shared, z: Shared) -> Shared:
    """rate / s_yy (V,) with the solver's fraction bits, from s_yy / rate = corner - z.b, which is within [1/2, 3/2]."""
    explained = await truncate(session, local_product(z, b).sum(1), b.fraction_bits, _INTEGER)
    return await reciprocal_near_one(session, corner - explained, _INTEGER)


async def _polished(session: Session, s_yy: Shared, inverse: Shared, rates: Floats) -> tuple[Shared, Floats]:
    """1 / (q s_yy) by one Newton step, and 1 / q, for public multiples q of 2^-30 next to 1 / rate."""
    q = np.rint(np.ldexp(1 / rates, _RATE_BITS)).astype(np.int64)
    scaled = s_yy.times(M127.from_int64(q)).with_fraction_bits(_PRECISE_BITS + _RATE_BITS)
    product = await multiply(session, scaled, inverse)
    error = await _cut(session, (-product).plus_int(1 << product.fraction_bits), _STEP_BITS)
    better = await multiply(session, inverse, error.plus_int(1 << _STEP_BITS))
    return await _cut(session, better, _INVERSE_BITS), np.ldexp(1.0 / q, _RATE_BITS)


async def _balanced(session: Session, terms: MissingTerms) -> Shared:
    """1 where the Frobenius norm of (I - E) / rate - I is at most 1/2: eigenvalues are then within [1/2, 3/2]."""
    count = terms.rough.shape[0]
    flat = terms.rough.reshape(count, terms.rough.size // count)
    norm = await inner_product(session, flat, flat, axis=1)
    limit = 1 << (norm.fraction_bits - 2)
    near = await at_least(session, (-norm).plus_int(limit), 0)
    served = np.asarray(terms.rates > _LOWEST_CALL_RATE).astype(np.int64)
    return near.times(M127.from_int64(served))


async def _safe_systems(session: Session, terms: MissingTerms, ok: Shared) -> tuple[Shared, Shared, Shared]:
    """A / rate, (u, b) / rate and (1 - e'e) / rate where ok, the identity, zeros and 1 elsewhere: the solver's range is
    then kept."""
    size, fraction = terms.coarse.shape[1], terms.coarse.fraction_bits
    count, order = ok.size, size - 1
    # (I - E) / rate - I
    difference = (-terms.coarse[:, :, :size]).plus(_shift(size, terms.rates, fraction))
    both = concatenate([difference, terms.coarse[:, :, size:]], axis=2)
    kept = await multiply(session, ok.reshape(count, 1, 1), both)
    identity = encode(M127, np.broadcast_to(np.eye(size), (count, size, size)), fraction, 2)
    system = kept[:, :, :size].plus(identity)
    sides = concatenate([kept[:, :order, size:], system[:, :order, order:]], axis=2)
    return system[:, :order, :order], sides, system[:, order, order]
