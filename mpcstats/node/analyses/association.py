"""Genetic association at a node: people in both the table and the genotypes; the run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.checks import check_records
from mpcstats.node.datasource import Records
from mpcstats.node.linkage import linked_people
from mpcstats.node.rows import Preparation
from mpcstats.sharing.committee import MAX_PARTIES
from mpcstats.stats.association.linear import joint_linear_scan, plan_kappa
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.store import BlockStore
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.association import GwasSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: GwasSpec, plan: AssociationPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[AssociationContribution, Preparation]:
    """People whose id is in the table and in the genotypes, with phenotype and all covariates (complete cases);
    missing calls stay -1. A phenotype of -9 is the number -9: PLINK's code for "missing" has no meaning in these
    tables, where missing cells are empty or NA."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    people = linked_people(frame, records, plan.variant_digest, plan.variant_count, party)
    contribution = AssociationContribution(
        phenotype=frame[spec.phenotype].to_numpy(dtype=np.float64)[people.rows],
        covariates=frame[list(spec.covariates)].to_numpy(dtype=np.float64)[people.rows],
        read=people.read,
        origin=people.origin,
    )
    return contribution, people.report


async def _run(run: Run[GwasSpec, AssociationPlan, AssociationContribution]) -> Outcome:
    labels = _unlabelled(run.plan.variant_count) if run.variants is None else run.variants
    spec = run.spec
    options = ScanOptions(spec.missing, spec.release, spec.threshold, spec.genomic_control, spec.site_indicators)
    return await joint_linear_scan(
        run.session, run.plan, run.own, run.dealers, run.ruling, labels, options, BlockStore(run.scratch)
    )


def _unlabelled(count: int) -> pd.DataFrame:
    """A party without data has no variant table: it numbers the variants."""
    return pd.DataFrame({"chrom": "", "pos": 0, "id": [str(k + 1) for k in range(count)], "ref": "", "alt": ""})


def _kappa(spec: GwasSpec, plan: AssociationPlan) -> int:
    # how many sites there are is not in the plan: as many as a committee can have
    return plan_kappa(plan, further=MAX_PARTIES - 1 if spec.site_indicators else 0)


NODE_ANALYSES = (NodeAnalysis(GwasSpec, AssociationContribution, _prepare, _run, _kappa),)
