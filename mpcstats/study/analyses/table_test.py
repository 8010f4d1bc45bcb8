"""Tests of contingency tables."""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.table_test import TableTestPlan
from mpcstats.stats.table_statistic import STATISTIC_TESTS, Mode, no_statistic
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.crosstab import table_levels
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "TableTestSpec"]


class TableTestSpec(AnalysisSpec):
    """Test of a table of two columns, from exact pooled counts or on shares."""

    type: Literal["table-test"] = "table-test"
    test: Literal["chi-square", "fisher", "mcnemar", "trend", "mantel-haenszel", "risk"]
    """What is computed."""
    rows: str
    """Column whose levels are the rows of the table."""
    columns: str
    """Column whose levels are the columns of the table."""
    strata: str | None = None
    """Mantel-Haenszel: column whose levels are the strata."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    scores: tuple[float, ...] = ()
    """Trend: a number for each row; 1, 2, 3 and so on when left out."""
    conf_level: float = Field(default=0.95, gt=0, lt=1)
    """Level of confidence limits."""
    mode: Mode = "auto"
    """table (counts are opened), statistic (they stay on shares, the statistic alone is opened) or auto: the table
    where all policies let exact counts out. fisher and risk have the table only."""


def _names(spec: TableTestSpec) -> tuple[str, ...]:
    return (spec.rows, spec.columns, *([spec.strata] if spec.strata is not None else []))


def _plan(spec: TableTestSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> TableTestPlan:
    if (spec.strata is not None) != (spec.test == "mantel-haenszel"):
        needed = "needs strata" if spec.test == "mantel-haenszel" else "has no strata; mantel_haenszel has"
        raise SpecError(f"the test {spec.test} {needed}")
    if spec.scores and spec.test != "trend":
        raise SpecError(f"the test {spec.test} has no scores; trend_test has")
    if spec.mode == "statistic" and spec.test not in STATISTIC_TESTS:
        raise no_statistic(spec.test)
    levels = table_levels(_names(spec), spec.where, dictionary)
    rows, columns = len(levels[0]), len(levels[1])
    _check_shape(spec, rows, columns)
    scores = tuple(float(score) for score in spec.scores)
    if scores and (len(scores) != rows or len(set(scores)) < 2 or not all(map(math.isfinite, scores))):
        raise SpecError(
            f"a trend over {spec.rows!r} needs {rows} scores, not all equal, one for each of its levels "
            f"{', '.join(map(str, levels[0]))}"
        )
    return TableTestPlan(test=spec.test, names=_names(spec), levels=levels, scores=scores, conf_level=spec.conf_level)


def _check_shape(spec: TableTestSpec, rows: int, columns: int) -> None:
    found = f"{spec.rows!r} has {rows} levels and {spec.columns!r} {columns}"
    if spec.test in {"mantel-haenszel", "risk"} and (rows, columns) != (2, 2):
        raise SpecError(f"the test {spec.test} is for tables of 2 x 2; {found}", hint="select two levels with `where`")
    if spec.test == "mcnemar" and rows != columns:
        raise SpecError(f"McNemar's test needs a square table; {found}")
    if spec.test == "trend" and columns != 2:
        raise SpecError(f"a test for trend needs two columns; {found}")


def _columns(spec: TableTestSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), *_names(spec))


ANALYSES = (Analysis(TableTestSpec, TableTestPlan, _plan, _columns, "Test a table of two columns."),)
