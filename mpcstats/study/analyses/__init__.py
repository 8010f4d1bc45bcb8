"""The registry of analyses: a family is a module with `ANALYSES`, named in `FAMILIES`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from mpcstats.errors import SpecError
from mpcstats.study.analyses import (
    association,
    competing_risks,
    components,
    correlation,
    counts,
    cox,
    crosstab,
    descriptives,
    exact_time,
    fine_gray,
    gwas_meta,
    mean_tests,
    missingness,
    rank,
    regression,
    sample_overlap,
    survival,
    table_test,
    variant_quality,
)
from mpcstats.study.analyses.base import Analysis, AnyAnalysis
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "Analysis", "analysis_of", "parse_spec", "plan_types"]

FAMILIES = (
    counts,
    descriptives,
    missingness,
    mean_tests,
    crosstab,
    table_test,
    survival,
    exact_time,
    cox,
    competing_risks,
    fine_gray,
    association,
    variant_quality,
    sample_overlap,
    components,
    gwas_meta,
    regression,
    rank,
    correlation,
)

ANALYSES: dict[str, AnyAnalysis] = {entry.name: entry for family in FAMILIES for entry in family.ANALYSES}
"""All analyses by name."""


def analysis_of(spec: AnalysisSpec) -> AnyAnalysis:
    """The registry's entry for a request."""
    return ANALYSES[spec.type]


def plan_types() -> dict[str, Any]:
    """The classes of plans by `kind`."""
    return {entry.plan_type.kind: entry.plan_type for entry in ANALYSES.values()}


def parse_spec(plain: dict[str, Any] | str | bytes) -> AnalysisSpec:
    """Validate a request: a mapping, or its JSON.

    Raises
    ------
    SpecError
        Names every field that is wrong.
    """
    try:
        content = plain if isinstance(plain, dict) else from_json(plain)
    except ValueError as error:
        raise SpecError(f"the request is not valid: spec: {error}") from None
    name = content.get("type") if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in ANALYSES:
        known = ", ".join(ANALYSES)
        raise SpecError(f"the request is not valid: type: it must name one of the analyses {known}")
    model: type[AnalysisSpec] = ANALYSES[name].spec
    try:
        # JSON has rules of its own: a list is a tuple there, but a text is not a number
        found = model.model_validate(plain) if isinstance(plain, dict) else model.model_validate_json(plain)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in (name, *e['loc']))}: {e['msg']}" for e in error.errors())
        raise SpecError(f"the request is not valid: {problems}") from None
    return found
