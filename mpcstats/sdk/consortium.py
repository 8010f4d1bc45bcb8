"""What a statistician holds: a consortium of institutions that answers joint analyses."""

from __future__ import annotations

from types import TracebackType

from mpcstats.sdk.methods import AnalysisMethods

__all__ = ["Consortium"]


class Consortium(AnalysisMethods):
    """Joint analyses over institutions. Made by `mpcstats.local` or `mpcstats.connect`; use it in a `with` block.

    Every method blocks until all parties have finished, and returns a result with `to_frame()`, `summary()`, `plot()`
    and `save(prefix)`. Errors are `mpcstats.errors.MpcStatsError`: they name the party at fault.

    Common parameters
    -----------------
    where : str, optional
        Filter that every site applies to its own records, e.g. "age >= 65 and sex == 'F'".
    dataset : str
        Name of the data set at the parties.
    policy : str, optional
        A preset ("standard") to apply on top of the parties' policies; it can only make the release stricter.
    """

    def close(self) -> None:
        """Give back what the consortium holds."""

    def __enter__(self) -> Consortium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
