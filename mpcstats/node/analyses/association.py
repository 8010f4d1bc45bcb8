"""Genetic association at a node: people in both the table and the genotypes; the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.checks import check_records
from mpcstats.node.datasource import Records
from mpcstats.node.linkage import linked_people
from mpcstats.node.rows import Preparation
from mpcstats.sharing.committee import MAX_PARTIES
from mpcstats.stats.association.linear import joint_linear_scan, plan_kappa
from mpcstats.stats.association.logistic import FitBlock, LogisticOptions, joint_logistic_scan
from mpcstats.stats.association.logistic import plan_kappa as logistic_kappa
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.store import Block, BlockStore
from mpcstats.stats.association.variant_filters import VariantFilters
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.stored_table import TableWriter
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
    phenotype = frame[spec.phenotype].to_numpy(dtype=np.float64)[people.rows]
    if plan.case_value is not None:
        phenotype = (phenotype == plan.case_value).astype(np.float64)
    contribution = AssociationContribution(
        phenotype=phenotype,
        covariates=frame[list(spec.covariates)].to_numpy(dtype=np.float64)[people.rows],
        read=people.read,
        origin=people.origin,
    )
    return contribution, people.report


async def _run(run: Run[GwasSpec, AssociationPlan, AssociationContribution]) -> Outcome:
    spec, own, ruling = run.spec, run.own, run.ruling
    labels = _unlabelled(run.plan.variant_count) if run.variants is None else run.variants
    common: dict[str, Any] = {
        "missing": spec.missing,
        "release": spec.release,
        "threshold": spec.threshold,
        "genomic_control": spec.genomic_control,
        "site_indicators": spec.site_indicators,
        "filters": VariantFilters(spec.maf, spec.mac, spec.geno, spec.hwe),
    }
    if spec.model == "linear":
        options, store = ScanOptions(**common), BlockStore(run.scratch)
        writer = TableWriter(run.results)
        return await joint_linear_scan(run.session, run.plan, own, run.dealers, ruling, labels, options, store, writer)
    wanted = LogisticOptions(**common, method=spec.method, ci=spec.ci)
    fits = wanted.release == "all" and wanted.method != "score"
    store = BlockStore(run.scratch, FitBlock if fits else Block)
    return await joint_logistic_scan(run.session, run.plan, own, run.dealers, ruling, labels, wanted, store)


def _unlabelled(count: int) -> pd.DataFrame:
    """A party without data has no variant table: it numbers the variants."""
    return pd.DataFrame({"chrom": "", "pos": 0, "id": [str(k + 1) for k in range(count)], "ref": "", "alt": ""})


def _kappa(spec: GwasSpec, plan: AssociationPlan) -> int:
    # how many sites there are is not in the plan: as many as a committee can have
    further = MAX_PARTIES - 1 if spec.site_indicators else 0
    if spec.model == "logistic":
        return logistic_kappa(plan, spec.method, spec.release, further=further)
    return plan_kappa(plan, further=further)


NODE_ANALYSES = (NodeAnalysis(GwasSpec, AssociationContribution, _prepare, _run, _kappa),)
