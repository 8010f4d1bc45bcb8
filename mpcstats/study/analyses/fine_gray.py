"""Fine-Gray regression."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from mpcstats.errors import SpecError
from mpcstats.stats.competing_risks.options import FineGrayOptions
from mpcstats.stats.contributions.fine_gray import FineGrayPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.competing_risks import causes_of
from mpcstats.study.analyses.model import model_columns, scales_of
from mpcstats.study.analyses.survival import horizon_of, level_of
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec, Level

__all__ = ["ANALYSES", "FineGraySpec"]


class FineGraySpec(AnalysisSpec):
    """Fine-Gray regression: subdistribution hazard ratios of covariates for one of several causes."""

    type: Literal["fine-gray"] = "fine-gray"
    time: str
    """Column with the time."""
    event: str
    """Column that says how a person left: the cause of interest, a competing one, or censored."""
    cause: Annotated[tuple[Level, ...], Field(min_length=1)]
    """Values of `event` that are the cause of interest."""
    covariates: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of the model; a category becomes a 0/1 column for each level but the first."""
    factors: tuple[str, ...] = ()
    """Covariates with numbers for levels that are categories, too."""
    competing: tuple[Level, ...] | None = None
    """Values of `event` that are competing causes; all others are censorings. Default: all but `cause` and
    `censored`."""
    censored: Level | None = None
    """Value of `event` that means censored. Default: 0 if there is such a value, else the first (R's rule)."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    variant: Literal["crr", "finegray"] = "crr"
    """crr (R's cmprsk) or finegray (R's survival)."""
    ties: Literal["efron", "breslow"] | None = None
    """efron or breslow. Default: the variant's own, breslow of crr (which has no other) and efron of finegray."""
    by_site: bool = True
    """Every site is a stratum of its own. Otherwise the risk sets of all sites are pooled, on shares."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""
    time_unit: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Times are whole multiples of this."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Tables with rows without time or event: refuse (an error at their owner), or drop the rows (complete cases, as
    R does)."""

    @model_validator(mode="after")
    def _variant_has_these_ties(self) -> Self:
        try:
            self.options()
        except SpecError as error:
            raise ValueError(error.message) from None
        return self

    def options(self) -> FineGrayOptions:
        """What is asked of the statistics."""
        return FineGrayOptions(self.variant, self.ties, self.by_site, self.conf_level)


def _plan(spec: FineGraySpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> FineGrayPlan:
    check_where(spec.where, dictionary)
    refuse_repeated(_own_columns(spec), "time, event and covariates")
    columns = model_columns(spec.covariates, spec.factors, dictionary)
    cause, competing = _causes(spec, dictionary.column(spec.event))
    return FineGrayPlan(
        **scales_of(columns, dictionary, "a Fine-Gray regression"),
        time=spec.time,
        event=spec.event,
        event_values=cause,
        competing_values=competing,
        horizon=horizon_of(dictionary.column(spec.time), spec.time_unit),
        unit=spec.time_unit,
    )


def _causes(spec: FineGraySpec, column: Column) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """The levels that are the cause of interest, and those that compete with it."""
    if spec.competing is None:
        every = causes_of(column, None, spec.censored)
        cause = tuple(dict.fromkeys(level_of(column, value) for value in spec.cause))
        unknown = [value for value in cause if value not in every]
        if unknown:
            raise SpecError(
                f"the value that means censored, {unknown[0]!r}, is the cause of interest",
                hint="say which value means censored, for example censored=...",
            )
        return cause, tuple(value for value in every if value not in cause)
    # all at once: the value that means censored is among neither
    both = causes_of(column, (*spec.cause, *spec.competing), spec.censored)
    cause, competing = (tuple(dict.fromkeys(part)) for part in (both[: len(spec.cause)], both[len(spec.cause) :]))
    common = [value for value in cause if value in competing]
    if common:
        raise SpecError(f"{common[0]!r} is both the cause of interest and a competing cause")
    return cause, competing


def _own_columns(spec: FineGraySpec) -> tuple[str, ...]:
    return (spec.time, spec.event, *spec.covariates)


def _columns(spec: FineGraySpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*where_columns(spec.where), *_own_columns(spec))))


ANALYSES = (
    Analysis(
        FineGraySpec,
        FineGrayPlan,
        _plan,
        _columns,
        "Regress the incidence of one of several causes on covariates (subdistribution hazards).",
    ),
)
