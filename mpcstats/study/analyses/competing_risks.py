"""Competing risks: cumulative incidence of several causes, and Gray's test."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.competing_risks import CompetingRisksPlan
from mpcstats.stats.contributions.survival import MAX_SURVIVAL_CELLS
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.survival import ConfidenceType, check_unit, horizon_of, level_of
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec, Level

__all__ = [
    "ANALYSES",
    "CompetingRisksSpec",
    "CumulativeIncidenceSpec",
    "GraySpec",
    "causes_of",
    "competing_risks_columns",
]


class CompetingRisksSpec(AnalysisSpec):
    """Base of requests about several kinds of events of which a person has one at most."""

    time: str
    """Column with the time."""
    event: str
    """Column that says how a person left: one of the causes, or censored."""
    by: str | None = None
    """Column of the groups."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    causes: tuple[Level, ...] | None = None
    """Values of `event` that are causes; all others are censorings. Default: all but `censored`."""
    censored: Level | None = None
    """Value of `event` that means censored. Default: 0 if there is such a value, else the first (R's rule)."""
    time_unit: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Times are whole multiples of this."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Tables with rows without time or event: refuse (an error at their owner), or drop the rows (complete cases, as
    R does)."""
    rho: float = Field(default=0.0, allow_inf_nan=False)
    """Power of the weights in Gray's test."""


class CumulativeIncidenceSpec(CompetingRisksSpec):
    """Cumulative incidence of each cause (Aalen-Johansen), with limits, and Gray's test between groups."""

    type: Literal["cumulative-incidence"] = "cumulative-incidence"
    entry: str | None = None
    """Column with the time at which a person comes under observation (left truncation); before `time`."""
    conf_type: ConfidenceType = "log"
    """log, log-log, plain, logit or arcsin."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""
    variance: Literal["aalen", "gray"] = "aalen"
    """Standard error: aalen (R: survfit) or gray (R: cuminc of cmprsk)."""


class GraySpec(CompetingRisksSpec):
    """Gray's test of each cause between the groups of `by`."""

    type: Literal["gray"] = "gray"
    by: str
    """Column of the groups."""
    strata: tuple[str, ...] = ()
    """Columns whose levels make strata."""


def competing_risks_columns(spec: CompetingRisksSpec) -> tuple[str, ...]:
    """Columns that a request reads."""
    return tuple(dict.fromkeys((*where_columns(spec.where), *_own_columns(spec))))


def _own_columns(spec: CompetingRisksSpec) -> tuple[str, ...]:
    entry = spec.entry if isinstance(spec, CumulativeIncidenceSpec) else None
    strata = spec.strata if isinstance(spec, GraySpec) else ()
    return (spec.time, spec.event, *(name for name in (spec.by, entry) if name is not None), *strata)


def _plan(spec: CompetingRisksSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CompetingRisksPlan:
    check_where(spec.where, dictionary)
    refuse_repeated(_own_columns(spec), "time, event, by, entry and strata")
    groups = levels_of(spec.by, dictionary, "`by`") if spec.by is not None else ()
    if isinstance(spec, GraySpec) and len(groups) < 2:
        raise SpecError(f"Gray's test compares groups, but column {spec.by!r} has only {len(groups)} level")
    causes = causes_of(dictionary.column(spec.event), spec.causes, spec.censored)
    entry = spec.entry if isinstance(spec, CumulativeIncidenceSpec) else None
    if entry is not None:
        column = dictionary.column(entry)
        if not column.is_number:
            raise SpecError(f"{column.title} cannot be the entry time: a number is needed")
        check_unit(column, spec.time_unit)
    plan = CompetingRisksPlan(
        by=spec.by,
        groups=groups,
        horizon=horizon_of(dictionary.column(spec.time), spec.time_unit),
        unit=spec.time_unit,
        event=spec.event,
        causes=tuple(str(cause) for cause in causes),
        cause_values=tuple((cause,) for cause in causes),
        strata=_strata(spec, dictionary),
        entry=entry,
    )
    if math.prod(plan.shape) > MAX_SURVIVAL_CELLS:
        raise SpecError(
            f"{plan.shape[0]:,} strata, {len(causes)} causes and {plan.shape[2]:,} groups with {plan.shape[3]:,} times "
            f"make {math.prod(plan.shape):,} cells; at most {MAX_SURVIVAL_CELLS:,} are allowed",
            hint="use a larger time_unit, or fewer groups and strata",
        )
    return plan


def causes_of(column: Column, named: tuple[Level, ...] | None, censored: Level | None) -> tuple[Level, ...]:
    """The levels of the event column that are causes: the named ones, or all but the one that means censored."""
    if column.type == "decimal" or not column.levels:
        raise SpecError(
            f"{column.title} cannot be the event: a column with levels is needed",
            hint=f"add levels = [...] to column {column.name!r} of the dictionary",
        )
    if named is not None:
        causes = tuple(level_of(column, value) for value in named)
        if censored is not None and level_of(column, censored) in causes:
            raise SpecError(f"the value that means censored, {censored!r}, is among the causes")
    else:
        usual = next((level for level in column.levels if level is False or level == 0), column.levels[0])
        none = usual if censored is None else level_of(column, censored)
        causes = tuple(level for level in column.levels if level != none or type(level) is not type(none))
    if not causes:
        raise SpecError(f"{column.title} has no level that is a cause", hint="name them, for example causes=[...]")
    return causes


def _strata(spec: CompetingRisksSpec, dictionary: Dictionary) -> tuple[str, ...]:
    """Names of the strata, in the order in which a site counts them."""
    if not isinstance(spec, GraySpec) or not spec.strata:
        return ()
    levels = [[f"{name}={level}" for level in levels_of(name, dictionary, "`strata`")] for name in spec.strata]
    return tuple(", ".join(parts) for parts in product(*levels))


ANALYSES: tuple[Analysis[Any, Any], ...] = (
    Analysis(
        CumulativeIncidenceSpec,
        CompetingRisksPlan,
        _plan,
        competing_risks_columns,
        "Estimate the cumulative incidence of competing events.",
    ),
    Analysis(
        GraySpec, CompetingRisksPlan, _plan, competing_risks_columns, "Compare the incidence of competing events."
    ),
)
