"""Genetic association at a node: people in both the table and the genotypes; the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mpcstats.node.analyses.base import KAPPA, NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.linkage import linked_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.association.labels import unnamed_variants
from mpcstats.stats.association.linear import joint_linear_scan, plan_kappa
from mpcstats.stats.association.logistic import FitBlock, LogisticOptions, joint_logistic_scan
from mpcstats.stats.association.logistic import plan_kappa as logistic_kappa
from mpcstats.stats.association.options import ScanOptions, refuse_too_much
from mpcstats.stats.association.principal_components import ComponentOptions, fit_components, with_components
from mpcstats.stats.association.store import Block, BlockStore
from mpcstats.stats.association.variant_filters import VariantFilters
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.stored_table import TableWriter
from mpcstats.study.analyses.association import GwasSpec
from mpcstats.study.analyses.gwas_meta import GwasMetaSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES", "prepare_association"]


def prepare_association(
    spec: GwasSpec | GwasMetaSpec, plan: AssociationPlan, records: Records, dictionary: Dictionary, party: str
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
    spec, ruling = run.spec, run.ruling
    labels = unnamed_variants(run.plan.variant_count) if run.variants is None else run.variants
    common: dict[str, Any] = {
        "missing": spec.missing,
        "release": spec.release,
        "threshold": spec.threshold,
        "genomic_control": spec.genomic_control,
        "site_indicators": spec.site_indicators,
        "filters": VariantFilters(spec.maf, spec.mac, spec.geno, spec.hwe),
    }
    plan, own, ancestry = await _with_ancestry(run, ScanOptions(**common))
    if spec.model == "linear":
        options, store = ScanOptions(**common), BlockStore(run.scratch)
        writer = TableWriter(run.results)
        scan = joint_linear_scan(run.session, plan, own, run.dealers, ruling, labels, options, store, writer)
        return _with_conventions(await scan, ancestry)
    wanted = LogisticOptions(**common, method=spec.method, ci=spec.ci)
    fits = wanted.release == "all" and wanted.method != "score"
    store = BlockStore(run.scratch, FitBlock if fits else Block)
    found = await joint_logistic_scan(run.session, plan, own, run.dealers, ruling, labels, wanted, store)
    return _with_conventions(found, ancestry)


async def _with_ancestry(
    run: Run[GwasSpec, AssociationPlan, AssociationContribution], options: ScanOptions
) -> tuple[AssociationPlan, AssociationContribution | None, dict[str, str]]:
    """Plan and own people with principal components as covariates, if asked for, and how they were found."""
    if not run.spec.principal_components:
        return run.plan, run.own, {}
    refuse_too_much(options, run.ruling)
    wanted = ComponentOptions(count=run.spec.principal_components)
    found = await fit_components(run.session, run.plan, run.own, run.dealers, run.ruling, wanted)
    plan, own = with_components(run.plan, run.own, found)
    return plan, own, {f"components: {name}": text for name, text in found.conventions.items()}


def _with_conventions(outcome: Outcome, more: dict[str, str]) -> Outcome:
    return replace(outcome, conventions=outcome.conventions | more)


def _kappa(spec: GwasSpec, plan: AssociationPlan, sites: int) -> int:
    further = spec.principal_components + (sites - 1 if spec.site_indicators else 0)
    if spec.model == "logistic":
        kappa = logistic_kappa(plan, spec.method, spec.release, further=further)
    else:
        kappa = plan_kappa(plan, further=further)
    # components have few masks of their own, but a scan of few variants has fewer
    return max(kappa, KAPPA) + 1 if spec.principal_components else kappa


NODE_ANALYSES = (NodeAnalysis(GwasSpec, AssociationContribution, prepare_association, _run, _kappa),)
