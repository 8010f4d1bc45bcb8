"""Principal components of one's own people from public loadings, on one's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mpcstats.errors import DataError, SpecError

__all__ = ["project"]


def project(
    genotypes: str | Path,
    loadings: pd.DataFrame | str | Path,
    *,
    ambiguous: Literal["drop", "keep"] = "drop",
) -> pd.DataFrame:
    """Scores of the people of a PLINK 1 file set on loadings that everybody has.

    No other party takes part, and nothing is sent. Join the columns to the site's table by id, list them in the
    dictionary, and name them as covariates.

    Parameters
    ----------
    genotypes : path
        PLINK 1 prefix: bed, bim and fam files of the same name.
    loadings : DataFrame or path
        Columns #CHROM, POS, ID, REF, ALT, ALT_FREQ, and one for each component: those of a public reference, or
        `loadings` of a result of `principal_components`. Files are comma-separated (.csv) or have white space.
    ambiguous : {"drop", "keep"}
        Variants with the alleles A and T, or C and G: left out, since the strand cannot be told, or taken as they are
        named; "keep" is right for loadings of a study with the same list of variants.

    Returns
    -------
    DataFrame
        FID, IID and the components, a row per person in the order of the fam file. Scores are sums of (copies of ALT -
        2p) / sqrt(2p(1-p)) times loading, missing calls 0.

    Raises
    ------
    DataError
        A file is missing or wrong, or less than half of the loadings have a variant here.
    """
    if ambiguous not in ("drop", "keep"):
        raise SpecError(f"ambiguous variants are 'drop' or 'keep', not {ambiguous!r}")
    from mpcstats.node.genotypes import open_genotypes
    from mpcstats.stats.association.projection import match_loadings, project_calls, score_columns

    table = loadings if isinstance(loadings, pd.DataFrame) else _read(Path(loadings))
    own = open_genotypes(genotypes, "this site")
    matched = match_loadings(table, own.variants, ambiguous == "keep")
    rows = np.arange(len(own.samples))
    scores = project_calls(lambda start, stop: own.read(start, stop, rows), len(rows), matched)
    names = pd.DataFrame({"FID": own.samples["fid"], "IID": own.samples["iid"]})
    return names.assign(**dict(zip(score_columns(table), scores.T, strict=True)))


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="," if path.suffix == ".csv" else r"\s+", dtype={"#CHROM": str, "ID": str})
    except (OSError, ValueError, pd.errors.ParserError):
        raise DataError(f"{path.name} cannot be read as a table of loadings") from None
