"""Counts on a lattice of times 0, unit, 2 unit, ...: people at risk, late entry, public grids.

Everything here is linear in the counts, so the same steps can be taken on shares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError

__all__ = ["at_risk_before", "at_risk_counts", "grid_edges", "lattice_times", "on_grid"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def lattice_times(count: int, unit: float = 1.0) -> Floats:
    """0, unit, 2 unit, ... (count values), each the double nearest to the decimal number: 3 * 0.1 is 0.3."""
    steps = np.arange(count, dtype=np.float64)
    per_one = round(1 / unit)
    if unit < 1 and abs(per_one * unit - 1) < 1e-12:
        return steps / per_one
    return steps * unit


def at_risk_counts(events: ArrayLike, censored: ArrayLike, entered: ArrayLike | None = None) -> Counts:
    """People at risk just before each lattice time: those with entry < t <= exit.

    Parameters
    ----------
    events, censored : (..., T+1) non-negative integers
        Everybody leaves exactly once, by event or censoring.
    entered : (..., T+1) non-negative integers, optional
        People whose time under observation begins at each lattice time (left truncation). Not given, everybody is at
        risk from the beginning, those with time 0 too.

    Returns
    -------
    (..., T+1) int64
        With late entry it may fall to 0 and grow again.

    Raises
    ------
    RangeError
        Negative counts, shapes that differ, people who leave at a time at which they are not at risk (exit <= entry),
        or more or fewer entries than exits.
    """
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    if d.shape != c.shape or d.ndim < 1 or bool(np.any(d < 0) or np.any(c < 0)):
        raise RangeError(f"events {d.shape} and censored {c.shape} are not counts of one shape")
    leaving = d + c
    if entered is None:
        return np.ascontiguousarray(np.cumsum(leaving[..., ::-1], axis=-1)[..., ::-1])
    a = np.asarray(entered, dtype=np.int64)
    if a.shape != d.shape or bool(np.any(a < 0)):
        raise RangeError(f"entered {a.shape} and events {d.shape} are not counts of one shape")
    stayed = np.cumsum(a - leaving, axis=-1)
    if bool(np.any(stayed[..., -1:])):
        raise RangeError(f"{int(a.sum())} people enter and {int(leaving.sum())} leave")
    at_risk = stayed - a + leaving
    missing = int(np.sum(at_risk < leaving))
    if missing:
        raise RangeError(
            f"at {missing} of {leaving.size} times more people leave than are at risk: entry < exit must hold"
        )
    return np.asarray(at_risk)


def at_risk_before(at_risk: ArrayLike, times: ArrayLike, unit: float = 1.0) -> Counts:
    """People at risk just before any times, from those at the lattice times: 0 after the last one.

    Parameters
    ----------
    at_risk : (..., T+1), from `at_risk_counts`
    times : (K,) non-negative

    Returns
    -------
    (..., K) int64
    """
    n = np.asarray(at_risk, dtype=np.int64)
    # entry < t and exit >= t change together only at lattice times
    place = np.searchsorted(lattice_times(n.shape[-1], unit), np.asarray(times, dtype=np.float64), side="left")
    return np.concatenate([n, np.zeros_like(n[..., :1])], axis=-1)[..., place]


def grid_edges(horizon: int, width: float, unit: float = 1.0) -> Counts:
    """The last lattice index of each grid interval ((k-1) width, k width], k = 1, 2, ...; time 0 belongs to the first.

    A time t lies in interval max(1, ceil(t / width)). The last interval ends at the horizon or beyond it.
    """
    if not (width > 0 and unit > 0 and horizon >= 0):
        raise SpecError(
            f"a grid needs a positive width and unit and a horizon of 0 or more, not {width}, {unit}, {horizon}"
        )
    ratio = width / unit
    count = max(1, int(np.ceil(horizon / ratio * (1 - 1e-12))))
    return np.minimum(_floor(np.arange(1, count + 1, dtype=np.float64) * ratio), horizon)


def on_grid(
    events: ArrayLike,
    censored: ArrayLike,
    width: float,
    *,
    unit: float = 1.0,
    entered: ArrayLike | None = None,
) -> tuple[Counts, Counts, Counts | None]:
    """Counts on the lattice 0, width, 2 width, ... from counts on a finer lattice.

    Events and censorings move up to the end of their interval, entries down to its beginning: a person counts as at
    risk in every interval in which he or she was under observation. Index 0 holds entries only.

    Parameters
    ----------
    events, censored, entered : (..., T+1) integers on the lattice of `unit`
    width : float
        Of a grid interval, in units of the time column; need not be a multiple of `unit`.

    Returns
    -------
    events, censored, entered : (..., K+1) int64
        For `unit=width`. entered is None when not given.
    """
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    edges = grid_edges(d.shape[-1] - 1, width, unit)
    if entered is None:
        return _upwards(d, edges), _upwards(c, edges), None
    a = np.asarray(entered, dtype=np.int64)
    # entries in [k width, (k+1) width) begin at k width
    starts = -_floor(np.arange(edges.size + 1, dtype=np.float64) * (-width / unit))
    before = np.concatenate([np.zeros_like(a[..., :1]), np.cumsum(a, axis=-1)], axis=-1)
    bounds = np.minimum(np.append(starts, a.shape[-1]), a.shape[-1])
    return _upwards(d, edges), _upwards(c, edges), np.diff(before[..., bounds], axis=-1)


def _upwards(counts: Counts, edges: Counts) -> Counts:
    total = np.cumsum(counts, axis=-1)[..., edges]
    zero = np.zeros_like(total[..., :1])
    return np.diff(np.concatenate([zero, zero, total], axis=-1), axis=-1)


def _floor(values: Floats) -> Counts:
    """Floor that takes 2.9999999999999996 = 0.9 / 0.3 for 3."""
    return np.floor(values + 1e-11 * np.maximum(1, np.abs(values))).astype(np.int64)
