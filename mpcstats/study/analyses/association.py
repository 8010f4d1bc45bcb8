"""Genetic association."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.association.options import GENOME_WIDE, SMALLEST_P
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW, AssociationPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import few_levels, numeric_or_boolean, refuse_repeated, scale
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.variants import variant_digest

__all__ = ["ANALYSES", "GwasSpec"]


class GwasSpec(AnalysisSpec):
    """Linear regression of a phenotype on each variant and the covariates."""

    type: Literal["gwas"] = "gwas"
    phenotype: str
    """Column with the phenotype."""
    covariates: tuple[str, ...] = ()
    """Column."""
    model: Literal["linear"] = "linear"
    """The regression."""
    missing: Literal["complete", "mean"] = "complete"
    """People without a call of a variant: complete leaves them out of it (PLINK), mean gives them its pooled mean."""
    release: Literal["all", "hits"] = "all"
    """Variants whose statistics are released: all, or those alone whose p is below the threshold."""
    threshold: float = Field(default=GENOME_WIDE, ge=SMALLEST_P, lt=1, allow_inf_nan=False)
    """Of p, for hits."""
    site_indicators: bool = False
    """Also a covariate for each site but the first."""
    genomic_control: bool = True
    """With hits, also lambda."""


def _plan(spec: GwasSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> AssociationPlan:
    refuse_repeated(spec.covariates, "the covariates")
    if spec.phenotype in spec.covariates:
        raise SpecError(f"column {spec.phenotype!r} is the phenotype and cannot be a covariate, too")
    if len(spec.covariates) > MAX_COVARIATES:
        raise SpecError(f"{len(spec.covariates)} covariates were named; at most {MAX_COVARIATES} are allowed")
    phenotype = numeric_or_boolean(dictionary.column(spec.phenotype), "the phenotype of a linear model")
    covariates = [numeric_or_boolean(dictionary.column(name), "a covariate") for name in spec.covariates]
    if variants is None or len(variants) == 0:
        raise SpecError(
            f"data set {spec.dataset!r} has no genotypes",
            hint='give a PLINK prefix, for example ms.Dataset("traits.csv", genotypes="chr10", id="IID")',
        )
    scales = [scale(column, "an association") for column in (phenotype, *covariates)]
    return AssociationPlan(
        phenotype=phenotype.name,
        covariates=spec.covariates,
        variant_count=len(variants),
        variant_digest=variant_digest(variants),
        few_levels=tuple(few_levels(column, MAX_FEW) for column in (phenotype, *covariates)),
        centers=tuple(center for center, _ in scales),
        half_widths=tuple(half_width for _, half_width in scales),
    )


def _columns(spec: GwasSpec) -> tuple[str, ...]:
    return (spec.phenotype, *spec.covariates)


ANALYSES = (
    Analysis(
        GwasSpec,
        AssociationPlan,
        _plan,
        _columns,
        "Regress a phenotype on each variant and the covariates.",
        needs_genotypes=True,
    ),
)
