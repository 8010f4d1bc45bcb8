"""The public table of variants that all parties share."""

from __future__ import annotations

import hashlib

import pandas as pd

from mpcstats.errors import SpecError

__all__ = ["VARIANT_COLUMNS", "variant_digest"]

VARIANT_COLUMNS = ("chrom", "pos", "id", "ref", "alt")
_DIGEST_BLOCK = 1 << 13


def variant_digest(variants: pd.DataFrame) -> str:
    """SHA-256 (hex) of a variant table.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt; the digest depends on their text and on the order of the rows only.

    Raises
    ------
    SpecError
        A column is missing, or a name contains a tab or line break.
    """
    absent = [name for name in VARIANT_COLUMNS if name not in variants.columns]
    if absent:
        raise SpecError(f"the variant table lacks the columns {', '.join(absent)}")
    state = hashlib.sha256(f"mpcstats variants 1\n{len(variants)}\n".encode())
    for start in range(0, len(variants), _DIGEST_BLOCK):
        block = variants.iloc[start : start + _DIGEST_BLOCK]
        rows = zip(*(block[name].astype(str).tolist() for name in VARIANT_COLUMNS), strict=True)
        text = "".join("\t".join(row) + "\n" for row in rows)
        if text.count("\t") != 4 * len(block) or text.count("\n") != len(block):
            raise SpecError("the variant table has a tab or line break inside a name")
        state.update(text.encode())
    return state.hexdigest()
