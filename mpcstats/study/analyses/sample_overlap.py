"""People that sites have in common."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.sample_overlap import MOST_ROWS, SampleOverlapPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.analyses.exact_time import padded_rows
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "SampleOverlapSpec"]


class SampleOverlapSpec(AnalysisSpec):
    """How many people each two sites have in common, by the id of the data set."""

    type: Literal["sample-overlap"] = "sample-overlap"
    rows: int = Field(ge=1, le=MOST_ROWS // 2)
    """Room for the people of the largest table. Every party shares so many rows, so that nobody learns how many people
    it has; made up to 16, 24, 32, 48, 64, 96 and so on."""


def _plan(spec: SampleOverlapSpec, _dictionary: Dictionary, _variants: pd.DataFrame | None) -> SampleOverlapPlan:
    plan = SampleOverlapPlan(rows=padded_rows(spec.rows))
    if not plan.within_limits():
        raise SpecError(f"rows = {spec.rows:,} (made up to {plan.rows:,}) are more than can be merged on shares")
    return plan


ANALYSES = (
    Analysis(
        SampleOverlapSpec,
        SampleOverlapPlan,
        _plan,
        lambda spec: (),
        "Count the people that each two institutions have in common.",
    ),
)
