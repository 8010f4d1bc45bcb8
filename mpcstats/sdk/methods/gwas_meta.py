"""Meta-analysis of association scans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.gwas_meta import GwasMetaResult

__all__ = ["MetaMethods"]


class MetaMethods(Methods):
    """Meta-analysis."""

    def gwas_meta(
        self,
        *,
        phenotype: str,
        covariates: Sequence[str] | str = (),
        release: Literal["all", "hits"] = "all",
        threshold: float = 5e-8,
        genomic_control: bool = True,
        dataset: str = "main",
        policy: str | None = None,
    ) -> GwasMetaResult:
        """Fixed-effect meta-analysis by inverse variance of linear regressions that every site makes on its own.

        With heterogeneity: Cochran's Q, its p and I2. The joint regression of `gwas` has more power where sites are
        small, variants rare or groups uneven; this one has no differences between sites in it.

        Parameters
        ----------
        release : {"all", "hits"}
            Statistics of every variant, or of those alone whose p is below `threshold`; the test of the others is made
            on shares, and stays there.
        genomic_control : bool
            With hits: also lambda, to three decimals.

        Reveals the pooled means and covariances of phenotype and covariates. Of every variant that passes the rules, or
        of every hit: the pooled sums of weights and weighted effects, how many sites contribute (`minimum_parties` at
        least) and their people, the rarer allele; heterogeneity where one site more contributes. No site's table.
        """
        return self._ask(
            GwasMetaResult,
            type="gwas-meta",
            phenotype=phenotype,
            covariates=names(covariates),
            release=release,
            threshold=threshold,
            genomic_control=genomic_control,
            dataset=dataset,
            policy=policy,
        )
