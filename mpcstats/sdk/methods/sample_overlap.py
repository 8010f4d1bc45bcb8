"""The overlap between sites."""

from __future__ import annotations

from mpcstats.sdk.methods.base import Methods
from mpcstats.sdk.results.sample_overlap import SampleOverlapResult

__all__ = ["OverlapMethods"]


class OverlapMethods(Methods):
    """People at several sites."""

    def sample_overlap(self, *, rows: int, dataset: str = "main", policy: str | None = None) -> SampleOverlapResult:
        """Count the people that each two institutions have in common: they would be twice in pooled data.

        Ids are compared as written, so all tables need ids of one system: the column that the data set names as id.

        Parameters
        ----------
        rows : int
            Room for the people of the largest table; every party shares so many rows (public).

        Reveals the count of each pair that reaches the strictest minimum_count of all parties, rounded; no ids.
        """
        return self._ask(SampleOverlapResult, type="sample-overlap", rows=rows, dataset=dataset, policy=policy)
