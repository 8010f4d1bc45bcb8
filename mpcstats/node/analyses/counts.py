"""Counts at a node: people per cell of the own table; the run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.checks import check_records
from mpcstats.node.datasource import Records
from mpcstats.node.rows import Preparation, people_of_rows, positions, report, selected_rows
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.counts import joint_count
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CountSpec, plan: CountPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CountContribution, Preparation]:
    """Rows that `where` selects, by cell; a row without a value of `by` is in no cell. With `unit_of_count`, each
    person counts once per cell."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    cell = np.zeros(len(frame), dtype=np.int64)
    complete = selected.copy()
    for name, levels in zip(plan.by, plan.levels, strict=True):
        position = positions(frame[name], levels)
        complete &= position >= 0
        cell = cell * len(levels) + np.maximum(position, 0)
    cell = cell[complete]
    if dictionary.unit_of_count is not None:
        people = people_of_rows(records, dictionary.unit_of_count, party)[complete]
        cell = pd.DataFrame({"cell": cell, "person": people}).drop_duplicates()["cell"].to_numpy(dtype=np.int64)
    size = int(np.prod(plan.shape, dtype=np.int64))
    counts = np.bincount(cell, minlength=size).astype(np.int64).reshape(plan.shape)
    return CountContribution(counts), report(selected, complete)


async def _run(run: Run[CountSpec, CountPlan, CountContribution]) -> Outcome:
    return await joint_count(run.session, run.plan, run.own, run.dealers, run.ruling)


NODE_ANALYSES = (NodeAnalysis(CountSpec, CountContribution, _prepare, _run),)
