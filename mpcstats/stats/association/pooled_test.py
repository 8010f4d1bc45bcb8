"""What all variants of a scan have in common: the regression beside which each is tested, and its distribution.

A variant's test is made of s_xx and s_xy, sums of squares and products after the covariates; r^2 = s_xy^2 / s_xx in
units of the test is compared with what a tail of the distribution says. Linear regression: t with the residuals'
degrees of freedom. Logistic regression: the score test at the null model, chi-square on one degree of freedom
(Rao 1948), with rows weighted by p (1 - p).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from mpcstats.stats.association.logistic_null import LogisticNull
from mpcstats.stats.association.null_model import NullModel

__all__ = ["LinearTest", "PooledTest", "ScoreTest"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class PooledTest(Protocol):
    """A test of one variant after another."""

    @property
    def people(self) -> int:
        """Pooled."""
        ...

    @property
    def order(self) -> int:
        """Intercept and covariates."""
        ...

    @property
    def rows(self) -> Floats:
        """Own (people, order + 1): columns whose products with the genotype are summed; the last makes s_xy."""
        ...

    @property
    def weights(self) -> Floats | None:
        """Own (people,) weights of squares of the genotype; None: 1, and the first row is the intercept."""
        ...

    def r_squared(self, tail: float, people: Ints) -> Floats:
        """r^2 (V,) beyond which the one-sided p is below `tail`, for numbers of people in a variant's test."""
        ...


@dataclass(frozen=True)
class LinearTest:
    """Student's t of a linear regression."""

    model: NullModel

    @property
    def people(self) -> int:
        """See `PooledTest`."""
        return self.model.people

    @property
    def order(self) -> int:
        """See `PooledTest`."""
        return self.model.order

    @property
    def rows(self) -> Floats:
        """See `PooledTest`."""
        return np.column_stack([self.model.basis, self.model.residual])

    weights = None

    def r_squared(self, tail: float, people: Ints) -> Floats:
        """See `PooledTest`."""
        degrees = np.maximum(np.asarray(people, np.float64) - self.order - 1, 1)
        t = stdtrit(degrees, tail) ** 2
        return np.asarray(t / (degrees + t), np.float64)


@dataclass(frozen=True)
class ScoreTest:
    """Rao's score test of a logistic regression. s_xx is the score's variance, s_xy the score over `score_scale`."""

    null: LogisticNull

    @property
    def people(self) -> int:
        """See `PooledTest`."""
        return self.null.people

    @property
    def order(self) -> int:
        """See `PooledTest`."""
        return self.null.order

    @cached_property
    def rows(self) -> Floats:
        """See `PooledTest`."""
        null = self.null
        return np.column_stack([null.basis * null.weights[:, None], null.residual / self.score_scale])

    @cached_property
    def weights(self) -> Floats:
        """See `PooledTest`."""
        return self.null.weights

    @property
    def score_scale(self) -> float:
        """sqrt of the sum of all weights: the residuals' norm is near it."""
        return math.sqrt(self.null.total_weight)

    def r_squared(self, tail: float, people: Ints) -> Floats:
        """See `PooledTest`."""
        return np.full(len(people), float(ndtri(tail)) ** 2 / self.null.total_weight)
