"""Competing risks at a node: how people leave, counted on the lattice of times; the runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, Run, to_any, with_exact_curve
from mpcstats.node.analyses.survival import lattice_times, refuse_late_entries
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
from mpcstats.stats.competing_risks.joint import joint_cumulative_incidence, joint_gray
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.competing_risks import CompetingRisksSpec, CumulativeIncidenceSpec, GraySpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES", "prepare_causes"]


def prepare_causes(
    spec: CompetingRisksSpec, plan: CompetingRisksPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CompetingRisksContribution, Preparation]:
    """Rows that `where` selects, without those that lack `by` or a stratum; times as in survival analyses."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    strata, causes, groups, points = plan.shape
    group = positions(frame[plan.by], plan.groups) if plan.by is not None else np.zeros(len(frame), dtype=np.int64)
    stratum = _strata(spec, frame, dictionary)
    complete = selected & (group >= 0) & (stratum >= 0)
    for name in (spec.time, spec.event, *([plan.entry] if plan.entry is not None else [])):
        if spec.missing == "refuse":
            refuse_missing(frame, name, party)
        complete &= frame[name].notna().to_numpy()
    refuse_several_rows_per_person(records, dictionary, "an analysis of competing risks", party)
    time = lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)
    entered = None
    if plan.entry is not None:
        entry = lattice_times(frame[plan.entry].to_numpy(dtype=np.float64), plan, plan.entry, party)
        late = (entry >= time) & frame[[spec.time, plan.entry]].notna().all(axis=1).to_numpy()
        if spec.missing == "refuse":
            refuse_late_entries(late, plan.entry, spec.time, party)
        complete &= ~late
        entered = _count((group, entry), complete, (groups, points))
    # the last way to leave is to be censored
    way = np.full(len(frame), causes, dtype=np.int64)
    for number, values in enumerate(plan.cause_values):
        way[positions(frame[plan.event], values) >= 0] = number
    left = _count((stratum, way, group, time), complete, (strata, causes + 1, groups, points))
    return CompetingRisksContribution(left[:, :-1], left[:, -1], entered), report(selected, complete)


def _strata(spec: CompetingRisksSpec, frame: pd.DataFrame, dictionary: Dictionary) -> NDArray[np.int64]:
    """The stratum of each row in the order of the plan's names; -1 where a column is missing."""
    stratum, known = np.zeros(len(frame), dtype=np.int64), np.ones(len(frame), dtype=np.bool_)
    for name in spec.strata if isinstance(spec, GraySpec) else ():
        levels = dictionary.column(name).levels or ()
        place = positions(frame[name], levels)
        stratum, known = stratum * len(levels) + place, known & (place >= 0)
    return np.where(known, stratum, -1)


def _count(axes: tuple[NDArray[np.int64], ...], chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.int64]:
    cell = np.ravel_multi_index(tuple(axis[chosen] for axis in axes), shape)
    return np.bincount(cell, minlength=int(np.prod(shape))).astype(np.int64).reshape(shape)


async def _cumulative_incidence(
    run: Run[CumulativeIncidenceSpec, CompetingRisksPlan, CompetingRisksContribution],
) -> Outcome:
    return await joint_cumulative_incidence(
        run.session,
        run.plan,
        run.own,
        run.dealers,
        run.ruling,
        conf_type=run.spec.conf_type,
        conf_level=run.spec.conf_level,
        variance=run.spec.variance,
        rho=run.spec.rho,
        time_label=run.spec.time,
    )


async def _gray(run: Run[GraySpec, CompetingRisksPlan, CompetingRisksContribution]) -> Outcome:
    return await joint_gray(run.session, run.plan, run.own, run.dealers, run.ruling, rho=run.spec.rho)


NODE_ANALYSES: tuple[NodeAnalysis[Any, Any, Any], ...] = (
    NodeAnalysis(
        CumulativeIncidenceSpec,
        CompetingRisksContribution,
        prepare_causes,
        _cumulative_incidence,
        to_some=with_exact_curve,
    ),
    NodeAnalysis(GraySpec, CompetingRisksContribution, prepare_causes, _gray, to_some=to_any),
)
