"""People by copies of ALT, for each variant, pooled on shares: what filters and contingency tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61, M127
from mpcstats.protocols import at_least, sum_of_inputs
from mpcstats.protocols.arithmetic import deal
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.disclosure import (
    COUNT_BITS,
    Ruling,
    enough_without_each,
    open_counts,
    release_counts,
    require_all,
)

__all__ = ["Cohort", "PooledCounts", "blocks_of_variants", "declare_cohort", "open_cohort", "pool_counts"]

_BLOCK_CELLS = 1 << 24
_GROUPS = ("controls", "cases")


@dataclass(frozen=True)
class Cohort:
    """The people of a run, pooled.

    Attributes
    ----------
    people : Shared (G,) in M61
        In each group, missing calls included.
    released : tuple of int
        The same numbers as the rules let them out.
    size_bits : int
        Public: all people together are fewer than 2^size_bits.
    """

    people: Shared
    released: tuple[int, ...]
    size_bits: int


@dataclass(frozen=True)
class PooledCounts:
    """Counts of V variants on shares; G = 1 for everybody, or 2: controls, cases.

    Attributes
    ----------
    calls : Shared (G, 3, V) in M61
        People with 0, 1, 2 copies of ALT.
    people : Shared (G,) in M61
        Missing calls included.
    size_bits : int
        Public: all people together are fewer than 2^size_bits.
    wide : Shared (G, 3, V) in M127, or None
        `calls` once more, for the products of tests; `hwe` and tests on shares need it.
    """

    calls: Shared
    people: Shared
    size_bits: int
    wide: Shared | None = None

    @property
    def variants(self) -> int:
        """V."""
        return self.calls.shape[2]

    def of(self, where: NDArray[np.intp]) -> PooledCounts:
        """The counts of some variants."""
        wide = None if self.wide is None else self.wide[:, :, where]
        return replace(self, calls=self.calls[:, :, where], wide=wide)

    def counting(self, ref: NDArray[np.bool_]) -> PooledCounts:
        """The same people by copies of REF for the variants that are marked."""
        order, every = np.arange(3)[:, None], np.arange(self.variants)
        place = np.where(ref, order[::-1], order)
        wide = None if self.wide is None else self.wide[:, place, every]
        return replace(self, calls=self.calls[:, place, every], wide=wide)


def declare_cohort(session: Session, groups: int) -> None:
    """Enter what `open_cohort` opens in the manifest."""
    session.openings.declare(
        "enough people", 1, "whether there are enough people, in total and per group", decision=True
    )
    session.openings.declare("people", groups, "people with genotypes, pooled, per group; as the rules round counts")


async def open_cohort(
    session: Session, group: NDArray[np.int8] | None, groups: int, dealers: tuple[int, ...], ruling: Ruling
) -> Cohort:
    """Pool the number of people, and check it against the rules before it is opened.

    Parameters
    ----------
    group : int8 (people,) or None
        0 or 1 for each person of this party; None without data.
    groups : int
        1, or 2: controls, cases.

    Raises
    ------
    DisclosureRefused
        Fewer people than `association_minimum_people`, or a group of fewer than `minimum_count` (also what is left of
        it when one party subtracts its own). One bit is opened, not the numbers.
    """
    mine = None if group is None else M61.from_int64(np.bincount(group, minlength=groups).astype(np.int64))
    parts = list((await deal(session, M61, mine, dealers, (groups,))).values())
    people = parts[0]
    for part in parts[1:]:
        people = people + part
    await _require(session, people, parts, ruling)
    exact = ruling.rules.allele_counts
    opened = (
        await open_counts(session, people, "people")
        if exact
        else (await release_counts(session, people, "people", ruling.rules))[0]
    )
    released = tuple(int(n) for n in opened)
    if not sum(released):
        raise DisclosureRefused("no party has people with genotypes and phenotype")
    largest = sum(released) + (0 if exact else groups * (ruling.rules.rounding_base + ruling.rules.minimum_count))
    return Cohort(people, released, min(COUNT_BITS, max(4, largest.bit_length())))


async def _require(session: Session, people: Shared, parts: list[Shared], ruling: Ruling) -> None:
    rules, names = ruling.rules, ["association_minimum_people", "minimum_count"]
    bounds = [people.sum(0).reshape(1).plus_int(-rules.association_minimum_people)]
    if rules.minimum_count:
        bounds.append(people.plus_int(-rules.minimum_count))
    elif not rules.association_minimum_people:
        return
    bits = [await at_least(session, concatenate(bounds), 0)]
    if rules.minimum_count and not rules.small_remainders:
        bits.append(await enough_without_each(session, parts, rules.minimum_count))
        names.append("small_remainders")
    refusal = f"fewer people than the rules allow ({', '.join(ruling.cite(name) for name in names)})"
    await require_all(session, concatenate(bits), "enough people", refusal)


def blocks_of_variants(count: int, size_bits: int) -> Iterator[tuple[int, int]]:
    """Ranges of variants, the same at every party: their size depends on public numbers only."""
    size = max(64, min(4096, _BLOCK_CELLS >> size_bits))
    for start in range(0, count, size):
        yield start, min(count, start + size)


async def pool_counts(
    session: Session,
    calls: NDArray[np.int8] | None,
    group: NDArray[np.int8] | None,
    size: int,
    cohort: Cohort,
    dealers: tuple[int, ...],
    wide: bool = False,
) -> PooledCounts:
    """Share and add up the counts of one block of variants. One round, two with `wide`; reveals nothing.

    Parameters
    ----------
    calls : int8 (people, size) or None
        Own copies of ALT, -1 where a call is missing; None at a party without data.
    group : int8 (people,) or None
        As for `open_cohort`.
    wide : bool
        Also in M127.
    """
    groups = cohort.people.shape[0]
    own = None if calls is None or group is None else await local(session, _counts, calls, group, groups)
    shape = (groups, 3, size)
    narrow = await sum_of_inputs(session, M61, None if own is None else M61.from_int64(own), dealers, shape)
    again = None
    if wide:
        again = await sum_of_inputs(session, M127, None if own is None else M127.from_int64(own), dealers, shape)
    return PooledCounts(narrow, cohort.people, cohort.size_bits, again)


def _counts(calls: NDArray[np.int8], group: NDArray[np.int8], groups: int) -> NDArray[np.int64]:
    """Own people by group and copies: (G, 3, V)."""
    parts = [calls[group == g] for g in range(groups)]
    return np.stack([np.stack([np.count_nonzero(part == copies, axis=0) for copies in range(3)]) for part in parts])
