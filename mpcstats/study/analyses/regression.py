"""Linear, logistic and Poisson regression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypedDict

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.regression import LARGEST_OFFSET, MAX_GROUP_CELLS, Family, RegressionPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.survival import level_of
from mpcstats.study.design import Design, design_of, discrete_levels, formula_of, range_of
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.formula import Formula, parse_formula
from mpcstats.study.planning import (
    check_where,
    few_levels,
    listed,
    numeric_or_boolean,
    refuse_repeated,
    where_columns,
)
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "Discrete", "GlmSpec", "OlsSpec", "RegressionSpec", "discrete_columns", "formula_in"]

_MANY = 50
"""Values up to which a number's column counts as one of few values, where all columns are."""

_OPENED = 12
"""Coefficient vectors at which an information is opened, at most, where small groups are hidden."""


class RegressionSpec(AnalysisSpec):
    """Base of regressions on a linear predictor."""

    formula: str = Field(min_length=1, max_length=1000)
    """The model, such as "death ~ age + C(sex) * stage"; or the outcome's column, with `covariates`."""
    covariates: tuple[str, ...] = ()
    """Columns of the model; a category becomes a 0/1 column for each level but the first."""
    factors: tuple[str, ...] = ()
    """Covariates with numbers for levels that are categories, too."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""
    robust: Literal["HC0", "HC1", "HC3"] | None = None
    """Standard errors that hold where variances are unequal: HC0, HC1, HC3."""
    site_indicators: bool = False
    """A column for each site but the first; it shows differences between the sites."""


class OlsSpec(RegressionSpec):
    """Linear regression (least squares)."""

    type: Literal["ols"] = "ols"


class GlmSpec(RegressionSpec):
    """Logistic or Poisson regression."""

    type: Literal["glm"] = "glm"
    family: Literal["binomial", "poisson"] = "binomial"
    """binomial (logit) or poisson (log)."""
    event_values: tuple[Level, ...] | None = None
    """Value of the outcome that is the event. Default: 1 of {0, 1}, true, the second of two levels."""
    accuracy: bool = True
    """Also AUC, Brier score and calibration (binomial)."""
    offset: str | None = None
    """Column that is added to the linear predictor as it is, such as the logarithm of person-years."""


class _Groups(TypedDict):
    """The fields of a plan about groups of people."""

    levels: tuple[int, ...]
    column_levels: tuple[tuple[int, ...], ...]
    patterns: tuple[int, ...]


@dataclass(frozen=True)
class Discrete:
    """A column of the table with known values.

    Attributes
    ----------
    source : str
    levels : tuple of levels
    few : bool
        So few that sums and squares tell how many people have each.
    """

    source: str
    levels: tuple[Level, ...]
    few: bool


def formula_in(spec: RegressionSpec) -> Formula:
    """The formula of a request, written or listed."""
    if "~" in spec.formula:
        if spec.covariates or spec.factors:
            raise SpecError("a formula names its covariates: leave `covariates` and `factors` out")
        return parse_formula(spec.formula)
    if not spec.covariates:
        raise SpecError(
            f"{spec.formula!r} names an outcome and no covariates",
            hint=f"covariates=[...], or a formula such as {spec.formula + ' ~ age'!r}",
        )
    refuse_repeated((spec.formula, *spec.covariates), "the outcome and covariates")
    return formula_of(spec.formula, spec.covariates, spec.factors)


def discrete_columns(design: Design, dictionary: Dictionary) -> list[Discrete]:
    """Columns of the model's table with at most fifty known values, in the order in which they occur."""
    categories = {part.source for column in design.columns for part in column.parts if part.level is not None}
    found = []
    for source in design.sources:
        levels = discrete_levels(source, dictionary, source in categories)
        column = dictionary.column(source)
        more = levels or tuple(column.levels or few_levels(column, _MANY))
        if more:
            found.append(Discrete(source, tuple(more), bool(levels)))
    return found


def _plan(spec: OlsSpec | GlmSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> RegressionPlan:
    family: Family = spec.family if isinstance(spec, GlmSpec) else "gaussian"
    check_where(spec.where, dictionary)
    formula = formula_in(spec)
    use = {"gaussian": "a linear regression", "binomial": "a logistic regression", "poisson": "a Poisson regression"}
    design = design_of(formula, dictionary, use[family])
    response = dictionary.column(formula.response)
    center, half_width, events = _outcome(spec, family, response)
    offset = spec.offset if isinstance(spec, GlmSpec) else None
    if offset is not None:
        _check_offset(dictionary.column(offset), family)
    ranges = [_centred(column.low, column.high) for column in design.columns]
    plan = RegressionPlan(
        family=family,
        response=formula.response,
        response_center=center,
        response_half_width=half_width,
        event_values=events,
        intercept=design.intercept,
        covariates=tuple(column.name for column in design.columns),
        centers=tuple(middle for middle, _ in ranges),
        half_widths=tuple(width for _, width in ranges),
        few_levels=_few(design, dictionary),
        terms=design.terms,
        **_groups(design, family, response, dictionary, offset),
        offset=offset,
    )
    if not plan.within_limits():
        cells = sum(plan.cells(group) for group in plan.groups)
        raise SpecError(
            f"levels of the model's columns make {cells:,} joint cells, in all of which people are counted; at most "
            f"{MAX_GROUP_CELLS:,} are allowed",
            hint="leave out an interaction, or a column with many levels",
        )
    return plan


def _centred(low: float, high: float) -> tuple[float, float]:
    """Middle and half width; half width 1 where the range is a single number."""
    center = low / 2 + high / 2
    half_width = max(high - center, center - low)
    return center, half_width if half_width > 0 else 1.0


def _outcome(spec: OlsSpec | GlmSpec, family: Family, column: Column) -> tuple[float, float, tuple[Level, ...]]:
    """Middle and half width of the outcome, and the values that are the event."""
    if isinstance(spec, GlmSpec) and spec.event_values is not None and family != "binomial":
        raise SpecError("`event_values` are for a 0/1 outcome (family binomial)")
    if family == "binomial":
        assert isinstance(spec, GlmSpec)
        return 0.5, 0.5, _events(spec, column)
    numeric_or_boolean(column, "the outcome of a regression on numbers")
    low, high = range_of(column, "a regression")
    if family == "poisson" and (column.type != "integer" or low < 0):
        raise SpecError(
            f"{column.title} cannot be the outcome of a Poisson regression: counts are whole numbers from 0",
            hint="its range in the dictionary must begin at 0 or above",
        )
    return *_centred(low, high), ()


def _events(spec: GlmSpec, column: Column) -> tuple[Level, ...]:
    levels = column.levels or few_levels(column, 2)
    if column.type == "decimal" or not levels:
        raise SpecError(
            f"{column.title} cannot be the outcome of a logistic regression: a boolean column, or one with levels, is "
            "needed",
            hint=f"add levels = [...] to column {column.name!r} of the dictionary",
        )
    if spec.event_values is not None:
        if len(set(spec.event_values)) < len(spec.event_values) or not spec.event_values:
            raise SpecError("`event_values` must name different values, and at least one")
        return tuple(level_of(column, value) for value in spec.event_values)
    if len(levels) == 2:
        return (levels[1],)
    if set(levels) <= {0, 1}:
        return (1,)
    raise SpecError(
        f"which levels of {column.title} are the event? It has the levels {listed(column)}",
        hint="name them, for example event_values=[...]",
    )


def _check_offset(column: Column, family: Family) -> None:
    if family != "poisson":
        raise SpecError("an offset is for a Poisson regression")
    if not column.is_number:
        raise SpecError(f"{column.title} cannot be the offset: a number is needed")
    if max(map(abs, range_of(column, "a Poisson regression as offset"))) > LARGEST_OFFSET:
        raise SpecError(
            f"the range of {column.title} leaves +-{LARGEST_OFFSET:g}, which is too much for a logarithm",
            hint="the offset is the logarithm of the time under observation, not the time",
        )


def _few(design: Design, dictionary: Dictionary) -> tuple[tuple[float, ...], ...]:
    """Values of each column of the model where there are at most three."""
    found: list[tuple[float, ...]] = []
    for column in design.columns:
        if all(part.level is not None for part in column.parts):
            found.append((0.0, 1.0))
        elif len(column.parts) == 1 and not column.parts[0].transform:
            found.append(tuple(float(v) for v in discrete_levels(column.parts[0].source, dictionary, False)))
        else:
            found.append(())
    return tuple(found)


def _groups(design: Design, family: Family, response: Column, dictionary: Dictionary, offset: str | None) -> _Groups:
    """The fields of a plan about groups of people; the outcome, where it makes groups, is the last of `levels`."""
    discrete = discrete_columns(design, dictionary)
    place = {entry.source: k for k, entry in enumerate(discrete)}
    sets = [
        tuple(sorted({place[p.source] for p in column.parts if p.source in place and discrete[place[p.source]].few}))
        for column in design.columns
    ]
    levels = [len(entry.levels) for entry in discrete]
    outcome = {"binomial": 2, "poisson": 1, "gaussian": len(discrete_levels(response.name, dictionary, False))}[family]
    if outcome:
        sets.append((len(levels),))
        levels.append(outcome)
    else:
        sets.append(())
    order = len(design.columns) + design.intercept
    known = len(discrete) == len(design.sources) and offset is None and family != "gaussian"
    cells = math.prod(len(entry.levels) for entry in discrete)
    determined = known and cells <= _OPENED * order * (order + 1) // 2
    return _Groups(
        levels=tuple(levels),
        column_levels=tuple(sets),
        patterns=tuple(range(len(discrete))) if determined else (),
    )


def _columns(spec: OlsSpec | GlmSpec) -> tuple[str, ...]:
    formula = formula_in(spec)
    named = [factor.column for term in formula.terms for factor in term]
    offset = [spec.offset] if isinstance(spec, GlmSpec) and spec.offset is not None else []
    return tuple(dict.fromkeys((*where_columns(spec.where), formula.response, *named, *offset)))


ANALYSES = (
    Analysis(OlsSpec, RegressionPlan, _plan, _columns, "Regress a number on covariates (least squares)."),
    Analysis(GlmSpec, RegressionPlan, _plan, _columns, "Regress a 0/1 outcome or a count on covariates."),
)
