"""The actuarial life table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.lattice import at_risk_counts, lattice_times

__all__ = ["LIFE_TABLE_COLUMNS", "life_table"]

LIFE_TABLE_COLUMNS = (
    "start",
    "end",
    "at_start",
    "censored",
    "at_risk",
    "events",
    "survival",
    "standard_error",
    "density",
    "density_standard_error",
    "hazard",
    "hazard_standard_error",
)

Floats = NDArray[np.float64]


def life_table(events: ArrayLike, censored: ArrayLike, width: float = 1.0) -> pd.DataFrame:
    """Actuarial estimate of one group on intervals of one width: people censored in an interval count half.

    Numbers and conventions of R's `KMsurv::lifetab` (Gehan 1969; Klein and Moeschberger 2003, 5.4): survival and its
    standard error are those at the start of the interval; density and hazard belong to its middle, per unit of time;
    both are NaN in the last interval; standard errors of density and hazard are NaN where there is no event.

    Parameters
    ----------
    events, censored : (K+1,) non-negative integers
        On the grid 0, width, 2 width, ...; index k >= 1 counts ((k-1) width, k width], index 0 must be empty:
        `lattice.on_grid` makes them so. Nobody enters late.
    width : float
        Of an interval, in units of the time column.

    Returns
    -------
    DataFrame
        Columns `LIFE_TABLE_COLUMNS`: start and end of the interval, people at its start, censored in it, effective
        number at risk, events, and the estimates. One row per interval until nobody is left.
    """
    d, c = np.asarray(events, dtype=np.int64), np.asarray(censored, dtype=np.int64)
    if d.ndim != 1 or d.shape != c.shape or d.size < 1 or d[0] or c[0]:
        raise RangeError(f"a life table takes counts per interval after an empty index 0, not {d.shape} and {c.shape}")
    if not width > 0:
        raise SpecError(f"the intervals of a life table need a positive width, not {width}")
    people = at_risk_counts(d, c)
    rows = np.flatnonzero(people[1:] > 0) + 1
    n, lost, died = people[rows], c[rows].astype(np.float64), d[rows].astype(np.float64)
    risk = n - lost / 2
    q, p = died / risk, (risk - died) / risk
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = _before(np.asarray(np.cumprod(p), dtype=np.float64), 1.0)
        variance = np.asarray(np.cumsum(died / risk / (risk - died)), dtype=np.float64)
        density = survival * q / width
        density_error = density * np.sqrt(_before(variance, 0.0) + p / (risk * q))
        hazard = died / (width * (risk - died / 2))
        hazard_error = hazard * np.sqrt((1 - (hazard * width / 2) ** 2) / (risk * q))
        error = survival * np.sqrt(_before(variance, 0.0))
    for column in (density, density_error, hazard, hazard_error):
        column[-1:] = np.nan
    points = lattice_times(d.size, width)
    columns = (
        points[rows - 1],
        points[rows],
        n,
        c[rows],
        risk,
        d[rows],
        survival,
        error,
        density,
        density_error,
        hazard,
        hazard_error,
    )
    return pd.DataFrame(dict(zip(LIFE_TABLE_COLUMNS, columns, strict=True)))


def _before(values: Floats, first: float) -> Floats:
    return np.append(first, values)[: values.size]
