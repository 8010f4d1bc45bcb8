"""Survival of people whose times stay hidden: records are shared and merged on shares."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, field_validator, model_validator

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.exact_time import LONGEST, MOST_LANDMARKS, MOST_ROWS, ExactTimePlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.survival import SurvivalSpec, event_values_of, horizon_of, survival_columns
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import check_where, levels_of, refuse_repeated

__all__ = ["ANALYSES", "ExactTimeSpec", "padded_rows"]

FEWEST_ROWS = 16


class ExactTimeSpec(SurvivalSpec):
    """Survival at chosen times, medians and a log-rank test, from times that nobody sees."""

    type: Literal["exact-time"] = "exact-time"
    rows: int = Field(ge=1, le=MOST_ROWS)
    """Room for the people of the largest table. Every party shares so many rows, so that nobody learns how many people
    it has; made up to 16, 24, 32, 48, 64, 96 and so on."""
    time_unit: float = Field(default=1e-6, gt=0, allow_inf_nan=False)
    """Resolution: times are whole multiples of this."""
    times: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(default=(), max_length=MOST_LANDMARKS)
    """Times at which survival is listed, at most 24."""
    medians: bool = True
    """Also the median of each group."""
    logrank: bool = True
    """Also a test between the groups of `by`."""
    weights: Literal["logrank", "wilcoxon", "tarone-ware"] = "logrank"
    """Weights of the test: logrank, wilcoxon or tarone-ware."""
    trend: bool = False
    """Also a test for trend over the groups in their order."""
    trend_scores: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = ()
    """Numbers of the groups in a test for trend, in the order of the levels. Default: 1, 2 and so on."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level; limits are of type log."""

    @field_validator("times")
    @classmethod
    def _in_order(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(times)))

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if (self.trend or self.trend_scores) and not self.tested:
            raise ValueError("a trend is a test between the groups of `by`")
        if not (self.times or self.medians or self.tested):
            raise ValueError("nothing is asked for: times, medians, or a test between the groups of `by`")
        return self

    @property
    def tested(self) -> bool:
        """Whether groups are compared."""
        return self.logrank and self.by is not None


def padded_rows(rows: int) -> int:
    """The next of 16, 24, 32, 48, 64, 96, ...

    A table that is too large for a study is refused, which tells its size to whoever asks again and again: to half its
    size, not to the row.
    """
    power = FEWEST_ROWS
    while True:
        for found in (power, power + power // 2):
            if rows <= found:
                return found
        power *= 2


def _plan(spec: ExactTimeSpec, dictionary: Dictionary, _variants: pd.DataFrame | None) -> ExactTimePlan:
    check_where(spec.where, dictionary)
    refuse_repeated(tuple(name for name in (spec.time, spec.event, spec.by) if name is not None), "time, event and by")
    groups = levels_of(spec.by, dictionary, "`by`") if spec.by is not None else ()
    plan = ExactTimePlan(
        by=spec.by,
        groups=groups,
        unit=spec.time_unit,
        horizon=horizon_of(dictionary.column(spec.time), spec.time_unit, LONGEST),
        rows=padded_rows(spec.rows),
        event=spec.event,
        event_values=event_values_of(spec, dictionary.column(spec.event)),
    )
    if plan.rows * plan.group_count > MOST_ROWS:
        raise SpecError(
            f"rows = {spec.rows:,} (made up to {plan.rows:,}) in {plan.group_count} groups are more than can be merged "
            f"on shares: {MOST_ROWS:,} of all parties together",
            hint="kaplan-meier and logrank count people on a lattice of times (time_unit) and take any number of them",
        )
    plan.landmarks(spec.times)
    if spec.tested:
        _check_test(spec, plan)
    return plan


def _check_test(spec: ExactTimeSpec, plan: ExactTimePlan) -> None:
    if len(plan.groups) < 2:
        raise SpecError(
            f"a log-rank test compares groups, but column {spec.by!r} has only {len(plan.groups)} level",
            hint="leave the test out (logrank = false)",
        )
    scores = spec.trend_scores
    if scores and (len(scores) != len(plan.groups) or len(set(scores)) < 2):
        raise SpecError(
            f"a trend needs a score for each of the {len(plan.groups)} groups {', '.join(plan.group_names)}, not all "
            f"equal, instead of {len(scores)}"
        )


ANALYSES = (
    Analysis(
        ExactTimeSpec,
        ExactTimePlan,
        _plan,
        survival_columns,
        "Survival, medians and log-rank test from times that stay hidden, for small studies.",
    ),
)
