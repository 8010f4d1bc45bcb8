"""What is opened of curves of hidden times: survival at landmarks, and medians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.field import M127
from mpcstats.protocols import at_least, floor_divide, multiply
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.contributions.exact_time import ExactTimePlan
from mpcstats.stats.disclosure import (
    Ruling,
    all_of,
    enough_without_each,
    open_counts,
    release_counts,
    size_rules,
)
from mpcstats.stats.exact_time.curve import GONE, Crossings, Sums, crossings, landmark_sums, level_counts
from mpcstats.stats.exact_time.rows import Rows

__all__ = ["Landmarks", "Medians", "Opened", "check_landmarks", "declare_curves", "open_curves"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_LANDMARKS = 24
_FINEST = 1000
"""Survival is rounded to 1 / 1000 at least, where the rules round."""

_START, _LANDMARKS, _MEDIANS = "people at start", "survival at landmarks", "medians and limits"


@dataclass(frozen=True)
class Landmarks:
    """Public times in units, and the level of intervals."""

    times: tuple[int, ...]
    conf_level: float


@dataclass(frozen=True)
class Medians:
    """Medians, and the level of intervals."""

    conf_level: float


@dataclass(frozen=True)
class Opened:
    """Tables, and what was withheld from them."""

    tables: dict[str, pd.DataFrame]
    withheld: list[str]


def check_landmarks(plan: ExactTimePlan, landmarks: Sequence[float], ruling: Ruling) -> tuple[int, ...]:
    """Landmarks in units.

    Raises
    ------
    SpecError
        Too many, not increasing, off the unit or beyond the horizon.
    DisclosureRefused
        Off the grid that the rules ask for.
    """
    marks = [round(t / plan.unit) for t in landmarks if math.isfinite(t)]
    off = len(marks) < len(landmarks) or any(
        abs(t / plan.unit - k) > 1e-6 for t, k in zip(landmarks, marks, strict=False)
    )
    if off or sorted(set(marks)) != marks or (marks and not 0 <= marks[0] <= marks[-1] <= plan.horizon):
        raise SpecError(f"landmarks are increasing whole multiples of {plan.unit:g} up to {plan.horizon * plan.unit:g}")
    if len(marks) > MOST_LANDMARKS:
        raise SpecError(f"{len(marks)} landmarks are too many: {MOST_LANDMARKS} at most, each is a column of the merge")
    if not ruling.rules.exact_curve and any(mark % _grid(plan, ruling) for mark in marks):
        raise DisclosureRefused(
            f"landmarks must be multiples of {_grid(plan, ruling) * plan.unit:g} ({ruling.cite('time_grid')})"
        )
    return tuple(marks)


def _grid(plan: ExactTimePlan, ruling: Ruling) -> int:
    """Units of the grid: never narrower than the rule."""
    return max(1, math.ceil(ruling.rules.time_grid / plan.unit * (1 - 1e-12)))


def declare_curves(session: Session, groups: int, landmarks: int, medians: bool, ruling: Ruling) -> None:
    """Enter what is opened in the manifest."""
    declare = session.openings.declare
    declare(_START, groups, "pooled people per group, under threshold and rounding")
    if landmarks:
        exact = ruling.rules.exact_curve
        what = "log S and its variance" if exact else "survival and its limits, rounded; 0 where hidden"
        declare(_LANDMARKS, (2 if exact else 3) * groups * landmarks, f"{what}, per group and landmark")
    if medians:
        declare(_MEDIANS, 3 * groups, "times per group; 0 where there is none or it is hidden")


async def open_curves(
    session: Session,
    plan: ExactTimePlan,
    rows: Rows,
    numbers: list[Shared],
    ruling: Ruling,
    landmarks: Landmarks | None,
    medians: Medians | None,
) -> Opened:
    """Open people at start, and what is asked for of the groups that are large enough.

    Parameters
    ----------
    rows, numbers
        From `rows.curve_rows`.
    """
    rules, total = ruling.rules, _sum(numbers)
    allowed = None
    if rules.minimum_count > 0 and not rules.small_remainders:
        allowed = await enough_without_each(session, [part[:, 0] for part in numbers], rules.minimum_count)
    start, released = await release_counts(session, total[:, 0], _START, rules, allowed)
    shown = np.flatnonzero(released & (start > 0))
    tables: dict[str, pd.DataFrame] = {}
    withheld = []
    hidden = int((~released).sum())
    if hidden:
        withheld.append(f"{hidden} of {start.size} groups hidden ({size_rules(ruling)})")
    if landmarks:
        by_group = await _landmarks(session, rows, total, start, shown, ruling, landmarks)
        tables["landmarks"] = _landmark_table(plan, landmarks, by_group)
        if not rules.exact_curve:
            withheld.append(
                f"survival at landmarks is rounded to people ({ruling.cite('rounding_base')}), and hidden where few "
                f"are left or few events happened since the landmark before ({ruling.cite('at_risk_floor')}; "
                f"{ruling.cite('step_minimum')})"
            )
    if medians:
        times = await _medians(session, plan, rows, total, shown, ruling, medians)
        tables["medians"] = _median_table(plan, start, released, times)
        if not rules.exact_curve:
            withheld.append(
                f"medians and limits are shown on a grid ({ruling.cite('time_grid')}), with enough people and events "
                f"on both sides ({ruling.cite('minimum_count')}; {ruling.cite('step_minimum')})"
            )
    return Opened(tables, withheld)


def _sum(parts: Sequence[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _z(conf_level: float) -> float:
    return float(-ndtri((1 - conf_level) / 2))


# --- landmarks -------------------------------------------------------------------------------------------------------


async def _landmarks(
    session: Session,
    rows: Rows,
    total: Shared,
    start: Counts,
    shown: Counts,
    ruling: Ruling,
    asked: Landmarks,
) -> Floats:
    """survival, standard_error, lower, upper per group and landmark: (4, G, K), NaN where hidden."""
    groups, count = start.size, len(asked.times)
    result = np.full((4, groups, count), np.nan)
    if not shown.size:
        return result
    sums = landmark_sums(rows)
    if ruling.rules.exact_curve:
        both = concatenate([sums.hazard[shown], sums.greenwood[shown]])
        opened = decode(M127, await open_declared(session, both, _LANDMARKS), both.fraction_bits)
        result[:, shown] = _limits(opened[: shown.size], opened[shown.size :], _z(asked.conf_level))
        return result
    fine = await _fine_landmarks(session, rows, total, ruling)
    for g in shown:
        base, top = ruling.rules.rounding_base, int(start[g])
        step = (base, top) if base * _FINEST >= top else (1, _FINEST)
        levels = [((2 * j - 1) * step[0], 2 * step[1]) for j in range(1, step[1] // step[0] + 1)]
        one = Sums(sums.hazard[g], sums.greenwood[g])
        reached = await level_counts(session, one, levels, _z(asked.conf_level))
        shown_levels = await multiply(session, reached.plus_int(1), fine[g].reshape(1, count))
        opened_levels = (await open_counts(session, shown_levels, _LANDMARKS)).reshape(3, count)
        rounded = np.where(opened_levels > 0, (opened_levels - 1) * (step[0] / step[1]), np.nan)
        result[[0, 2, 3], g] = rounded
    return result


async def _fine_landmarks(session: Session, rows: Rows, total: Shared, ruling: Ruling) -> Shared:
    """1 where enough people are left after a landmark, and enough events happened since the one before: (G, K)."""
    rules, groups = ruling.rules, total.shape[0]
    left, events = total[:, 1:], rows.more.sum(1)
    before = concatenate([events[:, :1].times_int(0), events[:, :-1]], axis=1)
    floor = max(rules.at_risk_floor, rules.minimum_count)
    both = concatenate([left.plus_int(-floor), (events - before).plus_int(-rules.step_minimum)])
    bits = await at_least(session, both, 0)
    return await multiply(session, bits[:groups], bits[groups:])


def _limits(hazard: Floats, greenwood: Floats, z: float) -> Floats:
    """R's numbers from -log S and Greenwood's sum; once S is 0 only S itself is one."""
    gone = hazard >= GONE / 2
    survival = np.where(gone, 0.0, np.exp(-hazard))
    root = np.where(gone, np.nan, np.sqrt(np.maximum(greenwood, 0)))
    lower, upper = np.exp(-hazard - z * root), np.minimum(np.exp(-hazard + z * root), 1.0)
    return np.stack([survival, survival * root, lower, upper])


def _landmark_table(plan: ExactTimePlan, asked: Landmarks, numbers: Floats) -> pd.DataFrame:
    groups, count = numbers.shape[1:]
    names = np.array(plan.group_names, dtype=object)
    columns = dict(zip(("survival", "standard_error", "lower", "upper"), numbers.reshape(4, -1), strict=True))
    times = np.tile(np.array(asked.times) * plan.unit, groups)
    return pd.DataFrame({"group": np.repeat(names, count), "time": times, **columns})


# --- medians ---------------------------------------------------------------------------------------------------------


async def _medians(
    session: Session,
    plan: ExactTimePlan,
    rows: Rows,
    total: Shared,
    shown: Counts,
    ruling: Ruling,
    asked: Medians,
) -> Floats:
    """median, lower, upper per group: (3, G), NaN where there is none or it is hidden."""
    result = np.full((3, total.shape[0]), np.nan)
    if not shown.size:
        return result
    part = Rows(rows.twice_time[shown], rows.event[shown], rows.more[shown])
    found = await crossings(session, part, _z(asked.conf_level))
    time, exists = found.twice_time, found.exists
    if ruling.rules.exact_curve:
        # a curve that ends exactly at one half: the middle of its flat end
        flat = await multiply(session, exists[0] - exists[1], part.twice_time[:, -1])
        four = _three(time[0] + time[1] + flat, time[2].times_int(2), time[3].times_int(2))
        fine = _three(exists[0], exists[2], exists[3])
        levels, width = four, 4.0
    else:
        grid = _grid(plan, ruling)
        four = _three(time[0] + time[1], time[2].times_int(2), time[3].times_int(2))
        fine = await _fine_medians(session, found, total[shown, 0], ruling)
        bits = (4 * (plan.horizon + grid)).bit_length() + 1
        # a grid point stands for the interval up to it
        levels, width = await floor_divide(session, four.plus_int(4 * grid - 1), 4 * grid, bits), 1 / grid
    opened = await open_counts(session, await multiply(session, levels.plus_int(1), fine), _MEDIANS)
    result[:, shown] = np.where(opened > 0, (opened - 1) / width * plan.unit, np.nan)
    return result


def _three(*parts: Shared) -> Shared:
    return concatenate([part.reshape(1, *part.shape) for part in parts])


async def _fine_medians(session: Session, found: Crossings, people: Shared, ruling: Ruling) -> Shared:
    """1 where a median or limit exists with enough people on both sides and enough events before it: (3, groups)."""
    rules = ruling.rules
    behind = _three(found.at_risk[1], found.at_risk[2], found.at_risk[3]).plus_int(-1 - rules.minimum_count)
    ahead = (-_three(found.at_risk[0], found.at_risk[2], found.at_risk[3])) + _three(people, people, people)
    events = _three(found.events[0], found.events[2], found.events[3]).plus_int(-rules.step_minimum)
    checks = concatenate([behind, ahead.plus_int(-rules.minimum_count), events])
    bits = (await at_least(session, checks, 0)).reshape(3, 3, people.size)
    there = _three(found.exists[1], found.exists[2], found.exists[3])
    return await all_of(session, concatenate([bits, there.reshape(1, 3, people.size)]))


def _median_table(plan: ExactTimePlan, start: Counts, released: NDArray[np.bool_], times: Floats) -> pd.DataFrame:
    records = pd.array([int(n) if ok else pd.NA for n, ok in zip(start, released, strict=True)], dtype="Int64")
    events = pd.array([pd.NA] * start.size, dtype="Int64")
    columns = {"median": times[0], "lower": times[1], "upper": times[2]}
    return pd.DataFrame({"group": plan.group_names, "records": records, "events": events, **columns})
