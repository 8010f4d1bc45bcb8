"""Many small linear systems at once, in fixed point: A w = b with A near the identity."""

from __future__ import annotations

import numpy as np

from mpcstats.protocols.truncate import multiply_fixed, truncate
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate
from mpcstats.sharing.fixedpoint import encode

__all__ = ["NEWTON_STEPS", "masked_openings", "reciprocal_near_one", "solve_near_identity"]

NEWTON_STEPS = 4
"""Error 1/7 after the linear start, squared by each step: 2^-44 after four."""

_START = 8 / 7


def masked_openings(order: int, systems: int, right_sides: int) -> int:
    """Bounded masks that `solve_near_identity` uses."""
    c, k = order, right_sides
    below = c * (c - 1) // 2
    square = sum((c - i - 1) ** 2 for i in range(c))
    return systems * (c * (2 * NEWTON_STEPS + 1) + below + square + 2 * below * k + c * k)


async def reciprocal_near_one(session: Session, d: Shared, integer_bits: int) -> Shared:
    """1 / d for d in [1/2, 3/2], to the fraction bits of d. 2 rounds per Newton step, 1 for the start.

    Two masked openings per step and element, one for the start. Reveals nothing.
    """
    f = d.fraction_bits
    # the start 8/7 (2 - d) has relative error at most 1/7 on the whole interval
    slope = await truncate(
        session,
        (-d)
        .plus(encode(d.field, np.array(2.0), f, 3))
        .times(encode(d.field, np.array(_START), f, 3))
        .with_fraction_bits(2 * f),
        f,
        integer_bits,
    )
    x = slope
    two = encode(d.field, np.array(2.0), f, 3)
    for _ in range(NEWTON_STEPS):
        correction = (-(await multiply_fixed(session, d, x, integer_bits))).plus(two)
        x = await multiply_fixed(session, x, correction, integer_bits)
    return x


async def solve_near_identity(session: Session, a: Shared, b: Shared, integer_bits: int) -> Shared:
    """w with A w = b by elimination, for symmetric A with eigenvalues in [1/2, 3/2].

    Parameters
    ----------
    a : Shared (systems, c, c), f fraction bits
    b : Shared (systems, c, k), f fraction bits
    integer_bits : int
        All numbers that occur are below 2^integer_bits (pivots of such a matrix are in [1/2, 3/2], factors below 2).

    Returns
    -------
    Shared (systems, c, k), error of a few units in the last place. Reveals nothing.

    Cost: c (2 NEWTON_STEPS + 4) rounds or so; `masked_openings(c, systems, k)`.
    """
    order = a.shape[1]
    work, right, inverses = a, b, []
    factors: list[Shared] = []  # row i of the eliminated matrix, right of the pivot
    results: list[Shared] = []
    for _ in range(order):
        pivot = await reciprocal_near_one(session, work[:, 0, 0], integer_bits)
        inverses.append(pivot)
        row, top = work[:, :1, 1:], right[:, :1]
        factors.append(row)
        results.append(top)
        if work.shape[1] == 1:
            break
        size = work.shape[1] - 1
        scale = await multiply_fixed(session, work[:, 1:, :1], pivot.reshape(pivot.size, 1, 1), integer_bits)
        left = concatenate([row, top], axis=2)
        product = await multiply_fixed(session, scale, left, integer_bits)
        work = work[:, 1:, 1:] - product[:, :, :size]
        right = right[:, 1:] - product[:, :, size:]
    return await _back_substitute(session, factors, results, inverses, integer_bits)


async def _back_substitute(
    session: Session, factors: list[Shared], results: list[Shared], inverses: list[Shared], integer_bits: int
) -> Shared:
    solved: Shared | None = None
    for row, top, pivot in zip(reversed(factors), reversed(results), reversed(inverses), strict=True):
        value = top
        if solved is not None:
            terms = await multiply_fixed(session, _column(row), solved, integer_bits)
            value = top - terms.sum(1).reshape(top.shape[0], 1, top.shape[2])
        value = await multiply_fixed(session, value, pivot.reshape(pivot.size, 1, 1), integer_bits)
        solved = value if solved is None else concatenate([value, solved], axis=1)
    assert solved is not None
    return solved


def _column(row: Shared) -> Shared:
    return row.reshape(row.shape[0], row.shape[2], 1)
