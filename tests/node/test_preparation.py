"""Contributions equal what plain pandas gives on the pooled table; bad records are refused at their owner."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.records.preparation import Preparation, check_records, prepare, prepare_with_report
from mpcstats.node.records.source import Dataset, Records, load
from mpcstats.stats.contributions.association import AssociationContribution
from mpcstats.stats.contributions.counts import CountContribution
from mpcstats.stats.contributions.survival import SurvivalContribution
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import Dictionary, infer_dictionary, load_dictionary, parse_dictionary
from mpcstats.study.plan import make_plan

DATA = Path(__file__).parents[1] / "data"
PARTIES = Path(__file__).parents[2] / "parties"
LUNG = load_dictionary(PARTIES / "northfield" / "dictionary.toml")
TRAITS = load_dictionary(PARTIES / "northfield" / "genetics.dictionary.toml")
CANARY = "CANARY"
NUMBER = 864213579


def contribution(records: Records | pd.DataFrame, dictionary: Dictionary = LUNG, **request: Any) -> Any:
    """What one party would share."""
    records = records if isinstance(records, Records) else load(records, "lakeside")
    spec = parse_spec(request)
    variants = records.genotypes.variants if records.genotypes is not None else None
    return prepare(spec, make_plan(spec, dictionary, variants), records, dictionary, "lakeside")


def refused(records: Records | pd.DataFrame, dictionary: Dictionary = LUNG, **request: Any) -> str:
    with pytest.raises(DataError) as caught:
        contribution(records, dictionary, **request)
    assert caught.value.party == "lakeside"
    assert CANARY not in str(caught.value)
    assert str(NUMBER) not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def lung() -> pd.DataFrame:
    return load(DATA / "lung.csv", "all").frame


@st.composite
def splits(draw: st.DrawFn) -> np.ndarray:
    """A site for each of the 228 people: 2 to 7 sites, some of them perhaps empty."""
    sites = draw(st.integers(2, 7))
    return np.array(draw(st.lists(st.integers(0, sites - 1), min_size=228, max_size=228)))


# ------------------------------------------------------------------ counts


@settings(max_examples=15, deadline=None, derandomize=True)
@given(splits())
def test_counts_add_up_to_the_pooled_table(lung: pd.DataFrame, sites: np.ndarray) -> None:
    request: dict[str, Any] = {"type": "count", "by": ["sex", "ph.ecog"], "where": "age >= 60 and not wt.loss > 10"}
    total = sum(contribution(lung[sites == site], **request).counts for site in range(7))
    chosen = lung[(lung["age"] >= 60) & (lung["wt.loss"] <= 10)]
    expected = pd.crosstab(chosen["sex"], chosen["ph.ecog"]).reindex(index=[1, 2], columns=range(5), fill_value=0)
    assert total.dtype == np.int64
    assert np.array_equal(total, expected.to_numpy())


def test_a_single_count(lung: pd.DataFrame) -> None:
    found = contribution(lung, type="count")
    assert isinstance(found, CountContribution)
    assert found.counts.shape == ()
    assert found.counts == 228
    assert contribution(lung.iloc[:0], type="count").counts == 0
    assert contribution(lung.iloc[:0], type="count", by=["sex"]).counts.tolist() == [0, 0]


def test_people_are_counted_once_per_cell() -> None:
    columns = [
        {"name": "pid", "type": "category"},
        {"name": "drug", "type": "category", "levels": ["A", "B"]},
        {"name": "visit", "type": "integer"},
    ]
    by_person = parse_dictionary({"id": "d", "unit_of_count": "pid", "column": columns})
    by_row = parse_dictionary({"id": "d", "column": columns})
    frame = pd.DataFrame(
        {"pid": ["p", "p", "p", "q", "q", "r"], "drug": ["A", "A", "B", "A", None, None], "visit": [1, 2, 3, 1, 2, 3]}
    )
    assert contribution(frame, by_person, type="count", by=["drug"]).counts.tolist() == [2, 1]
    assert contribution(frame, by_row, type="count", by=["drug"]).counts.tolist() == [3, 1]
    assert contribution(frame, by_person, type="count", where="drug is not missing").counts == 2
    unknown = frame.assign(pid=["p", "p", "p", "q", "q", None])
    assert "1 rows have no person in column 'pid'" in refused(unknown, by_person, type="count", where="visit == 1")
    assert "no column 'pid', which identifies people" in refused(frame.drop(columns="pid"), by_person, type="count")


# ------------------------------------------------------------------ survival


@settings(max_examples=15, deadline=None, derandomize=True)
@given(splits())
def test_events_and_censorings_add_up_to_the_pooled_table(lung: pd.DataFrame, sites: np.ndarray) -> None:
    request: dict[str, Any] = {
        "type": "kaplan-meier",
        "time": "time",
        "event": "status",
        "by": "ph.ecog",
        "where": "age < 75",
    }
    parts = [contribution(lung[sites == site], **request) for site in range(7)]
    events, censored = sum(part.events for part in parts), sum(part.censored for part in parts)
    expected = np.zeros((2, 5, 1096), dtype=np.int64)
    for row in lung[(lung["age"] < 75) & lung["ph.ecog"].notna()].itertuples():
        expected[int(row.status), int(row[6]), int(row.time)] += 1
    assert np.array_equal(censored, expected[0])
    assert np.array_equal(events, expected[1])


def test_one_unnamed_group_and_an_empty_site(lung: pd.DataFrame) -> None:
    found = contribution(lung, type="kaplan-meier", time="time", event="status")
    assert isinstance(found, SurvivalContribution)
    assert found.events.shape == (1, 1096)
    assert (found.events.sum(), found.censored.sum()) == (165, 63)
    nobody = contribution(lung.iloc[:0], type="logrank", time="time", event="status", by="sex")
    assert nobody.events.shape == (2, 1096)
    assert nobody.events.sum() + nobody.censored.sum() == 0


def test_times_lie_on_the_lattice_of_the_unit() -> None:
    dictionary = parse_dictionary(
        {
            "id": "d",
            "column": [
                {"name": "t", "type": "decimal", "range": [-5, 10]},
                {"name": "e", "type": "boolean"},
            ],
        }
    )
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "t", "event": "e"}
    frame = pd.DataFrame({"t": [0.1, 0.3, 0.7, 9.9, 0.0], "e": [True, False, True, True, False]})
    found = contribution(frame, dictionary, **request, time_unit=0.1)
    assert np.flatnonzero(found.events[0]).tolist() == [1, 7, 99]
    assert np.flatnonzero(found.censored[0]).tolist() == [0, 3]
    complaint = refused(frame, dictionary, **request)
    assert "4 rows have a time in column 't' that is not a whole multiple of 1" in complaint
    assert "time_unit" in complaint
    negative = frame.assign(t=[-1.0, -2.0, 3.0, 4.0, 5.0])
    for where in (None, "t > -2", "t >= 0"):
        assert "2 rows have a negative time in column 't'" in refused(negative, dictionary, **request, where=where)


def test_times_beyond_the_horizon_of_the_plan() -> None:
    column = {"name": "t", "type": "integer"}
    event = {"name": "e", "type": "boolean"}
    agreed = parse_dictionary({"id": "d", "column": [{**column, "range": [0, 5]}, event]})
    looser = parse_dictionary({"id": "d", "column": [column, event]})
    spec = parse_spec({"type": "kaplan-meier", "time": "t", "event": "e"})
    records = load(pd.DataFrame({"t": [5, NUMBER, 7], "e": [True, True, False]}), "lakeside")
    with pytest.raises(DataError, match="2 rows have a time in column 't' beyond the end") as caught:
        prepare(spec, make_plan(spec, agreed, None), records, looser, "lakeside")
    assert str(NUMBER) not in str(caught.value)


def test_missing_times_and_events_are_refused_or_dropped() -> None:
    dictionary = parse_dictionary(
        {
            "id": "d",
            "column": [
                {"name": "t", "type": "integer", "range": [0, 9]},
                {"name": "e", "type": "boolean"},
                {"name": "g", "type": "category", "levels": ["x", "y"]},
            ],
        }
    )
    frame = pd.DataFrame(
        {
            "t": [1, np.nan, 3, 4, np.nan],
            "e": pd.array([True, True, None, False, True], dtype="boolean"),
            "g": ["x", "y", "y", None, None],
        }
    )
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "t", "event": "e"}
    complaint = refused(frame, dictionary, **request)
    assert "2 rows have no value of column 't'" in complaint
    assert 'missing="drop"' in complaint
    found = contribution(frame, dictionary, **request, missing="drop")
    assert (found.events.sum(), found.censored.sum()) == (1, 1)
    grouped = contribution(frame, dictionary, **request, by="g", missing="drop")
    assert grouped.events.sum(axis=1).tolist() == [1, 0]
    assert grouped.censored.sum() == 0
    full = frame.assign(t=[1, 2, 3, 4, 5])
    assert "1 rows have no value of column 'e'" in refused(full, dictionary, **request)


def test_survival_needs_one_row_per_person() -> None:
    dictionary = parse_dictionary(
        {
            "id": "d",
            "unit_of_count": "pid",
            "column": [
                {"name": "pid", "type": "category"},
                {"name": "t", "type": "integer", "range": [0, 9]},
                {"name": "e", "type": "boolean"},
                {"name": "kind", "type": "integer"},
            ],
        }
    )
    frame = pd.DataFrame({"pid": [CANARY, CANARY, "q"], "t": [1, 2, 3], "e": [True, False, True], "kind": [1, 2, 1]})
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "t", "event": "e"}
    for where in (None, "kind == 1"):
        assert "1 people of column 'pid' have more than one row" in refused(frame, dictionary, **request, where=where)
    assert contribution(frame[1:], dictionary, **request, where="kind == 1").events.sum() == 1


ODD = pd.DataFrame(
    {
        "pid": ["a", "b", "c", "c", None],
        "t": [1.0, 2.5, np.nan, 4.0, -1.0],
        "e": pd.array([True, False, True, None, True], dtype="boolean"),
        "g": ["x", "y", "x", None, "y"],
    }
)


@pytest.mark.parametrize(
    "rows",
    [
        [0],
        [0, 3],
        [0, 1, 2, 3, 4],
        *(pytest.param(r, marks=pytest.mark.long) for r in ([0, 1], [0, 2], [0, 4], [0, 2, 3])),
    ],
    ids=str,
)
@pytest.mark.parametrize("unit_of_count", [None, "pid"])
@pytest.mark.parametrize("kind", ["count", "survival", "survival, drop", "hidden times", "hidden times, drop"])
def test_whether_a_party_refuses_does_not_depend_on_the_rows_selected(
    rows: list[int], unit_of_count: str | None, kind: str
) -> None:
    """A refusal is seen by everybody: if it depended on `where`, it would tell whether there is such a person."""
    columns = [
        {"name": "pid", "type": "category"},
        {"name": "t", "type": "decimal", "range": [-9, 9]},
        {"name": "e", "type": "boolean"},
        {"name": "g", "type": "category", "levels": ["x", "y"]},
    ]
    dictionary = parse_dictionary({"id": "d", "unit_of_count": unit_of_count, "column": columns})
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "t", "event": "e"} if kind != "count" else {"type": kind}
    request |= {"type": "exact-time", "rows": 16} if "hidden" in kind else {}
    request |= {"missing": "drop"} if "drop" in kind else {}
    filters = [None, "pid == 'a'", "t == 1", "t > 1", "t is missing", "not e", "e is missing", "g == 'y'", "t > 100"]
    groups = [None, "g"] if kind != "count" else [(), ("g",)]
    refusals = set()
    for where in filters:
        for by in groups:
            try:
                contribution(ODD.iloc[rows], dictionary, **request, where=where, by=by)
                refusals.add(None)
            except DataError as error:
                refusals.add(error.message)
    assert len(refusals) == 1


def test_values_are_whole_multiples_of_the_resolution() -> None:
    column = {"name": "t", "type": "decimal", "range": [0, 9], "resolution": 0.1}
    dictionary = parse_dictionary({"id": "d", "column": [column, {"name": "e", "type": "boolean"}]})
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "t", "event": "e", "time_unit": 0.1}
    good = pd.DataFrame({"t": [0.1, 0.3, 8.9], "e": [True, True, True]})
    assert np.flatnonzero(contribution(good, dictionary, **request).events[0]).tolist() == [1, 3, 89]
    complaint = refused(good.assign(t=[0.1, 0.25, 0.35]), dictionary, **request)
    assert "column 't' (decimal): 2 rows are no whole multiples of 0.1" in complaint


def test_the_event_value_decides(lung: pd.DataFrame) -> None:
    request: dict[str, Any] = {"type": "kaplan-meier", "time": "time", "event": "status"}
    swapped = contribution(lung, **request, event_values=[0])
    assert np.array_equal(swapped.events, contribution(lung, **request).censored)


# ------------------------------------------------------------------ columns against the dictionary

BAD = parse_dictionary(
    {
        "id": "d",
        "column": [
            {"name": "age", "type": "integer", "range": [0, 120]},
            {"name": "bmi", "type": "decimal", "range": [10, 80], "missing": "refused"},
            {"name": "sex", "type": "category", "levels": ["F", "M"]},
            {"name": "status", "type": "integer", "levels": [0, 1]},
            {"name": "dead", "type": "boolean"},
            {"name": "time", "type": "integer", "range": [-10, 100]},
            {"name": "seen", "type": "date", "range": ["1990-01-01", "2029-12-31"]},
        ],
    }
)


@pytest.mark.parametrize(
    ("name", "cells", "complaint"),
    [
        ("age", [41, CANARY, CANARY, 3], "column 'age' (integer): 2 rows hold text instead of a number"),
        ("age", [CANARY, CANARY], "2 rows hold text instead of a number"),
        ("age", ["41", "42"], "2 rows hold text instead of a number"),
        ("age", [41.5, 42], "1 rows are no whole numbers"),
        ("age", [41, np.inf], "1 rows are infinite"),
        ("age", [NUMBER, -3, 50], "2 rows are outside the range 0 to 120"),
        ("age", [True, False], "2 rows hold true or false instead of a number"),
        ("age", [2.0**60], "1 rows are larger than 2^53"),
        ("bmi", [20.5, np.nan], "column 'bmi' (decimal): 1 rows have no value, which the dictionary does not allow"),
        ("bmi", [-np.inf], "1 rows are infinite"),
        ("age", pd.Series([2**53 + 1], dtype=np.int64), "1 rows are larger than 2^53"),
        ("age", pd.Series([-(2**53) - 1], dtype=np.int64), "1 rows are larger than 2^53"),
        ("bmi", pd.to_datetime(["2031-05-06"]), "1 rows hold a date instead of a number"),
        ("sex", ["F", CANARY, "f", None], "column 'sex' (category): 2 rows are none of the levels in the dictionary"),
        ("sex", [NUMBER], "1 rows are none of the levels"),
        ("sex", pd.to_datetime(["2031-05-06"]), "1 rows hold no text"),
        ("status", [0, 1, NUMBER], "column 'status' (integer): 1 rows are none of the levels"),
        ("dead", [0, 1, NUMBER], "column 'dead' (boolean): 1 rows are none of the levels"),
        ("dead", [CANARY], "1 rows hold text"),
        (
            "seen",
            ["2031-05-06", "1989-12-31", "1990-01-01", None],
            "2 rows are outside the range 1990-01-01 to 2029-12-31",
        ),
        (
            "seen",
            ["2020-05-06", CANARY, "2031-13-01", "20310101"],
            "column 'seen' (date): 3 rows hold no date YYYY-MM-DD",
        ),
        ("seen", pd.to_datetime(["2031-05-06 07:08", None]), "1 rows hold a time of day or a time zone"),
        ("seen", pd.to_datetime(["2031-05-06"], utc=True), "1 rows hold a time of day or a time zone"),
        ("seen", [NUMBER, 3, np.nan], "2 rows hold no date"),
        ("seen", [True], "1 rows hold no date"),
    ],
)
def test_cells_that_do_not_fit_the_dictionary(name: str, cells: Any, complaint: str) -> None:
    records = Records(pd.DataFrame({name: cells}))
    with pytest.raises(DataError) as caught:
        check_records(records, BAD, [name], "lakeside")
    assert complaint in str(caught.value)
    assert caught.value.party == "lakeside"
    for value in (CANARY, str(NUMBER), "2031", "41.5"):
        assert value not in str(caught.value)


def test_a_missing_column_names_a_near_one() -> None:
    with pytest.raises(DataError, match="the table has no column 'age'") as caught:
        check_records(Records(pd.DataFrame({"Age": [1], "x": [2]})), BAD, ["age"], "lakeside")
    assert caught.value.hint == "is it the column 'Age'?"


def test_checked_columns_have_one_form() -> None:
    frame = pd.DataFrame(
        {
            "age": [41, None],
            "sex": pd.Categorical(["F", None]),
            "dead": pd.array([True, None], dtype="boolean"),
            "status": pd.array([1, None], dtype="Int64"),
            "extra": [CANARY, CANARY],
        }
    )
    found = check_records(Records(frame), BAD, ["age", "sex", "dead", "status", "age"], "a")
    assert list(found.columns) == ["age", "sex", "dead", "status"]
    assert found["sex"].tolist() == ["F", None]
    for name in ("age", "dead", "status"):
        assert found[name].dtype == np.float64
        assert np.isnan(found[name].tolist()[1])


def test_dates_have_one_form_wherever_they_come_from(tmp_path: Path) -> None:
    days = pd.Series(["2000-02-29", None, "2020-01-01", "1990-01-01"])
    as_dates = [None if pd.isna(day) else pd.Timestamp(day).date() for day in days]
    frames = {
        "text": pd.DataFrame({"seen": days}),
        "datetime64[ns]": pd.DataFrame({"seen": pd.to_datetime(days)}),
        "datetime64[s]": pd.DataFrame({"seen": pd.to_datetime(days).astype("datetime64[s]")}),
        "dates": pd.DataFrame({"seen": pd.Series(as_dates, dtype=object)}),
        "category": pd.DataFrame({"seen": days.astype("category")}),
        "arrow": pd.DataFrame({"seen": pd.Series(as_dates, dtype="date32[pyarrow]")}),
    }
    sources: list[Any] = list(frames.values())
    for name in ("text", "datetime64[ns]", "dates"):
        frames[name].to_parquet(tmp_path / f"{name}.parquet")
        sources.append(tmp_path / f"{name}.parquet")
    frames["text"].to_csv(tmp_path / "t.csv", index=False)
    sources.append(tmp_path / "t.csv")
    for source in sources:
        found = check_records(load(source, "a", BAD), BAD, ["seen"], "a")["seen"]
        assert found.dtype == "datetime64[s]"
        assert found.astype(str).tolist() == ["2000-02-29", "NaT", "2020-01-01", "1990-01-01"]
        people = contribution(load(source, "a"), BAD, type="count", where="year(seen) >= 2000 and seen < '2020-01-01'")
        assert people.counts == 1
    nobody = load(pd.DataFrame({"seen": pd.Series([None, np.nan], dtype=object)}), "a")
    assert check_records(nobody, BAD, ["seen"], "a")["seen"].isna().all()
    assert contribution(nobody, BAD, type="count", where="seen > '2000-01-01' or not seen > '2000-01-01'").counts == 0


def test_a_level_that_the_dictionary_lacks_is_refused_where_it_is_held() -> None:
    for where in (None, "sex == 'F'", "age > 100"):
        good = pd.DataFrame({"age": [50, 60], "sex": ["F", "M"]})
        assert contribution(good, BAD, type="count", where=where, by=["sex"]).counts.shape == (2,)
        strange = good.assign(sex=["F", CANARY])
        complaint = refused(strange, BAD, type="count", where=where, by=["sex"])
        assert "column 'sex' (category): 1 rows are none of the levels in the dictionary" in complaint


def test_every_analysis_checks_the_columns_it_reads(lung: pd.DataFrame) -> None:
    bad = lung.astype({"status": object}).assign(status=lambda t: t["status"].where(t.index != 3, CANARY))
    survival: dict[str, Any] = {"type": "kaplan-meier", "time": "time", "event": "status"}
    assert "column 'status' (integer): 1 rows hold text" in refused(bad, **survival)
    unknown = lung.assign(status=lung["status"].where(lung.index != 3, NUMBER))
    assert "column 'status' (integer): 1 rows are none of the levels" in refused(unknown, **survival)
    negative = lung.assign(time=lung["time"].where(lung.index != 3, -NUMBER))
    assert "column 'time' (integer): 1 rows are outside the range 0 to 1095" in refused(negative, **survival)
    assert "no column 'time'" in refused(lung.drop(columns="time"), **survival)
    assert "no column 'age'" in refused(lung.drop(columns="age"), type="count", where="age > 3")
    assert contribution(bad, type="count", by=["sex"]).counts.sum() == 228  # status is not read


# ------------------------------------------------------------------ association

GWAS: dict[str, Any] = {"type": "gwas", "phenotype": "Y1", "covariates": ["V1", "V2", "V3"]}


@pytest.fixture(scope="module")
def golden() -> pd.DataFrame:
    with gzip.open(DATA / "regenie_Y1.glm.linear.gz") as file:
        return pd.read_csv(file, sep="\t", float_precision="round_trip")


def parts_of_the_demonstration() -> list[AssociationContribution]:
    found = []
    for party in ("northfield", "lakeside", "westbay"):
        data = PARTIES / party / "data"
        records = load(Dataset(data / "traits.csv", genotypes=data / "variants", id="IID"), party, TRAITS)
        found.append(contribution(records, TRAITS, **GWAS))
    return found


def test_the_parties_of_the_demonstration_hold_what_plink_saw(golden: pd.DataFrame) -> None:
    parts = parts_of_the_demonstration()
    phenotype = np.concatenate([part.phenotype for part in parts])
    fixed = np.column_stack([np.ones(500), np.vstack([part.covariates for part in parts])])
    calls = np.vstack([np.hstack([part.read(0, 400), part.read(400, 1000)]) for part in parts]).astype(np.float64)
    assert calls.min() == 0
    q, _ = np.linalg.qr(fixed)
    residual, genotype = phenotype - q @ (q.T @ phenotype), calls - q @ (q.T @ calls)
    effect = (residual @ genotype) / (genotype**2).sum(axis=0)
    error = np.sqrt(((residual[:, None] - genotype * effect) ** 2).sum(axis=0) / 495 / (genotype**2).sum(axis=0))
    assert golden["A1"].astype(str).eq("1").all()  # alt, as the bim file's A1
    np.testing.assert_allclose(effect, golden["BETA"], rtol=5e-6)  # PLINK prints six digits
    np.testing.assert_allclose(error, golden["SE"], rtol=5e-6)


def traits() -> pd.DataFrame:
    return pd.read_csv(DATA / "regenie_traits.csv", dtype={"IID": str}, float_precision="round_trip")


def genetic(frame: pd.DataFrame, **options: Any) -> Records:
    return load(Dataset(frame, genotypes=options.pop("genotypes", DATA / "regenie"), **options), "lakeside")


def reported(records: Records) -> tuple[AssociationContribution, Preparation]:
    spec = parse_spec(GWAS)
    assert records.genotypes is not None
    plan = make_plan(spec, TRAITS, records.genotypes.variants)
    found, report = prepare_with_report(spec, plan, records, TRAITS, "lakeside")
    assert isinstance(found, AssociationContribution)
    return found, report


def test_rows_are_matched_by_id_whatever_their_order() -> None:
    frame = traits()
    ordered, _ = reported(genetic(frame))
    shuffled, report = reported(genetic(frame.iloc[np.arange(500) * 7 % 500]))
    assert np.array_equal(ordered.phenotype, frame["Y1"])
    assert np.array_equal(ordered.phenotype, shuffled.phenotype)
    assert np.array_equal(ordered.covariates, shuffled.covariates)
    assert np.array_equal(ordered.read(3, 9), shuffled.read(3, 9))
    assert report == Preparation(rows=500, selected=500, incomplete=0, without_genotype=0, without_row=0, used=500)
    numbers, _ = reported(genetic(frame.astype({"IID": int})))
    assert np.array_equal(numbers.phenotype, ordered.phenotype)


def test_incomplete_and_unmatched_people_are_counted() -> None:
    frame = traits().iloc[:300]
    frame.loc[0:9, "Y1"] = np.nan
    frame.loc[5:14, "V2"] = np.nan
    frame.loc[20:24, "IID"] = [f"unknown{i}" for i in range(5)]
    found, report = reported(genetic(frame))
    assert report == Preparation(rows=300, selected=300, incomplete=15, without_genotype=5, without_row=205, used=280)
    assert found.phenotype.shape == (280,)
    assert found.covariates.shape == (280, 3)
    assert found.read(0, 7).shape == (280, 7)
    assert np.array_equal(found.phenotype, frame["Y1"].drop([*range(15), *range(20, 25)]))


def test_a_phenotype_of_minus_nine_is_a_number() -> None:
    frame = traits()
    frame.loc[3, "Y1"] = -5.5
    wide = TRAITS.model_copy(
        update={
            "columns": tuple(
                column.model_copy(update={"range": (-9.0, 9.0)}) if column.name == "Y1" else column
                for column in TRAITS.columns
            )
        }
    )
    frame.loc[3, "Y1"] = -9
    assert contribution(genetic(frame), wide, **GWAS).phenotype[3] == -9
    frame.loc[4, "Y1"] = NUMBER
    message = refused(genetic(frame), TRAITS, **GWAS)
    assert "2 rows are outside the range -6 to 6" in message
    assert "1 of them hold PLINK's code -9, which is a number here: write NA" in message


def test_family_and_individual_id_together(tmp_path: Path) -> None:
    for suffix in (".bed", ".bim"):
        shutil.copyfile(DATA / f"regenie{suffix}", tmp_path / f"set{suffix}")
    lines = [line.split() for line in (DATA / "regenie.fam").read_text().splitlines()]
    ids = [(f"f{i // 250}", str(i % 250)) for i in range(500)]
    text = "".join("\t".join([*own, *line[2:]]) + "\n" for own, line in zip(ids, lines, strict=True))
    (tmp_path / "set.fam").write_text(text)
    frame = traits().drop(columns="IID").assign(FID=[f for f, _ in ids], IID=[i for _, i in ids])
    found, report = reported(genetic(frame.iloc[::-1], genotypes=tmp_path / "set"))
    assert np.array_equal(found.phenotype, frame["Y1"])
    assert report.used == 500
    alone = genetic(frame.iloc[:250].drop(columns="FID"), genotypes=tmp_path / "set")
    assert "250 samples of the fam file repeat an individual id" in refused(alone, TRAITS, **GWAS)


def test_associations_that_cannot_be_formed() -> None:
    frame = traits()
    other = frame.assign(IID=[f"{CANARY}{i}" for i in range(500)])
    nobody = "none of the 500 table rows has an id among the 500 genotype samples"
    assert nobody in refused(genetic(other), TRAITS, **GWAS)
    outside = frame.assign(Y1=frame["Y1"].where(frame.index > 1, NUMBER))
    assert "column 'Y1' (decimal): 2 rows are outside the range -6 to 6" in refused(genetic(outside), TRAITS, **GWAS)
    assert "no column 'V2'" in refused(genetic(frame.drop(columns="V2")), TRAITS, **GWAS)
    spec = parse_spec(GWAS)
    records = genetic(frame)
    assert records.genotypes is not None
    plan = make_plan(spec, TRAITS, records.genotypes.variants.iloc[::-1])
    with pytest.raises(DataError, match="1,000 variants are not the study's 1,000"):
        prepare(spec, plan, records, TRAITS, "lakeside")
    with pytest.raises(DataError, match="no genotypes at this party"):
        prepare(spec, plan, load(frame, "lakeside"), TRAITS, "lakeside")


def test_an_empty_site_of_an_association() -> None:
    nobody, report = reported(genetic(traits().iloc[:0]))
    spec = parse_spec(GWAS)
    plan = make_plan(spec, TRAITS, genetic(traits()).genotypes.variants)  # type: ignore[union-attr]
    without_files = prepare(spec, plan, load(traits().iloc[:0], "lakeside"), TRAITS, "lakeside")
    for found in (nobody, without_files):
        assert isinstance(found, AssociationContribution)
        assert found.phenotype.shape == (0,)
        assert found.covariates.shape == (0, 3)
        assert found.read(10, 17).shape == (0, 7)
    assert report.without_row == 500


def test_no_covariates() -> None:
    found = contribution(genetic(traits()), TRAITS, type="gwas", phenotype="Y2")
    assert found.covariates.shape == (500, 0)


def test_a_plan_of_another_analysis_is_a_mistake_of_the_caller(lung: pd.DataFrame) -> None:
    spec = parse_spec({"type": "count"})
    plan = make_plan(parse_spec({"type": "kaplan-meier", "time": "time", "event": "status"}), LUNG, None)
    with pytest.raises(TypeError, match="is not the plan of a count analysis"):
        prepare(spec, plan, load(lung, "a"), LUNG, "a")


def test_an_inferred_dictionary_fits_its_own_records(lung: pd.DataFrame) -> None:
    inferred = infer_dictionary({"a": lung.iloc[:100], "b": lung.iloc[100:]})
    by_hand = contribution(lung, type="kaplan-meier", time="time", event="status", by="sex")
    found = contribution(lung, inferred, type="kaplan-meier", time="time", event="status", by="sex")
    assert np.array_equal(found.events, by_hand.events[:, :1023])
