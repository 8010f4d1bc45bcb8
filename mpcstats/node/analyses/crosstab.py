"""Cross-tabulations at a node: people per cell of the own table; the run."""

from __future__ import annotations

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.cells import cell_counts
from mpcstats.node.datasource import Records
from mpcstats.node.rows import Preparation
from mpcstats.stats.contributions.crosstab import CrosstabContribution, CrosstabPlan
from mpcstats.stats.crosstab import joint_crosstab
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.crosstab import CrosstabSpec
from mpcstats.study.dictionary import Dictionary

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CrosstabSpec, plan: CrosstabPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CrosstabContribution, Preparation]:
    names, levels = (plan.rows, plan.columns), (plan.row_levels, plan.column_levels)
    counts, report = cell_counts(records, dictionary, spec.where, names, levels, party)
    return CrosstabContribution(counts), report


async def _run(run: Run[CrosstabSpec, CrosstabPlan, CrosstabContribution]) -> Outcome:
    return await joint_crosstab(run.session, run.plan, run.own, run.dealers, run.ruling)


NODE_ANALYSES = (NodeAnalysis(CrosstabSpec, CrosstabContribution, _prepare, _run),)
