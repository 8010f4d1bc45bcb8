"""Tests on means and variances of groups: t, analysis of variance, F, Bartlett, Levene."""

from __future__ import annotations

from mpcstats.stats.mean_tests.joint import MeanTest, joint_mean_test

__all__ = ["MeanTest", "joint_mean_test"]
