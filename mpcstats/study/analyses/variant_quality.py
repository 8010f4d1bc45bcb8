"""Quality control of variants, and contingency tests of cases against controls."""

from __future__ import annotations

from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.association.thresholds import SMALLEST_P
from mpcstats.stats.contributions.variants import VariantPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import case_value, needed_variants
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.variants import variant_digest
from mpcstats.types import LARGEST_COUNT

__all__ = ["ANALYSES", "ContingencySpec", "VariantQualitySpec"]

Test = Literal["genotypic", "trend", "allelic", "dominant", "recessive"]


class _FilterSpec(AnalysisSpec):
    """What both have: filters of variants."""

    maf: float = Field(default=0.0, ge=0, le=0.5, allow_inf_nan=False)
    """Least frequency of the rarer allele."""
    mac: int = Field(default=0, ge=0, le=LARGEST_COUNT)
    """Least copies of the rarer allele."""
    geno: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """Largest rate of missing calls."""
    hwe: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """Least p of Hardy-Weinberg equilibrium (chi-square), among controls where there are cases; 0: no filter."""


class VariantQualitySpec(_FilterSpec):
    """Quality control of variants on pooled counts."""

    type: Literal["variant-quality"] = "variant-quality"
    phenotype: str | None = None
    """Column with cases: boolean, 0/1, or PLINK's 1/2. Counts are also by case and control."""


class ContingencySpec(_FilterSpec):
    """Contingency tests of cases against controls for each variant."""

    type: Literal["contingency"] = "contingency"
    phenotype: str
    """Column with cases: boolean, 0/1, or PLINK's 1/2."""
    tests: Annotated[tuple[Test, ...], Field(min_length=1)] = ("genotypic", "trend", "allelic", "dominant", "recessive")
    """Tests: genotypic, trend, allelic, dominant, recessive."""
    release: Literal["all", "hits"] = "all"
    """Variants whose statistics are released: all, or those with p below `threshold`."""
    deciding: Test = "trend"
    """The test that makes a hit."""
    threshold: float = Field(default=5e-8, ge=SMALLEST_P, le=1, allow_inf_nan=False)
    """p of a hit."""
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)
    """Confidence level of odds ratios."""
    fisher: bool = False
    """Also Fisher's exact test of alleles, where counts may be opened."""


def _quality_plan(
    spec: VariantQualitySpec | ContingencySpec, dictionary: Dictionary, variants: pd.DataFrame | None
) -> VariantPlan:
    if 0 < spec.hwe < SMALLEST_P:
        raise SpecError(f"hwe = {spec.hwe:g} is too small: 0 for no filter, or from {SMALLEST_P:g} up")
    variants = needed_variants(spec.dataset, variants)
    return VariantPlan(
        variant_count=len(variants),
        variant_digest=variant_digest(variants),
        phenotype=spec.phenotype,
        case_value=1 if spec.phenotype is None else case_value(spec.phenotype, dictionary),
    )


def _contingency_plan(spec: ContingencySpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> VariantPlan:
    if len(set(spec.tests)) < len(spec.tests):
        raise SpecError("`tests` names a test twice")
    if spec.fisher and "allelic" not in spec.tests:
        raise SpecError("Fisher's exact test stands beside the allelic test: add allelic to `tests`")
    return _quality_plan(spec, dictionary, variants)


def _columns(spec: VariantQualitySpec | ContingencySpec) -> tuple[str, ...]:
    return () if spec.phenotype is None else (spec.phenotype,)


ANALYSES = (
    Analysis(
        VariantQualitySpec,
        VariantPlan,
        _quality_plan,
        _columns,
        "Allele frequency, missing calls and Hardy-Weinberg equilibrium of each variant.",
        needs_genotypes=True,
    ),
    Analysis(
        ContingencySpec,
        VariantPlan,
        _contingency_plan,
        _columns,
        "Test cases against controls at each variant: allelic, trend, genotypic, dominant, recessive.",
        needs_genotypes=True,
    ),
)
