"""Dummy records: what the dictionary allows, and nothing that anybody recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mpcstats.node.genotypes.dummy import dummy_genotypes
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.source import Records
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.dummy import Uniform, Wanted, dummy_calls, dummy_records, wanted_by
from mpcstats.study.variants import VARIANT_COLUMNS

COLUMNS = [
    {"name": "person", "type": "category", "missing": "refused"},
    {"name": "number", "type": "integer"},
    {"name": "age", "type": "integer", "range": [18, 97]},
    {"name": "stage", "type": "category", "levels": ["I", "II", "III"]},
    {"name": "site", "type": "integer", "levels": [3, 1, 7], "missing": "refused"},
    {"name": "died", "type": "boolean"},
    {"name": "status", "type": "integer", "levels": [1, 2]},
    {"name": "lab", "type": "decimal", "range": [0.1, 0.7], "resolution": 0.1},
    {"name": "bmi", "type": "decimal", "range": [12, 60]},
    {"name": "free", "type": "decimal"},
    {"name": "word", "type": "category"},
    {"name": "day", "type": "date", "range": ["2020-02-28", "2020-03-02"]},
    {"name": "when", "type": "date"},
    {"name": "time", "type": "integer", "range": [0, 50], "missing": "refused"},
    {"name": "entry", "type": "integer", "range": [0, 50]},
    {"name": "one", "type": "decimal", "range": [2.5, 2.5]},
]
KNOWN = [0.209314, 0.145807, 0.782459]
DICTIONARY = Dictionary.model_validate({"id": "x", "unit_of_count": "person", "columns": COLUMNS})


def test_every_type_is_as_the_dictionary_says() -> None:
    table = dummy_records(DICTIONARY, 800, "a")
    checked = check_records(Records(table), DICTIONARY, DICTIONARY.names, "north")
    assert len(checked) == 800
    assert table["person"].is_unique
    assert not table[["person", "site", "time"]].isna().any().any()
    assert 0 < table["age"].isna().sum() < 80
    assert sorted(table["stage"].dropna().unique()) == ["I", "II", "III"]
    assert sorted(table["day"].dropna().unique()) == ["2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"]
    assert set(np.rint(table["lab"].dropna() * 10)) == set(range(1, 8))
    assert set(table["one"].dropna()) == {2.5}


def test_records_follow_from_dictionary_seed_and_rows_alone() -> None:
    one, two, other = (dummy_records(DICTIONARY, 50, seed) for seed in "aab")
    pd.testing.assert_frame_equal(one, two)
    assert not set(one["person"]) & set(other["person"])
    # known bytes: the same on every machine
    assert np.round(Uniform("seed", "label")(3), 6).tolist() == KNOWN


def test_times_and_events_fit_each_other() -> None:
    spec = parse_spec({"type": "kaplan-meier", "time": "time", "event": "status", "entry": "entry"})
    wanted = wanted_by(spec)
    table = dummy_records(DICTIONARY, 500, "a", wanted)
    assert not table[["time", "status", "entry"]].isna().any().any()
    assert (table["entry"] < table["time"]).all()
    assert table["time"].median() < 25
    assert 0.4 < (table["status"] == 2).mean() < 0.8
    by_value = dummy_records(DICTIONARY, 500, "a", Wanted(events={"stage": ("III",)}))
    assert 0.4 < (by_value["stage"] == "III").mean() < 0.8


def test_a_filter_finds_enough_people() -> None:
    table = dummy_records(DICTIONARY, 100, "a", where="age >= 90 and stage == 'II'")
    assert len(table) == 100
    assert ((table["age"] >= 90) & (table["stage"] == "II")).sum() == 100
    nobody = dummy_records(DICTIONARY, 20, "a", where="age > 97")
    assert len(nobody) == 20


@pytest.mark.parametrize("rows", [0, 1])
def test_small_tables(rows: int) -> None:
    assert len(dummy_records(DICTIONARY, rows, "a")) == rows


def test_an_id_column_is_added_where_there_is_none() -> None:
    table = dummy_records(Dictionary.model_validate({"id": "x", "columns": COLUMNS[1:2]}), 5, "a", id_column="IID")
    assert table["IID"].is_unique


def test_genotypes() -> None:
    trait = np.linspace(0, 1, 900)
    calls = dummy_calls(32, 900, "a", trait)
    assert set(np.unique(calls)) == {-1, 0, 1, 2}
    assert (calls[4] >= 0).all()
    assert (calls[0] < 0).sum() > 0
    assert calls[3].clip(0).sum() < 20
    assert calls[1][trait > 0.5].mean() > calls[1][trait < 0.5].mean() + 0.3
    variants = pd.DataFrame({name: range(32) for name in VARIANT_COLUMNS})
    source = dummy_genotypes([f"p{k}" for k in range(900)], variants, "north", "a", trait)
    assert (source.read(1, 4, np.array([5, 0])) == calls[1:4][:, [5, 0]].T).all()
    assert (source.read_list(np.array([31, 3]), np.array([7])) == calls[[31, 3]][:, [7]].T).all()
