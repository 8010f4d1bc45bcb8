"""Restricted mean survival time: the area under a curve up to a time, and contrasts of groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.stats.kaplan_meier.limits import greenwood, normal_quantile
from mpcstats.stats.kaplan_meier.times import is_complete
from mpcstats.stats.tails import log_normal_two_sided, normal_two_sided

__all__ = ["compare_restricted_means", "restricted_mean", "upper_limit"]

Floats = NDArray[np.float64]


def restricted_mean(
    table: pd.DataFrame, tau: float, *, conf_level: float = 0.95, complete: bool | None = None
) -> dict[str, float]:
    """Mean survival time up to `tau`: R's `print(fit, rmean = tau)`.

    The area under S from 0 to tau, with variance sum of A(t)^2 d / (n (n - d)) over event times t, A(t) the area from t
    to tau (Miller 1981; Klein and Moeschberger 2003, 4.5). This is the variance of the estimate; lifelines'
    `restricted_mean_survival_time(return_variance=True)` gives that of min(T, tau) instead.

    Parameters
    ----------
    table : DataFrame of one group, from `survival_table` or `rounded_survival_table`
    tau : float
        Beyond the last row of an exact curve S stays where it is, as in R. The result is NaN beyond the end of a cut
        one and where nobody was observed.
    complete : bool, optional
        Whether the curve runs until nobody is left; by default as its last row says. A rounded one never does.

    Returns
    -------
    {"tau", "restricted_mean", "standard_error", "lower", "upper"}
        Limits: mean -+ z standard errors.
    """
    if tau <= 0 or np.isinf(tau):
        raise SpecError(f"a mean survival time needs an upper limit above 0, not {tau}")
    z = normal_quantile(conf_level)
    time, s, n, d = (table[name].to_numpy(dtype=np.float64) for name in ("time", "survival", "at_risk", "events"))
    whole = is_complete(table) if complete is None else complete
    if table.empty or np.isnan(tau) or (tau > time[-1] and not whole):
        mean = error = np.nan
    else:
        used = int(np.searchsorted(time, tau, side="right"))
        areas = np.diff(time[:used], prepend=0.0, append=tau) * np.append(1.0, s[:used])
        # area from each event time to tau
        after = np.cumsum(areas[:0:-1])[::-1]
        # once S is 0 there is no area left; its infinite variance must not meet it
        steps = np.where(n > d, greenwood(n, d), 0.0)[:used]
        mean, error = float(areas.sum()), float(np.sqrt(np.sum(after**2 * steps)))
    return {
        "tau": float(tau),
        "restricted_mean": mean,
        "standard_error": error,
        "lower": mean - z * error,
        "upper": mean + z * error,
    }


def upper_limit(tables: Sequence[pd.DataFrame], tau: float | Literal["common", "shortest"]) -> float:
    """The upper limit of the means of several groups.

    "common": the last time of all curves, as R's `rmean = "common"`. "shortest": the earliest of the curves' last
    times, up to which every one is observed; the choice for contrasts. NaN when no curve has a row.
    """
    ends = [float(table["time"].iloc[-1]) for table in tables if len(table)]
    if tau == "common":
        return max(ends, default=float("nan"))
    if tau == "shortest":
        return min(ends, default=float("nan"))
    if isinstance(tau, str):
        raise SpecError(f"no upper limit is called {tau!r}; give a time, 'common' or 'shortest'")
    return float(tau)


def compare_restricted_means(
    means: pd.DataFrame, reference: str | None = None, *, conf_level: float = 0.95
) -> pd.DataFrame:
    """Difference and ratio of each group's restricted mean to that of a reference group.

    Parameters
    ----------
    means : DataFrame
        Columns group, restricted_mean, standard_error: independent groups, one `tau`.
    reference : str, optional
        Name of a group; the first one when not given.

    Returns
    -------
    DataFrame
        Columns group, reference, contrast ("difference", "ratio"), estimate, standard_error (for the ratio: of its
        logarithm), lower, upper, z, p_value, log_p_value. The interval of the ratio is symmetric on the log scale (Uno
        et al. 2014). NaN where both standard errors are 0.
    """
    names = means["group"].astype(str).tolist()
    base = names[0] if reference is None and names else str(reference)
    if base not in names:
        raise SpecError(f"no group is called {base!r}; groups: {', '.join(names)}")
    quantile = normal_quantile(conf_level)
    m, v = means["restricted_mean"].to_numpy(dtype=np.float64), means["standard_error"].to_numpy(dtype=np.float64) ** 2
    at = names.index(base)
    others = np.array([row for row in range(len(names)) if row != at], dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.column_stack([np.sqrt(v[others] + v[at]), np.sqrt(v[others] / m[others] ** 2 + v[at] / m[at] ** 2)])
        contrast = np.column_stack([m[others] - m[at], np.log(m[others] / m[at])])
        z = np.where(spread > 0, contrast / spread, np.nan)
        estimate, low, high = contrast.copy(), contrast - quantile * spread, contrast + quantile * spread
        for values in (estimate, low, high):
            values[:, 1] = np.exp(values[:, 1])
    return pd.DataFrame(
        {
            "group": np.repeat(np.array(names, dtype=object)[others], 2),
            "reference": np.full(2 * others.size, base, dtype=object),
            "contrast": np.tile(np.array(["difference", "ratio"], dtype=object), others.size),
            "estimate": estimate.ravel(),
            "standard_error": spread.ravel(),
            "lower": low.ravel(),
            "upper": high.ravel(),
            "z": z.ravel(),
            "p_value": normal_two_sided(z).ravel(),
            "log_p_value": log_normal_two_sided(z).ravel(),
        }
    )
