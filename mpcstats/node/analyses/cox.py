"""Cox regression at a node: times, events and the columns of the model of each person; the run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.model import design, model_rows
from mpcstats.node.analyses.survival import lattice_times, refuse_late_entries
from mpcstats.node.records.rows import Preparation, positions, report
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox import CoxOptions, joint_cox, plan_kappa
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.cox import CoxSpec
from mpcstats.study.dictionary import Dictionary

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CoxSpec, plan: CoxPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CoxContribution, Preparation]:
    """Rows that `where` selects, complete in covariates and strata; times as in other survival analyses."""
    needed = (spec.time, spec.event, *([plan.entry] if plan.entry is not None else []))
    rows = model_rows(spec, plan, records, dictionary, party, needed=needed, use="a Cox regression")
    frame, time = rows.frame, rows.time
    stratum = _strata(frame, plan)
    complete = rows.complete & (stratum >= 0)
    entry = None
    if plan.entry is not None:
        entry = lattice_times(frame[plan.entry].to_numpy(dtype=np.float64), plan, plan.entry, party)
        late = (entry >= time) & frame[[spec.time, plan.entry]].notna().all(axis=1).to_numpy()
        if spec.missing == "refuse":
            refuse_late_entries(late, plan.entry, spec.time, party)
        complete &= ~late
        entry = entry[complete]
    happened = positions(frame[plan.event], plan.event_values) >= 0
    own = CoxContribution(
        time=time[complete],
        event=happened[complete],
        covariates=design(frame[complete], spec, dictionary),
        stratum=stratum[complete],
        entry=entry,
    )
    return own, report(rows.selected, complete)


def _strata(frame: pd.DataFrame, plan: CoxPlan) -> NDArray[np.int64]:
    """The stratum of each row; -1 where a column of it is missing."""
    stratum, known = np.zeros(len(frame), dtype=np.int64), np.ones(len(frame), dtype=np.bool_)
    for name, levels in zip(plan.strata, plan.strata_levels, strict=True):
        place = positions(frame[name], levels)
        stratum, known = stratum * len(levels) + place, known & (place >= 0)
    return np.where(known, stratum, -1)


async def _run(run: Run[CoxSpec, CoxPlan, CoxContribution]) -> Outcome:
    return await joint_cox(run.session, run.plan, run.own, run.dealers, run.ruling, _options(run.spec))


def _options(spec: CoxSpec) -> CoxOptions:
    return CoxOptions(
        ties=spec.ties,
        by_site=spec.by_site,
        conf_level=spec.conf_level,
        transforms=spec.transforms,
        concordance=spec.concordance,
        baseline=spec.baseline and not spec.by_site,
        robust=spec.robust,
    )


def _kappa(spec: CoxSpec, plan: CoxPlan, _sites: int) -> int:
    return plan_kappa(plan, _options(spec))


NODE_ANALYSES = (NodeAnalysis(CoxSpec, CoxContribution, _prepare, _run, _kappa),)
