"""A plan knows its bounded masks: kappa is chosen so that 40 bits are left whatever the data are."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from mpcstats.field import M127
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.sharing.fixedpoint import headroom_bits
from mpcstats.stats.association.linear import plan_kappa
from mpcstats.stats.association.missing import missing_openings


@pytest.mark.parametrize("covariates", [0, 1, 10])
@pytest.mark.parametrize("variants", [0, 1, 7, 1000, 10**6])
def test_a_scan_with_missing_calls_everywhere_keeps_forty_bits(variants: int, covariates: int) -> None:
    plan: Any = SimpleNamespace(variant_count=variants, covariates=tuple(range(covariates)))
    masks, kappa = missing_openings(covariates + 1, variants), plan_kappa(plan)
    assert kappa - math.log2(max(1, masks)) >= 40
    assert kappa - math.log2(max(1, masks)) < 42 or variants <= 1  # and no more: it would cost fraction bits
    for m in range(3, 10):
        committee = Committee(m, default_threshold(m))
        assert headroom_bits(M127, len(committee.subsets), kappa) >= 48  # the solver's 20 fraction bits fit
