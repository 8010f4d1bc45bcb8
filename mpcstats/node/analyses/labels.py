"""Labels of the variants of a result."""

from __future__ import annotations

import pandas as pd

__all__ = ["labels_of"]


def labels_of(variants: pd.DataFrame | None, count: int) -> pd.DataFrame:
    """The variant table; a party without data has none, and numbers the variants."""
    if variants is not None:
        return variants
    return pd.DataFrame({"chrom": "", "pos": 0, "id": [str(k + 1) for k in range(count)], "ref": "", "alt": ""})
