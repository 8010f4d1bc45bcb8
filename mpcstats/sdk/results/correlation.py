"""Results of correlations."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number

__all__ = ["RESULTS", "CorrelationResult"]


class CorrelationResult(Result):
    """Correlations; `table` has a row per pair: x, y, n, estimate, statistic, p_value, p_adjusted and more."""

    analysis = "correlation"
    title = "Correlation"

    @property
    def estimate(self) -> float:
        """The coefficient of the first pair."""
        return number(self.table["estimate"].iloc[0])

    @property
    def p_value(self) -> float:
        """p of the first pair, not adjusted."""
        return number(self.table["p_value"].iloc[0])

    def matrix(self, column: str = "estimate") -> pd.DataFrame:
        """Coefficients, or another column of `table`, as a symmetric matrix; NaN for pairs that were not asked for."""
        names = list(dict.fromkeys([*self.table["x"], *self.table["y"]]))
        matrix = pd.DataFrame(np.nan, index=names, columns=names)
        if column == "estimate":
            np.fill_diagonal(matrix.values, 1.0)
        for x, y, value in zip(self.table["x"], self.table["y"], self.table[column], strict=True):
            matrix.loc[x, y] = matrix.loc[y, x] = value
        return matrix


RESULTS = (CorrelationResult,)
