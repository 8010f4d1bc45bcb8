"""Rounded curves: what leaves of counts over time when the exact curve may not, for one or several kinds of events.

Opened are, per group, the people at start (threshold and rounding), the number of visible grid points, and at these the
cumulative numbers of each kind in whole steps. Everything is decided on shares of pooled counts, and from rounded
numbers alone (ADR 0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import at_least, multiply
from mpcstats.runtime import Session, Shared
from mpcstats.stats.disclosure import (
    Ruling,
    enough_without_each,
    least_people,
    open_counts,
    release_counts,
    rounded_down,
    size_rules,
)
from mpcstats.stats.lattice import grid_edges
from mpcstats.types import DisclosureRules

__all__ = ["RoundedCurves", "fits_grid", "release_grid", "release_rounded_curves", "step_width", "withheld_lines"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class RoundedCurves:
    """Released numbers, rounded.

    Attributes
    ----------
    start : int64 (G,)
        People at start; 0 where hidden.
    cumulative : int64 (kinds, G, points)
        Up to and including each grid point: the middle of the step that the true number lies in, 0 before the first
        one. Meaningless beyond `visible`.
    visible : int64 (G,)
        Grid points that may be shown.
    """

    start: Counts
    cumulative: Counts
    visible: Counts


def release_grid(horizon: int, unit: float, time_grid: float) -> tuple[Counts, NDArray[np.float64]]:
    """The last lattice index of each grid interval, and the grid points in units of the time column.

    Grid points are the multiples of `time_grid` whatever the unit of the lattice: requests with different units then
    show the same points, and never more of them together. A unit wider than the grid shows every lattice time, which is
    all that there is. Time 0 belongs to the first interval.
    """
    width = max(float(time_grid), unit)
    edges = grid_edges(horizon, width, unit)
    return edges, width * np.arange(1, len(edges) + 1, dtype=np.float64)


def fits_grid(grid: float, time_grid: float) -> bool:
    """Whether one grid's points are all among the other's, so that curves on both show no further points.

    Curves on grids of 30 and of 31 days would show two points a day apart.
    """
    ratio = max(grid, time_grid) / min(grid, time_grid)
    return abs(ratio - round(ratio)) <= 1e-9 * ratio


def step_width(rules: DisclosureRules) -> int:
    """Events per step of a rounded curve: 2 `step_minimum` + 5, and 1 where steps are exact.

    One curve alone would need `step_minimum` only. But curves of the same people are released in separate requests: of
    groups and of everybody, of one cause, of several causes together, of all who leave. 5 events in all and no step in
    either of two groups leaves 1 to 4 in each. With steps this wide, and none narrower, no number is forced to be small
    by all curves of two groups and three ways to leave (ADR 0003).
    """
    return 1 if rules.step_minimum == 1 else 2 * rules.step_minimum + 5


async def release_rounded_curves(
    session: Session, counts: Shared, ruling: Ruling, edges: Counts, kinds: str, people: Sequence[Shared] = ()
) -> RoundedCurves:
    """Round, cut and open cumulative counts.

    Parameters
    ----------
    counts : Shared in M61, (kinds, G, T+1)
        Pooled numbers of people who leave, by the way in which they do; everybody leaves once.
    edges : from `release_grid`
    kinds : str
        For the manifest: "events and censorings".
    people : one Shared (G,) per data party
        For the rule that no party may be left with a few people when it subtracts its own.

    Reveals
    -------
    The three things that `RoundedCurves` holds.

    Cost
    ----
    About 60 rounds, one division by a public number per kind, group and grid point.
    """
    rules, (count, groups, _), points = ruling.rules, counts.shape, len(edges)
    cumulative = counts.cumsum(2)[:, :, edges]
    session.openings.declare("people at start", groups, "pooled people per group, rounded; 0 where suppressed")
    session.openings.declare("visible grid points", groups, "where each curve ends: fewer at risk beyond")
    session.openings.declare(
        f"cumulative {kinds}", count * groups * points, "whole steps reached at each visible grid point"
    )
    total = cumulative[:, :, points - 1].sum(0)
    allowed = None
    if rules.minimum_count > 0 and not rules.small_remainders:
        allowed = await enough_without_each(session, people, rules.minimum_count)
    start, released = await release_counts(session, total, "people at start", rules, allowed)
    width = step_width(rules)
    steps = await rounded_down(session, cumulative.reshape(count * groups, points), width)
    steps = steps.reshape(count, groups, points)
    visible = await _visible(session, least_people(start, rules), steps.sum(0), count, rules)
    shown = await multiply(session, visible.reshape(1, groups, points), steps)
    session.progress("curves rounded and cut on shares; opening what remains")
    ends = await open_counts(session, visible.sum(1), "visible grid points")
    levels = await open_counts(session, shown, f"cumulative {kinds}")
    middle = _midpoints(levels, width)
    return RoundedCurves(np.where(released, start, 0), middle, np.where(released, ends, 0))


async def _visible(session: Session, least: Counts, steps: Shared, kinds: int, rules: DisclosureRules) -> Shared:
    """1 where enough people are certainly left after a grid point.

    Decided from the released people at start and from steps alone: a cut at the true number at risk would be an
    equation that, with the rounded numbers, gives exact counts. So would steps that add up to nearly everybody.
    """
    groups, points = steps.shape
    floor = max(rules.at_risk_floor, rules.minimum_count)
    if floor == 0:
        return steps.times_int(0).plus_int(1)
    # each kind is up to width - 1 more than its steps at the point before
    width = step_width(rules)
    # with fewer than a step left, a cut would say that nearly all people at start had left by whole steps
    floor = max(floor, width)
    unseen = np.where(np.arange(points) > 0, kinds * (width - 1), 0)
    certain = (-steps.times_int(width)).plus(M61.from_int64(least.reshape(groups, 1) - unseen))
    return await at_least(session, certain, floor)


def _midpoints(levels: Counts, step: int) -> Counts:
    """The middle of [level step, (level + 1) step); 0 while fewer than one step happened."""
    return np.where(levels > 0, levels * step + step // 2, 0) if step > 1 else levels


def withheld_lines(
    ruling: Ruling, visible: Counts, names: list[str], times: NDArray[np.float64], kinds: str
) -> list[str]:
    """What is not shown of a rounded curve, for people."""
    ends = ", ".join(
        f"{name} after {times[end - 1] if end else 0:g}"
        for name, end in zip(names, visible.tolist(), strict=True)
        if end < len(times)
    )
    lines = [
        f"the curve is shown on a grid ({ruling.cite('time_grid')})",
        f"the exact curve is not allowed ({ruling.cite('exact_curve')})",
        f"cumulative {kinds} are rounded to steps of {step_width(ruling.rules)} ({ruling.cite('step_minimum')})",
        f"people at start are rounded ({ruling.cite('rounding_base')}; {size_rules(ruling)})",
    ]
    if ends:
        lines.append(f"curves are cut where few are at risk ({ruling.cite('at_risk_floor')}): {ends}")
    return lines
