"""Studies, approvals, rosters: what may be computed, by whom."""
