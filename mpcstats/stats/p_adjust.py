"""P-values adjusted for multiple testing: R's `p.adjust`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpcstats.errors import RangeError, SpecError

__all__ = ["P_ADJUST_METHODS", "p_adjust"]

P_ADJUST_METHODS = ("holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "none")

Floats = NDArray[np.float64]


def p_adjust(p_values: ArrayLike, method: str = "holm", *, log: bool = False) -> Floats:
    """Adjusted p-values, in the order given.

    Parameters
    ----------
    p_values : array of values in [0, 1]
        NaN stays NaN and is not counted as a test.
    method : {"holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "none"}
        Family-wise error: "bonferroni"; "holm" (1979), never worse and as general; "hochberg" (1988) and "hommel"
        (1988) for independent or positively dependent tests. False discovery rate: "BH" (Benjamini and Hochberg 1995),
        "BY" (Benjamini and Yekutieli 2001, any dependence).
    log : bool
        `p_values` and the result are natural logarithms, for p-values below the smallest double.

    Raises
    ------
    SpecError
        No such method.
    RangeError
        Values that are no probabilities.
    """
    if method not in P_ADJUST_METHODS:
        raise SpecError(f"no adjustment is called {method!r}; methods: {', '.join(P_ADJUST_METHODS)}")
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.array(given)
    known = ~np.isnan(given)
    p = given[known]
    outside = int(np.sum(p > 0) if log else np.sum((p < 0) | (p > 1)))
    if outside:
        raise RangeError(f"{outside} of {p.size} p-values are not {'logarithms of ' if log else ''}probabilities")
    if p.size > 1 and method != "none":
        order = np.argsort(p, kind="stable")
        found = np.empty_like(p)
        found[order] = np.minimum(_adjusted(p[order], method, log), 0.0 if log else 1.0)
        adjusted[known] = found
    return adjusted


def _adjusted(p: Floats, method: str, log: bool) -> Floats:
    """From increasing p-values, not yet cut at 1."""
    n = p.size
    rank = np.arange(1, n + 1, dtype=np.float64)
    if method == "bonferroni":
        return _times(p, np.full(n, float(n)), log)
    if method == "holm":
        return np.maximum.accumulate(_times(p, n + 1.0 - rank, log))
    if method == "hommel":
        return _hommel(p, log)
    factor = n + 1.0 - rank if method == "hochberg" else n / rank
    if method == "BY":
        factor = factor * np.sum(1 / rank)
    return np.minimum.accumulate(_times(p, factor, log)[::-1])[::-1]


def _hommel(p: Floats, log: bool) -> Floats:
    """Wright's (1992) form: for m = n, n-1, ..., 2 the Simes bound of the m largest, taken where it is the larger."""
    n = p.size
    rank = np.arange(1, n + 1, dtype=np.float64)
    bound = np.full(n, np.min(_times(p, n / rank, log)))
    adjusted = bound.copy()
    for m in range(n - 1, 1, -1):
        low = n - m + 1
        least = np.min(_times(p[low:], m / np.arange(2.0, m + 1), log))
        bound[:low] = np.minimum(_times(p[:low], np.full(low, float(m)), log), least)
        bound[low:] = bound[low - 1]
        adjusted = np.maximum(adjusted, bound)
    return np.maximum(adjusted, p)


def _times(p: Floats, factor: Floats, log: bool) -> Floats:
    return p + np.log(factor) if log else p * factor
