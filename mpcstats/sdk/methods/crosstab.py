"""Cross-tabulations."""

from __future__ import annotations

from typing import Literal

from mpcstats.sdk.methods.base import Methods
from mpcstats.sdk.results.crosstab import CrosstabResult

__all__ = ["CrosstabMethods"]


class CrosstabMethods(Methods):
    """Tables of two columns."""

    def crosstab(
        self,
        rows: str,
        columns: str,
        *,
        where: str | None = None,
        margins: Literal["released", "pooled", "none"] = "released",
        dataset: str = "main",
        policy: str | None = None,
    ) -> CrosstabResult:
        """Count people by two columns, with margins and percentages.

        Parameters
        ----------
        margins : {"released", "pooled", "none"}
            "released": sums of the cells that are released. "pooled": sums over all people, also in hidden cells; more
            cells and some margins are then held back, so that no hidden cell follows from what is released.

        Reveals the count of each cell that reaches the strictest minimum_count of all parties, rounded; with pooled
        margins also rounded margins, and which cells are small.
        """
        return self._ask(
            CrosstabResult,
            type="crosstab",
            rows=rows,
            columns=columns,
            where=where,
            margins=margins,
            dataset=dataset,
            policy=policy,
        )
