"""Variants with missing calls: sums over the people who have a call, without opening who has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.protocols import at_least, inner_product, multiply, sum_of_inputs
from mpcstats.protocols.solve import solve_near_identity
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.null_model import NullModel

__all__ = ["MissingTerms", "corrected_sums", "share_missing_terms"]

Floats = NDArray[np.float64]

_INTEGER = 6
"""Everything in the solver is below 2^6: call rates are at least 1/64 and A / rate is within 1/2 of the identity."""

_LOWEST_CALL_RATE = 1 / 64
_BALANCE_BITS = 24
"""Fraction bits of E in the test of its norm: squares of small numbers, compared with 1/4."""


@dataclass(frozen=True)
class MissingTerms:
    """For V variants, over the people without a call: E = Q'Q, f = Q'e, h = e'e, shared exactly and coarsely.

    Attributes
    ----------
    exact : Shared (V, order, order + 1), last column f
    square : Shared (V,)
    coarse : Shared (V, order, order + 2)
        (E, f, u) / call rate with the solver's fraction bits, u = Q'g.
    rough : Shared (V, order, order)
        (A / rate - I) with few fraction bits, for the test of its norm.
    rates : float64 (V,)
        Public call rates.
    """

    exact: Shared
    square: Shared
    coarse: Shared
    rough: Shared
    rates: Floats


async def share_missing_terms(
    session: Session,
    model: NullModel,
    calls: NDArray[np.int8] | None,
    partial: NDArray[np.int64],
    observed: NDArray[np.int64],
    dealers: tuple[int, ...],
    fraction: int,
) -> MissingTerms:
    """Sum the terms of the people without a call over sites. Three rounds; reveals nothing."""
    order, count = model.order, partial.size
    rates = np.maximum(observed / model.people, _LOWEST_CALL_RATE)
    own = scaled = None
    if calls is not None:
        own = _own_terms(model, calls[:, partial] < 0)
        u = model.basis.T @ np.maximum(calls[:, partial], 0).astype(np.float64) / np.sqrt(model.people)
        scaled = np.concatenate([own[:, :order], u.T[:, :, None]], axis=2) / rates[:, None, None]
    fine = await _sum(session, own, (count, order + 1, order + 1), dealers, fraction)
    coarse = await _sum(session, scaled, (count, order, order + 2), dealers, _solver_fraction(session))
    # A / rate - I = (I - E) / rate - I; the identity's part is public and added below
    rough = await _sum(
        session, None if scaled is None else -scaled[:, :, :order], (count, order, order), dealers, _BALANCE_BITS
    )
    shift = np.eye(order) * (1 / rates - 1)[:, None, None]
    rough = rough.plus(encode(M127, shift, _BALANCE_BITS, 7))
    return MissingTerms(fine[:, :order], fine[:, order, order], coarse, rough, rates)


def _own_terms(model: NullModel, missing: NDArray[np.bool_]) -> Floats:
    """Sums of products of (Q, e) over own people without a call: (V, order + 1, order + 1)."""
    rows = np.column_stack([model.basis, model.residual])
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


async def corrected_sums(
    session: Session, terms: MissingTerms, u: Shared, gy: Shared, gg: Shared
) -> tuple[Shared, Shared, Shared, Shared]:
    """s_xx, s_xy and s_yy over the people with a call.

    Parameters
    ----------
    u : Shared (V, order)
        Q'g over people with a call (g is 0 elsewhere).
    gy, gg : Shared (V,)
        e'g and g'g.

    Returns
    -------
    (ok, s_xx, s_xy, s_yy)
        ok in M127: 1 where A / rate is within 1/2 of the identity (Frobenius norm); elsewhere the sums mean nothing.
        The sums have fraction + 2 solver bits. Reveals nothing.
    """
    field, count, order = M127, u.shape[0], u.shape[1]
    ok = await _balanced(session, terms)
    safe = await _safe_systems(session, terms, ok)
    solution = await solve_near_identity(session, safe[0], safe[1], _INTEGER)  # (V, order, 2): w and z
    f_exact, f_solver = terms.exact.fraction_bits, solution.fraction_bits
    identity = encode(field, np.broadcast_to(np.eye(order), (count, order, order)), f_exact, 7)
    a = (-terms.exact[:, :, :order]).plus(identity)
    b = -terms.exact[:, :, order]
    w, z = solution[:, :, 0], solution[:, :, 1]
    # A w and A z, exact: one inner product over the columns for both
    both = concatenate([w.reshape(count, 1, 1, order), z.reshape(count, 1, 1, order)], axis=1)
    image = await inner_product(session, a.reshape(count, 1, order, order), both, axis=3)  # (V, 2, order)
    # s_xx = g'g - w.(2u - A w); s_xy = g'y - w.b - z.(u - A w); s_yy = 1 - h - z.(2b - A z)
    aw, az = image[:, 0], image[:, 1]
    u2, b2 = u.shifted(f_exact + f_solver), b.shifted(f_exact + f_solver)
    left = concatenate([x.reshape(1, count, order) for x in (w, w, z, z)])
    right = concatenate([x.reshape(1, count, order) for x in (u2 + u2 - aw, b2, u2 - aw, b2 + b2 - az)])
    product = await inner_product(session, left, right, axis=2)
    scale = f_exact + 2 * f_solver
    one = encode(field, np.ones(count), f_exact, 2)
    s_xx = gg.shifted(scale) - product[0]
    s_xy = gy.shifted(scale) - product[1] - product[2]
    s_yy = (-terms.square).plus(one).shifted(scale) - product[3]
    return ok, s_xx, s_xy, s_yy


async def _balanced(session: Session, terms: MissingTerms) -> Shared:
    """1 where the squared Frobenius norm of A / rate - I is at most 1/4: its eigenvalues are then within [1/2, 3/2]."""
    count = terms.rough.shape[0]
    flat = terms.rough.reshape(count, terms.rough.size // count)
    norm = await inner_product(session, flat, flat, axis=1)
    limit = 1 << (norm.fraction_bits - 2)
    near = await at_least(session, (-norm).plus_int(limit), 0)
    served = np.asarray(terms.rates > _LOWEST_CALL_RATE).astype(np.int64)
    return near.times(M127.from_int64(served))


async def _safe_systems(session: Session, terms: MissingTerms, ok: Shared) -> tuple[Shared, Shared]:
    """(A / rate, (u, b) / rate) where ok, the identity and zeros elsewhere: the solver's range is then kept."""
    count, order = terms.coarse.shape[:2]
    fraction = terms.coarse.fraction_bits
    shift = encode(M127, np.eye(order) * (1 / terms.rates - 1)[:, None, None], fraction, 7)
    difference = (-terms.coarse[:, :, :order]).plus(shift)  # A / rate - I
    sides = concatenate([terms.coarse[:, :, order + 1 :], -terms.coarse[:, :, order : order + 1]], axis=2)
    kept = await multiply(session, ok.reshape(count, 1, 1), concatenate([difference, sides], axis=2))
    identity = encode(M127, np.broadcast_to(np.eye(order), (count, order, order)), fraction, 2)
    return kept[:, :, :order].plus(identity), kept[:, :, order:]
