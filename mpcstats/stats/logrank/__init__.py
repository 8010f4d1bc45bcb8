"""Tests of the log-rank family from opened pooled counts, or from a score and its covariance that were computed on
shares.

A test is made in two steps: `stratum_scores` turns the counts of one stratum into observed and expected events and
the covariance of their difference; `logrank_from_scores` makes chi-square, p and the printed columns of the sums over
strata. Whoever has the sums from elsewhere takes the second step alone. Conventions are those of R's `survdiff`.
"""

from __future__ import annotations

from mpcstats.stats.logrank.compare import (
    PAIRWISE_COLUMNS,
    TrendTest,
    logrank_test,
    pairwise_tests,
    trend_from_scores,
    trend_test,
)
from mpcstats.stats.logrank.scores import Scores, pooled_scores, stratum_scores
from mpcstats.stats.logrank.verdict import (
    GROUP_COLUMNS,
    LogrankTest,
    logrank_from_chi_square,
    logrank_from_scores,
)
from mpcstats.stats.logrank.weights import WEIGHT_ALIASES, WEIGHTS, event_weights, weights_named, weights_text
from mpcstats.stats.tails import log_chi_square_tail

__all__ = [
    "GROUP_COLUMNS",
    "PAIRWISE_COLUMNS",
    "WEIGHTS",
    "WEIGHT_ALIASES",
    "LogrankTest",
    "Scores",
    "TrendTest",
    "event_weights",
    "log_chi_square_tail",
    "logrank_test",
    "pairwise_tests",
    "pooled_scores",
    "stratum_scores",
    "logrank_from_chi_square",
    "logrank_from_scores",
    "trend_from_scores",
    "trend_test",
    "weights_named",
    "weights_text",
]
