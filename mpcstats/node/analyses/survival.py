"""Survival analyses at a node: events and censorings on the lattice of times; the runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.checks import TIME_TOLERANCE, check_records
from mpcstats.node.datasource import Records
from mpcstats.node.rows import (
    Preparation,
    positions,
    refuse_missing,
    refuse_several_rows_per_person,
    report,
    selected_rows,
)
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import joint_kaplan_meier, joint_logrank
from mpcstats.study.analyses.survival import KaplanMeierSpec, LogrankSpec, SurvivalSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES", "lattice_times", "prepare_counts"]


def prepare_counts(
    spec: SurvivalSpec, plan: SurvivalPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[SurvivalContribution, Preparation]:
    """Rows that `where` selects, without those that lack `by`; all times are whole multiples of the unit, from 0 to
    the plan's horizon."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    group = positions(frame[plan.by], plan.groups) if plan.by is not None else np.zeros(len(frame), dtype=np.int64)
    complete = selected & (group >= 0)
    for name in (spec.time, spec.event):
        if spec.missing == "refuse":
            refuse_missing(frame, name, party)
        complete &= frame[name].notna().to_numpy()
    refuse_several_rows_per_person(records, dictionary, "a survival analysis", party)
    time = lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)[complete]
    happened = (positions(frame[plan.event], plan.event_values) >= 0)[complete]
    cell = group[complete] * (plan.horizon + 1) + time
    size = plan.shape[0] * plan.shape[1]
    events = np.bincount(cell[happened], minlength=size).astype(np.int64).reshape(plan.shape)
    censored = np.bincount(cell[~happened], minlength=size).astype(np.int64).reshape(plan.shape)
    return SurvivalContribution(events, censored), report(selected, complete)


def lattice_times(time: NDArray[np.float64], plan: SurvivalPlan, name: str, party: str) -> NDArray[np.int64]:
    """Times in whole units (0 where missing); refuses what is negative, off the lattice or beyond the horizon."""
    negative = int((time < 0).sum())
    if negative:
        raise DataError(f"{negative} rows have a negative time in column {name!r}", party=party)
    units = np.nan_to_num(time) / plan.unit
    whole = np.rint(units)
    between = int((np.abs(units - whole) > TIME_TOLERANCE).sum())
    if between:
        raise DataError(
            f"{between} rows have a time in column {name!r} that is not a whole multiple of {plan.unit:g}",
            party=party,
            hint="set time_unit to the unit in which times were recorded, for example time_unit=0.5",
        )
    beyond = int((whole > plan.horizon).sum())
    if beyond:
        raise DataError(
            f"{beyond} rows have a time in column {name!r} beyond the end of the study's curve, "
            f"{plan.horizon} units of {plan.unit:g}",
            party=party,
            hint="widen the range of the column in the dictionary",
        )
    return whole.astype(np.int64)


async def _kaplan_meier(run: Run[KaplanMeierSpec, SurvivalPlan, SurvivalContribution]) -> Outcome:
    return await joint_kaplan_meier(
        run.session,
        run.plan,
        run.own,
        run.dealers,
        run.ruling,
        conf_type=run.spec.conf_type,
        conf_level=run.spec.conf_level,
        time_label=run.spec.time,
    )


async def _logrank(run: Run[LogrankSpec, SurvivalPlan, SurvivalContribution]) -> Outcome:
    return await joint_logrank(run.session, run.plan, run.own, run.dealers, run.ruling)


NODE_ANALYSES: tuple[NodeAnalysis[Any, Any, Any], ...] = (
    NodeAnalysis(KaplanMeierSpec, SurvivalContribution, prepare_counts, _kaplan_meier),
    NodeAnalysis(LogrankSpec, SurvivalContribution, prepare_counts, _logrank),
)
