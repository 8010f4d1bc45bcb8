"""Linear, logistic and Poisson regression at a node: outcome and columns of the model of each person; the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.analyses.base import NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, positions, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions.regression import RegressionContribution, RegressionPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.regression import RegressionOptions, joint_regression
from mpcstats.study.analyses.regression import GlmSpec, OlsSpec, discrete_columns, formula_in
from mpcstats.study.design import Design, Part, design_of, discrete_levels
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["NODE_ANALYSES"]

Floats = NDArray[np.float64]


def _prepare(
    spec: OlsSpec | GlmSpec, plan: RegressionPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[RegressionContribution, Preparation]:
    """Rows that `where` selects, complete in outcome, columns of the model and offset."""
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    refuse_several_rows_per_person(records, dictionary, "a regression", party)
    design = design_of(formula_in(spec), dictionary, "a regression")
    needed = [plan.response, *design.sources, *([plan.offset] if plan.offset is not None else [])]
    complete = selected & frame[needed].notna().all(axis=1).to_numpy()
    rows = frame[complete]
    outcome = _outcome(rows, plan)
    own = RegressionContribution(
        outcome=outcome,
        columns=_columns(rows, design),
        codes=_codes(rows, plan, design, outcome, dictionary),
        offset=np.zeros(len(rows)) if plan.offset is None else rows[plan.offset].to_numpy(dtype=np.float64),
        incomplete=int(selected.sum() - complete.sum()),
    )
    return own, report(selected, complete)


def _outcome(rows: pd.DataFrame, plan: RegressionPlan) -> Floats:
    if plan.family == "binomial":
        return np.asarray(positions(rows[plan.response], plan.event_values) >= 0, np.float64)
    return np.asarray(rows[plan.response].to_numpy(), np.float64)


def _columns(rows: pd.DataFrame, design: Design) -> Floats:
    """The columns of the model: (people, columns)."""
    made = np.ones((len(rows), len(design.columns)))
    for k, column in enumerate(design.columns):
        for part in column.parts:
            made[:, k] *= _part(rows, part)
    return made


def _part(rows: pd.DataFrame, part: Part) -> Floats:
    cells = rows[part.source]
    if part.level is not None:
        return np.asarray(positions(cells, (part.level,)) == 0, np.float64)
    numbers = cells.to_numpy(dtype=np.float64)
    if part.transform == "log":
        return np.asarray(np.log(numbers))
    if part.transform == "sqrt":
        return np.asarray(np.sqrt(numbers))
    return np.asarray(np.power(numbers, part.exponent))


def _codes(
    rows: pd.DataFrame, plan: RegressionPlan, design: Design, outcome: Floats, dictionary: Dictionary
) -> NDArray[np.int64]:
    """The level of each discrete column; the outcome, where it makes groups, is the last."""
    codes = [positions(rows[entry.source], entry.levels) for entry in discrete_columns(design, dictionary)]
    if plan.family == "binomial":
        codes.append(outcome.astype(np.int64))
    elif plan.family == "poisson":
        codes.append(np.where(outcome > 0, 0, -1))
    elif levels := discrete_levels(plan.response, dictionary, False):
        codes.append(positions(rows[plan.response], levels))
    return np.column_stack(codes) if codes else np.zeros((len(rows), 0), np.int64)


async def _run(run: Run[Any, RegressionPlan, RegressionContribution]) -> Outcome:
    spec: OlsSpec | GlmSpec = run.spec
    accuracy = isinstance(spec, GlmSpec) and spec.accuracy
    options = RegressionOptions(spec.conf_level, spec.robust, spec.site_indicators, accuracy)
    return await joint_regression(run.session, run.plan, run.own, run.dealers, run.ruling, options)


NODE_ANALYSES = (
    NodeAnalysis(OlsSpec, RegressionContribution, _prepare, _run),
    NodeAnalysis(GlmSpec, RegressionContribution, _prepare, _run),
)
