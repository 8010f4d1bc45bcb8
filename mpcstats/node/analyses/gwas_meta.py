"""Meta-analysis of association scans at a node: the same people and columns as a joint scan."""

from __future__ import annotations

from mpcstats.node.analyses.association import prepare_association
from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.labels import labels_of
from mpcstats.stats.association.meta import joint_meta_analysis
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.gwas_meta import GwasMetaSpec

__all__ = ["NODE_ANALYSES"]


async def _run(run: Run[GwasMetaSpec, AssociationPlan, AssociationContribution]) -> Outcome:
    spec = run.spec
    options = ScanOptions(release=spec.release, threshold=spec.threshold, genomic_control=spec.genomic_control)
    labels = labels_of(run.variants, run.plan.variant_count)
    return await joint_meta_analysis(run.session, run.plan, run.own, run.dealers, run.ruling, labels, options)


NODE_ANALYSES = (NodeAnalysis(GwasMetaSpec, AssociationContribution, prepare_association, _run),)
