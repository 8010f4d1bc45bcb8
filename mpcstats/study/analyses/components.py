"""Principal components of genotypes."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from mpcstats.errors import SpecError
from mpcstats.stats.association.principal_components import MAX_COLUMNS
from mpcstats.stats.contributions.variants import VariantPlan
from mpcstats.study.analyses.base import Analysis
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.planning import needed_variants
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.variants import variant_digest

__all__ = ["ANALYSES", "PrincipalComponentsSpec"]


class PrincipalComponentsSpec(AnalysisSpec):
    """Principal components of the genotypes of all people."""

    type: Literal["principal-components"] = "principal-components"
    components: int = Field(default=10, ge=1, le=MAX_COLUMNS)
    """Components."""
    oversampling: int = Field(default=10, ge=0, le=MAX_COLUMNS - 1)
    """Directions beside them in the iteration."""
    iterations: int = Field(default=10, ge=1, le=100)
    """Iterations."""
    maf: float = Field(default=0.05, ge=0, lt=0.5, allow_inf_nan=False)
    """Least frequency of the rarer allele."""
    call_rate: float = Field(default=0.95, ge=0, le=1, allow_inf_nan=False)
    """Least share of people with a call."""
    step: int = Field(default=1, ge=1)
    """Every step-th variant is used."""


def _plan(spec: PrincipalComponentsSpec, _dictionary: Dictionary, variants: pd.DataFrame | None) -> VariantPlan:
    if spec.components + spec.oversampling > MAX_COLUMNS:
        raise SpecError(
            f"{spec.components} components and {spec.oversampling} directions beside them are more than {MAX_COLUMNS}",
            hint=f"oversampling={MAX_COLUMNS - spec.components}",
        )
    variants = needed_variants(spec.dataset, variants)
    return VariantPlan(variant_count=len(variants), variant_digest=variant_digest(variants))


ANALYSES = (
    Analysis(
        PrincipalComponentsSpec,
        VariantPlan,
        _plan,
        lambda spec: (),
        "Principal components of the genotypes of all people: eigenvalues and loadings.",
        needs_genotypes=True,
    ),
)
