"""The first columns of every table of variants, as PLINK names them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["tested_labels", "unnamed_variants", "variant_labels"]


def variant_labels(variants: pd.DataFrame) -> pd.DataFrame:
    """Columns #CHROM, POS, ID, REF, ALT.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt; texts may be categories.
    """
    names = {"chrom": "#CHROM", "pos": "POS", "id": "ID", "ref": "REF", "alt": "ALT"}
    return pd.DataFrame({new: variants[old].to_numpy() for old, new in names.items()})


def tested_labels(variants: pd.DataFrame, a1_is_alt: ArrayLike) -> pd.DataFrame:
    """`variant_labels`, the tested allele A1, and TEST of an additive model."""
    table = variant_labels(variants)
    table["A1"] = np.where(np.asarray(a1_is_alt, np.bool_), table["ALT"].to_numpy(), table["REF"].to_numpy())
    table["TEST"] = np.full(len(table), "ADD", dtype=object)
    return table


def unnamed_variants(count: int) -> pd.DataFrame:
    """What a party without data has in place of the variant table: numbers from 1."""
    return pd.DataFrame({"chrom": "", "pos": 0, "id": [str(k + 1) for k in range(count)], "ref": "", "alt": ""})
