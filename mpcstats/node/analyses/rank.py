"""Rank tests at a node: group and place on the lattice of each person; the run."""

from __future__ import annotations

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, positions, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.rank import RankContribution, RankPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.rank import (
    RankOptions,
    joint_kolmogorov_smirnov,
    joint_kruskal,
    joint_mannwhitney,
    joint_signed_rank,
)
from mpcstats.study.analyses.rank import KolmogorovSmirnovSpec, KruskalSpec, MannWhitneySpec, SignedRankSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]

GroupSpec = MannWhitneySpec | KruskalSpec | KolmogorovSmirnovSpec


def _prepare_groups(
    spec: GroupSpec, plan: RankPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[RankContribution, Preparation]:
    """Rows that `where` selects, without those that lack a value or are in no group of the test."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    refuse_several_rows_per_person(records, dictionary, "a rank test", party)
    selected = selected_rows(spec.where, frame)
    value = frame[spec.column].to_numpy(dtype=np.float64)
    group = positions(frame[spec.by], plan.groups)
    complete = selected & ~np.isnan(value) & (group >= 0)
    place = plan.places(value[complete])
    return RankContribution(place, group[complete]), report(selected, complete)


def _prepare_pairs(
    spec: SignedRankSpec, plan: RankPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[RankContribution, Preparation]:
    """Differences, as floating-point numbers or in whole steps; those of 0 are left out."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    refuse_several_rows_per_person(records, dictionary, "a rank test", party)
    selected = selected_rows(spec.where, frame)
    difference = frame[spec.x].to_numpy(dtype=np.float64)
    if spec.y is not None:
        difference = difference - frame[spec.y].to_numpy(dtype=np.float64)
    difference = difference - spec.mu
    complete = selected & ~np.isnan(difference)
    used = difference[complete]
    if plan.grains == 1:
        used = np.rint(used / plan.step) * plan.step
    used = used[used != 0]
    return RankContribution(plan.places(np.abs(used)), (used > 0).astype(np.int64)), report(selected, complete)


async def _run_mannwhitney(run: Run[MannWhitneySpec, RankPlan, RankContribution]) -> Outcome:
    spec = run.spec
    options = RankOptions(spec.alternative, spec.correct, spec.conf_level, spec.mode, spec.hodges_lehmann)
    return await joint_mannwhitney(run.session, run.plan, run.own, run.dealers, run.ruling, options)


async def _run_kruskal(run: Run[KruskalSpec, RankPlan, RankContribution]) -> Outcome:
    options = RankOptions(mode=run.spec.mode)
    return await joint_kruskal(run.session, run.plan, run.own, run.dealers, run.ruling, options)


async def _run_kolmogorov(run: Run[KolmogorovSmirnovSpec, RankPlan, RankContribution]) -> Outcome:
    return await joint_kolmogorov_smirnov(run.session, run.plan, run.own, run.dealers, run.ruling, run.spec.mode)


async def _run_signed_rank(run: Run[SignedRankSpec, RankPlan, RankContribution]) -> Outcome:
    options = RankOptions(run.spec.alternative, run.spec.correct, mode=run.spec.mode)
    return await joint_signed_rank(run.session, run.plan, run.own, run.dealers, run.ruling, options)


NODE_ANALYSES = (
    NodeAnalysis(MannWhitneySpec, RankContribution, _prepare_groups, _run_mannwhitney),
    NodeAnalysis(KruskalSpec, RankContribution, _prepare_groups, _run_kruskal),
    NodeAnalysis(KolmogorovSmirnovSpec, RankContribution, _prepare_groups, _run_kolmogorov),
    NodeAnalysis(SignedRankSpec, RankContribution, _prepare_pairs, _run_signed_rank),
)
