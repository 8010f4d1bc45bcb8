"""Are the answers right? The pooled people in the clear, with other people's code or a few lines of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["R_LAST", "chi_square", "distance_to_maximum"]

R_LAST = 0.3651
"""R 4.2, survival 3.5: survdiff(Surv(time, event) ~ group) on the seven people of `bench_survival_data.LAST`."""


def chi_square(people: pd.DataFrame) -> float:
    """Of lifelines' log-rank test."""
    from lifelines.statistics import multivariate_logrank_test

    test = multivariate_logrank_test(people["time"], people["group"], people["event"])
    return float(test.test_statistic)


def distance_to_maximum(people: pd.DataFrame, names: Sequence[str], coef: Any, standard_error: Any) -> float:
    """One more Newton step of Breslow's likelihood from these coefficients: its largest element in standard errors."""
    x = people[list(names)].to_numpy(np.float64)
    time, happened = people["time"].to_numpy(), people["event"].to_numpy() == 1
    weight = np.exp(x @ np.asarray(coef, np.float64))

    def at_risk(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(np.bincount(time, values)[::-1])[::-1], np.float64)

    events = np.bincount(time[happened], minlength=int(time.max()) + 1)
    total = at_risk(weight)
    means = np.stack([at_risk(weight * column) / total for column in x.T])
    order = range(x.shape[1])
    squares = np.array([[events @ (at_risk(weight * x[:, j] * x[:, k]) / total) for j in order] for k in order])
    score = x[happened].sum(axis=0) - means @ events
    step = np.linalg.solve(squares - (means * events) @ means.T, score)
    return float(np.abs(step / np.asarray(standard_error, np.float64)).max())
