"""Tests on means and variances of groups."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.values import MeanTestPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.survival import AdjustMethod
from mpcstats.study.analyses.values import value_fields
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import where_columns
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "AnovaSpec", "GroupTestSpec", "TTestSpec", "VarianceTestSpec"]


class GroupTestSpec(AnalysisSpec):
    """Base of tests on one numeric column."""

    column: str
    """Numeric or boolean column."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""
    groups: tuple[Level, ...] = ()
    """Levels of `by` to compare, in this order. Default: all of them."""
    mode: Literal["auto", "table", "statistic"] = "auto"
    """table (people, means and variances of groups are opened), statistic (they stay on shares) or auto: the table
    where all policies let it out."""


class TTestSpec(GroupTestSpec):
    """t test: of two groups (Welch or Student), paired, or of one mean."""

    type: Literal["ttest"] = "ttest"
    by: str | None = None
    """Column of the two groups; the first level less the second."""
    paired: str | None = None
    """Column that is subtracted, person by person."""
    equal_variances: bool = False
    """Student's test with pooled variance instead of Welch's."""
    mu: float = Field(default=0.0, allow_inf_nan=False)
    """Mean, or difference of means, under the hypothesis."""
    alternative: Literal["two-sided", "less", "greater"] = "two-sided"
    """two-sided, less or greater."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level."""

    @model_validator(mode="after")
    def _one_design(self) -> Self:
        if self.by is not None and self.paired is not None:
            raise ValueError("a t test has groups (by) or pairs (paired), not both")
        if self.by is None and (self.groups or self.equal_variances):
            raise ValueError("groups and equal_variances belong to a test of two groups (by)")
        return self


class AnovaSpec(GroupTestSpec):
    """One-way analysis of variance."""

    type: Literal["anova"] = "anova"
    by: str
    """Column of the groups."""
    equal_variances: bool = True
    """Otherwise Welch's analysis, as R's oneway.test."""
    tukey: bool = False
    """Also Tukey's differences of every two groups."""
    pairwise: AdjustMethod | None = None
    """Also t tests of every two groups, with p-values adjusted by holm, hochberg, hommel, bonferroni, BH, BY or
    none."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of Tukey's limits."""


class VarianceTestSpec(GroupTestSpec):
    """Test of equal variances: F, Bartlett or Levene."""

    type: Literal["variance-test"] = "variance-test"
    by: str
    """Column of the groups."""
    method: Literal["f", "bartlett", "levene"] = "f"
    """f (two groups, R: var.test), bartlett or levene."""
    center: Literal["median", "mean"] = "median"
    """Of Levene's test: median (Brown-Forsythe) or mean."""
    alternative: Literal["two-sided", "less", "greater"] = "two-sided"
    """Of the F test: two-sided, less or greater."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of the ratio of an F test."""


def _plan(spec: TTestSpec | AnovaSpec | VarianceTestSpec, dictionary: Dictionary, _variants: Any) -> MeanTestPlan:
    paired = spec.paired if isinstance(spec, TTestSpec) else None
    columns = (spec.column,) if paired is None else (spec.column, paired)
    fields = value_fields(columns, () if spec.by is None else (spec.by,), spec.where, dictionary, "a test")
    if spec.by is not None:
        levels = _chosen(spec.by, fields["levels"][0], spec.groups)
        two = spec.type == "ttest" or (isinstance(spec, VarianceTestSpec) and spec.method == "f")
        if len(levels) < 2 or (two and len(levels) != 2):
            raise SpecError(
                f"column {spec.by!r} makes {len(levels)} groups; this test compares {'two' if two else 'two or more'}",
                hint="pick two of its levels: groups=[first, second]" if two else None,
            )
        fields["levels"] = (levels,)
    if paired is not None:
        fields = _difference(fields, spec.column, paired)
    return MeanTestPlan(**fields, subtracted=paired or "")


def _chosen(by: str, levels: tuple[Level, ...], groups: tuple[Level, ...]) -> tuple[Level, ...]:
    """The groups that were asked for, in their order."""
    if not groups:
        return levels
    known = {str(level): level for level in levels}
    strange = [str(group) for group in groups if str(group) not in known]
    if strange or len({str(group) for group in groups}) < len(groups):
        problem = f"{', '.join(strange)}: no level of column {by!r}" if strange else "a level is named twice"
        raise SpecError(f"`groups`: {problem}; its levels are {', '.join(list(known)[:30])}")
    return tuple(known[str(group)] for group in groups)


def _difference(fields: dict[str, Any], column: str, paired: str) -> dict[str, Any]:
    """One column of differences: its range, and the common step of both."""
    (low, high), (other_low, other_high) = fields["ranges"]
    steps = [Fraction(str(step)) for step in fields["steps"]]
    step = 0.0
    if all(steps):
        below = steps[0].denominator * steps[1].denominator
        step = float(Fraction(gcd(int(steps[0] * below), int(steps[1] * below)), below))
    return fields | {
        "columns": (f"{column} - {paired}",),
        "ranges": ((low - other_high, high - other_low),),
        "steps": (step,),
        "possible": ((),),
    }


def _columns(spec: TTestSpec | AnovaSpec | VarianceTestSpec) -> tuple[str, ...]:
    paired = [spec.paired] if isinstance(spec, TTestSpec) and spec.paired is not None else []
    by = [spec.by] if spec.by is not None else []
    return tuple(dict.fromkeys((*where_columns(spec.where), spec.column, *paired, *by)))


ANALYSES = (
    Analysis(TTestSpec, MeanTestPlan, _plan, _columns, "Compare means of two groups, of pairs, or with a number."),
    Analysis(AnovaSpec, MeanTestPlan, _plan, _columns, "Compare means of groups (analysis of variance)."),
    Analysis(VarianceTestSpec, MeanTestPlan, _plan, _columns, "Compare variances of groups (F, Bartlett, Levene)."),
)
