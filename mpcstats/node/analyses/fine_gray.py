"""Fine-Gray regression at a node: how each person left, and the columns of the model; the run."""

from __future__ import annotations

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.model import design, model_rows
from mpcstats.node.records.rows import Preparation, positions, report
from mpcstats.node.records.source import Records
from mpcstats.stats.competing_risks.fine_gray import joint_fine_gray, plan_kappa
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.fine_gray import FineGraySpec
from mpcstats.study.dictionary import Dictionary

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: FineGraySpec, plan: FineGrayPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[FineGrayContribution, Preparation]:
    """Rows that `where` selects, complete in the covariates; times as in other survival analyses."""
    needed = (spec.time, spec.event)
    rows = model_rows(spec, plan, records, dictionary, party, needed=needed, use="a Fine-Gray regression")
    chosen = rows.frame[rows.complete]
    own = FineGrayContribution(
        time=rows.time[rows.complete],
        event=positions(chosen[plan.event], plan.event_values) >= 0,
        covariates=design(chosen, spec, dictionary),
        stratum=np.zeros(len(chosen), np.int64),
        rival=positions(chosen[plan.event], plan.competing_values) >= 0,
    )
    return own, report(rows.selected, rows.complete)


async def _run(run: Run[FineGraySpec, FineGrayPlan, FineGrayContribution]) -> Outcome:
    return await joint_fine_gray(run.session, run.plan, run.own, run.dealers, run.ruling, run.spec.options())


def _kappa(spec: FineGraySpec, plan: FineGrayPlan, _sites: int) -> int:
    return plan_kappa(plan, spec.options())


NODE_ANALYSES = (NodeAnalysis(FineGraySpec, FineGrayContribution, _prepare, _run, _kappa),)
