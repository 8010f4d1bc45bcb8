"""Counts."""

from __future__ import annotations

from collections.abc import Sequence

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.counts import CountResult

__all__ = ["CountMethods"]


class CountMethods(Methods):
    """Counts of people."""

    def count(
        self,
        *,
        where: str | None = None,
        by: Sequence[str] | str = (),
        dataset: str = "main",
        policy: str | None = None,
    ) -> CountResult:
        """Count people, in all or in cells of the columns of `by`.

        Reveals the count of each cell that reaches the strictest minimum_count of all parties, rounded.
        """
        return self._ask(CountResult, type="count", where=where, by=names(by), dataset=dataset, policy=policy)
