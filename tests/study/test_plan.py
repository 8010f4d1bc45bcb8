"""Requests meet the data dictionary: shapes of plans, and what does not fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mpcstats.errors import SpecError
from mpcstats.stats.contributions.association import AssociationPlan
from mpcstats.stats.contributions.counts import CountPlan
from mpcstats.stats.contributions.survival import SurvivalPlan
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import Dictionary, load_dictionary, parse_dictionary
from mpcstats.study.plan import columns_used, make_plan
from mpcstats.study.variants import variant_digest

LUNG = load_dictionary(Path(__file__).parents[2] / "parties" / "northfield" / "dictionary.toml")
COHORT = parse_dictionary(
    {
        "id": "cohort",
        "column": [
            {"name": "stage", "type": "category", "levels": ["I", "II"]},
            {"name": "note", "type": "category"},
            {"name": "death", "type": "boolean"},
            {"name": "weeks", "type": "decimal", "range": [0, 52.5]},
            {"name": "late", "type": "integer", "range": [0, 10_000_000], "resolution": 100},
            {"name": "half", "type": "decimal", "range": [0, 9], "resolution": 0.5},
            {"name": "free", "type": "integer"},
            {"name": "below", "type": "integer", "range": [-9, -1]},
            {"name": "one_two", "type": "integer", "levels": [1, 2]},
            {"name": "zero", "type": "integer", "levels": [0]},
            {"name": "one", "type": "integer", "levels": [1]},
            {"name": "four", "type": "integer", "levels": [0, 1, 2, 3]},
            {"name": "many", "type": "integer", "levels": list(range(400))},
            {"name": "more", "type": "integer", "levels": list(range(300))},
            {"name": "outcome", "type": "category", "levels": ["alive", "dead"]},
            {"name": "Y", "type": "decimal", "range": [-2, 6]},
            {"name": "constant", "type": "decimal", "range": [5, 5]},
            {"name": "sex", "type": "integer", "levels": [1, 2], "range": [1, 2]},
            {"name": "admitted", "type": "date", "range": ["2000-01-01", "2029-12-31"]},
            *({"name": f"C{i}", "type": "decimal", "range": [0, 1]} for i in range(31)),
        ],
    }
)
VARIANTS = pd.DataFrame(
    {"chrom": ["1", "X"], "pos": [10, 20], "id": ["rs1", "rs2"], "ref": ["A", "C"], "alt": ["G", "T"]}
)


def plan(dictionary: Dictionary = COHORT, variants: pd.DataFrame | None = None, **request: Any) -> Any:
    return make_plan(parse_spec(request), dictionary, variants)


def refused(**request: Any) -> str:
    with pytest.raises(SpecError) as caught:
        plan(**request)
    return str(caught.value)


def test_count_plans_have_one_axis_per_column() -> None:
    assert plan(type="count") == CountPlan((), ())
    assert plan(type="count").shape == ()
    both = plan(type="count", by=["stage", "death"], where="weeks > 2 and stage == 'I'")
    assert both == CountPlan(("stage", "death"), (("I", "II"), (False, True)))
    assert both.shape == (2, 2)


def test_breakdowns_that_do_not_fit() -> None:
    assert "did you mean 'stage'" in refused(type="count", by=["stege"])
    assert "lists no levels" in refused(type="count", by=["note"])
    assert "lists no levels" in refused(type="count", by=["free"])
    assert "column 'weeks' (decimal)" in refused(type="count", by=["weeks"])
    assert "'stage' is named twice" in refused(type="count", by=["stage", "stage"])
    assert "120,000 cells; at most 100,000" in refused(type="count", by=["many", "more"])
    assert "no column 'agee'" in refused(type="count", where="agee > 3")


def test_survival_plans() -> None:
    overall = plan(LUNG, type="kaplan-meier", time="time", event="status")
    assert overall == SurvivalPlan(by=None, groups=(), horizon=1095, unit=1.0, event="status", event_values=(1,))
    assert overall.shape == (1, 1096)
    by_sex = plan(LUNG, type="logrank", time="time", event="status", by="sex", time_unit=0.5)
    assert by_sex.groups == (1, 2)
    assert by_sex.horizon == 2190
    assert plan(type="kaplan-meier", time="weeks", event="death", time_unit=0.5).horizon == 105
    assert plan(type="kaplan-meier", time="weeks", event="death", time_unit=0.1).horizon == 525


@pytest.mark.parametrize(("time", "unit"), [("late", 100), ("half", 0.5), ("half", 0.1), ("half", 0.25)])
def test_units_that_divide_the_resolution_of_a_column(time: str, unit: float) -> None:
    assert plan(type="kaplan-meier", time=time, event="death", time_unit=unit).unit == unit


@pytest.mark.parametrize(("time", "unit"), [("late", 200), ("late", 30), ("late", 1e9), ("half", 1), ("half", 0.3)])
def test_whether_times_fit_the_unit_is_decided_without_records(time: str, unit: float) -> None:
    complaint = refused(type="kaplan-meier", time=time, event="death", time_unit=unit)
    assert "no whole multiple of time_unit" in complaint
    assert "resolution" in complaint


@pytest.mark.parametrize(
    ("event", "values"),
    [("death", (True,)), ("one_two", (2,)), ("zero", ()), ("one", (1,))],
)
def test_event_values_by_the_rule_of_r(event: str, values: tuple[Any, ...]) -> None:
    found = plan(type="kaplan-meier", time="weeks", event=event).event_values
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_event_values_by_request() -> None:
    request = {"type": "kaplan-meier", "time": "weeks"}
    assert plan(**request, event="outcome", event_values=["dead"]).event_values == ("dead",)
    assert plan(**request, event="four", event_values=[3, 2.0]).event_values == (3, 2)
    assert plan(**request, event="death", event_values=[False]).event_values == (False,)
    assert "levels 0, 1, 2, 3" in refused(**request, event="four")
    assert "event_values=[...]" in refused(**request, event="outcome")
    assert "levels: 'alive', 'dead'" in refused(**request, event="outcome", event_values=["Dead"])
    assert "is not a level" in refused(**request, event="four", event_values=[True])
    assert "is not a level" in refused(**request, event="death", event_values=[1])
    assert "names a value twice" in refused(**request, event="four", event_values=[1, 1])
    assert "needed" in refused(**request, event="Y")
    assert "needed" in refused(**request, event="note")


def test_times_that_do_not_fit() -> None:
    assert "a number is needed" in refused(type="kaplan-meier", time="stage", event="death")
    assert "range is not known" in refused(type="kaplan-meier", time="free", event="death")
    assert "ends below zero" in refused(type="kaplan-meier", time="below", event="death")
    assert "at most 200,000" in refused(type="kaplan-meier", time="late", event="death")
    assert "at most 200,000" in refused(type="kaplan-meier", time="weeks", event="death", time_unit=1e-300)
    assert "at most 2,000,000" in refused(type="kaplan-meier", time="late", event="death", by="more", time_unit=100)
    assert "is named twice" in refused(type="kaplan-meier", time="weeks", event="death", by="death")
    assert "only 1 level" in refused(type="logrank", time="weeks", event="death", by="one")


def test_association_plans() -> None:
    found = plan(variants=VARIANTS, type="gwas", phenotype="Y", covariates=["sex", "death", "constant"])
    assert found == AssociationPlan(
        phenotype="Y",
        covariates=("sex", "death", "constant"),
        variant_count=2,
        variant_digest=variant_digest(VARIANTS),
        few_levels=((), (1.0, 2.0), (0.0, 1.0), ()),
        centers=(2.0, 1.5, 0.5, 5.0),
        half_widths=(4.0, 0.5, 0.5, 1.0),
    )


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        ({"type": "boolean"}, (0.0, 1.0)),
        ({"type": "integer", "range": [0, 1]}, (0.0, 1.0)),
        ({"type": "integer", "range": [0.5, 3.9]}, (1.0, 2.0, 3.0)),
        ({"type": "integer", "range": [0, 9], "levels": [0, 9]}, (0.0, 9.0)),
        ({"type": "integer", "range": [0, 2], "levels": [2, 0, 1]}, (2.0, 0.0, 1.0)),
        ({"type": "decimal", "range": [0, 1], "resolution": 0.5}, (0.0, 0.5, 1.0)),
        ({"type": "integer", "range": [0, 3]}, ()),
        ({"type": "integer", "range": [0, 1e9]}, ()),
        ({"type": "decimal", "range": [0, 1]}, ()),
        ({"type": "decimal", "range": [0, 1], "resolution": 0.01}, ()),
    ],
)
def test_columns_with_few_levels_in_an_association(column: dict[str, Any], levels: tuple[float, ...]) -> None:
    dictionary = parse_dictionary({"id": "d", "column": [{"name": "x", **column}]})
    assert plan(dictionary, VARIANTS, type="gwas", phenotype="x").few_levels == (levels,)


def test_associations_that_do_not_fit() -> None:
    request = {"type": "gwas", "phenotype": "Y", "variants": VARIANTS}
    assert "has no genotypes" in refused(type="gwas", phenotype="Y")
    assert "has no genotypes" in refused(type="gwas", phenotype="Y", variants=VARIANTS.iloc[:0])
    assert "'sex' is named twice" in refused(**request, covariates=["sex", "sex"])
    assert "cannot be a covariate, too" in refused(**request, covariates=["Y"])
    assert "31 covariates were named; at most 30" in refused(**request, covariates=[f"C{i}" for i in range(31)])
    assert "cannot be a covariate: a number" in refused(**request, covariates=["stage"])
    assert "cannot be the phenotype" in refused(type="gwas", phenotype="stage", variants=VARIANTS)
    assert "range is not known" in refused(type="gwas", phenotype="free", variants=VARIANTS)
    assert "no column 'Z'" in refused(type="gwas", phenotype="Z", variants=VARIANTS)


def test_the_columns_that_an_analysis_reads() -> None:
    count = parse_spec({"type": "count", "by": ["stage", "sex"], "where": "age > 3 and stage == 'I'"})
    assert columns_used(count) == ("age", "stage", "sex")
    survival = parse_spec({"type": "kaplan-meier", "time": "t", "event": "e", "where": "t > 3"})
    assert columns_used(survival) == ("t", "e")
    assert columns_used(parse_spec({"type": "gwas", "phenotype": "Y", "covariates": ["C"]})) == ("Y", "C")


def test_the_variant_digest_is_that_of_the_rows_in_order() -> None:
    text = "mpcstats variants 1\n2\n1\t10\trs1\tA\tG\nX\t20\trs2\tC\tT\n"
    assert variant_digest(VARIANTS) == hashlib.sha256(text.encode()).hexdigest()
    assert variant_digest(VARIANTS.iloc[::-1]) != variant_digest(VARIANTS)
    for name in VARIANTS.columns:
        changed = VARIANTS.copy()
        changed[name] = [99, 98] if name == "pos" else ["Q", "R"]
        assert variant_digest(changed) != variant_digest(VARIANTS)
    with pytest.raises(SpecError, match="tab or line break"):
        variant_digest(VARIANTS.assign(id=["rs\t1", "rs2"]))
    with pytest.raises(SpecError, match="lacks the columns pos"):
        variant_digest(VARIANTS.drop(columns="pos"))


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"type": "count", "by": ["admitted"]}, "cannot be used in `by`: it has no levels"),
        (
            {"type": "logrank", "time": "admitted", "event": "death", "by": "sex"},
            "cannot be the time: a number is needed",
        ),
        ({"type": "kaplan-meier", "time": "late", "time_unit": 100, "event": "admitted"}, "cannot be the event"),
        (
            {"type": "kaplan-meier", "time": "late", "time_unit": 100, "event": "death", "entry": "admitted"},
            "cannot be the entry time: a number is needed",
        ),
        (
            {"type": "cox", "time": "late", "time_unit": 100, "event": "death", "covariates": ["admitted"]},
            "cannot be used in a Cox regression: a number or a boolean column is needed",
        ),
        ({"type": "gwas", "phenotype": "admitted"}, "a number or a boolean column is needed"),
        ({"type": "gwas", "phenotype": "Y", "covariates": ["admitted"]}, "cannot be a covariate"),
        ({"type": "count", "where": "admitted > 3"}, "compare admitted with a date in quotes"),
        ({"type": "count", "where": "admitted > '2020-02-30'"}, "'2020-02-30' is no date"),
    ],
)
def test_a_date_is_no_number(request_: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(variants=VARIANTS, **request_)


def test_dates_are_for_filters() -> None:
    spec = parse_spec({"type": "count", "where": "admitted >= '2020-03-01' and year(admitted) != 2021", "by": ["sex"]})
    assert make_plan(spec, COHORT, None).shape == (2,)
    assert columns_used(spec) == ("admitted", "sex")
