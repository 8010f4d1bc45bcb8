"""Results of meta-analysis of association scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.sdk.results.association import GwasResult
from mpcstats.stats.association.plink_text import write_table

if TYPE_CHECKING:
    from mpcstats.sdk.results.base import Result

__all__ = ["RESULTS", "GwasMetaResult"]


class GwasMetaResult(GwasResult):
    """Meta-analysis of a trait's association with each variant; `table` has PLINK 2 columns, SITES, Q, HET_P, I2."""

    analysis = "gwas-meta"

    @property
    def title(self) -> str:  # type: ignore[override]
        """What was combined."""
        return "Linear association, fixed-effect meta-analysis by inverse variance"

    @property
    def statistic(self) -> pd.Series[float]:
        """z, by variant ID."""
        return self._column("Z_STAT")

    @property
    def heterogeneity(self) -> pd.DataFrame:
        """Cochran's Q, its p and I2 in percent, by variant ID; NaN where too few sites contribute."""
        return self.table.set_index("ID")[["Q", "HET_P", "I2"]].copy()

    def write_plink(self, path: str | Path) -> Path:
        """Write the table with tabs and PLINK's digits (6); folders are made as needed."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        columns = [str(name) for name in self.table.columns if name != "LOG10_P"]
        return write_table(self.table, columns, path, "LOG10_P")

    @property
    def plink_suffix(self) -> str:
        """End of the file's name."""
        return ".glm.meta"


RESULTS: tuple[type[Result], ...] = (GwasMetaResult,)
