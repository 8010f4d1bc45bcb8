"""u' V^-1 u for a shared vector and a shared covariance matrix of unknown scale: chi-square statistics.

V is scaled by powers of four so that every diagonal element is in [1/4, 1), and then eliminated, one pivot after the
other. All cuts are exact shifts on the full range of the field; bounded masks hide normalised numbers only, so that
values beyond the promises give a wrong number but show nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.arithmetic import inner_product, multiply
from mpcstats.protocols.compare import at_least
from mpcstats.protocols.exact import floor_shift
from mpcstats.protocols.fine import fine_inverse, fine_reciprocal
from mpcstats.protocols.normalise import Checked, leading_one, power_factors, product_trees
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = ["CHI_BITS", "SMALLEST_PIVOT_BITS", "quadratic_form"]

CHI_BITS = 17
"""Promise: |u_i| < 2^17 sqrt(V_ii), and u' V^-1 u < 2^34."""

SMALLEST_PIVOT_BITS = 30
"""A pivot below 2^-30 of a diagonal element in [1/4, 1) counts as 0: V is singular."""

_WIDTH = 118
_MATRIX = 50
_VECTOR = 40
_PRECISION = 50


@dataclass(frozen=True)
class _System:
    """What is left to eliminate: (k, k) with _MATRIX and (k,) with _VECTOR fraction bits, kept as integers."""

    matrix: Shared
    vector: Shared


async def quadratic_form(session: Session, u: Shared, v: Shared, wanted: Shared | None = None) -> Checked:
    """u' V^-1 u for k unknowns.

    Parameters
    ----------
    u : Shared (k,) in M127
        An even number of fraction bits or not; |u| < 2^17 sqrt(V_ii).
    v : Shared (k, k)
        Symmetric, positive semidefinite, below 2^118 in units of its last place; fraction bits even.
    wanted : Shared (k,), optional
        0 or 1; rows that are 0 in V, and 0 here, leave the form. All are wanted when left out.

    Returns
    -------
    Checked
        value: one number with 80 fraction bits; undefined: 1 where V is singular in the rows wanted. Relative error
        about 2^-40, as long as V has so many digits and is not near singular.

    Raises
    ------
    RangeError
        Formats that do not fit. Nothing was sent.

    Notes
    -----
    LDL' elimination. About 90 rounds, and 105 more for each row after the first. Reveals nothing.
    """
    size = u.shape[0]
    _check(u, v, size)
    system, nonzero = await _scaled(session, u, v)
    wanted = _constant(u.field, (size,), session) if wanted is None else wanted
    regular: list[Shared] = []
    chis: list[Shared] = []
    for row in range(size):
        first = row == 0
        fine = (
            nonzero[:1]
            if first
            else await at_least(session, system.matrix[:1, 0], 1 << (_MATRIX - SMALLEST_PIVOT_BITS))
        )
        regular.append(fine)
        chi, system = await _eliminate(session, system, fine, first)
        chis.append(chi)
    total = concatenate(chis).sum(0).with_fraction_bits(2 * _VECTOR)
    undefined = await _any(session, await multiply(session, wanted, _not(concatenate(regular))))
    return Checked(total, undefined)


def _check(u: Shared, v: Shared, size: int) -> None:
    if len(u.shape) != 1 or not size or v.shape != (size, size) or u.field != v.field or u.field.bits < _WIDTH + 2:
        raise RangeError(f"{u!r} and {v!r} do not make a quadratic form")
    if v.fraction_bits % 2 or not 0 < _drop(u, v) <= _WIDTH - _MATRIX:
        raise RangeError(f"{u!r} and {v!r}: fraction bits do not fit a quadratic form")


def _drop(u: Shared, v: Shared) -> int:
    # u 2^half / sqrt(V 4^half) does not change; V 4^half / 2^118 is the scaled diagonal
    return u.fraction_bits - v.fraction_bits // 2 + _WIDTH // 2 - _VECTOR


async def _scaled(session: Session, u: Shared, v: Shared) -> tuple[_System, Shared]:
    """The system with all diagonal elements in [1/4, 1), or 0, and which of them are not 0."""
    size, drop = u.shape[0], _drop(u, v)
    diagonal = v[np.arange(size), np.arange(size)].with_fraction_bits(0)
    where = await leading_one(session, diagonal, _WIDTH)
    (scale,) = await product_trees(session, [power_factors(where.shift[1:], 1)])
    left = concatenate([u.with_fraction_bits(0).reshape(1, size), v.with_fraction_bits(0)])
    once = await multiply(session, left, scale.reshape(1, size))
    twice = await multiply(session, once[1:], scale.reshape(size, 1))
    # one shift for both: 2^17 sqrt(V) leaves the vector room above
    parts = concatenate([once[:1].times_int(1 << (_WIDTH - _MATRIX - drop)), twice])
    done = await floor_shift(session, parts, _WIDTH - _MATRIX)
    matrix, vector = done[1:], done[0]
    return _System(matrix, vector), where.nonzero - where.negative


async def _eliminate(session: Session, system: _System, fine: Shared, first: bool) -> tuple[Shared, _System]:
    """One pivot: its part of the form, and what is left of the system. A pivot that is not fine counts nothing."""
    size = system.vector.shape[0]
    line = concatenate([system.matrix[0], system.vector[:1]])
    line = await multiply(session, line, fine)
    pivot = line[:1] + _not(fine).times_int(1 << (_MATRIX - 1))
    row, right = line[1:size], line[size:]
    both = concatenate([right, row])
    if first:
        inverse = await fine_inverse(session, pivot, _MATRIX, _PRECISION, quarter=True)
        scaled = both
    else:
        found = await fine_reciprocal(session, pivot, _MATRIX, _PRECISION)
        inverse, scaled = found.inverse, await multiply(session, both, found.factor)
    solved = await floor_shift(session, await multiply(session, scaled, inverse), _PRECISION)
    chi = (await inner_product(session, right, solved[:1], 0)).reshape(1)
    if size == 1:
        return chi, system
    factors = solved[1:].reshape(size - 1, 1)
    change = await multiply(session, factors, concatenate([row, right]).reshape(1, size))
    change = await floor_shift(session, change, _MATRIX)
    matrix = system.matrix[1:, 1:] - change[:, : size - 1]
    return chi, _System(matrix, system.vector[1:] - change[:, size - 1 :].reshape(size - 1))


async def _any(session: Session, bits: Shared) -> Shared:
    """1 where one of the bits is 1."""
    clear = _not(bits)
    (all_clear,) = await product_trees(session, [clear])
    return _not(all_clear)


def _constant(field: PrimeField, shape: tuple[int, ...], session: Session) -> Shared:
    ones: Elements = field.add(field.zeros(shape), field.constant(1))
    return Shared(field, ones, session.committee.t)


def _not(bit: Shared) -> Shared:
    return (-bit).plus_int(1)
