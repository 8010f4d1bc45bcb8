"""Tests on means and variances at a node: numbers and groups of the own people; the runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.analyses.values import groups_of_rows
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.values import MeanTestPlan, ValuesContribution
from mpcstats.stats.descriptives.joint import counts_are_exact
from mpcstats.stats.mean_tests import MeanTest, joint_mean_test
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.mean_tests import AnovaSpec, TTestSpec, VarianceTestSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used
from mpcstats.types import DisclosureRules

__all__ = ["NODE_ANALYSES"]

MeanTestSpec = TTestSpec | AnovaSpec | VarianceTestSpec


def _prepare(
    spec: MeanTestSpec, plan: MeanTestPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[ValuesContribution, Preparation]:
    """Rows that `where` selects and that have a group; of pairs, the differences."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    refuse_several_rows_per_person(records, dictionary, "a test", party)
    selected = selected_rows(spec.where, frame)
    group = groups_of_rows(frame, plan.by, plan.levels)
    values = frame[spec.column].to_numpy(dtype=np.float64)
    if plan.subtracted:
        values = values - frame[plan.subtracted].to_numpy(dtype=np.float64)
    grouped = selected & (group >= 0)
    own = ValuesContribution(values[grouped][None], group[grouped], plan.groups)
    return own, report(selected, grouped & ~np.isnan(values))


def _wanted(spec: MeanTestSpec) -> MeanTest:
    common: dict[str, Any] = {"analysis": spec.type, "conf_level": spec.conf_level, "mode": spec.mode}
    if isinstance(spec, TTestSpec):
        return MeanTest(
            kind="t", equal_variances=spec.equal_variances, mu=spec.mu, alternative=spec.alternative, **common
        )
    if isinstance(spec, AnovaSpec):
        kind = "anova" if spec.equal_variances else "welch-anova"
        return MeanTest(kind=kind, tukey=spec.tukey, pairwise=spec.pairwise, **common)  # type: ignore[arg-type]
    return MeanTest(kind=spec.method, center=spec.center, alternative=spec.alternative, **common)


async def _run(run: Run[Any, MeanTestPlan, ValuesContribution]) -> Outcome:
    return await joint_mean_test(run.session, run.plan, run.own, run.dealers, run.ruling, _wanted(run.spec))


def _to_some(spec: TTestSpec | AnovaSpec | VarianceTestSpec, rules: DisclosureRules) -> bool:
    """One opening, of the exact numbers of the groups; Levene's test opens medians first."""
    levene = isinstance(spec, VarianceTestSpec) and spec.method == "levene"
    return counts_are_exact(rules) and spec.mode != "statistic" and not levene


NODE_ANALYSES: tuple[NodeAnalysis[Any, Any, Any], ...] = tuple(
    NodeAnalysis(spec, ValuesContribution, _prepare, _run, to_some=_to_some)
    for spec in (TTestSpec, AnovaSpec, VarianceTestSpec)
)
