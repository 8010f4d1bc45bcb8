"""Results of the overlap between sites."""

from __future__ import annotations

import pandas as pd

from mpcstats.sdk.results.base import Result

__all__ = ["RESULTS", "SampleOverlapResult"]


class SampleOverlapResult(Result):
    """People in common; `table` has party, other, count (Int64, <NA> where suppressed) and status, a row per pair."""

    analysis = "sample-overlap"
    title = "People that two institutions have in common"

    def readable(self) -> pd.DataFrame:
        """The count column says "suppressed" where there is no number."""
        table = self.table.drop(columns="status")
        table["count"] = ["suppressed" if pd.isna(n) else f"{int(n):,}" for n in self.table["count"]]
        return table


RESULTS = (SampleOverlapResult,)
