"""Genetic association."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.association import GwasResult

__all__ = ["AssociationMethods"]


class AssociationMethods(Methods):
    """Genetic association."""

    def gwas(
        self,
        *,
        phenotype: str,
        covariates: Sequence[str] | str = (),
        model: Literal["linear"] = "linear",
        release: Literal["all"] = "all",
        dataset: str = "main",
        policy: str | None = None,
    ) -> GwasResult:
        """Regression of a phenotype on every variant and the covariates, as PLINK 2 `--glm`.

        Reveals effect and standard error of every variant that passes the rules, the people with a call and the
        rarer allele per variant, and the pooled means and covariances of phenotype and covariates.
        """
        return self._ask(
            GwasResult,
            type="gwas",
            phenotype=phenotype,
            covariates=names(covariates),
            model=model,
            release=release,
            dataset=dataset,
            policy=policy,
        )
