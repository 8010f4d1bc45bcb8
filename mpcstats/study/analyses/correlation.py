"""Correlations between columns."""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.correlation import FINE, MOST_PAIRS, CorrelationPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.rank import Mode, value_lattice
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, numeric_or_boolean, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "CorrelationSpec"]


class CorrelationSpec(AnalysisSpec):
    """Correlation coefficients of pairs of columns, with tests."""

    type: Literal["correlation"] = "correlation"
    x: tuple[str, ...] = Field(min_length=1)
    """Columns with numbers. Without y, each is correlated with each other one."""
    y: tuple[str, ...] = ()
    """Columns with which those of x are correlated."""
    method: Literal["pearson", "spearman", "kendall"] = "pearson"
    """Coefficient: pearson, spearman or kendall (tau-b)."""
    adjust: Literal["holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "none"] = "holm"
    """Adjustment of the p-values of several pairs, as R's p.adjust."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of Pearson's limits."""
    mode: Mode = "auto"
    """table (sums over people are opened), statistic (they stay on shares, coefficients alone are opened) or auto: the
    table where all policies let exact sums out."""


def _plan(spec: CorrelationSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> CorrelationPlan:
    check_where(spec.where, dictionary)
    columns = (*spec.x, *spec.y)
    refuse_repeated(columns, "x and y")
    if len(columns) < 2:
        raise SpecError("a correlation needs two columns", hint="name another one in x or y")
    first = range(len(spec.x))
    pairs = tuple(product(first, range(len(spec.x), len(columns)))) if spec.y else tuple(combinations(first, 2))
    if len(pairs) > MOST_PAIRS:
        raise SpecError(f"{len(pairs):,} pairs are too many: {MOST_PAIRS} at most")
    lattices = [_fine(dictionary.column(name)) for name in columns]
    values, steps, lows = zip(*lattices, strict=True)
    return CorrelationPlan(columns=columns, pairs=pairs, values=values, steps=steps, lows=lows)


def _fine(column: Column) -> tuple[int, float, float]:
    """Size, step and smallest value of the lattice of a column; fine parts of its range where it has none."""
    numeric_or_boolean(column, "correlated")
    if column.type == "boolean" or column.step is not None:
        low, high, step = value_lattice(column, "correlated")
        if high - low < FINE:
            return high - low + 1, step, low * step
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be correlated: its range is not known, and numbers are scaled by it",
            hint=f"add range = [low, high] to column {column.name!r} of the dictionary",
        )
    least, most = column.range
    return FINE, math.nextafter((most - least) / (FINE - 1), math.inf) or 1.0, least


def _columns(spec: CorrelationSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), *spec.x, *spec.y)


ANALYSES = (Analysis(CorrelationSpec, CorrelationPlan, _plan, _columns, "Correlate columns, with tests."),)
