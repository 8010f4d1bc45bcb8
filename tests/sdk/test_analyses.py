"""Every registered analysis has all its parts, and a new one needs nothing but its parts."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.field import M61
from mpcstats.node.analyses import NODE_ANALYSES, NodeAnalysis, Run
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import report, selected_rows
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_json
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import local
from mpcstats.sdk.results import RESULTS, Result
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.disclosure import open_counts
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import ANALYSES, Analysis, plan_types
from mpcstats.study.plan import columns_used
from mpcstats.study.planning import numeric_or_boolean
from mpcstats.study.policy import Policy
from mpcstats.study.spec import AnalysisSpec


def test_the_registries_name_the_same_analyses() -> None:
    assert {spec.model_fields["type"].default for spec in NODE_ANALYSES} == set(ANALYSES) == set(RESULTS)
    assert set(Policy.preset("standard").analyses) == set(ANALYSES)
    kinds = {entry.plan_type for entry in ANALYSES.values()}
    assert len(plan_types()) == len(kinds), "two plans of one kind"


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_analysis_has_all_its_parts(name: str) -> None:
    entry = ANALYSES[name]
    assert issubclass(entry.spec, AnalysisSpec)
    assert issubclass(entry.plan_type, Plan)
    assert entry.plan_type.within_limits is not Plan.within_limits
    node = NODE_ANALYSES[entry.spec]
    assert issubclass(node.contribution, Contribution)
    # a dataclass would print its records
    assert "stays at its owner" in repr(node.contribution.__new__(node.contribution))
    assert callable(node.prepare)
    assert inspect.iscoroutinefunction(node.run)
    assert issubclass(RESULTS[name], Result)
    assert RESULTS[name].title != Result.title
    method = getattr(ms.Consortium, name.replace("-", "_"))
    parameters = set(inspect.signature(method).parameters) - {"self"}
    assert parameters == set(entry.spec.model_fields) - {"type"}
    assert "Reveals" in (method.__doc__ or "")


# ---- a new analysis, in several phases that compute at the sites between the rounds ----------------------------------


class BisectionSpec(AnalysisSpec):
    type: Literal["bisection"] = "bisection"
    column: str
    """Column with whole numbers."""
    where: str | None = None
    """Filter."""


@dataclass(frozen=True)
class BisectionPlan(Plan):
    kind: ClassVar[str] = "bisection"
    low: int
    high: int

    def within_limits(self) -> bool:
        return self.low <= self.high


@dataclass(frozen=True, repr=False, eq=False)
class BisectionContribution(Contribution):
    values: np.ndarray

    def up_to(self, bound: int) -> np.ndarray:
        return np.array([len(self.values), np.count_nonzero(self.values <= bound)], np.int64)


class BisectionResult(Result):
    analysis = "bisection"
    title = "Median by bisection"
    shown = ("median", "people")

    def notes(self) -> list[str]:
        return [f"{self.outcome.values['iterations']} iterations"]


def _plan(spec, dictionary, _variants):
    column = numeric_or_boolean(dictionary.column(spec.column), "a median")
    return BisectionPlan(low=int(column.range[0]), high=int(column.range[1]))


def _prepare(spec, _plan, records, dictionary, party):
    frame = check_records(records, dictionary, columns_used(spec), party)
    rows = selected_rows(spec.where, frame)
    return BisectionContribution(frame[spec.column].to_numpy()[rows]), report(rows, rows)


async def _run(run: Run[BisectionSpec, BisectionPlan, BisectionContribution]) -> Outcome:
    session, low, high, iterations, people = run.session, run.plan.low, run.plan.high, 0, 0
    session.openings.declare("values up to a bound", 2 * 64, "per iteration")
    while low < high:
        middle = (low + high) // 2
        mine = None if run.own is None else M61.from_int64(await local(session, run.own.up_to, middle))
        pooled = await sum_of_inputs(session, M61, mine, run.dealers, (2,))
        people, below = (int(n) for n in await open_counts(session, pooled, "values up to a bound"))
        low, high = (low, middle) if 2 * below >= people else (middle + 1, high)
        iterations += 1
    table = pd.DataFrame({"column": [run.spec.column], "people": [people], "median": [float(low)]})
    return Outcome("bisection", {"median": table}, {"iterations": iterations})


@pytest.fixture
def bisection(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Analysis(BisectionSpec, BisectionPlan, _plan, lambda spec: (spec.column,), "The median.")
    monkeypatch.setitem(ANALYSES, "bisection", entry)
    monkeypatch.setitem(
        NODE_ANALYSES, BisectionSpec, NodeAnalysis(BisectionSpec, BisectionContribution, _prepare, _run)
    )
    monkeypatch.setitem(RESULTS, "bisection", BisectionResult)


@pytest.mark.usefixtures("bisection")
@pytest.mark.parametrize("sites", [2, 3, 5])
def test_a_new_analysis_runs_with_nothing_but_its_parts(sites: int, tmp_path) -> None:
    values = np.random.default_rng(sites).integers(0, 1000, 101)
    parts = np.array_split(values, sites)
    frames = {f"site{k}": pd.DataFrame({"age": part}) for k, part in enumerate(parts)}
    with ms.local(frames) as consortium:
        result = consortium._ask(BisectionResult, type="bisection", column="age")
    assert result.table["median"].tolist() == [np.median(values)]
    assert result.headline().split() == f"median people {np.median(values):.0f} 101 10 iterations".split()
    assert result.certificate["analysis"] == "bisection"
    assert len(result.certificate["study_digest"]) == 64
    assert [path.name for path in result.save(tmp_path / "m")] == ["m.median.csv", "m.json", "m.txt"]  # no picture
    assert "10 iterations" in result._repr_html_()


@pytest.mark.usefixtures("bisection")
def test_its_plan_travels_and_its_contribution_does_not() -> None:
    plan = BisectionPlan(low=0, high=9, dictionary="ab")
    assert plan_from_json(plan_to_json(plan), "beta") == plan
    own = BisectionContribution(np.array([918273645]))
    assert "918273645" not in repr(own) + str(own) + f"{own}"
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(own)
