"""Before the model: are there enough people in every group that its sums speak about, and on which scale is counted.

Opened: whether the rules are kept (two bits), the people (degrees of freedom are people less parameters, so a linear
model's p-values tell them anyway), the events, people left out (threshold and rounding), and of each column a rough
middle and a power of two next to its standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.regression import RegressionContribution, RegressionPlan, scale_of
from mpcstats.stats.cox.cohort import rough_scale
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.disclosure import (
    Ruling,
    enough_people,
    enough_without_each,
    number_bits,
    open_counts,
    release_counts,
    require_all,
    require_people,
    size_rules,
)

__all__ = ["Survey", "survey", "total_of"]

Floats = NDArray[np.float64]

_HEAD = 4  # people, events, people without event, incomplete
_EXACT, _FEW = 56, 24


@dataclass(frozen=True)
class Survey:
    """Public numbers about the pooled people.

    Attributes
    ----------
    people : int
        Exact.
    events : int or None
        Exact: events of a 0/1 outcome; people with a count above 0, None where that is hidden; 0 of a linear model.
    incomplete : int or None
        People left out because a value is missing, as released; None where that is hidden.
    middle, spread : float64 (columns + 1,)
        z = (u - middle) / spread of columns and outcome (last) on their ranges.
    digits : Digits
        Binary digits of opened sums.
    """

    people: int
    events: int | None
    incomplete: int | None
    middle: Floats
    spread: Floats
    digits: Digits


@dataclass(frozen=True)
class _Columns:
    covariates: tuple[str, ...]
    few_levels: tuple[tuple[float, ...], ...]


async def survey(
    session: Session,
    plan: RegressionPlan,
    own: RegressionContribution | None,
    scaled: Floats | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Survey:
    """Check the rules on pooled counts, open people and events, and agree on a scale.

    Raises
    ------
    DisclosureRefused
        Too few people, in total, in a joint cell of levels that the sums of products count, or for the number of
        coefficients.
    SpecError
        No more people than coefficients, nobody (or everybody) with the event, a constant column or outcome.
    """
    rules = ruling.rules
    exact = rules.minimum_count == 0
    groups = () if exact else plan.groups
    patterns = () if exact else plan.patterns
    sizes = [plan.cells(group) for group in (*groups, *([patterns] if patterns else []))]
    mine = None
    if own is not None:
        cells = [own.group_counts(plan, group) for group in (*groups, *([patterns] if patterns else []))]
        mine = M61.from_int64(np.concatenate([_head(plan, own), *cells]))
    parts = list((await deal(session, M61, mine, dealers, (_HEAD + sum(sizes),))).values())
    await _require(session, plan, parts, sum(sizes[: len(groups)]), ruling)
    total = total_of(parts)
    # people with a count of 0 may be few: how many there are stays closed
    shown = 1 if plan.family == "poisson" and not exact else 2
    session.openings.declare("people and events", shown, "pooled, exact")
    opened = await open_counts(session, total[:shown], "people and events")
    people, events = int(opened[0]), int(opened[1]) if shown == 2 else None
    _check_counts(plan, people, events)
    incomplete = await _incomplete(session, parts, ruling)
    digits = Digits(_EXACT if number_bits(rules) > _FEW else _FEW, people.bit_length())
    middle, spread = await _scale(session, plan, scaled, dealers, people, rules.rounding_base)
    return Survey(people, events, incomplete, middle, spread, digits)


def _head(plan: RegressionPlan, own: RegressionContribution) -> NDArray[np.int64]:
    events = 0 if plan.family == "gaussian" else int((own.outcome > 0).sum())
    return np.array([own.people, events, own.people - events, own.incomplete], np.int64)


async def _require(session: Session, plan: RegressionPlan, parts: list[Shared], cells: int, ruling: Ruling) -> None:
    """Open whether the rules are kept; see `survey`."""
    rules = ruling.rules
    counted = {"gaussian": [0], "binomial": [0, 1, 2], "poisson": [0, 1]}[plan.family]
    if rules.minimum_count > 0:
        places = np.array([*counted, *range(_HEAD, _HEAD + cells)])
        name = "enough people"
        session.openings.declare(
            name,
            1,
            "whether all groups that sums of products count have enough people, also without any party",
            decision=True,
        )
        bits = [await enough_people(session, [part[places] for part in parts], rules)]
        if parts[0].size > _HEAD + cells:
            # what is left of each combination, and without any party (a part of zeros stands for nobody's leaving)
            left = [part[np.arange(_HEAD + cells, part.size)] for part in parts]
            nobody = [left[0].times_int(0)]
            several = nobody + left if not rules.small_remainders else [*nobody, total_of(left)]
            bits.append(await enough_without_each(session, several, rules.minimum_count))
        await require_all(
            session,
            concatenate([bit for bit in bits if bit is not None]),
            name,
            "too few people, in total or with two levels of the model's columns (or of column and outcome) together; "
            "in a model of columns with few levels alone, with any combination of them "
            f"({size_rules(ruling)})",
            hint="leave out a column with rare levels, or join levels",
        )
    needed = rules.events_per_parameter * plan.order
    if needed > 0:
        name = "enough people for the model"
        what = {"gaussian": "people", "binomial": "events, or people without", "poisson": "people with a count above 0"}
        session.openings.declare(
            name, 1, "whether there are enough people or events for the number of coefficients", decision=True
        )
        places = np.array([0] if plan.family == "gaussian" else counted[1:])
        await require_people(
            session,
            total_of(parts)[places],
            needed,
            name,
            f"fewer than {needed} {what[plan.family]} are too few for {plan.order} coefficients "
            f"({ruling.cite('events_per_parameter')})",
        )


def total_of(parts: Sequence[Shared]) -> Shared:
    """The sum over the parties. Local."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _check_counts(plan: RegressionPlan, people: int, events: int | None) -> None:
    if people <= plan.order:
        raise SpecError(
            f"{people} people with all columns of the model are too few for {plan.order} coefficients: at least "
            f"{plan.order + 1} are needed"
        )
    if plan.family == "binomial" and events in {0, people}:
        who = "nobody has" if events == 0 else "everybody has"
        raise SpecError(f"{who} the event ({plan.response}): there is nothing to model")
    if plan.family == "poisson" and events == 0:
        raise SpecError(f"every count of {plan.response!r} is 0: there is nothing to model")


async def _incomplete(session: Session, parts: list[Shared], ruling: Ruling) -> int | None:
    """People left out because a value is missing."""
    rules = ruling.rules
    place = np.array([_HEAD - 1])
    allowed = None
    if not rules.small_remainders and rules.minimum_count:
        allowed = await enough_without_each(session, [part[place] for part in parts], rules.minimum_count)
    name = "people with missing values"
    session.openings.declare(name, 1, "left out, pooled; threshold and rounding as for counts")
    released, visible = await release_counts(session, total_of(parts)[place], name, rules, allowed)
    return int(released[0]) if visible[0] else None


async def _scale(
    session: Session,
    plan: RegressionPlan,
    scaled: Floats | None,
    dealers: tuple[int, ...],
    people: int,
    base: int,
) -> tuple[Floats, Floats]:
    """Rough middles and spreads; those of the ranges themselves without intercept, for a 0/1 outcome and for counts."""
    gaussian = plan.family == "gaussian"
    names = (*plan.covariates, plan.response)
    middle, spread = np.zeros(len(names)), np.ones(len(names))
    if plan.family != "gaussian":
        # the outcome stays what it is
        offset, width = scale_of(plan)
        middle[-1], spread[-1] = -offset[-1] / width[-1], 1 / width[-1]
    used = len(names) if gaussian else len(names) - 1
    if not plan.intercept or used == 0:
        return middle, spread
    columns = _Columns(names[:used], (*plan.few_levels, ())[:used])
    mine = None if scaled is None else np.ascontiguousarray(scaled[:, :used])
    found = await rough_scale(session, columns, mine, dealers, people, people.bit_length(), base)
    middle[:used], spread[:used] = found
    return middle, spread
