"""Kaplan-Meier curves and everything that is read off them, from opened pooled counts: plain float64 arithmetic.

Conventions are those of R's `survival::survfit`: events come before censorings at the same time; people at risk at t
are those with entry < t <= exit; the standard error of S is Greenwood's; the confidence type is named, never guessed;
once S reaches 0 the standard error and the limits are NaN; while S is 1 the limits are 1 for `log` and `plain` and NaN
for `log-log`, `logit` and `arcsin`.

`survival_table` and `rounded_survival_table` make curves; `quantiles`, `survival_at`, `hazard_table` and
`restricted_mean` read any of them, exact or rounded, and `derived_tables` all of that for all groups.
"""

from __future__ import annotations

from mpcstats.stats.kaplan_meier.actuarial import LIFE_TABLE_COLUMNS, life_table
from mpcstats.stats.kaplan_meier.derived import derived_tables
from mpcstats.stats.kaplan_meier.hazard import HAZARD_TYPES, hazard_table
from mpcstats.stats.kaplan_meier.limits import CONFIDENCE_TYPES, log_standard_error
from mpcstats.stats.kaplan_meier.mean_time import compare_restricted_means, restricted_mean, upper_limit
from mpcstats.stats.kaplan_meier.quantile import QUANTILE_RULES, median_table, quantiles
from mpcstats.stats.kaplan_meier.rounded import ROUNDED_NOTE, rounded_survival_table, rounded_tables
from mpcstats.stats.kaplan_meier.tables import TABLE_COLUMNS, labelled, survival_table, tables_from_counts
from mpcstats.stats.kaplan_meier.times import at_risk_at, survival_at
from mpcstats.stats.lattice import lattice_times

__all__ = [
    "CONFIDENCE_TYPES",
    "HAZARD_TYPES",
    "LIFE_TABLE_COLUMNS",
    "QUANTILE_RULES",
    "ROUNDED_NOTE",
    "TABLE_COLUMNS",
    "at_risk_at",
    "compare_restricted_means",
    "derived_tables",
    "hazard_table",
    "labelled",
    "lattice_times",
    "life_table",
    "log_standard_error",
    "median_table",
    "quantiles",
    "restricted_mean",
    "rounded_survival_table",
    "rounded_tables",
    "survival_at",
    "survival_table",
    "tables_from_counts",
    "upper_limit",
]
