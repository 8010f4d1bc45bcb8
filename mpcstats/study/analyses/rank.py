"""Rank tests of groups and of pairs, on the public lattice of a column's values."""

from __future__ import annotations

import math
from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.rank import FINE, MOST_CELLS, MOST_GROUPS, MOST_VALUES, RankPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import check_where, levels_of, numeric_or_boolean, refuse_repeated, where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = [
    "ANALYSES",
    "KolmogorovSmirnovSpec",
    "KruskalSpec",
    "MannWhitneySpec",
    "SignedRankSpec",
    "fine_lattice",
    "value_lattice",
]

Mode = Literal["auto", "table", "statistic"]


class _RankSpec(AnalysisSpec):
    """What all rank tests are asked."""

    column: str
    """Column with the numbers."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    mode: Mode = "auto"
    """table (sizes, rank sums and tie term are opened), statistic (they stay on shares, the statistic alone is opened)
    or auto: the table where all policies let exact sums out."""


class _GroupSpec(_RankSpec):
    by: str
    """Column of the groups."""
    groups: tuple[Level, ...] = ()
    """Levels of the groups that are compared, in this order. Default: all."""


class MannWhitneySpec(_GroupSpec):
    """Mann-Whitney's test: do values of one group tend to be larger than those of the other?"""

    type: Literal["mannwhitney"] = "mannwhitney"
    alternative: Literal["two-sided", "greater", "less"] = "two-sided"
    """Alternative: two-sided, greater (values of the first group are larger) or less."""
    correct: bool = True
    """Correction for continuity."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of the limits of the area under the curve."""
    hodges_lehmann: bool = True
    """Also the median of all differences between the groups, in mode table."""


class KruskalSpec(_GroupSpec):
    """Kruskal and Wallis's test: do values of some groups tend to be larger than those of others?"""

    type: Literal["kruskal"] = "kruskal"


class KolmogorovSmirnovSpec(_GroupSpec):
    """Kolmogorov and Smirnov's test: do two groups have different distributions?"""

    type: Literal["kolmogorov-smirnov"] = "kolmogorov-smirnov"


class SignedRankSpec(AnalysisSpec):
    """Wilcoxon's signed rank test of pairs, or of one column against a number."""

    type: Literal["wilcoxon-signed-rank"] = "wilcoxon-signed-rank"
    x: str
    """Column with the numbers."""
    y: str | None = None
    """Column with the numbers that are subtracted."""
    mu: float = Field(default=0.0, allow_inf_nan=False)
    """Number that is subtracted: a whole multiple of the steps of the columns."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    alternative: Literal["two-sided", "greater", "less"] = "two-sided"
    """Alternative: two-sided, greater (differences tend to be positive) or less."""
    correct: bool = True
    """Correction for continuity."""
    ties: Literal["floating", "decimal"] = "floating"
    """Which differences are equal: floating (as R: floating-point numbers that are equal to the last bit) or decimal
    (equal as written: 0.3 - 0.1 = 0.2)."""
    mode: Mode = "auto"
    """table (sizes, rank sums and tie term are opened), statistic (they stay on shares, the statistic alone is opened)
    or auto: the table where all policies let exact sums out."""


def value_lattice(column: Column, use: str) -> tuple[int, int, float]:
    """The smallest value and the largest in steps, and the step; refuses a column without known values.

    Raises
    ------
    SpecError
        A category, no range, or no resolution.
    """
    if column.type == "boolean":
        return 0, 1, 1.0
    numeric_or_boolean(column, use)
    name = column.name
    if column.step is None:
        raise SpecError(
            f"{column.title} cannot be {use}: ranks are counted on a lattice, and its resolution is not known",
            hint=f"add resolution = 0.01 (or as it is recorded) to column {name!r} of the dictionary",
        )
    if column.levels:
        low, high = (float(end(float(level) for level in column.levels)) for end in (min, max))
    elif column.range is not None:
        low, high = column.range
    else:
        raise SpecError(
            f"{column.title} cannot be {use}: ranks are counted on a lattice, and its range is not known",
            hint=f"add range = [low, high] to column {name!r} of the dictionary",
        )
    # numbers at the ends may be off the lattice by a rounding
    return math.ceil(low / column.step - 1e-6), math.floor(high / column.step + 1e-6), column.step


def fine_lattice(column: Column, use: str) -> tuple[int, int, float]:
    """As `value_lattice`; fine parts of the range where the resolution is not known, or too fine."""
    if column.type == "boolean" or column.step is not None:
        low, high, step = value_lattice(column, use)
        if high - low < FINE:
            return low, high, step
    numeric_or_boolean(column, use)
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be {use}: its range is not known",
            hint=f"add range = [low, high] to column {column.name!r} of the dictionary",
        )
    least, most = column.range
    if least == most:
        return round(least), round(least), 1.0
    step = math.nextafter((most - least) / (FINE - 1), math.inf)
    low = round(least / step)
    return low, low + FINE - 1, step


def refuse_long(title: str, values: int, groups: int, step: float) -> None:
    """Refuse a lattice that is too long, with its cost."""
    cells = values * groups
    if values > MOST_VALUES or cells > MOST_CELLS:
        raise SpecError(
            f"{title} has {values:,} possible values in steps of {step:g}, {cells:,} cells with {groups} groups: each "
            f"party would share {cells * 16 / 1e6:,.0f} MB; at most {MOST_VALUES:,} values and {MOST_CELLS:,} cells",
            hint="agree on a coarser resolution or a narrower range of the column in the dictionary",
        )


def groups_of(spec: _GroupSpec, dictionary: Dictionary) -> tuple[Level, ...]:
    """The levels that are compared."""
    levels = levels_of(spec.by, dictionary, "`by`")
    if not spec.groups:
        return levels
    texts = [str(level) for level in levels]
    unknown = [group for group in spec.groups if group not in levels and str(group) not in texts]
    if unknown:
        shown = ", ".join(texts[:30])
        raise SpecError(f"column {spec.by!r} has no level {unknown[0]!r}", hint=f"levels: {shown}")
    chosen = [
        levels[levels.index(group)] if group in levels else levels[texts.index(str(group))] for group in spec.groups
    ]
    if len(set(map(str, chosen))) < len(chosen):
        raise SpecError("`groups` names a level twice")
    return tuple(chosen)


def _group_plan(spec: _GroupSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> RankPlan:
    check_where(spec.where, dictionary)
    refuse_repeated((spec.column, spec.by), "column and by")
    low, high, step = fine_lattice(dictionary.column(spec.column), "ranked")
    groups = groups_of(spec, dictionary)
    several = isinstance(spec, KruskalSpec)
    if len(groups) < 2 or (len(groups) > 2 and not several):
        needed = "two groups or more" if several else "two groups"
        raise SpecError(
            f"this test compares {needed}, and column {spec.by!r} has {len(groups)}",
            hint="name the levels that are compared in `groups`; kruskal compares several groups",
        )
    if len(groups) > MOST_GROUPS:
        raise SpecError(f"{len(groups)} groups are too many: {MOST_GROUPS} at most")
    return RankPlan(column=spec.column, by=spec.by, groups=groups, values=high - low + 1, step=step, low=low)


def _pair_plan(spec: SignedRankSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> RankPlan:
    check_where(spec.where, dictionary)
    names = tuple(name for name in (spec.x, spec.y) if name is not None)
    refuse_repeated(names, "x and y")
    lattices = [value_lattice(dictionary.column(name), "ranked") for name in names]
    step = min(each for _, _, each in lattices)
    low, high = 0, 0
    for sign, (least, most, each) in zip((1, -1), lattices, strict=False):
        ratio = _whole(each / step, "x and y do not have steps of which one is a whole multiple of the other")
        ends = sorted((sign * least * ratio, sign * most * ratio))
        low, high = low + ends[0], high + ends[1]
    mu = _whole(spec.mu / step, f"mu = {spec.mu:g} is no whole multiple of the step {step:g} of the numbers")
    title = " - ".join([*names, *([f"{spec.mu:g}"] if spec.mu else [])])
    values = max(abs(low - mu), abs(high - mu)) + 1
    # the numbers that are subtracted are between these in size, or 0
    sizes = [abs(end * each) or each for least, most, each in lattices for end in (least, most)]
    sizes += [each for least, most, each in lattices if least < 0 < most]
    grains, grain = 1, 0.0
    if spec.ties == "floating" and float(step).as_integer_ratio()[1] > 1 << 20:
        grains, grain = _grains([*sizes, abs(spec.mu) or sizes[0]], values, title)
    refuse_long(title, values * grains, 2, step)
    groups = ("negative", "positive")
    return RankPlan(
        column=title, by=None, groups=groups, values=values * grains, step=step, low=0, grains=grains, grain=grain
    )


def _grains(sizes: list[float], values: int, title: str) -> tuple[int, float]:
    """Places for what floating-point differences of numbers up to these sizes are off, and their distance.

    A difference is off by less than four units in the last place of the largest number; it is a whole multiple of one
    of the smallest number, which is so many halvings below.
    """
    largest = max(sizes)
    unit = math.ulp(largest)
    for halvings in range(min(10, math.ceil(math.log2(largest / min(sizes)))), -1, -1):
        grains = 2 * (4 << halvings) + 1
        if values * grains <= MOST_VALUES:
            return grains, unit / (1 << halvings)
    raise SpecError(
        f"{title} has too many possible floating-point differences ({values:,} steps)",
        hint='ties="decimal" counts differences as equal that are equal as written',
    )


def _whole(ratio: float, problem: str) -> int:
    if abs(ratio - round(ratio)) > 1e-6:
        raise SpecError(problem, hint="agree on other resolutions in the dictionary")
    return round(ratio)


def _group_columns(spec: _GroupSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), spec.column, spec.by)


def _pair_columns(spec: SignedRankSpec) -> tuple[str, ...]:
    return (*where_columns(spec.where), spec.x, *(() if spec.y is None else (spec.y,)))


ANALYSES = (
    Analysis(MannWhitneySpec, RankPlan, _group_plan, _group_columns, "Compare two groups by ranks (Mann-Whitney)."),
    Analysis(KruskalSpec, RankPlan, _group_plan, _group_columns, "Compare groups by ranks (Kruskal-Wallis)."),
    Analysis(KolmogorovSmirnovSpec, RankPlan, _group_plan, _group_columns, "Compare the distributions of two groups."),
    Analysis(SignedRankSpec, RankPlan, _pair_plan, _pair_columns, "Compare pairs by signed ranks (Wilcoxon)."),
)
