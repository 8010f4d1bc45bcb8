"""Linear algebra on one small shared matrix, c x c with c up to 30, in fixed point.

Matrices are symmetric, positive definite and scaled so that no diagonal element is above 1 (correlations, standardised
cross-products): then all eigenvalues are at most c, and no number in between is larger than the format. C is the
number of subsets, binomial(m, t); one unit is 2^-f. Nothing is revealed; a matrix that is not positive definite gives
numbers without meaning, so scale and check before.

Systems are solved by the Newton-Schulz iteration for the inverse, X <- X + X (1 - A X): two rounds double the correct
bits, where elimination needs a reciprocal, some 40 rounds, for every column.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField
from mpcstats.protocols.elementary import inverse_root
from mpcstats.protocols.matrix import matmul_fixed
from mpcstats.protocols.normalise import require
from mpcstats.protocols.truncate import multiply_fixed, truncate
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = [
    "cholesky",
    "cholesky_masks",
    "inverse",
    "inverse_masks",
    "inverse_square_root",
    "inverse_square_root_bits",
    "inverse_square_root_masks",
    "solve",
    "solve_masks",
]

_LARGEST = 30
_ROOT_MASKS = 13


# --- Cholesky ------------------------------------------------------------------------------------------------------


async def cholesky(session: Session, a: Shared) -> Shared:
    """Lower triangular L with L L' = A.

    Parameters
    ----------
    a : Shared (c, c), f fraction bits
        Symmetric (the lower triangle is read), positive definite, diagonal at most 1; all pivots at least 2^-f.

    Returns
    -------
    Shared (c, c), f fraction bits
        |L L' - A| < 3 (C + 1) c units in every element. Zero above the diagonal.

    Raises
    ------
    RangeError
        Not a square matrix of at most 30 columns, or the format has no headroom. Nothing was sent.

    Notes
    -----
    About 48 rounds for each column; `cholesky_masks(c)` bounded masks.
    """
    order = _order(a)
    lower = [a[i : i + 1, : i + 1].reshape(i + 1) for i in range(order)]
    rest = concatenate(lower)  # rows of the lower triangle of what is left, one after another
    columns: list[Shared] = []
    for size in range(order, 0, -1):
        rows, cols = np.tril_indices(size)
        first = np.flatnonzero(cols == 0)
        root = (await inverse_root(session, rest[first[:1]], 2)).value
        column = await multiply_fixed(session, rest[first], root, 2)
        columns.append(column)
        inner = (rows > 0) & (cols > 0)
        if size > 1:
            update = await multiply_fixed(session, column[rows[inner]], column[cols[inner]], 2)
            rest = rest[np.flatnonzero(inner)] - update
    return _triangle(columns)


def cholesky_masks(order: int) -> int:
    """Bounded masks that `cholesky` uses, at most."""
    return sum(_ROOT_MASKS + size + size * (size - 1) // 2 for size in range(1, order + 1))


def _triangle(columns: list[Shared]) -> Shared:
    order = len(columns)
    padded = []
    for k, column in enumerate(columns):
        zeros = replace(column, values=column.field.zeros((k,)))
        padded.append(concatenate([zeros, column]).reshape(order, 1))
    return concatenate(padded, axis=1)


# --- inverse and solve ---------------------------------------------------------------------------------------------


def _steps(order: int, condition_bits: int, fraction_bits: int) -> int:
    """Newton-Schulz steps: (1 - 2^-s / c)^(2^n) < 2^-(f + 2)."""
    return math.ceil(condition_bits + math.log2(order) + math.log2((fraction_bits + 2) * math.log(2)))


async def inverse(session: Session, a: Shared, condition_bits: int) -> Shared:
    """Inverse of a symmetric positive definite matrix.

    Parameters
    ----------
    a : Shared (c, c), f fraction bits
        Diagonal at most 1.
    condition_bits : int
        The promise that all eigenvalues are at least 2^-condition_bits; public, sets the number of steps.

    Returns
    -------
    Shared (c, c), f fraction bits, symmetric
        Error below c 2^condition_bits (C + 1) units in the norm of the matrix, at eigenvalues as small as promised:
        what the rounding of A to f bits does to its inverse is of the same size.

    Raises
    ------
    RangeError
        Not a square matrix of at most 30 columns, or no headroom. Nothing was sent.

    Notes
    -----
    About 2 (condition_bits + log2(c) + log2(f)) rounds; `inverse_masks` bounded masks. Schulz 1933; Ben-Israel 1965.
    """
    order, field, f = _order(a), a.field, a.fraction_bits
    steps = _steps(order, condition_bits, f)
    require(
        2 * f + condition_bits + 2 <= session.headroom(field),
        session,
        field,
        f"an inverse of {f} fraction bits with eigenvalues from 2^-{condition_bits}",
        2 * f + condition_bits + 2,
    )
    one = _identity(field, order, 1 << f)
    # masks as wide as the field allows: they also hide what a matrix that breaks the promise gives
    room = session.headroom(field) - 2 * f - 1
    x = Shared(field, _identity(field, order, (1 << f) // order), session.committee.t, f)
    for _ in range(steps):
        # X - X A X is symmetric when X is; the residual itself is not, and pretending so would amplify rounding errors
        residual = (-(await _product(session, a, x, room))).plus(one)
        x = x + await _symmetric_product(session, x, residual, room)
    return x


async def solve(session: Session, a: Shared, b: Shared, condition_bits: int, integer_bits: int = 8) -> Shared:
    """x with A x = b.

    Parameters
    ----------
    a : Shared (c, c), f fraction bits
        Symmetric positive definite, diagonal at most 1.
    b : Shared (c,) or (c, k), f fraction bits
        |b| < 2^integer_bits.
    condition_bits : int
        The promise that all eigenvalues of A are at least 2^-condition_bits.
    integer_bits : int
        The promise |x| < 2^(integer_bits - 1).

    Returns
    -------
    Shared of the shape of b, f fraction bits
        Error below (C + 1)/2 (norm + 2) units, norm = largest row sum of |A^-1|: what rounding A and b to f bits does
        to x is of the same size.

    Raises
    ------
    RangeError
        Shapes that do not fit, or no headroom. Nothing was sent.

    Notes
    -----
    The inverse, a product with b, and one refinement with the residual b - A x. 3 rounds more than `inverse`.
    """
    order, f = _order(a), a.fraction_bits
    if b.shape not in {(order,), (order, *b.shape[1:2])} or b.fraction_bits != f:
        raise RangeError(f"a right side of shape {b.shape} does not fit a matrix of shape {a.shape} (or its format)")
    needed = 2 * f + integer_bits + 1
    what = f"a solution of ({integer_bits}, {f}) bits"
    require(needed <= session.headroom(a.field), session, a.field, what, needed)
    right = b.reshape(order, b.size // order)
    inverted = await inverse(session, a, condition_bits)
    x = await _product(session, inverted, right, integer_bits)
    residual = right - await _product(session, a, x, integer_bits)
    return (x + await _product(session, inverted, residual, integer_bits)).reshape(*b.shape)


def inverse_masks(order: int, condition_bits: int, fraction_bits: int) -> int:
    """Bounded masks that `inverse` uses."""
    return _steps(order, condition_bits, fraction_bits) * (order * order + order * (order + 1) // 2)


def solve_masks(order: int, condition_bits: int, fraction_bits: int, right_sides: int = 1) -> int:
    """Bounded masks that `solve` uses."""
    return inverse_masks(order, condition_bits, fraction_bits) + 3 * order * right_sides


# --- inverse square root -------------------------------------------------------------------------------------------


async def inverse_square_root(session: Session, a: Shared, condition_bits: int) -> Shared:
    """Symmetric Z ~ A^-1/2: the columns of X Z are orthonormal when A = X'X.

    Parameters
    ----------
    a : Shared (c, c), f fraction bits
        Symmetric.
    condition_bits : int
        The promise that all eigenvalues are within 2^-condition_bits and 1; what rounding adds counts.

    Returns
    -------
    Shared (c, c), f fraction bits
        Error below c 2^(3 condition_bits / 2) (C + 1) units at eigenvalues as small as promised, smaller by the same
        power of the condition elsewhere.

    Raises
    ------
    RangeError
        Not a square matrix of at most 30 columns, or f is above `inverse_square_root_bits`. Nothing was sent.

    Notes
    -----
    The coupled Newton-Schulz iteration T = (3 - Z Y) / 2, Y <- Y T, Z <- T Z from Y = A, Z = 1 (Higham 2008, section
    6.7): two rounds each, whatever c is; a small eigenvalue of Z Y grows by 9/4. Cholesky's factor would do the same in
    48 rounds for each column. `inverse_square_root_masks` bounded masks.
    """
    order, field, f = _order(a), a.field, a.fraction_bits
    room = _root_room(condition_bits)
    needed = room + 2 * f + 2
    what = f"the inverse square root of a matrix of {f} fraction bits"
    require(needed <= session.headroom(field), session, field, what, needed)
    three = _identity(field, order, 3 << f)
    z = Shared(field, _identity(field, order, 1 << f), session.committee.t, f)
    y = product = a
    for k in range(_root_steps(condition_bits)):
        if k:
            product = await _product(session, z, y, room)
        t = (-product).plus(three)
        left = concatenate([y.reshape(1, order, order), t.reshape(1, order, order)])
        right = concatenate([t.reshape(1, order, order), z.reshape(1, order, order)])
        # the half of T: one more fraction bit
        both = await matmul_fixed(session, left, right.with_fraction_bits(f + 1), room)
        y, z = both[0], both[1]
    return z


def inverse_square_root_bits(headroom: int, condition_bits: int) -> int:
    """The most fraction bits of `inverse_square_root`, from `session.headroom(field)`."""
    return (headroom - _root_room(condition_bits) - 2) // 2


def inverse_square_root_masks(order: int, condition_bits: int) -> int:
    """Bounded masks that `inverse_square_root` uses."""
    return (3 * _root_steps(condition_bits) - 1) * order * order


def _root_steps(condition_bits: int) -> int:
    return math.ceil(condition_bits / math.log2(9 / 4)) + 4


def _root_room(condition_bits: int) -> int:
    return -(-condition_bits // 2) + 2


def _order(a: Shared) -> int:
    if len(a.shape) != 2 or a.shape[0] != a.shape[1] or not 1 <= a.shape[0] <= _LARGEST:
        raise RangeError(f"linear algebra is for square matrices of at most {_LARGEST} columns, not shape {a.shape}")
    return a.shape[0]


def _identity(field: PrimeField, order: int, one: int) -> Elements:
    return field.from_ints(np.eye(order, dtype=object) * one)


def _local_rows(x: Shared, y: Shared) -> Shared:
    """Sums of products x[i, k] y[i, k] over k: degree 2t, without a round."""
    values = x.field.sum(x.field.mul(x.values, y.values), 1)
    return Shared(x.field, values, x.degree + y.degree, x.fraction_bits + y.fraction_bits)


async def _product(session: Session, x: Shared, y: Shared, integer_bits: int) -> Shared:
    """Matrix product, each element rounded once. One round."""
    rows, columns = x.shape[0], y.shape[1]
    i, j = np.divmod(np.arange(rows * columns), columns)
    z = _local_rows(x[i], _transposed(y)[j])
    return (await truncate(session, z, y.fraction_bits, integer_bits)).reshape(rows, columns)


async def _symmetric_product(session: Session, x: Shared, y: Shared, integer_bits: int) -> Shared:
    """A matrix product that is known to be symmetric: its lower triangle is computed. One round."""
    order = x.shape[0]
    i, j = np.tril_indices(order)
    z = await truncate(session, _local_rows(x[i], _transposed(y)[j]), y.fraction_bits, integer_bits)
    place = np.empty((order, order), np.int64)
    place[i, j] = place[j, i] = np.arange(len(i))
    return z[place.ravel()].reshape(order, order)


def _transposed(y: Shared) -> Shared:
    return replace(y, values=np.ascontiguousarray(np.swapaxes(y.values, 0, 1)))
