"""Quality control of variants, and contingency tests of cases against controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.variant_quality import ContingencyResult, VariantQualityResult

__all__ = ["VariantMethods"]

Test = Literal["genotypic", "trend", "allelic", "dominant", "recessive"]
ALL_TESTS: tuple[Test, ...] = ("genotypic", "trend", "allelic", "dominant", "recessive")


class VariantMethods(Methods):
    """Counts of genotypes."""

    def variant_quality(
        self,
        *,
        phenotype: str | None = None,
        maf: float = 0.0,
        mac: int = 0,
        geno: float = 1.0,
        hwe: float = 0.0,
        dataset: str = "main",
        policy: str | None = None,
    ) -> VariantQualityResult:
        """Which variants pass the filters `maf`, `mac`, `geno`, `hwe`, all together.

        The filter `hwe` is by chi-square, among controls where a phenotype names cases (boolean, 0/1, or 1/2).

        Reveals the number of people (cases, controls) and one bit per variant: it passes all filters and has the
        `minimum_allele_count` of all parties. Where all policies have `allele_counts` and `all_variants`, also the
        pooled counts of genotypes of the variants that pass, and with them frequency, missing calls and the exact test
        of Hardy-Weinberg equilibrium.
        """
        return self._ask(
            VariantQualityResult,
            type="variant-quality",
            phenotype=phenotype,
            maf=maf,
            mac=mac,
            geno=geno,
            hwe=hwe,
            dataset=dataset,
            policy=policy,
        )

    def contingency(
        self,
        *,
        phenotype: str,
        tests: Sequence[Test] | Test = ALL_TESTS,
        release: Literal["all", "hits"] = "all",
        deciding: Test = "trend",
        threshold: float = 5e-8,
        conf_level: float = 0.95,
        fisher: bool = False,
        maf: float = 0.0,
        mac: int = 0,
        geno: float = 1.0,
        hwe: float = 0.0,
        dataset: str = "main",
        policy: str | None = None,
    ) -> ContingencyResult:
        """Cases against controls at every variant, as PLINK 1.9 `--model` and `--assoc`.

        Tests: genotypic (2 df), Cochran-Armitage trend, allelic with its odds ratio, dominant, recessive; with `fisher`
        the exact test of alleles.

        Reveals the number of cases and controls, one bit per variant (released or not), and of released variants which
        allele is rarer and the statistics, rounded, computed on shares. Statistics are functions of whole numbers: with
        cases and controls known, they tell the counts nearly. Where all policies have `allele_counts`, the counts of
        genotypes in cases and controls are opened instead. With release = "hits" a variant is released when the test
        `deciding` has a p below `threshold`, which the rule `hits_log10_p` bounds; of all others nothing is
        known but that.
        """
        return self._ask(
            ContingencyResult,
            type="contingency",
            phenotype=phenotype,
            tests=names(tests),
            release=release,
            deciding=deciding,
            threshold=threshold,
            conf_level=conf_level,
            fisher=fisher,
            maf=maf,
            mac=mac,
            geno=geno,
            hwe=hwe,
            dataset=dataset,
            policy=policy,
        )
