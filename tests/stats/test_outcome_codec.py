"""Outcomes survive the way from a node to its operator, large tables and all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import FrameRejected
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes, outcome_pieces
from mpcstats.stats.stored_table import StoredTable, Tables, TableWriter


def outcome_to_bytes(outcome: Outcome) -> bytes:
    pieces = list(outcome_pieces(outcome))
    assert max(map(len, pieces)) <= 1 << 20
    return b"".join(pieces)


def large(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "#CHROM": pd.Series(["1", "X"] * (rows // 2), dtype=object),
            "POS": np.arange(rows, dtype=np.int64),
            "BETA": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows) * 1e-300),
            "P": np.where(rng.random(rows) < 0.1, math.inf, rng.random(rows)),
            "count": pd.array([None if k % 7 == 0 else k for k in range(rows)], dtype="Int64"),
            "shown": rng.random(rows) < 0.5,
        }
    )


@pytest.mark.parametrize("rows", [0, 10, 5000])
def test_outcomes_survive(rows: int) -> None:
    tables = {"few": pd.DataFrame({"a": [1.5, math.nan]}), "variants": large(rows), "empty": pd.DataFrame()}
    outcome = Outcome("gwas", tables, {"p": 1e-320, "n": 3}, {"missing": "none"}, ["nothing"], {"rounds": 7})
    back = outcome_from_bytes(bytearray(outcome_to_bytes(outcome)))
    assert list(back.tables) == list(tables)
    for name, table in tables.items():
        if rows or name == "few":
            pd.testing.assert_frame_equal(back.tables[name], table, check_exact=True, check_column_type=False)
    assert (back.analysis, back.values, back.run) == ("gwas", outcome.values, outcome.run)
    assert (back.conventions, back.withheld) == (outcome.conventions, outcome.withheld)


def test_a_large_table_of_mixed_levels_goes_as_text() -> None:
    table = pd.DataFrame({"group": pd.Series([1, "all"] * 2000, dtype=object), "n": range(4000)})
    back = outcome_from_bytes(outcome_to_bytes(Outcome("x", {"t": table})))
    pd.testing.assert_frame_equal(back.tables["t"], table)


def test_large_tables_are_smaller_than_text() -> None:
    outcome = Outcome("gwas", {"variants": large(20_000)})
    assert len(outcome_to_bytes(outcome)) < 0.6 * len(outcome.to_json())


@pytest.mark.parametrize("data", [b"", b"{}", b"mpcstats outcome 1\n" + bytes(8)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((FrameRejected, ValueError)):
        outcome_from_bytes(data)


def test_a_cut_outcome_is_refused() -> None:
    data = outcome_to_bytes(Outcome("gwas", {"variants": large(3000)}))
    with pytest.raises(FrameRejected, match="another length"):
        outcome_from_bytes(data + b"more")


def test_a_table_that_waits_in_a_file_travels_without_being_read(tmp_path: Path) -> None:
    writer, frames = TableWriter(tmp_path / "new" / "t.arrow"), [large(600), large(400)]
    for frame in frames:
        writer.append(frame)
    stored = writer.finish()
    assert isinstance(stored, StoredTable)
    assert stored.rows == 1000
    whole = pd.concat(frames, ignore_index=True)
    outcome = Outcome("gwas", Tables(variants=stored, few=pd.DataFrame({"a": [1]})))
    data = outcome_to_bytes(outcome)
    assert outcome.stored("variants") is not None
    back = outcome_from_bytes(data)
    assert list(back.tables) == ["variants", "few"]
    pd.testing.assert_frame_equal(back.tables["variants"], whole)
    for found in (outcome.tables["variants"], outcome.tables["variants"], next(iter(outcome.tables.values()))):
        pd.testing.assert_frame_equal(found, whole)
    assert outcome.tables.get("nothing") is None
    assert Outcome.from_json(outcome.to_json()).tables["variants"]["POS"].tolist() == whole["POS"].tolist()


def test_rows_in_memory() -> None:
    writer = TableWriter()
    writer.append(large(10))
    writer.append(large(6))
    found = writer.finish()
    assert isinstance(found, pd.DataFrame)
    assert found.index.tolist() == list(range(16))
