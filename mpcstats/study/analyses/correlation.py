"""Correlations between columns."""

from __future__ import annotations

from itertools import combinations, product
from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.correlation import MOST_PAIRS, CorrelationPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.rank import Mode, fine_lattice
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, refuse_repeated, where_columns
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
    low, high, step = fine_lattice(column, "correlated")
    return high - low + 1, step, low * step


def _columns(spec: CorrelationSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), *spec.x, *spec.y)


ANALYSES = (Analysis(CorrelationSpec, CorrelationPlan, _plan, _columns, "Correlate columns, with tests."),)
