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
        model: Literal["linear", "logistic"] = "linear",
        method: Literal["firth-fallback", "wald", "firth", "score"] = "firth-fallback",
        ci: float | None = None,
        missing: Literal["complete", "mean"] = "complete",
        release: Literal["all", "hits"] = "all",
        threshold: float = 5e-8,
        principal_components: int = 0,
        site_indicators: bool = False,
        maf: float = 0.0,
        mac: int = 0,
        geno: float = 1.0,
        hwe: float = 0.0,
        genomic_control: bool = True,
        dataset: str = "main",
        policy: str | None = None,
    ) -> GwasResult:
        """Regression of a phenotype on every variant and the covariates, as PLINK 2 `--glm`.

        Parameters
        ----------
        model : {"linear", "logistic"}
            A case/control phenotype is boolean, 0/1, or 1/2 (2 is a case).
        method, ci
            Of a logistic regression: Wald tests, with Firth's regression where they fail ("firth-fallback", as PLINK),
            "wald", "firth", or the "score" test of the model without the variant; also an interval of the odds ratio.
        maf, mac, geno, hwe
            Variants that fail have no statistics: least frequency and copies of the rarer allele, largest rate of
            missing calls, least p of Hardy-Weinberg equilibrium (in controls).
        missing : {"complete", "mean"}
            People without a call of a variant are left out of it (PLINK), or have its pooled mean (regenie, hail);
            then no call counts are opened but those of released variants.
        release : {"all", "hits"}
            Statistics of every variant, or of those alone whose p is below `threshold`. The test of the others is made
            on shares, and stays there. Hits of a logistic regression are those of the score test, and are then fitted.
        principal_components : int
            First finds so many principal components of the people of the scan (see `principal_components`, which also
            says what that opens and who must allow it) and takes them as further covariates PC1, PC2, ...
        site_indicators : bool
            Also a covariate for each site but the first; how many people each site has is then opened.
        genomic_control : bool
            With hits: also lambda, to three decimals.

        Reveals the pooled means and covariances of phenotype and covariates. With all: effect and standard error of
        every variant that passes the rules, the people with a call and the rarer allele. With hits: which variants
        these are, the same for them, and, with complete cases, everybody's people with a call.
        """
        return self._ask(
            GwasResult,
            type="gwas",
            phenotype=phenotype,
            covariates=names(covariates),
            model=model,
            method=method,
            ci=ci,
            missing=missing,
            release=release,
            threshold=threshold,
            principal_components=principal_components,
            site_indicators=site_indicators,
            maf=maf,
            mac=mac,
            geno=geno,
            hwe=hwe,
            genomic_control=genomic_control,
            dataset=dataset,
            policy=policy,
        )
