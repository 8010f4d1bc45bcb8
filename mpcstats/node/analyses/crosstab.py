"""Cross-tabulations at a node: people per cell of the own table; the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, ReleasedCells, Run
from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.records.cells import cell_counts, cell_people
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.crosstab import CrosstabContribution, CrosstabPlan
from mpcstats.stats.crosstab import RELEASED, joint_crosstab, refuse_noisy_margins
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.crosstab import CrosstabSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.types import DisclosureRules

__all__ = ["NODE_ANALYSES"]


def _prepare(
    spec: CrosstabSpec, plan: CrosstabPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CrosstabContribution, Preparation]:
    names, levels = (plan.rows, plan.columns), (plan.row_levels, plan.column_levels)
    counts, report = cell_counts(records, dictionary, spec.where, names, levels, party)
    return CrosstabContribution(counts), report


async def _run(run: Run[CrosstabSpec, CrosstabPlan, CrosstabContribution]) -> Outcome:
    return await joint_crosstab(run.session, run.plan, run.own, run.dealers, run.ruling, run.noise)


def _sets(plan: CrosstabPlan) -> NDArray[np.int64]:
    """Cells; with pooled margins rows, columns and the total, too. Sums of released cells follow from these."""
    rows, columns = plan.shape
    cells = np.arange(rows * columns)
    if plan.margins != "pooled":
        return cells.reshape(1, -1)
    margins = rows * columns + np.stack([cells // columns, rows + cells % columns, np.full_like(cells, rows + columns)])
    return np.concatenate([cells[None], margins])


def _axes(plan: CrosstabPlan) -> tuple[int, ...]:
    return plan.shape


def _people(spec: CrosstabSpec, plan: CrosstabPlan, records: Records, dictionary: Dictionary, party: str) -> Snapshot:
    names, levels = (plan.rows, plan.columns), (plan.row_levels, plan.column_levels)
    return cell_people(records, dictionary, spec.where, names, levels, party)


def _shown(plan: CrosstabPlan, outcome: Outcome) -> NDArray[np.bool_]:
    margins = ("row_margins", "column_margins", "total") if plan.margins == "pooled" else ()
    tables = [outcome.tables[name] for name in ("cells", *margins)]
    return np.concatenate([(table["status"] == RELEASED).to_numpy(dtype=np.bool_) for table in tables])


def _leaves(_spec: CrosstabSpec, plan: CrosstabPlan, ruling: Ruling) -> bool:
    refuse_noisy_margins(plan, ruling)
    return True


def _to_some(spec: CrosstabSpec, _rules: DisclosureRules) -> bool:
    """Pooled margins are chosen by which cells are visible."""
    return spec.margins == "released"


NODE_ANALYSES = (
    NodeAnalysis(
        CrosstabSpec,
        CrosstabContribution,
        _prepare,
        _run,
        released=ReleasedCells(_sets, _axes, _people, _shown, _leaves),
        to_some=_to_some,
        noisy=True,
    ),
)
