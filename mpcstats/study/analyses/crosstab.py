"""Cross-tabulations."""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.counts import MAX_CELLS
from mpcstats.stats.contributions.crosstab import CrosstabPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "CrosstabSpec", "table_levels"]


class CrosstabSpec(AnalysisSpec):
    """Joint count of people by two columns, with margins."""

    type: Literal["crosstab"] = "crosstab"
    rows: str
    """Column whose levels are the rows of the table."""
    columns: str
    """Column whose levels are the columns of the table."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    margins: Literal["released", "pooled", "none"] = "released"
    """Sums of the released cells; or of all people (pooled), for which more cells may be hidden; or none."""


def table_levels(names: tuple[str, ...], where: str | None, dictionary: Dictionary) -> tuple[tuple[Level, ...], ...]:
    """The levels of the columns of a table; refuses a filter or columns that do not fit, and too many cells."""
    check_where(where, dictionary)
    refuse_repeated(names, "a table")
    levels = tuple(levels_of(name, dictionary, "a table") for name in names)
    cells = math.prod(len(axis) for axis in levels)
    if cells > MAX_CELLS:
        raise SpecError(
            f"the table of {', '.join(names)} has {cells:,} cells; at most {MAX_CELLS:,} are allowed",
            hint="choose columns with fewer levels",
        )
    return levels


def _plan(spec: CrosstabSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CrosstabPlan:
    rows, columns = table_levels((spec.rows, spec.columns), spec.where, dictionary)
    return CrosstabPlan(
        rows=spec.rows, columns=spec.columns, row_levels=rows, column_levels=columns, margins=spec.margins
    )


def _columns(spec: CrosstabSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), spec.rows, spec.columns)


ANALYSES = (Analysis(CrosstabSpec, CrosstabPlan, _plan, _columns, "Count people by two columns, with margins."),)
