"""Principal components at a node: people in both the table and the genotypes; the run."""

from __future__ import annotations

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.labels import labels_of
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.linkage import linked_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.association.joint_components import joint_principal_components
from mpcstats.stats.association.principal_components import ComponentOptions
from mpcstats.stats.contributions.variants import VariantContribution, VariantPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.components import PrincipalComponentsSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: PrincipalComponentsSpec, plan: VariantPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[VariantContribution, Preparation]:
    """People whose id is in the table and in the genotypes; missing calls stay -1."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    people = linked_people(frame, records, plan.variant_digest, plan.variant_count, party)
    return VariantContribution(np.zeros(len(people.rows), np.int8), people.read), people.report


async def _run(run: Run[PrincipalComponentsSpec, VariantPlan, VariantContribution]) -> Outcome:
    spec = run.spec
    options = ComponentOptions(spec.components, spec.oversampling, spec.iterations, spec.maf, spec.call_rate, spec.step)
    labels = labels_of(run.variants, run.plan.variant_count)
    return await joint_principal_components(run.session, run.plan, run.own, run.dealers, run.ruling, labels, options)


NODE_ANALYSES = (NodeAnalysis(PrincipalComponentsSpec, VariantContribution, _prepare, _run),)
