"""A column for each site but the first: differences between sites do not count as effects of covariates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.association import MAX_COVARIATES
from mpcstats.stats.contributions.regression import RegressionContribution, RegressionPlan

__all__ = ["with_site_indicators"]


def with_site_indicators(
    plan: RegressionPlan,
    own: RegressionContribution | None,
    dealers: tuple[int, ...],
    names: Sequence[str],
    me: int,
) -> tuple[RegressionPlan, RegressionContribution | None]:
    """Plan and own contribution with 0/1 columns "site=NAME" behind the others. Local.

    Raises
    ------
    SpecError
        Too many columns, or no intercept that they would differ from.
    """
    others = dealers[1:]
    if not plan.intercept:
        raise SpecError("site indicators need the intercept, which stands for the first site")
    if len(plan.covariates) + len(others) > MAX_COVARIATES:
        raise SpecError(
            f"{len(plan.covariates)} columns and {len(others)} site indicators are more than {MAX_COVARIATES}"
        )
    first, place = len(plan.covariates), len(plan.levels)
    columns = len(others)
    wider = replace(
        plan,
        covariates=(*plan.covariates, *(f"site={names[k - 1]}" for k in others)),
        centers=(*plan.centers, *[0.5] * columns),
        half_widths=(*plan.half_widths, *[0.5] * columns),
        few_levels=(*plan.few_levels, *[(0.0, 1.0)] * columns),
        terms=(*plan.terms, *([("site", tuple(range(first, first + columns)))] if columns else [])),
        levels=(*plan.levels, len(dealers)),
        column_levels=(*plan.column_levels[:-1], *[(place,)] * columns, plan.column_levels[-1]),
        patterns=(*plan.patterns, place) if plan.patterns else (),
    )
    if own is None:
        return wider, None
    indicator = np.zeros((own.people, columns))
    if me in others:
        indicator[:, others.index(me)] = 1.0
    site = np.full((own.people, 1), dealers.index(me), np.int64)
    return wider, replace(own, columns=np.hstack([own.columns, indicator]), codes=np.hstack([own.codes, site]))
