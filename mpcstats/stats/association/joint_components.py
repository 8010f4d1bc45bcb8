"""Principal components as an analysis of their own: eigenvalues and loadings, which everybody has anyway."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.runtime import Session
from mpcstats.stats.association.principal_components import (
    ComponentOptions,
    ComponentScores,
    component_names,
    fit_components,
)
from mpcstats.stats.association.standardised import Genotyped
from mpcstats.stats.contributions.variants import VariantPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_principal_components"]

_DIGITS = 6
"""Significant digits of released eigenvalues."""


async def joint_principal_components(
    session: Session,
    plan: VariantPlan,
    own: Genotyped | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ComponentOptions | None = None,
) -> Outcome:
    """Tables "eigenvalues" and "loadings"; see `fit_components` for what is revealed and when it is refused.

    Loadings are scaled such that standardised genotypes times loadings are the scores, of unit norm over all people: a
    site forms those of its own people from the table.

    Parameters
    ----------
    variants : DataFrame
        The public variant table, for the labels of the result.
    """
    found = await fit_components(session, plan, own, dealers, ruling, options)
    names = component_names(found.eigenvalues.size)
    rounded = [float(f"{value:.{_DIGITS}g}") for value in found.eigenvalues]
    tables = {
        "eigenvalues": pd.DataFrame({"component": names, "eigenvalue": rounded}),
        "loadings": _loadings(found, variants, names),
    }
    values = {"people": found.people, "variants": plan.variant_count, "variants_used": int(found.common.index.size)}
    return Outcome("principal-components", tables, values, found.conventions)


def _loadings(found: ComponentScores, variants: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    used = variants.iloc[found.common.index].reset_index(drop=True)
    table = pd.DataFrame(
        {
            "#CHROM": used["chrom"],
            "POS": used["pos"].astype(np.int64),
            "ID": used["id"],
            "REF": used["ref"],
            "ALT": used["alt"],
            "ALT_FREQ": found.common.frequency,
        }
    )
    # eigenvalues of Z Z' / variants are squares of the norms of Z V, over the variants
    norms = np.sqrt(found.eigenvalues * found.common.index.size)
    return table.assign(**dict(zip(names, (found.loadings / norms).T, strict=True)))
