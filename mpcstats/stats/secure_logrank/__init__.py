"""Tests of the log-rank family whose counts stay on shares: only chi-square and its degrees of freedom are opened.

`joint_logrank_statistic` is the analysis, `weighted_moments` the arithmetic on shared counts, `quadratic_form` in
`mpcstats.protocols.quadratic` the last step. Weights have the names and definitions of the test from opened counts.
"""

from __future__ import annotations

from mpcstats.stats.secure_logrank.joint import joint_logrank_statistic
from mpcstats.stats.secure_logrank.moments import Moments, weighted_moments
from mpcstats.stats.secure_logrank.verdict import Verdict, compare_groups, trend_over_groups
from mpcstats.stats.secure_logrank.weights import Weights, secure_weights

__all__ = [
    "Moments",
    "Verdict",
    "Weights",
    "joint_logrank_statistic",
    "compare_groups",
    "trend_over_groups",
    "weighted_moments",
    "secure_weights",
]
