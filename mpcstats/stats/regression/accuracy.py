"""How well the probabilities of a logistic model predict: Brier score, calibration, area under the ROC curve.

Everything is at the opened coefficients. Groups of calibration have public borders, from mean and standard deviation of
the linear predictor: quantiles of a normal distribution. The area compares every person with the event with every one
without. Where counts may be exact, people are counted on ever finer cells of the linear predictor, down to 2^-40, and
only cells with both outcomes are split; else one lattice of 2^16 cells stays on shares, and the area alone is opened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from mpcstats.field import M61
from mpcstats.protocols import deal, inner_product, sum_of_inputs
from mpcstats.runtime import Shared, local
from mpcstats.stats.cox.release import LOG, SQUARE
from mpcstats.stats.disclosure import (
    Ruling,
    all_of,
    enough_people,
    number_bits,
    open_counts,
    release_counts,
    release_numbers,
)
from mpcstats.stats.regression.model import Model
from mpcstats.stats.regression.sums import OwnRows
from mpcstats.stats.regression.survey import total_of
from mpcstats.stats.tails import chi_square_tail

__all__ = ["Accuracy", "accuracy", "linear_predictor"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GROUPS, _FEWER_GROUPS = 10, 5

_RANGE_BITS, _FINEST = 7, 40
"""Linear predictors within +-64, in units of 2^-40."""
_FIRST, _SPLIT = 11, 6
"""Bits of the first cells, and of every splitting."""
_MOST_CELLS = 1 << 21

_LATTICE = 1 << 16
_WIDE = 8.0
"""Standard deviations of the linear predictor that the lattice reaches on each side."""


@dataclass
class Accuracy:
    """What was found, for the outcome's values, tables, conventions and sentences about what was withheld."""

    values: dict[str, object]
    tables: dict[str, pd.DataFrame]
    conventions: dict[str, str]
    withheld: list[str]


def linear_predictor(rows: OwnRows, gamma: Floats) -> Floats:
    """One column after the other: equal rows give equal bits at every site, which a matrix product does not promise."""
    eta = np.zeros(len(rows.y))
    for k, coefficient in enumerate(gamma):
        eta = eta + rows.z[:, k] * coefficient
    return eta


async def accuracy(model: Model, gamma: Floats, ruling: Ruling) -> Accuracy:
    """Brier score, calibration and area under the curve.

    Reveals
    -------
    Pooled sums of squared errors, and of the linear predictor and its square; people, events (rounded) and expected
    events of each group of calibration, if all have enough people with and without event. Exact counts: the numbers
    with and without event on cells of the linear predictor; else the area, rounded to 21 bits.
    """
    own = None if model.rows is None else linear_predictor(model.rows, gamma)
    exact = number_bits(ruling.rules) > 24
    model.session.openings.declare("moments of the linear predictor", 2, "pooled sum and sum of squares")
    model.session.openings.declare("squared errors", 1, "pooled sum, of probabilities")
    sums = None
    if own is not None and model.rows is not None:
        sums = np.array([own.sum(), own @ own, ((model.rows.y - expit(own)) ** 2).sum()])
    named = [("moments of the linear predictor", 2, SQUARE), ("squared errors", 1, LOG)]
    moments, errors = await model.open_sums(sums, named)
    people = model.survey.people
    mean = float(moments[0]) / people
    spread = math.sqrt(max(float(moments[1]) / people - mean**2, 0.0))
    found = Accuracy({"brier": float(errors[0]) / people}, {}, {}, [])
    await _calibration(model, own, (mean, spread), exact, ruling, found)
    if exact:
        await _exact_area(model, own, found)
    else:
        await _rough_area(model, own, (mean, spread), ruling, found)
    return found


# --- calibration ---------------------------------------------------------------------------------------------------


async def _calibration(
    model: Model, own: Floats | None, moments: tuple[float, float], exact: bool, ruling: Ruling, found: Accuracy
) -> None:
    """People, events and expected events by groups of the linear predictor."""
    groups = _GROUPS if exact else _FEWER_GROUPS
    mean, spread = moments
    borders = mean + spread * ndtri(np.arange(1, groups) / groups)
    mine = expected = None
    if own is not None and model.rows is not None:
        place = np.searchsorted(borders, own, side="right")
        events = np.bincount(place, model.rows.y, groups).astype(np.int64)
        people = np.bincount(place, minlength=groups)
        mine = M61.from_int64(np.concatenate([people, events, people - events]).astype(np.int64))
        expected = np.bincount(place, expit(own), groups).astype(np.float64)
    parts = list((await deal(model.session, M61, mine, model.dealers, (3 * groups,))).values())
    enough = await enough_people(model.session, parts, ruling.rules)
    if enough is not None and not await _all_enough(model, enough):
        found.withheld.append(
            f"calibration: fewer people with or without event in some group than {ruling.cite('minimum_count')} allows"
        )
        return
    declare = model.session.openings.declare
    declare("people and events by predicted risk", 2 * groups, "pooled; threshold and rounding as for counts")
    declare("expected events by predicted risk", groups, "pooled sums of probabilities")
    total = total_of(parts)[np.arange(2 * groups)]
    counts, _ = await release_counts(model.session, total, "people and events by predicted risk", ruling.rules)
    (sums,) = await model.open_sums(expected, [("expected events by predicted risk", groups, LOG)])
    ends = expit(np.concatenate([[-np.inf], borders, [np.inf]]))
    found.tables["calibration"] = pd.DataFrame(
        {
            "risk_from": ends[:-1],
            "risk_to": ends[1:],
            "people": counts[:groups],
            "events": counts[groups:],
            "expected": sums,
        }
    )
    found.conventions["calibration"] = (
        f"{groups} groups of the linear predictor with borders at normal quantiles of its mean and standard deviation"
    )
    if exact:
        found.values |= _hosmer_lemeshow(found.tables["calibration"])


async def _all_enough(model: Model, enough: Shared) -> bool:
    name = "enough people by predicted risk"
    model.session.openings.declare(
        name, 1, "whether all groups of calibration have enough people with and without event"
    )
    every = await all_of(model.session, enough)
    return bool((await open_counts(model.session, every.reshape(1), name))[0])


def _hosmer_lemeshow(table: pd.DataFrame) -> dict[str, object]:
    """Hosmer and Lemeshow 1980, on groups that are not empty."""
    shown = table[table["people"] > 0]
    expected, people = shown["expected"].to_numpy(float), shown["people"].to_numpy(float)
    variance = expected * (1 - expected / people)
    freedom = len(shown) - 2
    statistic = float(((shown["events"].to_numpy(float) - expected) ** 2 / variance).sum()) if freedom > 0 else math.nan
    return {
        "hosmer_lemeshow": statistic,
        "hosmer_lemeshow_degrees_of_freedom": max(freedom, 0),
        "hosmer_lemeshow_p_value": chi_square_tail(statistic, freedom) if freedom > 0 else math.nan,
    }


# --- area under the curve ------------------------------------------------------------------------------------------


async def _exact_area(model: Model, own: Floats | None, found: Accuracy) -> None:
    """Count on ever finer cells; people of both outcomes who share one of the finest are ties."""
    keys = None
    if own is not None:
        largest = (1 << (_RANGE_BITS + _FINEST)) - 1
        scaled = np.floor((np.clip(own, -64, 64) + 64) * 2.0**_FINEST)
        keys = np.clip(scaled, 0, largest).astype(np.int64)
    shift = _RANGE_BITS + _FINEST - _FIRST
    cells = np.arange(1 << _FIRST, dtype=np.int64)
    pure: list[tuple[Ints, Ints]] = []
    while True:
        counts = await _count(model, keys, cells, shift)
        mixed = (counts > 0).all(axis=0)
        ended = shift == 0 or int(mixed.sum()) << _SPLIT > _MOST_CELLS
        closed = np.ones_like(mixed) if ended else ~mixed & (counts > 0).any(axis=0)
        pure.append((cells[closed] << shift, counts[:, closed]))
        if ended or not mixed.any():
            break
        shift = max(shift - _SPLIT, 0)
        cells = ((cells[mixed] << _SPLIT)[:, None] + np.arange(1 << _SPLIT)).ravel()
    order = np.argsort(np.concatenate([at for at, _ in pure]), kind="stable")
    without, events = np.concatenate([numbers for _, numbers in pure], axis=1)[:, order].astype(np.float64)
    pairs = float(events.sum() * without.sum())
    below = np.cumsum(without) - without
    found.values["auc"] = float(events @ (below + without / 2)) / pairs
    found.values["auc_error"] = 0.0 if shift == 0 else float(events @ without) / 2 / pairs
    found.conventions["area"] = "people with and without event who have the same linear predictor count one half"


async def _count(model: Model, keys: Ints | None, cells: Ints, shift: int) -> Ints:
    """People without and with event in some cells (ascending), pooled and opened: (2, cells)."""
    name = "people by linear predictor and outcome"
    model.session.openings.declare(name, 2 * len(cells), "pooled, on cells of the linear predictor")
    mine = None
    if keys is not None and model.rows is not None:
        mine = M61.from_int64(await local(model.session, _own_counts, keys >> shift, model.rows.y, cells))
    pooled = await sum_of_inputs(model.session, M61, mine, model.dealers, (2, len(cells)))
    return await open_counts(model.session, pooled, name)


def _own_counts(keys: Ints, y: Floats, cells: Ints) -> Ints:
    place = np.minimum(np.searchsorted(cells, keys), len(cells) - 1)
    known = cells[place] == keys
    return np.stack([np.bincount(place[known & (y == v)], minlength=len(cells)) for v in (0, 1)]).astype(np.int64)


async def _rough_area(
    model: Model, own: Floats | None, moments: tuple[float, float], ruling: Ruling, found: Accuracy
) -> None:
    """Pairs of one cell count one half; how many these are is opened roughly."""
    session = model.session
    mine = None
    if own is not None and model.rows is not None:
        width = 2 * _WIDE * max(moments[1], 1e-9) / _LATTICE
        place = np.clip(np.floor((own - moments[0]) / width) + _LATTICE // 2, 0, _LATTICE - 1).astype(np.int64)
        mine = M61.from_int64(_own_counts(place, model.rows.y, np.arange(_LATTICE)))
    pooled = await sum_of_inputs(session, M61, mine, model.dealers, (2, _LATTICE))
    without, events = pooled[0], pooled[1]
    running = without.cumsum()
    # twice the pairs in order: those below, and half of those beside
    twice = await inner_product(session, events, running.times_int(2) - without)
    beside = await inner_product(session, events, without)
    session.openings.declare("area under the curve", 2, "rounded: mantissa and exponent of twice the ordered pairs")
    session.openings.declare("pairs of one cell", 2, "rounded to 4 bits: what the lattice may cost")
    bits = number_bits(ruling.rules)
    ordered = await release_numbers(session, twice.reshape(1), "area under the curve", bits, 59)
    same = await release_numbers(session, beside.reshape(1), "pairs of one cell", 4, 59)
    events_in_all = model.survey.events or 0
    pairs = events_in_all * (model.survey.people - events_in_all)
    found.values["auc"] = float(ordered[0]) / 2 / pairs
    found.values["auc_error"] = float(same[0]) / 2 / pairs
    found.conventions["area"] = f"people in the same of {_LATTICE:,} cells of the linear predictor count one half"
