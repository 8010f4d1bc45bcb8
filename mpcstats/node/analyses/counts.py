"""Counts at a node: people per cell of the own table; the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, ReleasedCells, Run, to_any
from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.records.cells import cell_counts, cell_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.counts import joint_count
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.dictionary import Dictionary

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CountSpec, plan: CountPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CountContribution, Preparation]:
    counts, report = cell_counts(records, dictionary, spec.where, plan.by, plan.levels, party)
    return CountContribution(counts), report


async def _run(run: Run[CountSpec, CountPlan, CountContribution]) -> Outcome:
    return await joint_count(run.session, run.plan, run.own, run.dealers, run.ruling, run.noise)


def _sets(plan: CountPlan) -> NDArray[np.int64]:
    return np.arange(np.prod(plan.shape, dtype=np.int64)).reshape(1, -1)


def _axes(plan: CountPlan) -> tuple[int, ...]:
    return plan.shape


def _people(spec: CountSpec, plan: CountPlan, records: Records, dictionary: Dictionary, party: str) -> Snapshot:
    return cell_people(records, dictionary, spec.where, plan.by, plan.levels, party)


def _shown(_plan: CountPlan, outcome: Outcome) -> NDArray[np.bool_]:
    return (outcome.tables["counts"]["status"] == "released").to_numpy(dtype=np.bool_)


NODE_ANALYSES = (
    NodeAnalysis(
        CountSpec,
        CountContribution,
        _prepare,
        _run,
        released=ReleasedCells(_sets, _axes, _people, _shown),
        to_some=to_any,
        noisy=True,
    ),
)
