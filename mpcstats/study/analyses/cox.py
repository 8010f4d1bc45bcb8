"""Cox proportional hazards regression."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.cox import CoxPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.model import model_columns, scales_of, terms_of
from mpcstats.study.analyses.survival import TimeSpec, check_unit, event_values_of, horizon_of
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated, where_columns

__all__ = ["ANALYSES", "CoxSpec"]


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


def _plan(spec: CoxSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CoxPlan:
    check_where(spec.where, dictionary)
    refuse_repeated(_own_columns(spec), "time, event, covariates, strata and entry")
    if spec.entry is not None:
        column = dictionary.column(spec.entry)
        if not column.is_number:
            raise SpecError(f"{column.title} cannot be the entry time: a number is needed")
        check_unit(column, spec.time_unit)
    columns = model_columns(spec.covariates, spec.factors, dictionary)
    return CoxPlan(
        **scales_of(columns, dictionary, "a Cox regression"),
        time=spec.time,
        event=spec.event,
        event_values=event_values_of(spec, dictionary.column(spec.event)),
        horizon=horizon_of(dictionary.column(spec.time), spec.time_unit),
        unit=spec.time_unit,
        strata=spec.strata,
        strata_levels=tuple(levels_of(name, dictionary, "`strata`") for name in spec.strata),
        terms=terms_of(columns),
        entry=spec.entry,
    )


def _own_columns(spec: CoxSpec) -> tuple[str, ...]:
    return (spec.time, spec.event, *spec.covariates, *spec.strata, *([spec.entry] if spec.entry is not None else []))


def _columns(spec: CoxSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*where_columns(spec.where), *_own_columns(spec))))


ANALYSES = (Analysis(CoxSpec, CoxPlan, _plan, _columns, "Regress survival on covariates (proportional hazards)."),)
