"""Missing values at a node: people without a value, per column and group of the own table."""

from __future__ import annotations

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run, to_any
from mpcstats.node.analyses.values import groups_of_rows
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.missingness import MissingnessContribution, MissingnessPlan
from mpcstats.stats.missingness import joint_missingness
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.missingness import MissingnessSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: MissingnessSpec, plan: MissingnessPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[MissingnessContribution, Preparation]:
    """Rows that `where` selects and that have a group."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    refuse_several_rows_per_person(records, dictionary, "a table of missing values", party)
    selected = selected_rows(spec.where, frame)
    group = groups_of_rows(frame, plan.by, plan.levels)
    used = selected & (group >= 0)
    gone = frame[list(plan.columns)].isna().to_numpy().T
    masks = [*gone, gone.any(axis=0), np.ones(len(frame), np.bool_)]
    counts = np.stack([np.bincount(group[used & mask], minlength=plan.shape[1]) for mask in masks])
    return MissingnessContribution(counts.astype(np.int64)), report(selected, used)


async def _run(run: Run[MissingnessSpec, MissingnessPlan, MissingnessContribution]) -> Outcome:
    return await joint_missingness(run.session, run.plan, run.own, run.dealers, run.ruling)


NODE_ANALYSES = (NodeAnalysis(MissingnessSpec, MissingnessContribution, _prepare, _run, to_some=to_any),)
