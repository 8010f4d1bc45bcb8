"""Counts of people."""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.counts import MAX_CELLS, CountPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "CountSpec"]


class CountSpec(AnalysisSpec):
    """Joint count of people, with a filter and a breakdown."""

    type: Literal["count"] = "count"
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    by: tuple[str, ...] = ()
    """Column of the breakdown."""


def _plan(spec: CountSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CountPlan:
    check_where(spec.where, dictionary)
    refuse_repeated(spec.by, "`by`")
    levels = tuple(levels_of(name, dictionary, "`by`") for name in spec.by)
    cells = math.prod(len(axis) for axis in levels)
    if cells > MAX_CELLS:
        raise SpecError(
            f"the breakdown by {', '.join(spec.by)} has {cells:,} cells; at most {MAX_CELLS:,} are allowed",
            hint="leave a column out of `by`, or select fewer levels with `where` in separate counts",
        )
    return CountPlan(by=spec.by, levels=levels)


def _columns(spec: CountSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), *spec.by)


ANALYSES = (Analysis(CountSpec, CountPlan, _plan, _columns, "Count people, with a filter and a breakdown."),)
