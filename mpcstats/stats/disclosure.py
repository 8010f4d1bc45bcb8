"""The one gate through which counts leave a computation: thresholds and rounding are decided on shares.

What is opened is visible * rounded(count), and nothing else: whether a hidden count was 0 or 10 stays unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused, MpcStatsError
from mpcstats.field import Elements
from mpcstats.protocols import at_least, bit_compose, floor_divide, floor_shift, is_negative, multiply
from mpcstats.protocols.normalise import leading_one, power_factors, product_trees
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.types import DisclosureRules

__all__ = [
    "COUNT_BITS",
    "EXACT_BITS",
    "Ruling",
    "all_of",
    "enough_people",
    "enough_without_each",
    "everybody_knows",
    "least_people",
    "number_bits",
    "open_counts",
    "release_counts",
    "release_numbers",
    "require_all",
    "require_people",
    "rounded_down",
    "size_rules",
]

COUNT_BITS = 29
"""Counts are below 2^29 people (537 million)."""


@dataclass(frozen=True)
class Ruling:
    """The rules in force and who set each of them."""

    rules: DisclosureRules
    owner: dict[str, str]

    def cite(self, name: str) -> str:
        """For people: a rule, its value and its owner."""
        return f"{name} = {getattr(self.rules, name)} because of {self.owner.get(name, 'the policy')}"


async def open_counts(session: Session, counts: Shared, name: str) -> NDArray[np.int64]:
    """Open counts exactly; the caller vouches that the rules allow it."""
    return counts.field.to_int64(await open_declared(session, counts, name))


async def rounded_down(session: Session, counts: Shared, base: int) -> Shared:
    """floor(count / base) on shares."""
    return counts if base == 1 else await floor_divide(session, counts, base, COUNT_BITS)


async def release_counts(
    session: Session, counts: Shared, name: str, rules: DisclosureRules, allowed: Shared | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Open counts under `minimum_count` and `rounding_base`.

    A released count is the nearest multiple of the base, but never below the threshold: counts that would round below
    it are released as the smallest multiple that is not.

    Parameters
    ----------
    counts : Shared in M61, any shape
        Pooled people.
    allowed : Shared, optional
        1 where a count may be released at all (`enough_without_each`), else 0. For rules with a threshold.

    Returns
    -------
    (int64, bool)
        Released counts, rounded to the nearest multiple of the base (0 where hidden), and where they are released.
    """
    threshold, base = rules.minimum_count, rules.rounding_base
    if threshold == 0 and base == 1:
        exact = await open_counts(session, counts, name)
        return exact, np.ones(exact.shape, np.bool_)
    rounded = (await rounded_down(session, counts.plus_int(base // 2), base)).times_int(base)
    if not threshold:
        opened = await open_counts(session, rounded, name)
        return opened, np.ones(opened.shape, np.bool_)
    lowest = -(-threshold // base) * base
    # from here on the nearest multiple is `lowest` or more
    regular = max(threshold, lowest - base // 2)
    bounds = await at_least(session, concatenate([counts.plus_int(-threshold), counts.plus_int(-regular)]), 0)
    visible, high = bounds[: counts.shape[0]], bounds[counts.shape[0] :]
    above = await multiply(session, high, rounded.plus_int(-lowest))
    shown = visible.times_int(lowest) + above
    if allowed is not None:
        shown = await multiply(session, allowed, shown)
    opened = await open_counts(session, shown, name)
    return opened, opened > 0


def least_people(released: NDArray[np.int64], rules: DisclosureRules) -> NDArray[np.int64]:
    """The smallest counts that `release_counts` releases as these numbers; 0 where nothing is released."""
    threshold, base = rules.minimum_count, rules.rounding_base
    lowest = -(-threshold // base) * base
    least = np.maximum(released - base // 2, threshold)
    return np.where(released <= lowest, np.minimum(threshold, released), least)


async def enough_people(session: Session, parts: Sequence[Shared], rules: DisclosureRules) -> Shared | None:
    """1 where a pooled group may be shown: it has `minimum_count` people, and so has what each party cannot subtract.

    Parameters
    ----------
    parts : one Shared per data party, of one shape
        People of each group at that party.

    Returns
    -------
    Shared or None
        Bits of the same shape; None where the rules have no threshold. Reveals nothing.
    """
    if rules.minimum_count == 0:
        return None
    large = await at_least(session, _total(parts), rules.minimum_count)
    if rules.small_remainders:
        return large
    return await multiply(session, large, await enough_without_each(session, parts, rules.minimum_count))


def size_rules(ruling: Ruling) -> str:
    """The rules that hide a curve that is too small."""
    rules = [ruling.cite("minimum_count")]
    return "; ".join(rules if ruling.rules.small_remainders else [*rules, ruling.cite("small_remainders")])


async def enough_without_each(session: Session, parts: Sequence[Shared], minimum: int) -> Shared:
    """1 where, for every party with data, what all the others put in is 0 or at least `minimum`; else 0.

    A party subtracts its own numbers from a released total. What is left to it must be nobody, or enough people.

    Parameters
    ----------
    parts : one Shared per data party, of one shape
        Non-negative counts below 2^29 of each cell at that party, as they were dealt.
    minimum : int
        Below 2^29; up to 1, everything is enough.

    Returns
    -------
    Shared
        Bits of the same shape.

    Notes
    -----
    0 < x < k exactly where x (x - k) < 0: one product, one comparison per party and cell in a single batch, and
    log2(parties) products. Reveals nothing.
    """
    total = _total(parts)
    if minimum <= 1:
        return total.times_int(0).plus_int(1)
    others = concatenate([(total - part).reshape(1, *total.shape) for part in parts])
    few = await is_negative(session, await multiply(session, others, others.plus_int(-minimum)))
    return await all_of(session, (-few).plus_int(1))


def _total(parts: Sequence[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


async def all_of(session: Session, bits: Shared) -> Shared:
    """1 where all bits along the first axis are 1, else 0. log2 n rounds; reveals nothing."""
    (result,) = await product_trees(session, [bits])
    return result


async def require_all(session: Session, bits: Shared, name: str, message: str, hint: str | None = None) -> None:
    """Open one bit: whether all bits are 1.

    Raises
    ------
    DisclosureRefused
        One is not; which, stays hidden.
    """
    every = await all_of(session, bits.reshape(bits.size))
    if int((await open_counts(session, every.reshape(1), name))[0]) == 0:
        await everybody_knows(session)
        raise DisclosureRefused(message, hint=hint)


async def everybody_knows(session: Session) -> None:
    """One round more: who refuses stops the others, and these are to refuse by themselves, with the reason."""
    with suppress(MpcStatsError):  # somebody heard from all others, and ended before us
        await session.exchange(dict.fromkeys(session.peers, b"\x01"), dict.fromkeys(session.peers, 1), guests=True)


async def require_people(session: Session, counts: Shared, minimum: int, name: str, message: str) -> None:
    """Open one bit: whether every count is at least `minimum`.

    Raises
    ------
    DisclosureRefused
        One is not; which, and by how much, stays hidden.
    """
    if minimum <= 0:
        return
    enough = await at_least(session, counts.reshape(counts.size), minimum)
    await require_all(session, enough, name, message)


# --- statistics ----------------------------------------------------------------------------------------------------


EXACT_BITS = 50
"""Significant bits of a released statistic where counts are exact."""


def number_bits(rules: DisclosureRules) -> int:
    """Significant bits of a released statistic: 21 (half a unit is 5e-7 of the number), or 50 where counts are exact.

    The digits of an exact statistic tell apart the tables behind it.
    """
    exact = rules.minimum_count == 0 and rules.rounding_base == 1 and rules.step_minimum == 1
    return EXACT_BITS if exact else 21


async def release_numbers(
    session: Session, numbers: Shared, name: str, significant_bits: int, width: int = 120
) -> NDArray[np.float64]:
    """Open numbers rounded to so many significant bits; the caller vouches that the rules allow it.

    Parameters
    ----------
    numbers : Shared (k,), any fraction bits
        Below 2^width in units of the last place.
    name : str
        Declared for 2 k values: a mantissa and an exponent of each number are opened, and nothing else.
    significant_bits : int
        Below `width`; numbers with fewer bits are exact.

    Notes
    -----
    About 45 rounds; no bounded mask.
    """
    integers = numbers.with_fraction_bits(0)
    where = await leading_one(session, integers, width)
    (scale,) = await product_trees(session, [power_factors(where.shift, 1)])
    scaled = await multiply(session, integers, scale)
    drop = width - significant_bits
    mantissa = await floor_shift(session, scaled.plus_int(1 << (drop - 1)), drop)
    opened = await open_declared(session, concatenate([mantissa, bit_compose(where.shift)]), name)
    return _floats(numbers, opened, drop)


def _floats(numbers: Shared, opened: Elements, drop: int) -> NDArray[np.float64]:
    plain = numbers.field.to_signed(opened)
    mantissa, shift = plain[: numbers.size], plain[numbers.size :]
    exponents = drop - numbers.fraction_bits - shift.astype(np.int64)
    return np.ldexp(mantissa.astype(np.float64), exponents)
