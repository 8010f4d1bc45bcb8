"""Shared counts on the lattice of times, and what everything else is made of: reciprocals of the numbers at risk.

Numbers of people are below 2^29. A reciprocal 1 / n is kept as factor * inverse, so that n_g / n = (n_g factor) inverse
has an exact first part below 2^29 and nothing of a small group is lost. Cuts are exact shifts; they go in blocks, so
that memory stays flat on long lattices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpcstats.errors import StatisticalSecurityError
from mpcstats.field import M127
from mpcstats.protocols import floor_shift, multiply
from mpcstats.protocols.declare import Case
from mpcstats.protocols.fine import (
    FineReciprocal,
    fine_reciprocal,
    fine_reciprocal_work,
    fine_square_root,
    fine_square_root_work,
)
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import COUNT_BITS

__all__ = [
    "INVERSE",
    "WIDTH",
    "Lattice",
    "at_risk_counts",
    "check_security",
    "fine_reciprocals",
    "fine_roots",
    "products",
    "row",
    "scaled_product",
    "shift",
]

WIDTH = COUNT_BITS
INVERSE = 60
"""Fraction bits of the inverse of a normalised number."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Lattice:
    """Pooled counts on shares, strata one after the other: L = strata * times.

    Attributes
    ----------
    strata, times : int
    events, at_risk : Shared (G, L)
    all_events, all_at_risk : Shared (L,)
        Sums over groups.
    people : Shared (G,)
    """

    strata: int
    times: int
    events: Shared
    at_risk: Shared
    all_events: Shared
    all_at_risk: Shared
    people: Shared

    @classmethod
    def of(cls, events: Shared, at_risk: Shared, people: Shared) -> Lattice:
        """From events and at_risk of shape (strata, G, times), and people of shape (G,)."""
        strata, _, times = events.shape
        d, n = (_groups_first(x) for x in (events, at_risk))
        return cls(strata, times, d, n, d.sum(0), n.sum(0), people)

    def of_groups(self, groups: Sequence[int]) -> Lattice:
        """The people of some groups alone. Local."""
        index = list(groups)
        d, n = self.events[index], self.at_risk[index]
        return Lattice(self.strata, self.times, d, n, d.sum(0), n.sum(0), self.people[index])

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.events.shape[0]


def _groups_first(x: Shared) -> Shared:
    strata, groups, times = x.shape
    moved = np.ascontiguousarray(np.moveaxis(x.values, 1, 0))
    return Shared(x.field, x.field.reshape(moved, (groups, strata * times)), x.degree, x.fraction_bits)


def at_risk_counts(leaving: Shared, entered: Shared | None = None) -> Shared:
    """People at risk just before each time, along the last of three axes: entry < t <= exit. Local."""
    gone = leaving.cumsum(2) - leaving
    if entered is None:
        total = leaving.sum(2)
        return total.reshape(*total.shape, 1) - gone
    return entered.cumsum(2) - entered - gone


def check_security(session: Session, points: int, reciprocals: int, roots: int) -> None:
    """Refuse before the first round when the bounded masks of so many numbers per point would use up the security.

    Raises
    ------
    StatisticalSecurityError
        With the number of points that are possible.
    """
    case = Case(session.committee, M127, 1)
    each = reciprocals * fine_reciprocal_work(case, WIDTH, INVERSE, session.kappa).masked_openings
    each += roots * fine_square_root_work(case, WIDTH + 1, 0, session.kappa).masked_openings
    most = ((1 << (session.kappa - session.kappa_floor)) - session.accounts.masked_openings) // each
    if points > most:
        raise StatisticalSecurityError(
            f"a test on {points} points of time and stratum needs too many masks: at most {most} points at kappa = "
            f"{session.kappa} and {session.kappa_floor} bits in total",
            hint="use a larger time unit or fewer strata",
        )


async def fine_reciprocals(session: Session, numbers: Sequence[Shared]) -> list[FineReciprocal]:
    """Reciprocals of several arrays of one shape (L,), in the same rounds."""
    flat, count = concatenate(list(numbers)), numbers[0].size
    parts = [await fine_reciprocal(session, flat[k : k + _BLOCK], WIDTH, INVERSE) for k in range(0, flat.size, _BLOCK)]
    names = ("factor", "normal", "inverse", "nonzero")
    whole = {name: concatenate([getattr(part, name) for part in parts]) for name in names}
    return [
        FineReciprocal(**{name: x[k * count : (k + 1) * count] for name, x in whole.items()})
        for k in range(len(numbers))
    ]


async def fine_roots(session: Session, x: Shared, width: int, fraction_bits: int) -> Shared:
    """Square roots of integers, in blocks; see `fine_square_root`."""
    parts = [await fine_square_root(session, x[k : k + _BLOCK], width, fraction_bits) for k in range(0, x.size, _BLOCK)]
    return concatenate(parts).with_fraction_bits(0)


async def shift(session: Session, x: Shared, bits: int) -> Shared:
    """floor(x / 2^bits), in blocks; numbers are read as integers."""
    if bits == 0:
        return x
    flat = x.reshape(x.size)
    parts = [await floor_shift(session, flat[k : k + _BLOCK], bits) for k in range(0, flat.size, _BLOCK)]
    return concatenate(parts).reshape(*x.shape)


async def products(session: Session, pairs: Sequence[tuple[Shared, Shared]]) -> list[Shared]:
    """Several elementwise products in one round; both factors of a pair have the shape of the result."""
    left, right = (concatenate([pair[k].reshape(pair[k].size) for pair in pairs]) for k in (0, 1))
    flat, done, at = await multiply(session, left, right), [], 0
    for one, _ in pairs:
        done.append(flat[at : at + one.size].reshape(*one.shape))
        at += one.size
    return done


async def scaled_product(session: Session, x: Shared, y: Shared, bits: int) -> Shared:
    """floor(x y / 2^bits)."""
    return await shift(session, await multiply(session, x, y), bits)


def row(x: Shared) -> Shared:
    """One row, to be joined with others."""
    return x.reshape(1, *x.shape)
