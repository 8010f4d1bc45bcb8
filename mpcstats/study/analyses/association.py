"""Genetic association."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.association.options import GENOME_WIDE, SMALLEST_P
from mpcstats.stats.association.thresholds import SMALLEST_P as SMALLEST_HWE
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW, AssociationPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import case_value, few_levels, needed_variants, numeric_or_boolean, refuse_repeated, scale
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.variants import variant_digest
from mpcstats.types import LARGEST_COUNT

__all__ = ["ANALYSES", "GwasSpec", "association_plan"]


class GwasSpec(AnalysisSpec):
    """Linear or logistic regression of a phenotype on each variant and the covariates."""

    type: Literal["gwas"] = "gwas"
    phenotype: str
    """Column with the phenotype."""
    covariates: tuple[str, ...] = ()
    """Column."""
    model: Literal["linear", "logistic"] = "linear"
    """The regression: linear, or logistic for a case/control phenotype (boolean, 0/1, or 1/2 with 2 for a case)."""
    method: Literal["firth-fallback", "wald", "firth", "score"] = "firth-fallback"
    """Of a logistic regression: Wald tests with Firth's regression where they fail, one of these, or the score test."""
    ci: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False)
    """Of a logistic regression: also an interval of the odds ratio of this level."""
    missing: Literal["complete", "mean"] = "complete"
    """People without a call of a variant: complete leaves them out of it (PLINK), mean gives them its pooled mean."""
    release: Literal["all", "hits"] = "all"
    """Variants whose statistics are released: all, or those alone whose p is below the threshold."""
    threshold: float = Field(default=GENOME_WIDE, ge=SMALLEST_P, lt=1, allow_inf_nan=False)
    """Of p, for hits."""
    principal_components: int = Field(default=0, ge=0, le=20)
    """Also principal components of all people, found first: so many covariates PC1, PC2, ..."""
    site_indicators: bool = False
    """Also a covariate for each site but the first."""
    maf: float = Field(default=0.0, ge=0, le=0.5, allow_inf_nan=False)
    """Least frequency of the rarer allele."""
    mac: int = Field(default=0, ge=0, le=LARGEST_COUNT)
    """Least copies of the rarer allele."""
    geno: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """Largest rate of missing calls."""
    hwe: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """Least p of Hardy-Weinberg equilibrium (chi-square), in controls where there are cases."""
    genomic_control: bool = True
    """With hits, also lambda."""


def association_plan(spec: GwasSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> AssociationPlan:
    """The plan of a regression on each variant.

    Raises
    ------
    SpecError
        A column or an option cannot be used so, or there are no genotypes.
    """
    refuse_repeated(spec.covariates, "the covariates")
    if spec.phenotype in spec.covariates:
        raise SpecError(f"column {spec.phenotype!r} is the phenotype and cannot be a covariate, too")
    if len(spec.covariates) > MAX_COVARIATES:
        raise SpecError(f"{len(spec.covariates)} covariates were named; at most {MAX_COVARIATES} are allowed")
    _check_options(spec)
    phenotype = numeric_or_boolean(dictionary.column(spec.phenotype), f"the phenotype of a {spec.model} model")
    case = case_value(spec.phenotype, dictionary) if spec.model == "logistic" else None
    covariates = [numeric_or_boolean(dictionary.column(name), "a covariate") for name in spec.covariates]
    variants = needed_variants(spec.dataset, variants)
    scales = [scale(column, "an association") for column in covariates]
    # a case is 1, a control 0, however they are coded
    scales.insert(0, (0.5, 0.5) if case is not None else scale(phenotype, "an association"))
    few = [few_levels(column, MAX_FEW) for column in (phenotype, *covariates)]
    return AssociationPlan(
        phenotype=phenotype.name,
        covariates=spec.covariates,
        variant_count=len(variants),
        variant_digest=variant_digest(variants),
        few_levels=((0.0, 1.0), *few[1:]) if case is not None else tuple(few),
        centers=tuple(center for center, _ in scales),
        half_widths=tuple(half_width for _, half_width in scales),
        case_value=case,
    )


def _check_options(spec: GwasSpec) -> None:
    if 0 < spec.hwe < SMALLEST_HWE:
        raise SpecError(f"hwe = {spec.hwe:g} is too small: 0 for no filter, or from {SMALLEST_HWE:g} up")
    if spec.model == "linear" and (spec.ci is not None or spec.method != "firth-fallback"):
        raise SpecError("`method` and `ci` are those of a logistic regression", hint='model="logistic"')
    if spec.model == "logistic":
        wanted = "mean" if spec.method == "score" else "complete"
        if spec.missing != wanted:
            raise SpecError(f'method {spec.method!r} needs missing="{wanted}"', hint=f'missing="{wanted}"')


def _columns(spec: GwasSpec) -> tuple[str, ...]:
    return (spec.phenotype, *spec.covariates)


ANALYSES = (
    Analysis(
        GwasSpec,
        AssociationPlan,
        association_plan,
        _columns,
        "Regress a phenotype on each variant and the covariates.",
        needs_genotypes=True,
    ),
)
