"""Tests of contingency tables at a node: people per cell of the own table; the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, ReleasedCells, Run
from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.records.cells import cell_counts, cell_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.table_test import TableTestContribution, TableTestPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.joint_table_test import joint_table_test
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.table_statistic import table_or_statistic
from mpcstats.study.analyses.table_test import TableTestSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.types import DisclosureRules

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: TableTestSpec, plan: TableTestPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[TableTestContribution, Preparation]:
    counts, report = cell_counts(records, dictionary, spec.where, plan.names, plan.levels, party)
    return TableTestContribution(counts), report


async def _run(run: Run[TableTestSpec, TableTestPlan, TableTestContribution]) -> Outcome:
    return await joint_table_test(run.session, run.plan, run.own, run.dealers, run.ruling, run.spec.mode)


def _to_some(spec: TableTestSpec, rules: DisclosureRules) -> bool:
    """Without a threshold the statistic waits for how many rows and columns have people."""
    return rules.minimum_count > 0 or (rules.rounding_base == 1 and spec.mode != "statistic")


def _sets(plan: TableTestPlan) -> NDArray[np.int64]:
    return np.arange(np.prod(plan.shape, dtype=np.int64)).reshape(1, -1)


def _axes(plan: TableTestPlan) -> tuple[int, ...]:
    return plan.shape


def _people(spec: TableTestSpec, plan: TableTestPlan, records: Records, dictionary: Dictionary, party: str) -> Snapshot:
    return cell_people(records, dictionary, spec.where, plan.names, plan.levels, party)


def _shown(plan: TableTestPlan, _outcome: Outcome) -> NDArray[np.bool_]:
    # a test of a table with hidden cells is refused after the others were opened: that entry is never completed
    return np.ones(np.prod(plan.shape, dtype=np.int64), np.bool_)


def _leaves(spec: TableTestSpec, plan: TableTestPlan, ruling: Ruling) -> bool:
    return table_or_statistic(plan.test, spec.mode, ruling) == "table"


NODE_ANALYSES = (
    NodeAnalysis(
        TableTestSpec,
        TableTestContribution,
        _prepare,
        _run,
        released=ReleasedCells(_sets, _axes, _people, _shown, _leaves),
        to_some=_to_some,
    ),
)
