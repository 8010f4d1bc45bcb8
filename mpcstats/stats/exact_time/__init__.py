"""Survival analysis of times that stay hidden: records are shared, and the sites' sorted lists merged obliviously.

For times that no lattice can show: nobody learns at which times people left, only what was asked for. After the merge
the row's place is the number of people at risk, so curves are linear in the shared event bits; see `rows`.
"""

from __future__ import annotations

from mpcstats.stats.exact_time.joint import joint_exact_time
from mpcstats.stats.exact_time.rows import check_rows

__all__ = ["check_rows", "joint_exact_time"]
