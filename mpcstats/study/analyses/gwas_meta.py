"""Meta-analysis of the sites' own association scans."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.stats.association.options import GENOME_WIDE, SMALLEST_P
from mpcstats.stats.contributions.association import AssociationPlan
from mpcstats.study.analyses.association import GwasSpec, association_plan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["ANALYSES", "GwasMetaSpec"]


class GwasMetaSpec(AnalysisSpec):
    """Inverse-variance meta-analysis of linear regressions that every site makes on its own."""

    type: Literal["gwas-meta"] = "gwas-meta"
    phenotype: str
    """Column with the phenotype."""
    covariates: tuple[str, ...] = ()
    """Column."""
    release: Literal["all", "hits"] = "all"
    """Variants whose statistics are released: all, or those alone whose p is below the threshold."""
    threshold: float = Field(default=GENOME_WIDE, ge=SMALLEST_P, lt=1, allow_inf_nan=False)
    """Of p, for hits."""
    genomic_control: bool = True
    """With hits, also lambda."""


def _plan(spec: GwasMetaSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> AssociationPlan:
    same = GwasSpec(phenotype=spec.phenotype, covariates=spec.covariates, dataset=spec.dataset)
    return association_plan(same, dictionary, variants)


ANALYSES = (
    Analysis(
        GwasMetaSpec,
        AssociationPlan,
        _plan,
        lambda spec: (spec.phenotype, *spec.covariates),
        "Meta-analysis of every site's own regressions on each variant.",
        needs_genotypes=True,
    ),
)
