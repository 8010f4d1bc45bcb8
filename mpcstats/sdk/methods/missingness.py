"""Missing values."""

from __future__ import annotations

from collections.abc import Sequence

from mpcstats.sdk.methods.base import Methods, names
from mpcstats.sdk.results.missingness import MissingnessResult

__all__ = ["MissingnessMethods"]


class MissingnessMethods(Methods):
    """Tables of missing values."""

    def missingness(
        self,
        columns: Sequence[str] | str,
        by: Sequence[str] | str = (),
        *,
        where: str | None = None,
        dataset: str = "main",
        policy: str | None = None,
    ) -> MissingnessResult:
        """How many people have no value in each column, and how many have one in all of them.

        Reveals each number that reaches the strictest minimum_count of all parties, rounded.
        """
        request = {"columns": names(columns), "by": names(by), "where": where, "dataset": dataset, "policy": policy}
        return self._ask(MissingnessResult, type="missingness", **request)
