"""Newton steps of many small regressions on shares.

The information of d = order + 1 columns is [[A, c], [c', gg]] with A, of the covariates, near the identity. A is
inverted by Newton and Schulz's iteration, X <- X + X (I - A X), which takes the same few rounds for every size and
whose numbers stay in range for every A with eigenvalues in [0, 4]. The rest is one number per variant: V = gg - c'X c.

Fixed point of F bits rounds every product, so what is released is corrected: with z ~ I^-1 e_g and s ~ I^-1 U in F
bits and sums in 50 bits, z'U + s_g - z'I s and 2 z_g - z'I z are exact products without any rounding, and off by the
product of both errors.

Schulz 1933. Heinze, Schemper 2002 for the penalised score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.protocols import at_least, floor_shift, inner_product, multiply, reciprocal, truncate
from mpcstats.protocols.arithmetic import local_product
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.logistic_sums import positions

__all__ = [
    "EXACT_BITS",
    "INTEGER_BITS",
    "LARGEST_SQUARE",
    "Inverse",
    "Solution",
    "fraction_bits",
    "inverse_of_covariates",
    "newton_step",
    "score_in_range",
    "solution_masks",
    "solve",
    "third_in_range",
    "third_on_variant",
]

EXACT_BITS = 50
"""Fraction bits of sums that are not rounded."""

INTEGER_BITS = 12
"""Numbers that are rounded under bounded masks are below 2^12."""

LARGEST_SQUARE = 8
"""gg is below 2^8; variants with more are not solved."""

_SCORE_BITS, _THIRD_BITS = 3, 4
"""Of the norms of score and third-order sums."""

_FARTHEST = 9
"""Of A from the identity, squared Frobenius norm: eigenvalues of A are then at most 4."""

_SLOPE, _CURVE = 1.9333, 0.47997
"""X = _SLOPE - _CURVE A has |1 - a x| <= 0.947 for every eigenvalue a in [1/36, 4]; for smaller ones, below 1."""

_STEPS = 8
"""0.947^(2^8) = 2^-20; X is at most _SLOPE 2^8 < 2^9 whatever A is."""

_RESIDUAL_BITS = 10
"""|I - A X| before the last step must be below 2^-10; after it, it is the square."""

_SMALLEST_BITS = 12
"""V must be at least 2^-12. It is about 1 at the null model."""


def fraction_bits(session: Session) -> int:
    """F: a rounded product has INTEGER_BITS + 2 F + 1 bits.

    Raises
    ------
    RangeError
        Fewer than 16 are left at the session's kappa.
    """
    bits = min(EXACT_BITS // 2, (session.headroom(M127) - INTEGER_BITS - 1) // 2)
    if bits < 16:
        raise RangeError(f"only {bits} fraction bits are left for logistic regression at kappa = {session.kappa}")
    return bits


def solution_masks(order: int) -> int:
    """Bounded masks per variant of `solve` and `newton_step`, and of what the last step adds, at most."""
    upper, size = order * (order + 1) // 2, order + 1
    return (2 * _STEPS + 3) * upper + 2 * order + 12 + 2 * size + 8 * size + order * order + 2 * size * size


@dataclass(frozen=True)
class Inverse:
    """A^-1 of V variants.

    Attributes
    ----------
    x : Shared (V, order, order)
    fine : Shared (V,)
        1 where A was in range and x is its inverse, else 0 (in M127).
    """

    x: Shared
    fine: Shared


@dataclass(frozen=True)
class Solution:
    """What steps of V variants are made of; all with F fraction bits. Where fine is 0: of the identity.

    Attributes
    ----------
    x : Shared (V, order, order)
    line : Shared (V, order)
        X c.
    rest, inverse_rest : Shared (V,)
        V and 1 / V.
    fine : Shared (V,)
    """

    x: Shared
    line: Shared
    rest: Shared
    inverse_rest: Shared
    fine: Shared

    def of(self, index: NDArray[np.int64]) -> Solution:
        """Some of the variants."""
        return Solution(self.x[index], self.line[index], self.rest[index], self.inverse_rest[index], self.fine[index])

    def direction(self) -> Shared:
        """(-X c, 1): the variant's column after the covariates. (V, order + 1)."""
        one = _public(self.line, np.ones(1), (self.line.shape[0], 1))
        return concatenate([-self.line, one], axis=1)


def _public(like: Shared, values: NDArray[np.float64], shape: tuple[int, ...]) -> Shared:
    """A constant as a sharing in the format of `like`."""
    elements = encode(like.field, np.broadcast_to(values, shape), like.fraction_bits, INTEGER_BITS)
    return Shared(like.field, elements, like.degree, like.fraction_bits)


def _upper(matrices: Shared) -> Shared:
    """Different elements of symmetric matrices: (V, n (n + 1) / 2)."""
    rows, columns = np.triu_indices(matrices.shape[1])
    return matrices[:, rows, columns]


def _whole(upper: Shared, size: int) -> Shared:
    return upper[:, positions(size, 2)]


async def _symmetric_product(session: Session, a: Shared, b: Shared) -> Shared:
    """a b for symmetric matrices that commute, rounded."""
    rows, columns = np.triu_indices(a.shape[1])
    upper = local_product(a[:, rows], b[:, columns]).sum(2)
    return _whole(await truncate(session, upper, b.fraction_bits, INTEGER_BITS), a.shape[1])


async def inverse_of_covariates(session: Session, a: Shared, square: Shared) -> Inverse:
    """A^-1 for symmetric A, where |A - I| <= 3 (Frobenius) and no eigenvalue is below 1/36.

    Parameters
    ----------
    a : Shared (V, order, order)
        Positive semidefinite, F fraction bits.
    square : Shared (V,)
        gg of the same variants, of which it is checked that it is below 2^LARGEST_SQUARE.
    """
    count, order, f = a.shape[0], a.shape[1], a.fraction_bits
    identity = encode(M127, np.broadcast_to(np.eye(order), a.shape), f, 2)
    difference = a.plus(M127.neg(identity))
    flat = difference.reshape(count, order * order)
    distance = await inner_product(session, flat, flat, axis=1)
    bounds = [
        (-distance).plus_int(_FARTHEST << 2 * f).with_fraction_bits(0),
        (-square).plus_int(1 << (LARGEST_SQUARE + f)).with_fraction_bits(0),
    ]
    within = await at_least(session, concatenate(bounds), 0)
    near = await multiply(session, within[:count], within[count:])
    a = (await multiply(session, near.reshape(count, 1, 1), difference)).plus(identity)
    curve = encode(M127, np.array(_CURVE), f, 2)
    slope = encode(M127, np.eye(order) * _SLOPE, f, 2)
    start = await truncate(session, _upper((-a).times(curve).with_fraction_bits(2 * f)), f, INTEGER_BITS)
    x = _whole(start, order).plus(slope)
    residual = a
    for _ in range(_STEPS + 1):
        residual = (-(await _symmetric_product(session, a, x))).plus(identity)
        x = x + await _symmetric_product(session, x, residual)
    flat = residual.reshape(count, order * order)
    left = await inner_product(session, flat, flat, axis=1)
    solved = await at_least(session, (-left).plus_int(1 << (2 * f - 2 * _RESIDUAL_BITS)).with_fraction_bits(0), 0)
    return Inverse(x, await multiply(session, near, solved))


async def solve(session: Session, information: Shared, inverse: Inverse | None = None) -> Solution:
    """Prepare steps.

    Parameters
    ----------
    information : Shared (V, d (d + 1) / 2)
        Different elements, F fraction bits, as `symmetric_indices` has them.
    """
    count, f = information.shape[0], information.fraction_bits
    size = _size(information)
    whole = _whole(information, size)
    c, gg = whole[:, : size - 1, size - 1], whole[:, size - 1, size - 1]
    found = inverse or await inverse_of_covariates(session, whole[:, : size - 1, : size - 1], gg)
    # c and gg of those that are not fine leave before they are used; X is bounded anyway
    kept = await multiply(session, found.fine.reshape(count, 1), concatenate([c, gg.reshape(count, 1)], axis=1))
    c, gg = kept[:, :-1], kept[:, -1]
    line = await truncate(session, local_product(found.x, c.reshape(count, 1, size - 1)).sum(2), f, INTEGER_BITS)
    rest = gg - await truncate(session, local_product(c, line).sum(1), f, INTEGER_BITS)
    # 0 where gg was cleared
    fine = await at_least(session, rest.with_fraction_bits(0), 1 << (f - _SMALLEST_BITS))
    one = _public(rest, np.ones(1), (count,))
    parts = concatenate([(rest - one).reshape(count, 1), line, found.x.reshape(count, (size - 1) ** 2)], axis=1)
    parts = await multiply(session, fine.reshape(count, 1), parts)
    rest = parts[:, 0] + one
    inverted = await reciprocal(session, rest, LARGEST_SQUARE + 1, f)
    x = parts[:, size:].reshape(count, size - 1, size - 1)
    return Solution(x, parts[:, 1:size], rest, inverted.value, fine)


async def score_in_range(session: Session, score: Shared) -> Shared:
    """1 where the norm of the score is below 2^3, else 0: (V,)."""
    return await _below(session, score, 2 * _SCORE_BITS)


async def third_in_range(session: Session, third: Shared) -> Shared:
    """1 where the different elements of the third-order sums have a norm below 2^4, else 0: (V,)."""
    return await _below(session, third, 2 * _THIRD_BITS)


async def _below(session: Session, x: Shared, bits: int) -> Shared:
    squared = await inner_product(session, x, x, axis=1)
    limit = 1 << (squared.fraction_bits + bits)
    return await at_least(session, (-squared).plus_int(limit).with_fraction_bits(0), 0)


def _size(information: Shared) -> int:
    return int((np.sqrt(8 * information.shape[1] + 1) - 1) / 2)


async def newton_step(session: Session, solution: Solution, score: Shared) -> Shared:
    """I^-1 U, exact products of rounded numbers: (V, d) with 3 F fraction bits.

    Parameters
    ----------
    score : Shared (V, d)
        F fraction bits, all below 2^3.
    """
    count, order = solution.line.shape
    f = score.fraction_bits
    own = score[:, order]
    y = await truncate(
        session, local_product(solution.x, score[:, :order].reshape(count, 1, order)).sum(2), f, INTEGER_BITS
    )
    shown = local_product(solution.line, score[:, :order]).sum(1)
    right = own - await truncate(session, shown, f, INTEGER_BITS)
    last = await multiply(session, right, solution.inverse_rest)
    above = y.shifted(3 * f) - await multiply(session, solution.line, last.reshape(count, 1))
    return concatenate([above, last.shifted(3 * f).reshape(count, 1)], axis=1)


async def third_on_variant(session: Session, solution: Solution, third: Shared) -> Shared:
    """<third_r, I^-1> for every column r: (V, d) with F fraction bits. This is what Firth's penalty adds to the score.

    Parameters
    ----------
    third : Shared (V, d, d, d)
        F fraction bits, below 2^8.
    """
    count, size, f = third.shape[0], third.shape[1], third.fraction_bits
    order = size - 1
    q = solution.direction()
    squares = await multiply(session, q.reshape(count, size, 1), q.reshape(count, 1, size))
    flat = third.reshape(count, size, size * size)
    own = await inner_product(session, flat, squares.reshape(count, 1, size * size), axis=2)
    own = await floor_shift(session, own, 2 * f)
    own = own.with_fraction_bits(f)
    among = local_product(
        third[:, :, :order, :order].reshape(count, size, order * order), solution.x.reshape(count, 1, order * order)
    ).sum(2)
    both = local_product(own, solution.inverse_rest.reshape(count, 1)) + among
    return await truncate(session, both, f, INTEGER_BITS)
