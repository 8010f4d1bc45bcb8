"""Overlap between sites at a node: a key for each person of the own table; the run."""

from __future__ import annotations

from mpcstats.errors import DataError
from mpcstats.node.analyses.base import NodeAnalysis, Run, to_any
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.sample_overlap import SampleOverlapContribution, SampleOverlapPlan, person_keys
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.sample_overlap import joint_sample_overlap
from mpcstats.study.analyses.sample_overlap import SampleOverlapSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.values import as_text

__all__ = ["NODE_ANALYSES"]


def _prepare(
    _spec: SampleOverlapSpec, plan: SampleOverlapPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[SampleOverlapContribution, Preparation]:
    """Different ids of the table: of the column that the data set names as id, else of `unit_of_count`, else IID."""
    name = records.id_column or dictionary.unit_of_count or "IID"
    if name not in records.names:
        hint = 'name the column of ids: id = "..." in the data set, ms.Dataset(..., id="...")'
        raise DataError("the table has no column that says who is who", party=party, hint=hint)
    ids = as_text(records.columns([name])[name])
    missing = sum(one is None for one in ids)
    if missing:
        raise DataError(f"{missing} rows have no id in column {name!r}", party=party)
    keys = person_keys(ids)
    if keys.size > plan.rows:
        raise DataError(
            f"the table has {keys.size:,} people, where the study has room for {plan.rows:,} of each party",
            party=party,
            hint="agree on more rows",
        )
    own = SampleOverlapContribution(keys)
    return own, Preparation(len(ids), len(ids), 0, without_genotype=0, without_row=0, used=len(ids))


async def _run(run: Run[SampleOverlapSpec, SampleOverlapPlan, SampleOverlapContribution]) -> Outcome:
    return await joint_sample_overlap(run.session, run.plan, run.own, run.dealers, run.ruling)


NODE_ANALYSES = (NodeAnalysis(SampleOverlapSpec, SampleOverlapContribution, _prepare, _run, to_some=to_any),)
