"""A covariate for each site but the first: differences between sites do not count as effects of variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.association import MAX_COVARIATES, AssociationContribution, AssociationPlan

__all__ = ["with_site_indicators"]


def with_site_indicators(
    plan: AssociationPlan, own: AssociationContribution | None, dealers: tuple[int, ...], names: Sequence[str], me: int
) -> tuple[AssociationPlan, AssociationContribution | None]:
    """Plan and own contribution with 0/1 columns "site=NAME" behind the covariates. Local.

    Parameters
    ----------
    names : names of all parties
    me : int
        This party's number.

    Raises
    ------
    SpecError
        Too many covariates.
    """
    others = dealers[1:]
    if len(plan.covariates) + len(others) > MAX_COVARIATES:
        raise SpecError(
            f"{len(plan.covariates)} covariates and {len(others)} site indicators are more than {MAX_COVARIATES}"
        )
    columns = len(others)
    wider = replace(
        plan,
        covariates=(*plan.covariates, *(f"site={names[k - 1]}" for k in others)),
        few_levels=(*(plan.few_levels or ((),) * (1 + len(plan.covariates))), *[(0.0, 1.0)] * columns),
        centers=(*plan.centers, *[0.5] * columns) if plan.centers else (),
        half_widths=(*plan.half_widths, *[0.5] * columns) if plan.half_widths else (),
    )
    if own is None:
        return wider, None
    indicator = np.zeros((len(own.phenotype), columns))
    if me in others:
        indicator[:, others.index(me)] = 1.0
    return wider, replace(own, covariates=np.column_stack([own.covariates, indicator]))
