"""Curves where the exact one may not leave: what `joint_kaplan_meier` shows of these people, on the grid of the rules.

The same numbers, rounded at the same places, and nothing else. Survival rounded to people, or a median with enough
people on both sides, would be true numbers cut at other places than those of Kaplan-Meier curves under the same rules:
both together would tell of steps of fewer than `step_minimum` events. Grid points are public, so every party counts its
own people between them; nothing is merged.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.runtime import Session
from mpcstats.stats import kaplan_meier as km
from mpcstats.stats.contributions.exact_time import ExactTimeContribution, ExactTimePlan
from mpcstats.stats.contributions.survival import MAX_SURVIVAL_CELLS
from mpcstats.stats.curve_release import release_grid, release_rounded_curves, withheld_lines
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.exact_time.release import Curves, Opened
from mpcstats.stats.exact_time.rows import check_people

__all__ = ["open_rounded_curves"]

Counts = NDArray[np.int64]

_KINDS = "events and censorings"


async def open_rounded_curves(
    session: Session,
    plan: ExactTimePlan,
    own: ExactTimeContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    asked: Curves,
) -> Opened:
    """Tables landmarks and medians as far as asked for, read off the rounded curve, and the table curve.

    Raises
    ------
    RangeError
        The grid has too many points.
    DataError
        Own people do not fit the plan. Nothing was sent.
    """
    edges, times = _grid(plan, ruling)
    groups, shape = plan.group_count, (2, plan.group_count, times.size)
    mine = None if own is None else M61.from_int64(_counted(plan, own, edges))
    dealt = list((await deal(session, M61, mine, dealers, shape)).values())
    pooled = dealt[0]
    for part in dealt[1:]:
        pooled = pooled + part
    session.progress("events and censorings pooled on shares")
    people = [part.sum(2).sum(0) for part in dealt]
    curves = await release_rounded_curves(session, pooled, ruling, np.arange(times.size), _KINDS, people)
    names = plan.group_names
    found = km.rounded_tables(
        times,
        curves.start,
        curves.cumulative[0].reshape(groups, times.size),
        curves.cumulative[1].reshape(groups, times.size),
        curves.visible,
        groups=names,
        conf_level=asked.conf_level,
    )
    tables: dict[str, pd.DataFrame] = {}
    if asked.landmarks:
        marks = tuple(mark * plan.unit for mark in asked.landmarks)
        tables["landmarks"] = _read(found["curve"], found["medians"][["group"]], marks, asked.conf_level)
    if asked.medians:
        tables["medians"] = found["medians"]
    tables["curve"] = found["curve"]
    return Opened(tables, withheld_lines(ruling, curves.visible, names, times, _KINDS))


def _grid(plan: ExactTimePlan, ruling: Ruling) -> tuple[Counts, NDArray[np.float64]]:
    width = max(float(ruling.rules.time_grid), plan.unit)
    points = plan.horizon * plan.unit / width + 1
    if 2 * plan.group_count * points > MAX_SURVIVAL_CELLS:
        raise RangeError(
            f"{plan.group_count} rounded curves with {points:,.0f} grid points each are too long "
            f"({ruling.cite('time_grid')})",
            hint="a narrower range of the time column in the dictionary, or a wider time_grid",
        )
    return release_grid(plan.horizon, plan.unit, ruling.rules.time_grid)


def _counted(plan: ExactTimePlan, own: ExactTimeContribution, edges: Counts) -> Counts:
    """Own events and censorings in each interval that ends at an edge: (2, G, points)."""
    check_people(plan, own)
    counts = np.zeros((2, plan.group_count, edges.size), np.int64)
    interval = np.searchsorted(edges, own.time, side="left")
    np.add.at(counts, ((~own.event).astype(np.int64), own.group, interval), 1)
    return counts


def _read(curve: pd.DataFrame, labels: pd.DataFrame, marks: tuple[float, ...], conf_level: float) -> pd.DataFrame:
    table = km.derived_tables(curve, labels, times=marks, conf_level=conf_level)["at_times"]
    return table[["group", "time", "survival", "standard_error", "lower", "upper"]]
