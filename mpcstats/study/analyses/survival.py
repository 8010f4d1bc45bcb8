"""Survival curves and tests between them."""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.survival import MAX_HORIZON, MAX_SURVIVAL_CELLS, SurvivalPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, levels_of, listed, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec, Level

__all__ = [
    "ANALYSES",
    "ConfidenceType",
    "KaplanMeierSpec",
    "LogrankSpec",
    "SurvivalSpec",
    "survival_columns",
    "survival_plan",
]

ConfidenceType = Literal["log", "log-log", "plain", "logit", "arcsin"]


class SurvivalSpec(AnalysisSpec):
    """Base of requests about times to an event."""

    time: str
    """Column with the time."""
    event: str
    """Column that says whether the event happened."""
    by: str | None = None
    """Column of the groups."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    event_values: tuple[Level, ...] | None = None
    """Value that means the event happened. Default: 1 of {0, 1}, true, or 2 of {1, 2} (R's rule)."""
    time_unit: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Times are whole multiples of this."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Tables with rows without time or event: refuse (an error at their owner), or drop the rows (complete cases, as
    R does)."""


class KaplanMeierSpec(SurvivalSpec):
    """Survival curves of the groups of `by`, with confidence limits and medians."""

    type: Literal["kaplan-meier"] = "kaplan-meier"
    conf_type: ConfidenceType = "log"
    """log, log-log, plain, logit or arcsin."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""


class LogrankSpec(SurvivalSpec):
    """Log-rank test between the groups of `by`."""

    type: Literal["logrank"] = "logrank"
    by: str
    """Column of the groups."""


def survival_plan(spec: SurvivalSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> SurvivalPlan:
    """Groups and lattice of times of a request."""
    check_where(spec.where, dictionary)
    refuse_repeated((spec.time, spec.event, *([spec.by] if spec.by is not None else [])), "time, event and by")
    groups = levels_of(spec.by, dictionary, "`by`") if spec.by is not None else ()
    horizon = _horizon(dictionary.column(spec.time), spec.time_unit)
    plan = SurvivalPlan(
        by=spec.by,
        groups=groups,
        horizon=horizon,
        unit=spec.time_unit,
        event=spec.event,
        event_values=_event_values(spec, dictionary.column(spec.event)),
    )
    if math.prod(plan.shape) > MAX_SURVIVAL_CELLS:
        raise SpecError(
            f"{plan.shape[0]:,} groups with {plan.shape[1]:,} times each make {math.prod(plan.shape):,} cells; "
            f"at most {MAX_SURVIVAL_CELLS:,} are allowed",
            hint="use a larger time_unit or fewer groups",
        )
    return plan


def survival_columns(spec: SurvivalSpec) -> tuple[str, ...]:
    """Columns that a request about times reads."""
    names = (*where_columns(spec.where), spec.time, spec.event, *([spec.by] if spec.by is not None else []))
    return tuple(dict.fromkeys(names))


def _logrank_plan(spec: LogrankSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> SurvivalPlan:
    plan = survival_plan(spec, dictionary, variants)
    if len(plan.groups) < 2:
        raise SpecError(f"a log-rank test compares groups, but column {spec.by!r} has only {len(plan.groups)} level")
    return plan


def _horizon(column: Column, unit: float) -> int:
    if not column.is_number:
        raise SpecError(f"{column.title} cannot be the time: a number is needed")
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be the time: its range is not known, and the range fixes the length of the curve",
            hint=f"add range = [0, ...] to column {column.name!r} of the dictionary",
        )
    _check_unit(column, unit)
    high = column.range[1]
    if high < 0:
        raise SpecError(f"{column.title} cannot be the time: its range ends below zero")
    points = high / unit
    if not points + 1 <= MAX_HORIZON:
        raise SpecError(
            f"{column.title} in units of {unit:g} has {points + 1:.6g} possible times; "
            f"at most {MAX_HORIZON:,} are allowed",
            hint="use a larger time_unit",
        )
    return math.floor(points + 1e-6)


def _check_unit(column: Column, unit: float) -> None:
    """No party should have to look at its records to say whether times fit the unit: its answer would tell of them."""
    if column.step is None:
        return
    ratio = column.step / unit
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-9 * ratio:
        raise SpecError(
            f"{column.title} has steps of {column.step:g}, which is no whole multiple of time_unit = {unit:g}",
            hint=f"use time_unit = {column.step:g}, or agree on another resolution of column {column.name!r} in the "
            "dictionary",
        )


def _event_values(spec: SurvivalSpec, column: Column) -> tuple[Level, ...]:
    if column.type == "decimal" or column.levels is None:
        raise SpecError(
            f"{column.title} cannot be the event: a boolean column, or one with levels, is needed",
            hint=f"add levels = [...] to column {column.name!r} of the dictionary",
        )
    if spec.event_values is not None:
        _refuse_repeated_values(spec.event_values)
        return tuple(_level(column, value) for value in spec.event_values)
    if column.type == "boolean":
        return (True,)
    rule: dict[frozenset[Any], tuple[Level, ...]] = {
        frozenset({0, 1}): (1,),
        frozenset({1, 2}): (2,),
        frozenset({0}): (),
        frozenset({1}): (1,),
        frozenset(): (),
    }
    found = rule.get(frozenset(column.levels))
    if found is None:
        raise SpecError(
            f"which levels of {column.title} mean that the event happened? It has the levels {listed(column)}",
            hint="name them, for example event_values=[...]",
        )
    return found


def _refuse_repeated_values(values: tuple[Level, ...]) -> None:
    if len({(type(value), value) for value in values}) < len(values):
        raise SpecError("event_values names a value twice")


def _level(column: Column, value: Level) -> Level:
    """The level that a requested value stands for: 1 and 1.0 are the same, true and 1 are not."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    for level in column.levels or ():
        if type(level) is type(number) and level == number:
            return level
    raise SpecError(f"event value {value!r} is not a level of {column.title}; levels: {listed(column)}")


ANALYSES: tuple[Analysis[Any, Any], ...] = (
    Analysis(
        KaplanMeierSpec,
        SurvivalPlan,
        survival_plan,
        survival_columns,
        "Estimate survival curves with confidence limits and medians.",
    ),
    Analysis(LogrankSpec, SurvivalPlan, _logrank_plan, survival_columns, "Compare the survival of groups."),
)
