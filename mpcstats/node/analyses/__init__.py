"""How a node does each analysis: a family is a module with `NODE_ANALYSES`, named in `FAMILIES`."""

from __future__ import annotations

from mpcstats.node.analyses import (
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
from mpcstats.node.analyses.base import AnyNodeAnalysis, NodeAnalysis, Run
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

__all__ = ["NODE_ANALYSES", "NodeAnalysis", "Run", "can_open_to_some", "node_analysis_of"]

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

NODE_ANALYSES: dict[type[AnalysisSpec], AnyNodeAnalysis] = {
    entry.spec: entry for family in FAMILIES for entry in family.NODE_ANALYSES
}
"""All analyses by the class of their request."""


def node_analysis_of(spec: AnalysisSpec) -> AnyNodeAnalysis:
    """The registry's entry for a request."""
    return NODE_ANALYSES[type(spec)]


def can_open_to_some(spec: AnalysisSpec, rules: DisclosureRules) -> bool:
    """Whether the results of a request can be opened to some of the parties alone; else all of them are recipients."""
    return node_analysis_of(spec).to_some(spec, rules)
