"""Cox proportional hazards regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW
from mpcstats.stats.contributions.cox import CoxPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.survival import TimeSpec, check_unit, event_values_of, horizon_of
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, few_levels, levels_of, refuse_repeated, scale, where_columns

__all__ = ["ANALYSES", "CoxSpec", "ModelColumn", "model_columns"]


class CoxSpec(TimeSpec):
    """Cox regression: hazard ratios of covariates."""

    type: Literal["cox"] = "cox"
    covariates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of the model; a category becomes a 0/1 column for each level but the first."""
    factors: tuple[str, ...] = ()
    """Covariates with numbers for levels that are categories, too."""
    strata: tuple[str, ...] = ()
    """Columns whose levels make strata."""
    entry: str | None = None
    """Column with the time at which a person comes under observation (left truncation); before `time`."""
    ties: Literal["efron", "breslow"] = "efron"
    """efron or breslow."""
    by_site: bool = True
    """Every site is a stratum of its own. Otherwise the risk sets of all sites are pooled, on shares."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""
    transforms: tuple[Literal["km", "rank", "identity", "log"], ...] = ("km",)
    """Transforms of time in the test of proportional hazards: km, rank, identity, log."""
    concordance: bool = True
    """Also the concordance."""
    baseline: bool = True
    """Also the baseline hazard, where risk sets are pooled."""
    robust: bool = False
    """Also robust standard errors, where every site is a stratum."""


@dataclass(frozen=True)
class ModelColumn:
    """A column of the model: a column of the table, or one level of a category.

    Attributes
    ----------
    name : str
        "age", or "stage=II".
    source : str
        Column of the table.
    level : Level or None
        1 where the source is this level, else 0; None: the number itself.
    """

    name: str
    source: str
    level: Level | None


def model_columns(spec: CoxSpec, dictionary: Dictionary) -> list[ModelColumn]:
    """The columns of the model; the first level of a category is the reference."""
    columns = []
    for name in spec.covariates:
        column = dictionary.column(name)
        if column.type == "category" or name in spec.factors:
            levels = levels_of(name, dictionary, "`covariates` as a category")
            columns += [ModelColumn(f"{name}={level}", name, level) for level in levels[1:]]
        else:
            columns.append(ModelColumn(name, name, None))
    return columns


def _plan(spec: CoxSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CoxPlan:
    check_where(spec.where, dictionary)
    refuse_repeated(_own_columns(spec), "time, event, covariates, strata and entry")
    strange = [name for name in spec.factors if name not in spec.covariates]
    if strange:
        raise SpecError(f"{', '.join(map(repr, strange))} in `factors` is not among the covariates")
    if spec.entry is not None:
        column = dictionary.column(spec.entry)
        if not column.is_number:
            raise SpecError(f"{column.title} cannot be the entry time: a number is needed")
        check_unit(column, spec.time_unit)
    columns = model_columns(spec, dictionary)
    if not 1 <= len(columns) <= MAX_COVARIATES:
        raise SpecError(
            f"the covariates make {len(columns)} columns of the model; from 1 to {MAX_COVARIATES} are allowed"
        )
    ranges = [_range(column, dictionary.column(column.source)) for column in columns]
    return CoxPlan(
        covariates=tuple(column.name for column in columns),
        centers=tuple(center for center, _, _ in ranges),
        half_widths=tuple(half_width for _, half_width, _ in ranges),
        few_levels=tuple(levels for _, _, levels in ranges),
        time=spec.time,
        event=spec.event,
        event_values=event_values_of(spec, dictionary.column(spec.event)),
        horizon=horizon_of(dictionary.column(spec.time), spec.time_unit),
        unit=spec.time_unit,
        strata=spec.strata,
        strata_levels=tuple(levels_of(name, dictionary, "`strata`") for name in spec.strata),
        terms=_terms(columns),
        entry=spec.entry,
    )


def _range(column: ModelColumn, source: Column) -> tuple[float, float, tuple[float, ...]]:
    """Middle, half width and, where these are few, levels of a column of the model."""
    if column.level is not None:
        return 0.5, 0.5, (0.0, 1.0)
    center, half_width = scale(source, "a Cox regression")
    levels = (0.0, 1.0) if source.type == "boolean" else few_levels(source, MAX_FEW)
    return center, half_width, levels


def _terms(columns: list[ModelColumn]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    places: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        places.setdefault(column.source, []).append(place)
    return tuple((source, tuple(at)) for source, at in places.items())


def _own_columns(spec: CoxSpec) -> tuple[str, ...]:
    return (spec.time, spec.event, *spec.covariates, *spec.strata, *([spec.entry] if spec.entry is not None else []))


def _columns(spec: CoxSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*where_columns(spec.where), *_own_columns(spec))))


ANALYSES = (Analysis(CoxSpec, CoxPlan, _plan, _columns, "Regress survival on covariates (proportional hazards)."),)
