"""The two steps that every proportional-hazards fit begins with: standardised columns, and Newton's method on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session, local
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox.by_site import BySite
from mpcstats.stats.cox.cohort import Cohort, survey
from mpcstats.stats.cox.newton import Fit, newton
from mpcstats.stats.cox.pooled import COEFFICIENT_BITS
from mpcstats.stats.cox.pooled_model import Pooled
from mpcstats.stats.cox.release import Digits
from mpcstats.stats.disclosure import Ruling

__all__ = ["maximum", "rounding_lines", "standardised"]


async def standardised(
    session: Session, plan: CoxPlan, own: CoxContribution | None, dealers: tuple[int, ...], ruling: Ruling
) -> tuple[Cohort, NDArray[np.float64] | None]:
    """The cohort, and this site's columns in units of its rough means and spreads; see `survey`."""
    scaled = None if own is None else await local(session, own.scaled, plan)
    cohort = await survey(session, plan, scaled, own, dealers, ruling)
    return cohort, None if scaled is None else (scaled - cohort.middle) / cohort.spread


async def maximum(session: Session, model: BySite | Pooled, plan: CoxPlan, cohort: Cohort, digits: Digits) -> Fit:
    """Where the partial likelihood is largest; see `newton`."""
    width = cohort.ranges[1] - cohort.ranges[0]
    fit = await newton(model.evaluate, plan.covariates, width, 2.0**-COEFFICIENT_BITS, digits.relative)
    session.progress(f"{fit.iterations} iterations")
    return fit


def rounding_lines(ruling: Ruling) -> list[str]:
    """What is said where numbers of people and events are rounded."""
    if ruling.rules.rounding_base == 1:
        return []
    return [f"numbers of people and events are rounded ({ruling.cite('rounding_base')})"]
