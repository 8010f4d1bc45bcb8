"""Survival with hidden times at a node: time, event and group of each person; the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpcstats.errors import DataError
from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.survival import lattice_times
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import (
    Preparation,
    positions,
    refuse_missing,
    refuse_several_rows_per_person,
    report,
    selected_rows,
)
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.exact_time import ExactTimeContribution, ExactTimePlan
from mpcstats.stats.exact_time import joint_exact_time
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.exact_time import ExactTimeSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: ExactTimeSpec, plan: ExactTimePlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[ExactTimeContribution, Preparation]:
    """Rows that `where` selects, without those that lack `by`; times as in other survival analyses. A table with more
    rows than the plan has room for is refused, whatever `where` selects."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    if len(frame) > plan.rows:
        raise DataError(
            f"the table has {len(frame):,} rows, where the study has room for {plan.rows:,} of each party (whatever a "
            "filter selects)",
            party=party,
            hint="agree on more rows; or kaplan-meier and logrank, which count people on a lattice of times",
        )
    selected = selected_rows(spec.where, frame)
    complete = selected.copy()
    for name in (spec.time, spec.event):
        if spec.missing == "refuse":
            refuse_missing(frame, name, party)
        complete &= frame[name].notna().to_numpy()
    group = np.zeros(len(frame), dtype=np.int64)
    if plan.by is not None:
        group = positions(frame[plan.by], plan.groups)
        complete &= group >= 0
    refuse_several_rows_per_person(records, dictionary, "a survival analysis", party)
    time = lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)
    happened = positions(frame[plan.event], plan.event_values) >= 0
    own = ExactTimeContribution(time[complete], happened[complete], group[complete])
    return own, report(selected, complete)


async def _run(run: Run[ExactTimeSpec, ExactTimePlan, ExactTimeContribution]) -> Outcome:
    spec = run.spec
    trend = spec.trend_scores or (tuple(range(1, run.plan.group_count + 1)) if spec.trend else None)
    outcome = await joint_exact_time(
        run.session,
        run.plan,
        run.own,
        run.dealers,
        run.ruling,
        landmarks=spec.times,
        medians=spec.medians,
        logrank=spec.tested,
        weights=spec.weights,
        trend=trend,
        conf_level=spec.conf_level,
    )
    return replace(outcome, values=outcome.values | {"time_label": spec.time})


NODE_ANALYSES = (NodeAnalysis(ExactTimeSpec, ExactTimeContribution, _prepare, _run),)
