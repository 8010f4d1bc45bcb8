"""Secret permutations of the rows of an array."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import PrimeField, WordSource, lagrange
from mpcstats.protocols.arithmetic import deal
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared
from mpcstats.sharing.committee import Subset

__all__ = ["shuffle"]


def _shuffle_work(c: Case) -> Work:
    return Work(1, (c.committee.t + 1) * c.deal) * len(c.committee.subsets)


@declared(_shuffle_work, source="Laur, Willemson, Zhang 2011 (resharing based shuffle), with common keys as coins")
async def shuffle(session: Session, rows: Shared) -> Shared:
    """The rows (first axis) in a uniformly random order that no t parties know. C(m, t) rounds; reveals nothing.

    One pass for each subset A of m - t parties: the members of A draw a permutation from their common key. t + 1 of
    them turn their shares into an additive sharing (share times Lagrange weight), permute it, and deal every row
    again; all parties add what was dealt. m = 1 shuffles once in the clear.

    Bytes: (t + 1) deals in each of C(m, t) passes.

    Privacy
    -------
    Take a coalition T of t parties.

    * Views. In every pass T receives at most t shares of each freshly dealt value. The dealt polynomials are uniform
      among those with their constant term, so what T receives is uniform, whatever is dealt and however it is
      permuted; the shares T holds after the pass are sums of such shares. Nothing else is sent.
    * Order. Let A be the complement of T, a subset of m - t parties. T has no member in A, so the permutation of that
      pass is uniform and independent of everything T sees. The order of the result is the composition of all C(m, t)
      permutations; composed with any that T knows, before and after, a uniform one stays uniform.

    So the permutation is uniform given the view of T, for every T. Subsets smaller than m - t would not do: some
    coalition of t parties would meet each of them, or t + 1 parties would be missing to hold the shares.
    """
    if not rows.size:
        return rows
    committee, count = session.committee, rows.shape[0]
    for A in committee.subsets:
        label = session.label("shuffle")
        order = None
        if session.point in A:
            order = random_permutation(session.randomness.subset(A, label), count)
        rows = await _permuted(session, rows, A, order)
    return rows


async def _permuted(session: Session, rows: Shared, A: Subset, order: NDArray[np.intp] | None) -> Shared:
    """Rows in the order that the members of A know; a fresh sharing. One round."""
    field, dealers = rows.field, A[: session.committee.t + 1]
    own = None
    if session.point in dealers:
        assert order is not None
        weight = lagrange(field, dealers, 0)[dealers.index(session.point)]
        own = field.scale(rows.values[order], weight)
    dealt = list((await deal(session, field, own, dealers, rows.shape)).values())
    total = _sum(field, dealt)
    return replace(rows, values=total.values, degree=session.committee.t)


def _sum(field: PrimeField, parts: list[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def random_permutation(coins: WordSource, count: int) -> NDArray[np.intp]:
    """A uniform permutation of 0..count-1: the order of random 64-bit keys, drawn again if two are equal.

    Given that they differ, independent keys are in each order equally often: exactly uniform, without the modulo
    bias of a swap index, and in NumPy's speed. All holders of the same coins get the same permutation.
    """
    while True:
        keys = coins.words(count)
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        if not (ranked[1:] == ranked[:-1]).any():
            return order
