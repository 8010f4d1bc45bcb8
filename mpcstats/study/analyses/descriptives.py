"""Descriptive statistics of numeric columns."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, field_validator

from mpcstats.stats.contributions.values import DescribePlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.values import value_fields
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "DescribeSpec"]

MAX_BINS = 1000
MAX_QUANTILES = 100


class DescribeSpec(AnalysisSpec):
    """People, missing values, moments, quantiles and histograms of numeric columns."""

    type: Literal["describe"] = "describe"
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Numeric or boolean columns to describe."""
    by: tuple[str, ...] = ()
    """Columns of the groups."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    quantiles: tuple[float, ...] = Field(default=(0.25, 0.5, 0.75), max_length=MAX_QUANTILES)
    """Shares of people, between 0 and 1; 0.5 is the median."""
    quantile_type: int = Field(default=7, ge=1, le=9)
    """1 to 9, as R's quantile()."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of the limits of means."""
    shape: bool = True
    """Also skewness and kurtosis, where counts are exact."""
    mad: bool = False
    """Also the median absolute deviation, where counts are exact."""
    breaks: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(default=(), max_length=MAX_BINS + 1)
    """Bounds of the bins of a histogram."""

    @field_validator("quantiles")
    @classmethod
    def _inside(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in quantiles):
            raise ValueError(
                "quantiles lie between 0 and 1; minimum and maximum (0 and 1) are values of single people and are not "
                "released: ask for percentiles, such as 0.01 and 0.99"
            )
        return tuple(dict.fromkeys(quantiles))

    @field_validator("breaks")
    @classmethod
    def _ascending(cls, breaks: tuple[float, ...]) -> tuple[float, ...]:
        if len(breaks) == 1 or any(low >= high for low, high in itertools.pairwise(breaks)):
            raise ValueError("breaks are two or more ascending numbers")
        return breaks


def _plan(spec: DescribeSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> DescribePlan:
    return DescribePlan(**value_fields(spec.columns, spec.by, spec.where, dictionary, "a description"))


def _columns(spec: DescribeSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*where_columns(spec.where), *spec.columns, *spec.by)))


ANALYSES = (
    Analysis(DescribeSpec, DescribePlan, _plan, _columns, "Describe numeric columns: moments, quantiles, histograms."),
)
