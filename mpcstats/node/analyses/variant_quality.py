"""Quality control of variants and contingency tests at a node: people in both the table and the genotypes; the runs."""

from __future__ import annotations

import math

import numpy as np

from mpcstats.node.analyses.base import KAPPA, NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.linkage import linked_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.association.contingency import ContingencyOptions, joint_contingency
from mpcstats.stats.association.contingency_shares import MASKS_PER_VARIANT
from mpcstats.stats.association.labels import unnamed_variants
from mpcstats.stats.association.variant_filters import VariantFilters
from mpcstats.stats.association.variant_quality import joint_variant_quality
from mpcstats.stats.contributions.variants import VariantContribution, VariantPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.variant_quality import ContingencySpec, VariantQualitySpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]

_FLOOR = 40
"""Bits of statistical security that a whole run keeps."""


def _prepare(
    spec: VariantQualitySpec | ContingencySpec,
    plan: VariantPlan,
    records: Records,
    dictionary: Dictionary,
    party: str,
) -> tuple[VariantContribution, Preparation]:
    """People whose id is in the table and in the genotypes, with a value of the phenotype if one is named; missing
    calls stay -1."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    people = linked_people(frame, records, plan.variant_digest, plan.variant_count, party)
    group = np.zeros(len(people.rows), np.int8)
    if plan.phenotype is not None:
        values = frame[plan.phenotype].to_numpy(dtype=np.float64)[people.rows]
        group = (values == plan.case_value).astype(np.int8)
    return VariantContribution(group, people.read), people.report


def _filters(spec: VariantQualitySpec | ContingencySpec) -> VariantFilters:
    return VariantFilters(maf=spec.maf, mac=spec.mac, geno=spec.geno, hwe=spec.hwe)


async def _run_quality(run: Run[VariantQualitySpec, VariantPlan, VariantContribution]) -> Outcome:
    labels = unnamed_variants(run.plan.variant_count) if run.variants is None else run.variants
    return await joint_variant_quality(
        run.session, run.plan, run.own, run.dealers, run.ruling, _filters(run.spec), labels
    )


async def _run_contingency(run: Run[ContingencySpec, VariantPlan, VariantContribution]) -> Outcome:
    spec = run.spec
    options = ContingencyOptions(
        tests=spec.tests,
        hits=spec.release == "hits",
        deciding=spec.deciding,
        threshold=spec.threshold,
        conf_level=spec.conf_level,
        fisher=spec.fisher,
        filters=_filters(spec),
    )
    labels = unnamed_variants(run.plan.variant_count) if run.variants is None else run.variants
    return await joint_contingency(run.session, run.plan, run.own, run.dealers, run.ruling, options, labels)


def _kappa(_spec: ContingencySpec, plan: VariantPlan, _sites: int) -> int:
    """Such that statistics of all variants on shares keep the floor in total."""
    return max(KAPPA, _FLOOR + math.ceil(math.log2(MASKS_PER_VARIANT * plan.variant_count)))


NODE_ANALYSES = (
    NodeAnalysis(VariantQualitySpec, VariantContribution, _prepare, _run_quality),
    NodeAnalysis(ContingencySpec, VariantContribution, _prepare, _run_contingency, _kappa),
)
