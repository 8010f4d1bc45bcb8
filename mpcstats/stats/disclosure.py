"""The one gate through which counts leave a computation: thresholds and rounding are decided on shares.

What is opened is visible * rounded(count), and nothing else: whether a hidden count was 0 or 10 stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.protocols import at_least, floor_divide, multiply
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.types import DisclosureRules

__all__ = ["COUNT_BITS", "Ruling", "least_people", "open_counts", "release_counts", "require_people", "rounded_down"]

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
    session: Session, counts: Shared, name: str, rules: DisclosureRules
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Open counts under `minimum_count` and `rounding_base`.

    A released count is the nearest multiple of the base, but never below the threshold: counts that would round below
    it are released as the smallest multiple that is not.

    Parameters
    ----------
    counts : Shared in M61, any shape
        Pooled people.

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
    opened = await open_counts(session, visible.times_int(lowest) + above, name)
    return opened, opened > 0


def least_people(released: NDArray[np.int64], rules: DisclosureRules) -> NDArray[np.int64]:
    """The smallest counts that `release_counts` releases as these numbers; 0 where nothing is released."""
    threshold, base = rules.minimum_count, rules.rounding_base
    lowest = -(-threshold // base) * base
    least = np.maximum(released - base // 2, threshold)
    return np.where(released <= lowest, np.minimum(threshold, released), least)


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
    while enough.size > 1:
        half = enough.size // 2
        enough = concatenate([await multiply(session, enough[:half], enough[half : 2 * half]), enough[2 * half :]])
    if int((await open_counts(session, enough, name))[0]) == 0:
        raise DisclosureRefused(message)
