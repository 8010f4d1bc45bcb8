"""Linear, logistic and Poisson regression over sites."""

from __future__ import annotations

from mpcstats.stats.regression.joint import joint_regression
from mpcstats.stats.regression.options import RegressionOptions, Robust

__all__ = ["RegressionOptions", "Robust", "joint_regression"]
