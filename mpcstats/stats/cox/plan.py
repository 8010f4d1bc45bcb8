"""The public shape of a Cox regression, its options, and what one site puts into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError, SpecError
from mpcstats.stats.contributions import Level

__all__ = ["TRANSFORMS", "CoxContribution", "CoxOptions", "CoxPlan", "Term", "Transform"]

Floats = NDArray[np.float64]
Transform = Literal["km", "rank", "identity", "log"]
TRANSFORMS: tuple[Transform, ...] = ("km", "rank", "identity", "log")

LARGEST_MODEL = 30
"""Columns of a model."""


@dataclass(frozen=True)
class Term:
    """A term of the model and its columns: one for a number, several for the levels of a category."""

    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class CoxPlan:
    """Covariates, strata and the lattice of times 0, 1, ..., horizon (multiples of `unit`).

    Attributes
    ----------
    covariates : tuple of str
        Names of the columns of the model, categories already as 0/1 columns.
    centers, half_widths : tuple of float
        Public middle and half width of each column's range, from the dictionary.
    few_levels : tuple of tuples of float
        Levels of each column where there are at most three, else (): events are counted per level.
    horizon, unit : int, float
        Last lattice time, and its unit in the time column's units.
    time, event : str
        Names of the columns.
    event_values : tuple
        Which values of the event column are the event.
    strata : tuple of str
        Names of the strata; () is one stratum.
    terms : tuple of Term
        For tests of whole terms; () is one term for each column.
    entry : str or None
        Column with the time from which a person is under observation (left truncation).
    dictionary : str
        SHA-256 (hex) of the data dictionary.
    """

    covariates: tuple[str, ...]
    centers: tuple[float, ...]
    half_widths: tuple[float, ...]
    few_levels: tuple[tuple[float, ...], ...]
    horizon: int
    unit: float = 1.0
    time: str = "time"
    event: str = "event"
    event_values: tuple[Level, ...] = (1,)
    strata: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    entry: str | None = None
    dictionary: str = ""

    def __post_init__(self) -> None:
        sizes = {len(self.covariates), len(self.centers), len(self.half_widths), len(self.few_levels)}
        if len(sizes) != 1 or not 1 <= len(self.covariates) <= LARGEST_MODEL:
            raise SpecError(f"a Cox model has 1 to {LARGEST_MODEL} columns, each with a range; got {sorted(sizes)}")

    @property
    def order(self) -> int:
        """Number of columns."""
        return len(self.covariates)

    @property
    def groups(self) -> int:
        """Number of strata."""
        return max(1, len(self.strata))

    @property
    def tested_terms(self) -> tuple[Term, ...]:
        """The terms, or one for each column."""
        return self.terms or tuple(Term(name, (k,)) for k, name in enumerate(self.covariates))


@dataclass(frozen=True)
class CoxOptions:
    """What is asked.

    Attributes
    ----------
    ties : "efron" or "breslow"
    by_site : bool
        Every site is a stratum of its own: sites share sums of scores only, nothing per time. False pools the risk
        sets of all sites, on shares.
    conf_level : float
    transforms : tuple of str
        Time transforms of the proportional-hazards test, in R's names; () for no test.
    concordance, baseline, robust : bool
        Robust standard errors exist for `by_site`.
    """

    ties: Literal["efron", "breslow"] = "efron"
    by_site: bool = True
    conf_level: float = 0.95
    transforms: tuple[Transform, ...] = ("km",)
    concordance: bool = True
    baseline: bool = True
    robust: bool = False

    def __post_init__(self) -> None:
        if self.ties not in ("efron", "breslow"):
            raise SpecError(f"no way of treating ties is called {self.ties!r}; use 'efron' or 'breslow'")
        unknown = set(self.transforms) - set(TRANSFORMS)
        if unknown:
            raise SpecError(f"no transform of time is called {sorted(unknown)[0]!r}; use {', '.join(TRANSFORMS)}")
        if not 0 < self.conf_level < 1:
            raise SpecError(f"a confidence level lies between 0 and 1, not at {self.conf_level:g}")


@dataclass(frozen=True)
class CoxContribution:
    """The people of one site, who stay there.

    Attributes
    ----------
    time : int64 (people,)
        Lattice time of the event or of the censoring, 0 to the plan's horizon.
    event : bool (people,)
    covariates : float64 (people, columns)
    stratum : int64 (people,)
        Position in the plan's strata.
    entry : int64 (people,) or None
        Lattice time after which a person is at risk: entry < t <= time. Negative: from the beginning.
    """

    time: NDArray[np.int64]
    event: NDArray[np.bool_]
    covariates: Floats
    stratum: NDArray[np.int64]
    entry: NDArray[np.int64] | None = None

    def scaled(self, plan: CoxPlan) -> Floats:
        """The covariates on the public scale of their ranges, within +-1: (people, columns).

        Raises
        ------
        DataError
            Shapes, times, strata or numbers do not fit the plan. Raised at their owner; counts only.
        """
        people = len(self.time)
        if self.covariates.shape != (people, plan.order) or {len(self.event), len(self.stratum)} != {people}:
            raise DataError(f"times, events, strata and covariates of {people} people do not have the same length")
        if (self.entry is None) != (plan.entry is None):
            raise DataError("the plan and this site do not agree on whether there are entry times")
        scaled = (self.covariates - np.array(plan.centers)) / np.array(plan.half_widths)
        problems = {
            f"times outside 0 to {plan.horizon}": (self.time < 0) | (self.time > plan.horizon),
            "unknown strata": (self.stratum < 0) | (self.stratum >= plan.groups),
            "covariates outside their range": ~(np.abs(scaled) <= 1 + 1e-9).all(axis=1),
        }
        if self.entry is not None:
            problems["an entry that is not before the exit"] = self.entry >= self.time
        for what, where in problems.items():
            if where.any():
                raise DataError(
                    f"{int(where.sum())} of {people} people have {what}",
                    hint="correct the records, or the range of the column in the dictionary",
                )
        return np.asarray(scaled, np.float64)
