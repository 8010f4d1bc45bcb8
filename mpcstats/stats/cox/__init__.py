"""Cox regression over sites."""

from __future__ import annotations

from mpcstats.stats.cox.joint import joint_cox, plan_kappa
from mpcstats.stats.cox.plan import CoxContribution, CoxOptions, CoxPlan, Term

__all__ = ["CoxContribution", "CoxOptions", "CoxPlan", "Term", "joint_cox", "plan_kappa"]
