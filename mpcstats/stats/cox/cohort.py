"""Before the model: are there enough people and events, and on which scale are the covariates counted.

Opened: people and events (threshold and rounding), whether the rules are kept, and per covariate a rough middle and a
power of two next to its standard deviation. They set the scale of the arithmetic; the result does not depend on them.
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M61, M127
from mpcstats.protocols import deal, floor_shift, inner_product, multiply, sum_of_inputs
from mpcstats.protocols.normalise import leading_one
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.disclosure import (
    Ruling,
    enough_people,
    open_counts,
    release_counts,
    require_all,
    require_people,
    size_rules,
)

__all__ = ["Cohort", "rough_scale", "survey"]

Floats = NDArray[np.float64]

_FRACTION = 32
_SMALLEST_SPREAD = 2.0**-13
"""Of half the range."""


class Columns(Protocol):
    """Names of columns, and their values where these are few."""

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names."""

    @property
    def few_levels(self) -> tuple[tuple[float, ...], ...]:
        """() where there are more than three."""


@dataclass(frozen=True)
class Cohort:
    """Public numbers about the pooled people, and the scale z = (x - middle) / spread of covariates on their ranges.

    Attributes
    ----------
    people, events : int
        As released.
    people_bits, event_bits : int
        The true numbers are below 2 to these.
    middle, spread : float64 (p,)
    """

    people: int
    events: int
    people_bits: int
    event_bits: int
    middle: Floats
    spread: Floats

    @property
    def ranges(self) -> Floats:
        """Bounds of z: (2, p)."""
        slack = 1e-8
        return np.stack([(-1 - slack - self.middle) / self.spread, (1 + slack - self.middle) / self.spread])

    @property
    def spread_bits(self) -> int:
        """|z| is at most 2 to this."""
        return math.ceil(math.log2(float(np.abs(self.ranges).max())))


async def survey(
    session: Session,
    plan: CoxPlan,
    scaled: Floats | None,
    own: CoxContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Cohort:
    """Check the rules on pooled counts, release people and events, and agree on a scale.

    Raises
    ------
    DisclosureRefused
        Too few people or events, in total, per level of a column with few levels, or for the number of columns; or
        too few people in one of the plan's further groups.
    SpecError
        No event at all (where exact counts are released), or a constant column.
    """
    levels = [(k, level) for k, few in enumerate(plan.few_levels) for level in few]
    mine = None
    if own is not None:
        held = [own.covariates[:, k] == level for k, level in levels]
        failed = [int((h & own.event).sum()) for h in held]
        numbers = [len(own.time), int(own.event.sum()), *failed, *own.further_counts(plan)]
        mine = M61.from_int64(np.array(numbers, np.int64))
    size = 2 + len(levels) + len(plan.further_groups)
    parts = list((await deal(session, M61, mine, dealers, (size,))).values())
    counts = functools.reduce(operator.add, parts)
    await _require(session, plan, counts, parts, ruling)
    rules = ruling.rules
    session.openings.declare("people and events", 2, "pooled; threshold and rounding as for counts")
    released, _ = await release_counts(session, counts[:2], "people and events", rules)
    people, events = (int(v) for v in released)
    if events == 0:
        raise SpecError("nobody has the event: there is nothing to model")
    # what rounding takes away is less than a base
    bits = [(count + rules.rounding_base).bit_length() for count in (people, events)]
    middle, spread = await rough_scale(session, plan, scaled, dealers, people, bits[0], rules.rounding_base)
    return Cohort(people, events, bits[0], bits[1], middle, spread)


async def _require(session: Session, plan: CoxPlan, counts: Shared, parts: list[Shared], ruling: Ruling) -> None:
    enough = await enough_people(session, parts, ruling.rules)
    kinds = ["people", "events", *plan.further_groups]
    if enough is not None:
        name = "enough people and events"
        session.openings.declare(
            name,
            1,
            f"whether {', '.join(kinds)} and events per level of each column reach the minimum, also without any party",
            decision=True,
        )
        await require_all(
            session,
            enough,
            name,
            f"too few {', '.join(kinds[:-1])} or {kinds[-1]}, in total or in a level of a column "
            f"({size_rules(ruling)})",
        )
    needed = ruling.rules.events_per_parameter * plan.order
    if needed > 0:
        name = "enough events for the model"
        session.openings.declare(name, 1, "whether there are enough events for the number of columns", decision=True)
        await require_people(
            session,
            counts[1:2],
            needed,
            name,
            f"fewer than {needed} events are too few for {plan.order} columns ({ruling.cite('events_per_parameter')})",
        )


async def rough_scale(
    session: Session,
    plan: Columns,
    scaled: Floats | None,
    dealers: tuple[int, ...],
    people: int,
    people_bits: int,
    base: int,
) -> tuple[Floats, Floats]:
    """Rough middle and spread of each column within its range."""
    order = len(plan.covariates)
    mine = None
    if scaled is not None:
        sums = np.stack([scaled.sum(axis=0), (scaled**2).sum(axis=0)])
        mine = np.concatenate(
            [encode(M127, sums, _FRACTION, 32), np.broadcast_to(M127.constant(len(scaled)), (1, order, 2))]
        )
    pooled = await sum_of_inputs(session, M127, mine, dealers, (3, order))
    # n sum x^2 - (sum x)^2, without a division; only its size is opened
    left = concatenate([pooled[2].reshape(1, order).times_int(1 << _FRACTION), -pooled[0].reshape(1, order)])
    right = concatenate([pooled[1].reshape(1, order), pooled[0].reshape(1, order)])
    spread = await _spread(session, await inner_product(session, left, right, axis=0), plan, people, people_bits)
    return await _middle(session, plan, pooled[0], spread, people, base), spread


async def _spread(session: Session, square: Shared, plan: Columns, people: int, people_bits: int) -> Floats:
    width = 2 * people_bits + 2 * _FRACTION + 1
    where = await leading_one(session, square, width)
    powers = M127.from_ints([1 << k for k in range(where.shift.shape[0])])
    shift = where.shift.times(M127.reshape(powers, (len(powers), 1))).sum(0)
    size = await multiply(session, where.nonzero - where.negative, (-shift).plus_int(width))
    session.openings.declare(
        "sizes of variances", len(plan.covariates), "pooled variance of each column, as a power of two"
    )
    exponent = (await open_counts(session, size, "sizes of variances")) - 2 * _FRACTION - 2 * math.log2(people)
    spread = np.ldexp(1.0, np.rint(exponent / 2).astype(np.int64))
    constant = [name for name, s in zip(plan.covariates, spread, strict=True) if s < _SMALLEST_SPREAD]
    if constant:
        raise SpecError(
            f"constant in the pooled data, or with far too wide a range in the dictionary: {', '.join(constant)}",
            hint="leave the column out, or agree on a narrower range",
        )
    return spread


async def _middle(session: Session, plan: Columns, sums: Shared, spread: Floats, people: int, base: int) -> Floats:
    """Means, rounded to half a standard deviation; of columns with few levels to several people as well."""
    coarse = np.array([2 * base if few and base > 1 else 0 for few in plan.few_levels])
    steps = np.maximum(people * spread / 2, coarse)
    bits = [max(0, math.ceil(math.log2(step)) + _FRACTION) for step in steps]
    session.openings.declare(
        "rough means", len(plan.covariates), "pooled mean of each column, to half a standard deviation"
    )
    # one shift for all: the others are multiplied first
    most = max(bits)
    lifted = sums.times(M127.from_ints([1 << (most - drop) for drop in bits]))
    half = 1 << (most - 1) if most else 0
    rounded = await floor_shift(session, lifted.plus_int(half), most)
    opened = M127.to_int64(await open_declared(session, rounded, "rough means"))
    means = np.ldexp(opened.astype(np.float64), np.array(bits) - _FRACTION) / people
    return np.asarray(np.clip(means, -1, 1), np.float64)
