"""Results of principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.sdk.results.base import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "PrincipalComponentsResult"]


class PrincipalComponentsResult(Result):
    """Principal components; `table` has the eigenvalues, `loadings` what `mpcstats.project` takes."""

    analysis = "principal-components"
    title = "Principal components of genotypes"
    digits = 6

    @property
    def eigenvalues(self) -> pd.Series[float]:
        """Of the relationship matrix, by component."""
        return pd.Series(self.table["eigenvalue"].to_numpy(dtype=float), index=pd.Index(self.table["component"]))

    @property
    def loadings(self) -> pd.DataFrame:
        """#CHROM, POS, ID, REF, ALT, ALT_FREQ and a column per component, per standardised copy of ALT."""
        return self.outcome.tables["loadings"].copy()

    def notes(self) -> list[str]:
        """People and variants."""
        values = self.outcome.values
        return [f"{values['people']:,} people, {values['variants_used']:,} of {values['variants']:,} variants"]

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Scree plot."""
        from mpcstats.sdk.plots.components import plot_eigenvalues

        return plot_eigenvalues(self.table, ax=ax)


RESULTS = (PrincipalComponentsResult,)
