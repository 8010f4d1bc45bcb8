"""Descriptive statistics at a node."""

from __future__ import annotations

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.values import prepare_values
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.values import DescribePlan, ValuesContribution
from mpcstats.stats.descriptives import DescribeOptions, joint_describe
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.descriptives import DescribeSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: DescribeSpec, plan: DescribePlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[ValuesContribution, Preparation]:
    return prepare_values(plan, spec.where, columns_used(spec), records, dictionary, party, "a description")


async def _run(run: Run[DescribeSpec, DescribePlan, ValuesContribution]) -> Outcome:
    spec = run.spec
    options = DescribeOptions(
        quantiles=spec.quantiles,
        quantile_type=spec.quantile_type,
        conf_level=spec.conf_level,
        shape=spec.shape,
        mad=spec.mad,
        breaks=spec.breaks,
    )
    return await joint_describe(run.session, run.plan, run.own, run.dealers, run.ruling, options)


NODE_ANALYSES = (NodeAnalysis(DescribeSpec, ValuesContribution, _prepare, _run),)
