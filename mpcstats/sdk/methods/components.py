"""Principal components of genotypes."""

from __future__ import annotations

from mpcstats.sdk.methods.base import Methods
from mpcstats.sdk.results.components import PrincipalComponentsResult

__all__ = ["ComponentMethods"]


class ComponentMethods(Methods):
    """Principal components."""

    def principal_components(
        self,
        *,
        components: int = 10,
        oversampling: int = 10,
        iterations: int = 10,
        maf: float = 0.05,
        call_rate: float = 0.95,
        step: int = 1,
        dataset: str = "main",
        policy: str | None = None,
    ) -> PrincipalComponentsResult:
        """Eigenvalues and loadings of the genotypes of all people, as PLINK 2 `--pca` (randomised subspace iteration).

        Parameters
        ----------
        oversampling, iterations : int
            Directions beside the components, at most 30 together, and how often they are improved.
        maf, call_rate : float
            Least pooled frequency of the rarer allele and share of people with a call: decided on shares.
        step : int
            Every step-th variant is used.

        Scores are nobody's but the site's: `mpcstats.project` makes those of one's own people from the loadings.

        Reveals which variants are used and their pooled allele frequencies, rounded; as many directions of the pooled
        covariance of the variants as there are components and further ones, once per iteration; eigenvalues. From the
        directions a person's part in the data can be told where the person's genotypes are known: all policies must
        have `all_variants`.
        """
        return self._ask(
            PrincipalComponentsResult,
            type="principal-components",
            components=components,
            oversampling=oversampling,
            iterations=iterations,
            maf=maf,
            call_rate=call_rate,
            step=step,
            dataset=dataset,
            policy=policy,
        )
