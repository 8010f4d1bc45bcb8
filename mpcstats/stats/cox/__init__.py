"""Cox regression over sites."""

from __future__ import annotations

from mpcstats.stats.cox.joint import joint_cox, plan_kappa
from mpcstats.stats.cox.options import CoxOptions

__all__ = ["CoxOptions", "joint_cox", "plan_kappa"]
