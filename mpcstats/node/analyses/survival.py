"""Survival analyses at a node: events and censorings on the lattice of times; the runs."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.analyses.base import NodeAnalysis, Run, to_any, with_exact_curve
from mpcstats.node.records.checks import TIME_TOLERANCE, check_records
from mpcstats.node.records.rows import (
    Preparation,
    positions,
    refuse_missing,
    refuse_several_rows_per_person,
    report,
    selected_rows,
)
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.lattice import on_grid
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import Readings, joint_kaplan_meier
from mpcstats.stats.survival_comparison import Comparison, joint_logrank
from mpcstats.study.analyses.survival import KaplanMeierSpec, LatticeSpec, LogrankSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES", "Lattice", "lattice_times", "prepare_counts", "refuse_late_entries"]


def prepare_counts(
    spec: LatticeSpec, plan: SurvivalPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[SurvivalContribution, Preparation]:
    """Rows that `where` selects, without those that lack `by` or a stratum; all times are whole multiples of the unit,
    from 0 to the plan's horizon, and entry comes before time."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    curve = _curves(frame, plan)
    complete = selected & (curve >= 0)
    for name in (spec.time, spec.event, *([plan.entry] if plan.entry is not None else [])):
        if spec.missing == "refuse":
            refuse_missing(frame, name, party)
        complete &= frame[name].notna().to_numpy()
    refuse_several_rows_per_person(records, dictionary, "a survival analysis", party)
    time = lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)
    happened = positions(frame[plan.event], plan.event_values) >= 0
    entry = None
    if plan.entry is not None:
        entry = lattice_times(frame[plan.entry].to_numpy(dtype=np.float64), plan, plan.entry, party)
        late = (entry >= time) & frame[[spec.time, plan.entry]].notna().all(axis=1).to_numpy()
        if spec.missing == "refuse":
            refuse_late_entries(late, plan.entry, spec.time, party)
        complete &= ~late
    cell = curve * (plan.horizon + 1)
    shape = (plan.curves, plan.horizon + 1)
    events, censored = (_table(cell + time, complete & chosen, shape) for chosen in (happened, ~happened))
    entered = None if entry is None else _table(cell + entry, complete, shape)
    if plan.grid is not None:
        events, censored, entered = on_grid(events, censored, plan.grid, unit=plan.unit, entered=entered)
    late_entries = None if entered is None else entered.reshape(plan.shape)
    own = SurvivalContribution(events.reshape(plan.shape), censored.reshape(plan.shape), late_entries)
    return own, report(selected, complete)


def _curves(frame: pd.DataFrame, plan: SurvivalPlan) -> NDArray[np.int64]:
    """The curve of each row, strata first; -1 where the group or a stratum is missing."""
    axes = list(zip(plan.strata, plan.strata_levels, strict=True))
    if plan.by is not None:
        axes.append((plan.by, plan.groups))
    curve, known = np.zeros(len(frame), dtype=np.int64), np.ones(len(frame), dtype=np.bool_)
    for name, levels in axes:
        place = positions(frame[name], levels)
        curve, known = curve * len(levels) + place, known & (place >= 0)
    return np.where(known, curve, -1)


def _table(cell: NDArray[np.int64], chosen: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.int64]:
    return np.bincount(cell[chosen], minlength=shape[0] * shape[1]).astype(np.int64).reshape(shape)


def refuse_late_entries(late: NDArray[np.bool_], entry: str, time: str, party: str) -> None:
    """Refuse rows whose entry does not come before their time."""
    if late.any():
        raise DataError(
            f"{int(late.sum())} rows have an entry time in column {entry!r} that does not come before the time in "
            f"column {time!r}",
            party=party,
            hint='correct the records; missing="drop" leaves such rows out, as R does',
        )


class Lattice(Protocol):
    """The times of a plan."""

    @property
    def horizon(self) -> int:
        """Last lattice time."""
        ...

    @property
    def unit(self) -> float:
        """Width of a step in units of the time column."""
        ...


def lattice_times(time: NDArray[np.float64], plan: Lattice, name: str, party: str) -> NDArray[np.int64]:
    """Times in whole units (0 where missing); refuses what is negative, off the lattice or beyond the horizon."""
    negative = int((time < 0).sum())
    if negative:
        raise DataError(f"{negative} rows have a negative time in column {name!r}", party=party)
    units = np.nan_to_num(time) / plan.unit
    whole = np.rint(units)
    # the division was rounded: by more, the more units there are
    between = int((np.abs(units - whole) > TIME_TOLERANCE + whole * 2.0**-50).sum())
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
    spec = run.spec
    wanted = Readings(
        conf_type=spec.conf_type,
        conf_level=spec.conf_level,
        time_label=spec.time,
        quantiles=spec.quantiles,
        quantile_rule=spec.quantile_rule,
        times=spec.times,
        tau=spec.tau,
        reference=None if spec.reference is None else str(spec.reference),
        hazard=spec.hazard,
        life_table=spec.life_table,
    )
    return await joint_kaplan_meier(run.session, run.plan, run.own, run.dealers, run.ruling, wanted)


async def _logrank(run: Run[LogrankSpec, SurvivalPlan, SurvivalContribution]) -> Outcome:
    spec = run.spec
    wanted = Comparison(
        weights=spec.weights,
        p=spec.p,
        q=spec.q,
        trend=spec.trend or bool(spec.trend_scores),
        trend_scores=spec.trend_scores,
        pairwise=spec.pairwise,
        mode=spec.mode,
        expected=spec.expected,
    )
    return await joint_logrank(run.session, run.plan, run.own, run.dealers, run.ruling, wanted)


NODE_ANALYSES: tuple[NodeAnalysis[Any, Any, Any], ...] = (
    NodeAnalysis(KaplanMeierSpec, SurvivalContribution, prepare_counts, _kaplan_meier, to_some=with_exact_curve),
    NodeAnalysis(LogrankSpec, SurvivalContribution, prepare_counts, _logrank, to_some=to_any),
)
