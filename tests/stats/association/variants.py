"""Labels of made-up variants."""

from __future__ import annotations

import pandas as pd


def labelled(count: int) -> pd.DataFrame:
    """A table of so many variants."""
    names = [f"v{k}" for k in range(count)]
    return pd.DataFrame({"chrom": "1", "pos": range(1, count + 1), "id": names, "ref": "A", "alt": "G"})
