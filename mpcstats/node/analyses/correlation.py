"""Correlations at a node: places of each person's values; the run."""

from __future__ import annotations

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.correlation import CorrelationContribution, CorrelationPlan
from mpcstats.stats.correlation import CorrelationOptions, joint_correlation
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.correlation import CorrelationSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used
from mpcstats.types import DisclosureRules

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CorrelationSpec, plan: CorrelationPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CorrelationContribution, Preparation]:
    """Rows that `where` selects; a row counts for every pair of which it has both values."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    refuse_several_rows_per_person(records, dictionary, "a correlation", party)
    selected = selected_rows(spec.where, frame)
    places = np.full((len(plan.columns), int(selected.sum())), -1, np.int64)
    for k, name in enumerate(plan.columns):
        value = frame[name].to_numpy(dtype=np.float64)[selected]
        known = ~np.isnan(value)
        place = np.rint((value[known] - plan.lows[k]) / plan.steps[k])
        places[k, known] = np.clip(place, 0, plan.values[k] - 1).astype(np.int64)
    complete = selected.copy()
    complete[selected] = (places >= 0).all(0)
    return CorrelationContribution(places), report(selected, complete)


async def _run(run: Run[CorrelationSpec, CorrelationPlan, CorrelationContribution]) -> Outcome:
    spec = run.spec
    options = CorrelationOptions(spec.method, spec.adjust, spec.conf_level, spec.mode)
    return await joint_correlation(run.session, run.plan, run.own, run.dealers, run.ruling, options)


def _to_some(spec: CorrelationSpec, _rules: DisclosureRules) -> bool:
    """Ranks are made from what is opened of the values."""
    return spec.method == "pearson"


NODE_ANALYSES = (NodeAnalysis(CorrelationSpec, CorrelationContribution, _prepare, _run, to_some=_to_some),)
