"""Two populations with unequal shares of cases: a scan is inflated, and its first principal component sets it right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.association.linear import joint_linear_scan
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.principal_components import ComponentOptions, fit_components, with_components
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from tests.stats.r_truth import SHARED

COHORT = SHARED / "data" / "genotype" / "chr10_cc"
MEAN = ScanOptions(missing="mean")


@pytest.mark.long
@pytest.mark.skipif(not COHORT.exists(), reason="needs the cohort chr10_cc, which is not shipped")
def test_a_component_removes_the_confounding() -> None:
    from bed_reader import open_bed

    calls = open_bed(COHORT / "chr10_cc.bed").read(dtype="int8")
    calls[calls == -127] = -1
    case = pd.read_csv(COHORT / "chr10_cc.fam", sep=r"\s+", header=None)[5].to_numpy(dtype=float) - 1
    stratum = pd.read_csv(COHORT / "chr10_cc.cov", sep="\t")["STRATUM_JPT"].to_numpy(dtype=float)
    site = np.random.default_rng(2).integers(0, 3, len(case))
    plan = AssociationPlan("case", (), calls.shape[1], "0" * 64)
    variants = pd.DataFrame({"chrom": "10", "pos": np.arange(calls.shape[1]), "id": "v", "ref": "A", "alt": "C"})
    ruling, dealers = Ruling(Policy.preset("open").rules, {}), (1, 2, 3)

    async def program(session: Session) -> tuple[Outcome, Outcome, np.ndarray]:
        who = site == session.index - 1
        own = AssociationContribution(case[who], np.zeros((who.sum(), 0)), lambda a, b: calls[who][:, a:b])
        plain = await joint_linear_scan(session, plan, own, dealers, ruling, variants, MEAN)
        options = ComponentOptions(count=1, oversampling=7, iterations=5, step=4)
        components = await fit_components(session, plan, own, dealers, ruling, options)
        longer, more = with_components(plan, own, components)
        adjusted = await joint_linear_scan(session, longer, more, dealers, ruling, variants, MEAN)
        return plain, adjusted, components.scores[:, 0]

    found = run_parties(Committee(3, 1), program, kappa=72, patience_seconds=250)
    scores = np.empty(len(case))
    for k in range(3):
        scores[site == k] = found[k][2]
    assert abs(np.corrcoef(scores, stratum)[0, 1]) > 0.98
    # of all variants; 1.76 and 1.01 of those with a minor allele frequency of 0.05
    assert found[0][0].values["lambda_gc"] == pytest.approx(1.710, abs=0.002)
    assert 0.99 < found[0][1].values["lambda_gc"] < 1.02
