"""Correlations of pooled people."""

from __future__ import annotations

from mpcstats.stats.correlation.joint import CorrelationOptions, joint_correlation

__all__ = ["CorrelationOptions", "joint_correlation"]
