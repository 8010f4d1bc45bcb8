"""Cumulative hazard: Nelson-Aalen, and Fleming-Harrington's form for ties."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.stats.kaplan_meier.limits import normal_quantile

__all__ = ["HAZARD_TYPES", "hazard_table"]

HAZARD_TYPES = ("nelson-aalen", "fleming-harrington")
_SMALL = 64  # harmonic sums are added up to here and expanded beyond

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def hazard_table(
    table: pd.DataFrame, hazard_type: str = "nelson-aalen", *, conf_type: str = "log", conf_level: float = 0.95
) -> pd.DataFrame:
    """Cumulative hazard of one group, a row per row of its curve.

    Parameters
    ----------
    table : DataFrame of one group, from `survival_table` or `rounded_survival_table`
    hazard_type : {"nelson-aalen", "fleming-harrington"}
        "nelson-aalen": d / n per time, variance d / n^2 (R: `ctype = 1`; lifelines: `nelson_aalen_smoothing=False`,
        with another variance). "fleming-harrington": tied events one after the other, 1/n + 1/(n-1) + ... + 1/(n-d+1),
        variance the sum of squares (R: `ctype = 2`; lifelines' default).
    conf_type : {"log", "plain"}
        H exp(-+z se / H), as lifelines, or H -+ z se, not below 0.

    Returns
    -------
    DataFrame
        Columns time, at_risk, events, censored, cumulative_hazard, standard_error (R's `std.chaz`), lower, upper,
        survival (exp(-H): Breslow's estimate, R's `stype = 2`). Limits of type "log" are NaN while the hazard is 0.
    """
    if hazard_type not in HAZARD_TYPES:
        raise SpecError(f"no estimate of the hazard is called {hazard_type!r}; there are: {', '.join(HAZARD_TYPES)}")
    if conf_type not in {"log", "plain"}:
        raise SpecError(f"no confidence type of the hazard is called {conf_type!r}; types: log, plain")
    n, d = (table[name].to_numpy(dtype=np.int64) for name in ("at_risk", "events"))
    if hazard_type == "nelson-aalen":
        risk = np.maximum(n, 1).astype(np.float64)
        steps, squares = d / risk, d / risk / risk
    else:
        steps, squares = _reciprocals(n, d)
    hazard, root = np.cumsum(steps), np.sqrt(np.cumsum(squares))
    z = normal_quantile(conf_level)
    if conf_type == "plain":
        lower, upper = np.maximum(hazard - z * root, 0), hazard + z * root
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.exp(z * root / hazard)
            lower, upper = hazard / factor, hazard * factor
    return table[["time", "at_risk", "events", "censored"]].assign(
        cumulative_hazard=hazard, standard_error=root, lower=lower, upper=upper, survival=np.exp(-hazard)
    )


def _reciprocals(n: Counts, d: Counts) -> tuple[Floats, Floats]:
    """Sums of 1/k and of 1/k^2 over k = n-d+1 ... n, for any number of ties, to 1e-14 relative.

    Up to `_SMALL` from a table; beyond it from Euler and Maclaurin's expansion, in differences that do not cancel.
    """
    low, high = np.minimum(n - d, _SMALL), np.minimum(n, _SMALL)
    a, b = np.maximum(n - d, _SMALL).astype(np.float64), np.maximum(n, _SMALL).astype(np.float64)
    # 1/a^k - 1/b^k as a product: (1/a - 1/b) (1/a^(k-1) + ... + 1/b^(k-1))
    gap, u, v = (b - a) / (a * b), 1 / a, 1 / b
    power = {k: gap * sum(u**i * v ** (k - 1 - i) for i in range(k)) for k in range(1, 8)}
    first = np.log1p((b - a) / a) - power[1] / 2 + power[2] / 12 - power[4] / 120 + power[6] / 252
    second = power[1] - power[2] / 2 + power[3] / 6 - power[5] / 30 + power[7] / 42
    return _small_sums(1)[low, high] + first, _small_sums(2)[low, high] + second


@cache
def _small_sums(exponent: int) -> Floats:
    """Sums of k^-exponent over k = i+1 ... j, at [i, j], for i <= j <= `_SMALL`."""
    terms = np.append(0.0, np.arange(1, _SMALL + 1, dtype=np.float64) ** -exponent)
    return np.array([np.append(np.zeros(i + 1), np.cumsum(terms[i + 1 :])) for i in range(_SMALL + 1)])
