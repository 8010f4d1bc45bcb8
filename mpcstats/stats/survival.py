"""Kaplan-Meier curves and the log-rank test over sites: sums of events and censorings on a lattice of times.

If a curve is released exactly, its table of counts is: the counts are opened and all real arithmetic is ordinary
float64, R's digits. Groups below `minimum_count` stay closed all the same: with `where`, a group can be one person.
Without `exact_curve` only rounded cumulative counts on a coarse grid are opened, and the curve ends where few are at
risk.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61
from mpcstats.protocols import at_least, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats import kaplan_meier as km
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling, least_people, open_counts, release_counts, rounded_down
from mpcstats.stats.logrank import logrank_test
from mpcstats.stats.outcome import Outcome
from mpcstats.types import DisclosureRules

__all__ = ["joint_kaplan_meier", "joint_logrank"]

Counts = NDArray[np.int64]


async def joint_kaplan_meier(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    conf_type: str,
    conf_level: float,
    time_label: str = "time",
) -> Outcome:
    """Pooled survival curves of all groups.

    Reveals
    -------
    With `exact_curve`: events and censorings at every lattice time of each group that reaches `minimum_count`.
    Otherwise, per group: people at start (threshold and rounding), the number of visible grid points, and rounded
    cumulative events and censorings at these.
    """
    names = _names(plan)
    conventions = {
        "confidence interval": f"{conf_type}, level {conf_level:g}",
        "standard error": "Greenwood, of the survival probability",
        "median": "R's quantile rule: where the curve meets one half; the middle of a flat part exactly at one half",
        "event": _event(plan),
        "ties": "events come before censorings at the same time",
        "missing": "complete cases on the group column",
    }
    values = {"by": plan.by, "conf_type": conf_type, "conf_level": conf_level, "time_label": time_label}
    if ruling.rules.exact_curve:
        events, censored, hidden = await _exact_counts(session, plan, own, dealers, ruling)
        tables = km.tables_from_counts(
            events, censored, groups=names, unit=plan.unit, conf_type=conf_type, conf_level=conf_level
        )
        if hidden.any():
            medians = tables["medians"].astype({"records": "Int64", "events": "Int64"})
            medians.loc[hidden, ["records", "events"]] = pd.NA
            tables["medians"] = medians
        return Outcome("kaplan-meier", tables, {"curve": "exact", **values}, conventions, _hidden(ruling, hidden))
    # never narrower than the rule, whatever unit was asked for
    grid = max(1, math.ceil(ruling.rules.time_grid / plan.unit * (1 - 1e-12)))
    start, cum_events, cum_censored, visible = await _rounded_counts(session, plan, own, dealers, ruling, grid)
    times = grid * plan.unit * np.arange(1, cum_events.shape[1] + 1)
    tables = km.rounded_tables(
        times, start, cum_events, cum_censored, visible, groups=names, conf_type=conf_type, conf_level=conf_level
    )
    conventions |= {"rounding": km.ROUNDED_NOTE, "median": f"{conventions['median']}; read off the rounded curve"}
    withheld = _withheld(ruling, visible, names, grid, plan)
    return Outcome("kaplan-meier", tables, {"curve": "rounded", **values}, conventions, withheld)


async def joint_logrank(
    session: Session, plan: SurvivalPlan, own: SurvivalContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> Outcome:
    """Pooled log-rank test between the groups that reach `minimum_count`, from the exact table.

    Reveals
    -------
    Events and censorings at every lattice time of these groups.

    Raises
    ------
    DisclosureRefused
        The rules in force do not let the exact table out (nothing was shared), or only one group reaches the minimum.
    """
    if not ruling.rules.exact_curve:
        raise DisclosureRefused(
            "the log-rank test opens the exact table of events, which the rules do not allow "
            f"({ruling.cite('exact_curve')})",
            hint="exact_curve = true under [disclosure] in the policy.toml of every party named; or the rounded curve",
        )
    events, censored, hidden = await _exact_counts(session, plan, own, dealers, ruling)
    if hidden.any() and (~hidden).sum() < 2:
        raise DisclosureRefused(f"fewer than two groups are large enough ({ruling.cite('minimum_count')})")
    leaving = events + censored
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    names = [name for name, small in zip(_names(plan), hidden, strict=True) if not small]
    test = logrank_test(events[~hidden], at_risk[~hidden], names)
    return Outcome(
        "logrank",
        {"groups": test.table},
        {
            "chi_square": test.chi_square,
            "degrees_of_freedom": test.degrees_of_freedom,
            "p_value": test.p_value,
            "log_p_value": test.log_p_value,
            "by": plan.by,
        },
        {
            "test": "log-rank, hypergeometric variance, chi-square on groups - 1 degrees of freedom (R: rho = 0)",
            "event": _event(plan),
            "missing": "complete cases on the group column",
        },
        _hidden(ruling, hidden),
    )


def _event(plan: SurvivalPlan) -> str:
    values = " or ".join(str(value) for value in plan.event_values)
    return f"{plan.event} = {values}" if values else f"no value of {plan.event} is an event"


def _names(plan: SurvivalPlan) -> list[str]:
    return [str(level) for level in plan.groups] or ["all"]


async def _shared_counts(
    session: Session, plan: SurvivalPlan, own: SurvivalContribution | None, dealers: tuple[int, ...]
) -> tuple[Shared, Shared]:
    mine = None if own is None else M61.from_int64(np.stack([own.events, own.censored]).astype(np.int64))
    pooled = await sum_of_inputs(session, M61, mine, dealers, (2, *plan.shape))
    session.progress("events and censorings pooled on shares")
    return pooled[0], pooled[1]


async def _exact_counts(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> tuple[Counts, Counts, NDArray[np.bool_]]:
    """Events and censorings, zero in groups below `minimum_count`, and which groups these are."""
    groups, minimum = plan.shape[0], ruling.rules.minimum_count
    session.openings.declare(
        "events and censorings", 2 * groups * plan.shape[1], "pooled counts per group and time; 0 where suppressed"
    )
    events, censored = await _shared_counts(session, plan, own, dealers)
    both = concatenate([events, censored])
    if minimum > 0:
        large = (await at_least(session, events.sum(1) + censored.sum(1), minimum)).reshape(groups, 1)
        both = await multiply(session, concatenate([large, large]), both)
    opened = await open_counts(session, both, "events and censorings")
    events_opened, censored_opened = opened[:groups], opened[groups:]
    # a group that is shown has people
    hidden = (events_opened + censored_opened).sum(axis=1) == 0 if minimum > 0 else np.zeros(groups, np.bool_)
    return events_opened, censored_opened, hidden


def _hidden(ruling: Ruling, hidden: NDArray[np.bool_]) -> list[str]:
    count = int(hidden.sum())
    return [f"{count} of {hidden.size} groups hidden ({ruling.cite('minimum_count')})"] if count else []


async def _rounded_counts(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    grid: int,
) -> tuple[Counts, Counts, Counts, Counts]:
    """Rounded start, cumulative events and censorings, and visible grid points, per group."""
    rules, groups = ruling.rules, plan.shape[0]
    events, censored = await _shared_counts(session, plan, own, dealers)
    # a grid point stands for (previous, own]; time 0 belongs to the first one
    points = max(1, -(-plan.horizon // grid))
    edges = np.minimum(np.arange(1, points + 1) * grid, plan.horizon)
    cum = concatenate([events.cumsum(1)[:, edges], censored.cumsum(1)[:, edges]])  # (2 G, points)
    session.openings.declare("people at start", groups, "pooled people per group, rounded; 0 where suppressed")
    session.openings.declare("visible grid points", groups, "where each curve ends: fewer at risk beyond")
    session.openings.declare(
        "cumulative events and censorings",
        2 * groups * points,
        "multiples of step_minimum reached at each visible grid point",
    )
    total = cum[:groups, -1] + cum[groups:, -1]
    start, released = await release_counts(session, total, "people at start", rules)
    steps = await rounded_down(session, cum, rules.step_minimum)
    visible = await _visible(session, least_people(start, rules), steps[:groups] + steps[groups:], rules)
    shown = await multiply(session, concatenate([visible, visible]), steps)
    session.progress("curves rounded and cut on shares; opening what remains")
    ends = await open_counts(session, visible.sum(1), "visible grid points")
    levels = await open_counts(session, shown, "cumulative events and censorings")
    rounded = _midpoints(levels, rules.step_minimum)
    start, ends = np.where(released, start, 0), np.where(released, ends, 0)
    return start, rounded[:groups], rounded[groups:], ends


async def _visible(session: Session, least: Counts, steps: Shared, rules: DisclosureRules) -> Shared:
    """1 where enough people are certainly left after a grid point.

    Decided from the released people at start and from steps alone: a cut at the true number at risk would be an
    equation that, with the rounded numbers, gives exact counts. So would steps that add up to nearly everybody.
    """
    groups, points = steps.shape
    floor = max(rules.at_risk_floor, rules.minimum_count)
    if floor == 0:
        return steps.times_int(0).plus_int(1)
    # events and censorings up to the point before are each up to step_minimum - 1 more than their steps
    unseen = np.where(np.arange(points) > 0, 2 * (rules.step_minimum - 1), 0)
    certain = (-steps.times_int(rules.step_minimum)).plus(M61.from_int64(least.reshape(groups, 1) - unseen))
    return await at_least(session, certain, floor)


def _midpoints(levels: Counts, step: int) -> Counts:
    """The middle of [level step, (level + 1) step); 0 while fewer than one step happened."""
    return np.where(levels > 0, levels * step + step // 2, 0) if step > 1 else levels


def _withheld(ruling: Ruling, visible: Counts, names: list[str], grid: int, plan: SurvivalPlan) -> list[str]:
    points = max(1, -(-plan.horizon // grid))
    ends = ", ".join(
        f"{name} after {int(end) * grid * plan.unit:g}"
        for name, end in zip(names, visible, strict=True)
        if end < points
    )
    lines = [
        f"the curve is shown on a grid ({ruling.cite('time_grid')})",
        f"the exact curve is not allowed ({ruling.cite('exact_curve')})",
        f"cumulative events and censorings are rounded to steps ({ruling.cite('step_minimum')})",
        f"people at start are rounded ({ruling.cite('rounding_base')}; {ruling.cite('minimum_count')})",
    ]
    if ends:
        lines.append(f"curves are cut where few are at risk ({ruling.cite('at_risk_floor')}): {ends}")
    return lines
