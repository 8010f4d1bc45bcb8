"""Survival curves and tests between them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.survival import MAX_HORIZON, MAX_SURVIVAL_CELLS, SurvivalPlan
from mpcstats.stats.logrank.weights import weights_named
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, levels_of, listed, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec, Level

__all__ = [
    "ANALYSES",
    "AdjustMethod",
    "ConfidenceType",
    "KaplanMeierSpec",
    "LatticeSpec",
    "LogrankSpec",
    "SurvivalSpec",
    "TimeSpec",
    "check_unit",
    "event_values_of",
    "horizon_of",
    "level_of",
    "survival_columns",
    "survival_plan",
]

AdjustMethod = Literal["holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "none"]

ConfidenceType = Literal["log", "log-log", "plain", "logit", "arcsin"]


class TimeSpec(AnalysisSpec):
    """Base of requests about times to an event."""

    time: str
    """Column with the time."""
    event: str
    """Column that says whether the event happened."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    event_values: tuple[Level, ...] | None = None
    """Value that means the event happened. Default: 1 of {0, 1}, true, or 2 of {1, 2} (R's rule)."""
    time_unit: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Times are whole multiples of this."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Tables with rows without time or event: refuse (an error at their owner), or drop the rows (complete cases, as
    R does)."""


class SurvivalSpec(TimeSpec):
    """Base of requests about times to an event in groups."""

    by: str | None = None
    """Column of the groups."""


class LatticeSpec(SurvivalSpec):
    """Base of requests that are answered from counts on a lattice of times."""

    strata: tuple[str, ...] = ()
    """Columns whose levels make strata."""
    entry: str | None = None
    """Column with the time at which a person comes under observation (left truncation); before `time`."""
    grid: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Width of a public grid: times count as the end of their interval, entries as its beginning. Default: exact
    times."""


class KaplanMeierSpec(LatticeSpec):
    """Survival curves of the groups of `by`, with confidence limits and medians."""

    type: Literal["kaplan-meier"] = "kaplan-meier"
    conf_type: ConfidenceType = "log"
    """log, log-log, plain, logit or arcsin."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""
    quantiles: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Shares of people: the times by which they had the event, with limits; 0.5 is the median."""
    quantile_rule: Literal["R", "lifelines"] = "R"
    """R (the middle of a flat part exactly at the level) or lifelines (the first time at or below it)."""
    times: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = ()
    """Times at which number at risk and survival are listed."""
    tau: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["common", "shortest"] | None = None
    """Upper limit of restricted mean survival times: a time, common (the last of all curves) or shortest (the earliest
    end of a curve)."""
    reference: Level | None = None
    """Group that the others' restricted means are compared with. Default: the first."""
    hazard: Literal["nelson-aalen", "fleming-harrington"] | None = None
    """Cumulative hazard: nelson-aalen, or fleming-harrington (tied events one after the other)."""
    life_table: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Width of the intervals of an actuarial life table."""

    @field_validator("times")
    @classmethod
    def _in_order(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(times)))


class LogrankSpec(LatticeSpec):
    """Test of the log-rank family between the groups of `by`."""

    type: Literal["logrank"] = "logrank"
    by: str
    """Column of the groups."""
    weights: str = "logrank"
    """logrank, wilcoxon (gehan-breslow), tarone-ware, peto-peto-R, peto-peto-lifelines or fleming-harrington."""
    p: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Power of S in the weights fleming-harrington."""
    q: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Power of 1 - S in the weights fleming-harrington."""
    trend: bool = False
    """Also a test for trend over the groups in their order."""
    trend_scores: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    """Numbers of the groups in a test for trend, in the order of the levels. Default: 1, 2 and so on."""
    pairwise: AdjustMethod | None = None
    """Also a test of every two groups, with p-values adjusted by holm, hochberg, hommel, bonferroni, BH, BY or none."""
    mode: Literal["auto", "table", "statistic"] = "auto"
    """table (pooled counts are opened), statistic (they stay on shares, chi-square alone is opened) or auto: the table
    where all policies let it out."""
    expected: bool = False
    """In the mode statistic, also open observed and expected events, where all policies let exact counts out."""

    @field_validator("weights")
    @classmethod
    def _known_weights(cls, weights: str) -> str:
        try:
            return weights_named(weights)
        except SpecError as error:
            raise ValueError(error.message) from None

    @model_validator(mode="after")
    def _powers_have_a_use(self) -> Self:
        if self.weights != "fleming-harrington" and (self.p or self.q):
            raise ValueError(f"p and q belong to the weights fleming-harrington, not to {self.weights}")
        return self


def survival_plan(spec: SurvivalSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> SurvivalPlan:
    """Groups, strata and lattice of times of a request."""
    check_where(spec.where, dictionary)
    own = _own_columns(spec)
    refuse_repeated(own, "time, event, by, entry and strata" if isinstance(spec, LatticeSpec) else "time, event and by")
    groups = levels_of(spec.by, dictionary, "`by`") if spec.by is not None else ()
    horizon = horizon_of(dictionary.column(spec.time), spec.time_unit)
    plan = SurvivalPlan(
        by=spec.by,
        groups=groups,
        horizon=horizon,
        unit=spec.time_unit,
        event=spec.event,
        event_values=event_values_of(spec, dictionary.column(spec.event)),
        **(_lattice(spec, dictionary) if isinstance(spec, LatticeSpec) else {}),
    )
    if math.prod(plan.shape) > MAX_SURVIVAL_CELLS:
        strata = f"{plan.strata_count:,} strata of " if plan.strata else ""
        raise SpecError(
            f"{strata}{plan.shape[-2]:,} groups with {plan.points:,} times each make {math.prod(plan.shape):,} cells; "
            f"at most {MAX_SURVIVAL_CELLS:,} are allowed",
            hint="use a larger time_unit, a grid, or fewer groups" + (" and strata" if plan.strata else ""),
        )
    return plan


def _lattice(spec: LatticeSpec, dictionary: Dictionary) -> dict[str, Any]:
    """Strata, entry and grid of a plan."""
    levels = tuple(levels_of(name, dictionary, "`strata`") for name in spec.strata)
    if spec.entry is not None:
        column = dictionary.column(spec.entry)
        if not column.is_number:
            raise SpecError(f"{column.title} cannot be the entry time: a number is needed")
        check_unit(column, spec.time_unit)
    if spec.grid is not None and spec.grid < spec.time_unit:
        raise SpecError(
            f"grid = {spec.grid:g} is narrower than time_unit = {spec.time_unit:g}",
            hint="a grid joins times; leave it out for exact times",
        )
    return {"strata": spec.strata, "strata_levels": levels, "entry": spec.entry, "grid": spec.grid}


def _kaplan_meier_plan(spec: KaplanMeierSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> SurvivalPlan:
    plan = survival_plan(spec, dictionary, variants)
    if spec.reference is not None and str(spec.reference) not in plan.group_names:
        raise SpecError(f"no group is called {str(spec.reference)!r}; groups: {', '.join(plan.group_names)}")
    if spec.life_table is not None:
        if spec.entry is not None:
            raise SpecError(
                "a life table counts everybody from the beginning, so it cannot be made with late entry (`entry`)"
            )
        ratio = spec.life_table / plan.step
        if ratio < 1 or (spec.grid is not None and abs(ratio - round(ratio)) > 1e-9 * ratio):
            raise SpecError(
                f"the intervals of the life table ({spec.life_table:g}) do not fit times in steps of {plan.step:g}",
                hint="a whole multiple of the grid, or no grid",
            )
    return plan


def survival_columns(spec: SurvivalSpec) -> tuple[str, ...]:
    """Columns that a request about times reads."""
    return tuple(dict.fromkeys((*where_columns(spec.where), *_own_columns(spec))))


def _own_columns(spec: SurvivalSpec) -> tuple[str, ...]:
    """time, event, and by, entry and strata where they are given."""
    single = (spec.by, spec.entry) if isinstance(spec, LatticeSpec) else (spec.by,)
    strata = spec.strata if isinstance(spec, LatticeSpec) else ()
    return (spec.time, spec.event, *(name for name in single if name is not None), *strata)


def _logrank_plan(spec: LogrankSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> SurvivalPlan:
    plan = survival_plan(spec, dictionary, variants)
    if len(plan.groups) < 2:
        raise SpecError(f"a log-rank test compares groups, but column {spec.by!r} has only {len(plan.groups)} level")
    if spec.trend_scores and (len(spec.trend_scores) != len(plan.groups) or len(set(spec.trend_scores)) < 2):
        raise SpecError(
            f"a trend needs a score for each of the {len(plan.groups)} groups {', '.join(plan.group_names)}, not all "
            f"equal, instead of {len(spec.trend_scores)}"
        )
    return plan


def horizon_of(column: Column, unit: float, most: int = MAX_HORIZON) -> int:
    """The last lattice time of a column of times, in units; at most so many times are possible."""
    if not column.is_number:
        raise SpecError(f"{column.title} cannot be the time: a number is needed")
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be the time: its range is not known, and the range fixes the length of the curve",
            hint=f"add range = [0, ...] to column {column.name!r} of the dictionary",
        )
    check_unit(column, unit)
    high = column.range[1]
    if high < 0:
        raise SpecError(f"{column.title} cannot be the time: its range ends below zero")
    points = high / unit
    if not points + 1 <= most:
        raise SpecError(
            f"{column.title} in units of {unit:g} has {points + 1:.6g} possible times; at most {most:,} are allowed",
            hint="use a larger time_unit",
        )
    # where there are many units, their number is a division that was rounded
    return math.floor(points * (1 + 2.0**-50) + 1e-6)


def check_unit(column: Column, unit: float) -> None:
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


def event_values_of(spec: TimeSpec, column: Column) -> tuple[Level, ...]:
    """The levels that mean the event happened."""
    if column.type in {"decimal", "date"} or column.levels is None:
        raise SpecError(
            f"{column.title} cannot be the event: a boolean column, or one with levels, is needed",
            hint=f"add levels = [...] to column {column.name!r} of the dictionary",
        )
    if spec.event_values is not None:
        _refuse_repeated_values(spec.event_values)
        return tuple(level_of(column, value) for value in spec.event_values)
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


def level_of(column: Column, value: Level) -> Level:
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
        _kaplan_meier_plan,
        survival_columns,
        "Estimate survival curves with confidence limits and medians.",
    ),
    Analysis(LogrankSpec, SurvivalPlan, _logrank_plan, survival_columns, "Compare the survival of groups."),
)
