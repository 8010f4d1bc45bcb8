"""A table of missing values."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.missingness import MAX_MISSING_CELLS, MissingnessPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "MissingnessSpec"]


class MissingnessSpec(AnalysisSpec):
    """People without a value, per column, and people with all of them."""

    type: Literal["missingness"] = "missingness"
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of any type."""
    by: tuple[str, ...] = ()
    """Columns of the groups."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""


def _plan(spec: MissingnessSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> MissingnessPlan:
    check_where(spec.where, dictionary)
    refuse_repeated((*spec.columns, *spec.by), "the columns and `by`")
    for name in spec.columns:
        dictionary.column(name)
    levels = tuple(levels_of(name, dictionary, "`by`") for name in spec.by)
    plan = MissingnessPlan(columns=spec.columns, by=spec.by, levels=levels)
    if not plan.within_limits():
        raise SpecError(
            f"{len(spec.columns)} columns in the groups of {', '.join(spec.by)} make {math.prod(plan.shape):,} cells; "
            f"at most {MAX_MISSING_CELLS:,} are allowed",
            hint="ask for fewer columns at a time, or leave a column out of `by`",
        )
    return plan


def _columns(spec: MissingnessSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*where_columns(spec.where), *spec.columns, *spec.by)))


ANALYSES = (
    Analysis(MissingnessSpec, MissingnessPlan, _plan, _columns, "Count missing values per column, and complete cases."),
)
