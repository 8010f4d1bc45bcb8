"""Rank tests of pooled people, from histograms on a public lattice of values."""

from __future__ import annotations

from mpcstats.stats.rank.joint import RankOptions, joint_kruskal, joint_mannwhitney, joint_signed_rank
from mpcstats.stats.rank.kolmogorov import joint_kolmogorov_smirnov

__all__ = ["RankOptions", "joint_kolmogorov_smirnov", "joint_kruskal", "joint_mannwhitney", "joint_signed_rank"]
