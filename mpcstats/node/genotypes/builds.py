"""Genome builds, told by positions beyond the ends of chromosomes."""

from __future__ import annotations

import pandas as pd

__all__ = ["builds_of", "chromosome_code", "looks_like"]

# lengths of chromosomes 1 to 22 and X, as the Genome Reference Consortium and UCSC list them
_LENGTHS = {
    "NCBI36": (
        *(247249719, 242951149, 199501827, 191273063, 180857866, 170899992, 158821424, 146274826),
        *(140273252, 135374737, 134452384, 132349534, 114142980, 106368585, 100338915, 88827254),
        *(78774742, 76117153, 63811651, 62435964, 46944323, 49691432, 154913754),
    ),
    "GRCh37": (
        *(249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022),
        *(141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753),
        *(81195210, 78077248, 59128983, 63025520, 48129895, 51304566, 155270560),
    ),
    "GRCh38": (
        *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636),
        *(138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345),
        *(83257441, 80373285, 58617616, 64444167, 46709983, 50818468, 156040895),
    ),
}
_OTHER_NAMES = {"X": "23", "Y": "24", "XY": "25", "PAR1": "25", "PAR2": "25", "MT": "26", "M": "26"}


def chromosome_code(names: pd.Series[str]) -> pd.Series[str]:
    """One spelling of each chromosome: chr1 and 1 are "1", X is "23" as in PLINK."""
    known = pd.Series(names.unique(), dtype=object)
    plain = known.str.upper().str.replace(r"^CHR", "", regex=True).str.replace(r"^0+(?=\d)", "", regex=True)
    return names.map(dict(zip(known, plain.replace(_OTHER_NAMES), strict=True)))


def builds_of(variants: pd.DataFrame) -> tuple[str, ...]:
    """The builds that hold all positions.

    Parameters
    ----------
    variants : DataFrame
        chrom, pos.
    """
    last = variants["pos"].groupby(chromosome_code(variants["chrom"])).max()
    return tuple(
        build
        for build, lengths in _LENGTHS.items()
        if all(last.get(str(number), 0) <= length for number, length in enumerate(lengths, start=1))
    )


def looks_like(variants: pd.DataFrame) -> str:
    """`builds_of` in words."""
    return " or ".join(builds_of(variants)) or "no human build that is known here"
