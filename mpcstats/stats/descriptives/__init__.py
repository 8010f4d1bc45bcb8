"""Descriptive statistics of numeric columns in groups: moments, quantiles, histograms, missing values."""

from __future__ import annotations

from mpcstats.stats.descriptives.joint import joint_describe
from mpcstats.stats.descriptives.options import DescribeOptions

__all__ = ["DescribeOptions", "joint_describe"]
