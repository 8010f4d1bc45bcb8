"""Subspace iteration over sites: V (variants, l) is public and orthonormal, Y = Z'Z V and its sizes stay on shares.

The sum Y of what the sites form from their own genotypes stays on shares, and so do Y'Y and S = (Y'Y)^-1/2, which takes
the place of Cholesky's factor: it needs 40 rounds, not 50 for each column. What is opened is Y S, the next V up to a
ridge, with few digits; its columns span what Y spans, and are made orthonormal once more in public.

Halko, Martinsson, Tropp 2011, algorithm 4.4.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.field import M127, Elements
from mpcstats.protocols import bit_compose, blurred, floor_shift, matmul, sum_of_inputs
from mpcstats.protocols.linalg import inverse_square_root, inverse_square_root_bits
from mpcstats.protocols.normalise import leading_one
from mpcstats.runtime import Session, Shared, local, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.association.standardised import Standardised
from mpcstats.stats.disclosure import open_counts

__all__ = ["declare_directions", "first_directions", "next_directions", "open_squares"]

Floats = NDArray[np.float64]

_SUM_BITS = 60
"""Fraction bits of Y: sums need no mask, and their squares no cut."""

_VISIBLE, _VISIBLE_SQUARES = 22, 40
"""Fraction bits of the opened V and V'Z'Z V; below, digits are random."""

_CONDITION_BITS = 14
"""A ridge of 2^-14 and a bit keeps eigenvalues of the scaled Gram matrix up."""

_LARGEST_EXPONENT = 48

_SIZES, _NEXT, _SQUARES = "sizes of columns", "next directions", "covariance of the directions"


def declare_directions(session: Session, variants: int, columns: int, iterations: int) -> None:
    """Enter what so many iterations and `open_squares` open in the manifest."""
    openings = session.openings
    openings.declare(_SIZES, iterations * columns, "per iteration, norms of the columns to a factor of 2")
    openings.declare(
        _NEXT,
        iterations * columns * variants,
        f"per iteration, {columns} orthonormal directions of the pooled covariance of the variants",
    )
    openings.declare(_SQUARES, columns * columns, "pooled covariance of the last directions: eigenvalues")


def first_directions(variants: int, columns: int) -> Floats:
    """Orthonormal columns in directions that have nothing to do with the data: the same at every party."""
    seed = hashlib.shake_256(b"mpcstats/v1/principal components").digest(8 * variants * columns)
    uniform = np.frombuffer(seed, "<u8") >> np.uint64(11)
    normal = ndtri((uniform.astype(np.float64) + 0.5) * 2.0**-53)
    return _orthonormal(normal.reshape(variants, columns))


def _orthonormal(columns: Floats) -> Floats:
    q, r = np.linalg.qr(columns)
    return np.asarray(q * np.where(np.diag(r) < 0, -1.0, 1.0))


async def next_directions(
    session: Session, site: Standardised | None, v: Floats, dealers: tuple[int, ...], total: float
) -> Floats:
    """The next V: orthonormal columns that span Z'Z V. About 75 rounds.

    Parameters
    ----------
    v : float64 (variants, l)
        Public.
    total : float
        Public, at least twice the sum of all squares of Z: numbers are shared as parts of it.
    """
    columns = v.shape[1]
    mine = None if site is None else await local(session, _own_products, site, v, total)
    y = await sum_of_inputs(session, M127, mine, dealers, v.shape, _SUM_BITS)
    gram = await matmul(session, _transposed(y), y)
    exponents = await _open_exponents(session, gram)
    root = await _root(session, gram, exponents)
    scaled = y.times(M127.from_ints([1 << int(e) for e in exponents]))
    found = await matmul(session, scaled, root)
    shown = blurred(session, found, _VISIBLE)
    opened = decode(M127, await open_declared(session, shown, _NEXT), shown.fraction_bits)
    return _orthonormal(opened.reshape(-1, columns))


def _own_products(site: Standardised, v: Floats, total: float) -> Elements:
    return encode(M127, site.products(v) / total, _SUM_BITS, 2)


async def _open_exponents(session: Session, gram: Shared) -> NDArray[np.int64]:
    """e of each column of Y such that its norm times 2^e is in [1/2, 1)."""
    columns = gram.shape[0]
    norms = gram[np.arange(columns), np.arange(columns)].with_fraction_bits(0)
    where = await leading_one(session, norms, 2 * _SUM_BITS)
    opened = await open_counts(session, bit_compose(where.shift), _SIZES)
    return np.minimum(opened // 2, _LARGEST_EXPONENT)


async def _root(session: Session, gram: Shared, exponents: NDArray[np.int64]) -> Shared:
    """S, symmetric, with nearly orthonormal columns of (Y 2^e) S."""
    columns = gram.shape[0]
    f = inverse_square_root_bits(session.headroom(M127), _CONDITION_BITS)
    # Y'Y of scaled columns, at most 1 on the diagonal, as a part of `whole`: then no eigenvalue is above 1/2
    grow = M127.from_ints([[1 << int(a + b) for b in exponents] for a in exponents])
    whole = (2 * columns - 1).bit_length()
    scaled = await floor_shift(session, gram.with_fraction_bits(0).times(grow), 2 * _SUM_BITS + whole - f)
    errors = 4 * (len(session.committee.subsets) + 1) * columns
    ridge = (1 << (f - _CONDITION_BITS)) + errors
    raised = scaled.plus(M127.from_ints(np.eye(columns, dtype=object) * ridge))
    return await inverse_square_root(session, raised.with_fraction_bits(f), _CONDITION_BITS)


def _transposed(x: Shared) -> Shared:
    return replace(x, values=np.ascontiguousarray(np.swapaxes(x.values, 0, 1)))


async def open_squares(
    session: Session, site: Standardised | None, v: Floats, dealers: tuple[int, ...], total: float
) -> Floats:
    """V'Z'Z V / total (l, l): opens it."""
    columns = v.shape[1]
    mine = None
    if site is not None:
        mine = encode(M127, await local(session, site.squares, v) / total, _SUM_BITS, 2)
    pooled = await sum_of_inputs(session, M127, mine, dealers, (columns, columns), _SUM_BITS)
    shown = blurred(session, pooled, _VISIBLE_SQUARES)
    squares = decode(M127, await open_declared(session, shown, _SQUARES), shown.fraction_bits)
    return np.asarray((squares + squares.T) / 2)
