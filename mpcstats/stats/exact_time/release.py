"""What is opened of curves of hidden times where the exact curve may leave: survival at landmarks, and medians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.field import M127
from mpcstats.protocols import multiply
from mpcstats.runtime import Session, Shared, concatenate, open_declared
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.contributions.exact_time import ExactTimePlan
from mpcstats.stats.disclosure import Ruling, enough_without_each, open_counts, release_counts, size_rules
from mpcstats.stats.exact_time.curve import GONE, crossings, landmark_sums
from mpcstats.stats.exact_time.rows import Rows

__all__ = ["Curves", "Opened", "declare_curves", "open_curves"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_START, _LANDMARKS, _MEDIANS = "people at start", "survival at landmarks", "medians and limits"


@dataclass(frozen=True)
class Curves:
    """What is asked for: landmarks (public times in units), medians, and the level of intervals."""

    landmarks: tuple[int, ...]
    medians: bool
    conf_level: float


@dataclass(frozen=True)
class Opened:
    """Tables, and what was withheld from them."""

    tables: dict[str, pd.DataFrame]
    withheld: list[str]


def declare_curves(session: Session, groups: int, asked: Curves) -> None:
    """Enter what is opened in the manifest."""
    declare = session.openings.declare
    declare(_START, groups, "pooled people per group, under threshold and rounding")
    if asked.landmarks:
        declare(_LANDMARKS, 2 * groups * len(asked.landmarks), "log S and its variance, per group and landmark")
    if asked.medians:
        declare(_MEDIANS, 3 * groups, "times per group; 0 where there is none")


async def open_curves(
    session: Session, plan: ExactTimePlan, rows: Rows, numbers: list[Shared], ruling: Ruling, asked: Curves
) -> Opened:
    """Open people at start, and what is asked for of the groups that are large enough; needs `exact_curve`.

    Parameters
    ----------
    rows, numbers
        From `rows.curve_rows`.
    """
    rules = ruling.rules
    total = numbers[0]
    for part in numbers[1:]:
        total = total + part
    allowed = None
    if rules.minimum_count > 0 and not rules.small_remainders:
        allowed = await enough_without_each(session, numbers, rules.minimum_count)
    start, released = await release_counts(session, total, _START, rules, allowed)
    shown = np.flatnonzero(released & (start > 0))
    tables: dict[str, pd.DataFrame] = {}
    hidden = int((~released).sum())
    withheld = [f"{hidden} of {start.size} groups hidden ({size_rules(ruling)})"] if hidden else []
    if rules.rounding_base > 1:
        withheld.append(f"people at start are rounded ({ruling.cite('rounding_base')})")
    if asked.landmarks:
        tables["landmarks"] = _landmark_table(plan, asked, await _landmarks(session, rows, start.size, shown, asked))
    if asked.medians:
        times = await _medians(session, plan, rows, start.size, shown, asked)
        tables["medians"] = _median_table(plan, start, released, times)
    return Opened(tables, withheld)


def _z(conf_level: float) -> float:
    return float(-ndtri((1 - conf_level) / 2))


# --- landmarks -------------------------------------------------------------------------------------------------------


async def _landmarks(session: Session, rows: Rows, groups: int, shown: Counts, asked: Curves) -> Floats:
    """survival, standard_error, lower, upper per group and landmark: (4, G, K), NaN where hidden."""
    result = np.full((4, groups, len(asked.landmarks)), np.nan)
    if shown.size:
        sums = landmark_sums(rows)
        both = concatenate([sums.hazard[shown], sums.greenwood[shown]])
        opened = decode(M127, await open_declared(session, both, _LANDMARKS), both.fraction_bits)
        result[:, shown] = _limits(opened[: shown.size], opened[shown.size :], _z(asked.conf_level))
    return result


def _limits(hazard: Floats, greenwood: Floats, z: float) -> Floats:
    """R's numbers from -log S and Greenwood's sum; once S is 0 only S itself is one."""
    gone = hazard >= GONE / 2
    survival = np.where(gone, 0.0, np.exp(-hazard))
    root = np.where(gone, np.nan, np.sqrt(np.maximum(greenwood, 0)))
    lower, upper = np.exp(-hazard - z * root), np.minimum(np.exp(-hazard + z * root), 1.0)
    return np.stack([survival, survival * root, lower, upper])


def _landmark_table(plan: ExactTimePlan, asked: Curves, numbers: Floats) -> pd.DataFrame:
    groups, count = numbers.shape[1:]
    names = np.array(plan.group_names, dtype=object)
    columns = dict(zip(("survival", "standard_error", "lower", "upper"), numbers.reshape(4, -1), strict=True))
    times = np.tile(np.array(asked.landmarks) * plan.unit, groups)
    return pd.DataFrame({"group": np.repeat(names, count), "time": times, **columns})


# --- medians ---------------------------------------------------------------------------------------------------------


async def _medians(
    session: Session, plan: ExactTimePlan, rows: Rows, groups: int, shown: Counts, asked: Curves
) -> Floats:
    """median, lower, upper per group: (3, G), NaN where there is none or it is hidden."""
    result = np.full((3, groups), np.nan)
    if not shown.size:
        return result
    part = Rows(rows.twice_time[shown], rows.event[shown], rows.more[shown])
    found = await crossings(session, part, _z(asked.conf_level))
    time, exists = found.twice_time, found.exists
    # a curve that ends exactly at one half: the middle of its flat end
    flat = await multiply(session, exists[0] - exists[1], part.twice_time[:, -1])
    four = _three(time[0] + time[1] + flat, time[2].times_int(2), time[3].times_int(2))
    there = _three(exists[0], exists[2], exists[3])
    opened = await open_counts(session, await multiply(session, four.plus_int(1), there), _MEDIANS)
    result[:, shown] = np.where(opened > 0, (opened - 1) / 4 * plan.unit, np.nan)
    return result


def _three(*parts: Shared) -> Shared:
    return concatenate([part.reshape(1, *part.shape) for part in parts])


def _median_table(plan: ExactTimePlan, start: Counts, released: NDArray[np.bool_], times: Floats) -> pd.DataFrame:
    records = pd.array([int(n) if ok else pd.NA for n, ok in zip(start, released, strict=True)], dtype="Int64")
    events = pd.array([pd.NA] * start.size, dtype="Int64")
    columns = {"median": times[0], "lower": times[1], "upper": times[2]}
    return pd.DataFrame({"group": plan.group_names, "records": records, "events": events, **columns})
