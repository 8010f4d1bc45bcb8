"""Reading a party's tables: nothing mangled, every fault named at its owner, no record's value in a message."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.records import parquet, tables
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.source import Dataset, load
from mpcstats.study.dictionary import load_dictionary, parse_dictionary

DATA = Path(__file__).parents[1] / "data"
PARTIES = Path(__file__).parents[2] / "parties"
CANARY = "CANARY"
NUMBER = 864213579


def write(tmp_path: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(dataset: Dataset | pd.DataFrame | Path) -> str:
    """The error's text; neither it nor its traceback has a value of the records."""
    with pytest.raises(DataError) as caught:
        load(dataset, "lakeside")
    assert caught.value.party == "lakeside"
    shown = "".join(traceback.format_exception(caught.value)[-1:]) + str(caught.value)
    assert CANARY not in shown
    assert str(NUMBER) not in shown
    return str(caught.value)


def test_types_are_those_of_the_cells(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        (
            "whole,float,text,code,truth,date,gap,empty,big,flag\n"
            "1,0.1,x,007,true,2020-01-02,3,,12345678901234567890,True\n"
            '-2,+1e3,"a, ""b""",010,FALSE,2020-13-45,,NA,12345678901234567891,\n'
            "3,.5,None,3,True,x,5,.,12345678901234567892,FALSE\n"
        ),
    )
    frame = load(path, "a").frame
    assert frame["whole"].tolist() == [1, -2, 3]
    assert frame["whole"].dtype == np.int64
    assert frame["float"].tolist() == [0.1, 1000.0, 0.5]
    assert frame["text"].tolist() == ["x", 'a, "b"', "None"]
    assert frame["code"].tolist() == ["007", "010", "3"]
    assert frame["truth"].tolist() == [True, False, True]
    assert frame["truth"].dtype == bool
    assert frame["date"].tolist() == ["2020-01-02", "2020-13-45", "x"]
    assert frame["gap"].tolist()[::2] == [3.0, 5.0]
    assert frame["gap"].isna().tolist() == [False, True, False]
    assert frame["empty"].isna().all()
    assert frame["big"].tolist() == ["12345678901234567890", "12345678901234567891", "12345678901234567892"]
    assert frame["flag"].isna().tolist() == [False, True, False]
    assert frame["flag"].tolist()[::2] == [True, False]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_doubles_survive_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    path.write_text("x,y\n" + "".join(f"{value!r},0.5\n" for value in values))
    assert load(path, "a").frame["x"].astype(float).tolist() == values


def test_the_same_table_in_every_format_is_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "x": [0.1, np.nan, -3.25], "n": [1, 2, 3], "s": ["u", None, "w"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "tabs.txt", index=False, sep="\t", na_rep="NA")
    frame.to_csv(tmp_path / "blanks.txt", index=False, sep=" ", na_rep="NA")
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.tsv", "tabs.txt", "blanks.txt", "t.parquet"):
        found = load(tmp_path / name, "a").frame
        pd.testing.assert_frame_equal(found, frame, check_dtype=False, obj=name)
        assert found["n"].dtype == np.int64


def test_plink_tables_with_white_space(tmp_path: Path) -> None:
    path = write(tmp_path, "#FID IID   Y1\r\n 01  7 \t 0.25\r\n02 8 -9\r\n", "pheno.txt")
    frame = load(path, "a").frame
    assert frame["FID"].tolist() == ["01", "02"]
    assert frame["IID"].tolist() == ["7", "8"]
    assert frame["Y1"].tolist() == [0.25, -9.0]


def test_the_dictionary_decides_between_text_and_number(tmp_path: Path) -> None:
    path = write(tmp_path, "arm,score\n1,01\n2,02\n")
    columns = [{"name": "arm", "type": "category", "levels": ["1", "2"]}, {"name": "score", "type": "integer"}]
    frame = load(path, "a", parse_dictionary({"id": "d", "column": columns})).frame
    assert frame["arm"].tolist() == ["1", "2"]
    assert frame["score"].tolist() == [1, 2]


@pytest.mark.parametrize("content", ["a,b\n", "a,b", "a,b\r\n\r\n", "\ufeffa,b\n"])
def test_a_header_without_rows_is_an_empty_site(tmp_path: Path, content: str) -> None:
    frame = load(write(tmp_path, content), "a").frame
    assert list(frame.columns) == ["a", "b"]
    assert len(frame) == 0


def test_an_empty_frame_and_an_empty_parquet_file_are_empty_sites(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Series([], dtype=float)})
    frame.to_parquet(tmp_path / "t.parquet")
    assert len(load(frame, "a").frame) == 0
    assert len(load(tmp_path / "t.parquet", "a").frame) == 0


def test_a_frame_of_the_caller_is_not_changed() -> None:
    frame = pd.DataFrame({"IID": [1, 2], "x": [0.5, 1.5]}, index=[7, 9])
    before = frame.copy()
    records = load(Dataset(frame, id="IID"), "a")
    pd.testing.assert_frame_equal(frame, before)
    assert records.frame["IID"].tolist() == ["1", "2"]
    assert records.id_column == "IID"
    assert records.frame.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "table.csv is empty"),
        ("\n", "not a header line"),
        (f"{NUMBER},2\n3,4\n", "not a header line"),
        (f"{CANARY},2\n3,4\n", "not a header line"),
        (f'"",x\n{CANARY},4\n', "not a header line"),
        (f"{CANARY},{CANARY}\n3,4\n", "columns 1 and 2 have the same name"),
        ("a,b,a\n1,2,3\n", "columns 1 and 3 have the same name"),
        (f"a,b\n1,{CANARY},3\n1,2\n{CANARY}\n", "2 rows do not have 2 fields; the first is line 2"),
        (f"a,b\n1,2\n{CANARY}\n", "1 rows do not have 2 fields; the first is line 3"),
        (f'a,b\n1,2\n"{CANARY},3\n', "do not have 2 fields"),
        ("a;b\n1;2\n", "separated by commas"),
        ('a,"b\n1,2\n', "a quote in the header line is not closed"),
        (b"a,b\n1,\xff\xfe\n", "not UTF-8"),
        (b"\xff\xfea\x00,\x00", "not UTF-8"),
        (f"a,b\n{NUMBER},inf\n1,-Inf\n2,3\n", "column 'b' has 2 infinite numbers"),
        (f"a,b\n{NUMBER},1e999\n", "column 'b' has 1 infinite numbers"),
        (f"a,b\n1,{CANARY * 2000}\n", "column 'b' has a field of 12,000 bytes; at most 10,000"),
        (",".join(f"c{i}" for i in range(10_001)) + "\n", "10,001 columns; at most 10,000"),
    ],
)
def test_faults_of_a_file(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    assert complaint in refused(write(tmp_path, content))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(tmp_path / "absent.csv")
    assert "cannot be read: No such file" in refused(tmp_path / "absent.parquet")
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read: Is a directory" in refused(tmp_path / "folder.csv")
    assert "not a readable Parquet file" in refused(write(tmp_path, CANARY * 9, "t.parquet"))
    assert "tables are read from .csv, .tsv, .txt, .phe, .pheno, .cov, .covar, .parquet files" in refused(
        write(tmp_path, CANARY, "t.xlsx")
    )
    assert "not int" in refused(Dataset(3))  # type: ignore[arg-type]


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "MAX_ROWS", 2)
    assert "3 rows; at most 2" in refused(tmp_path / "t.csv")
    monkeypatch.setattr(parquet, "MAX_ROWS", 2)
    assert "3 rows; at most 2" in refused(tmp_path / "t.parquet")


def test_faults_of_a_frame() -> None:
    assert "columns 1 and 2 have the same name" in refused(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert "column 1 has no usable name" in refused(pd.DataFrame({3: [1]}))
    assert "has no columns" in refused(pd.DataFrame())
    assert "column 'x' has 1 infinite" in refused(pd.DataFrame({"x": [1.0, np.inf, np.nan]}))


def test_faults_of_the_id_column(tmp_path: Path) -> None:
    path = write(tmp_path, f"pid,x\n{CANARY},1\n{CANARY},2\n{NUMBER},3\n{CANARY},4\n")
    assert "2 rows repeat an id of column 'pid'" in refused(Dataset(path, id="pid"))
    assert "no column 'IID', which was named as id" in refused(Dataset(path, id="IID"))
    gaps = write(tmp_path, f"pid,x\n{CANARY},1\n,2\nNA,3\n")
    assert "2 rows have no id in column 'pid'" in refused(Dataset(gaps, id="pid"))
    # 1 and 1.0 are the same identifier, however the table stores it
    assert "1 rows repeat an id" in refused(Dataset(pd.DataFrame({"pid": [1.0, 1.0, 2.0]}), id="pid"))
    assert load(path, "a").id_column is None


def test_the_column_that_links_to_genotypes(tmp_path: Path) -> None:
    def columns(*names: str, chosen: str | None = None) -> tuple[str | None, str | None]:
        frame = pd.DataFrame({name: ["1", "2"] for name in names})
        records = load(Dataset(frame, genotypes=DATA / "regenie", id=chosen), "a")
        return records.id_column, records.family_column

    assert columns("id", "FID", "IID") == ("IID", "FID")
    assert columns("id", "IID") == ("IID", None)
    assert columns("person_id", "Sample_ID") == ("Sample_ID", None)
    assert columns("FID", "IID", "other", chosen="other") == ("other", None)
    frame = pd.DataFrame({"x": [1], "FID": ["1"]})
    assert "no column that links its rows" in refused(Dataset(frame, genotypes=DATA / "regenie"))


@pytest.mark.parametrize("party", ["northfield", "lakeside", "westbay"])
def test_the_records_of_the_demonstration_are_the_pooled_table_in_three_parts(party: str) -> None:
    own = load(PARTIES / party / "data" / "lung.csv", party, load_dictionary(PARTIES / party / "dictionary.toml")).frame
    pooled = load(DATA / "lung.csv", "all").frame
    chosen = pooled[pooled["inst"].isin(own["inst"].dropna()) | (pooled["inst"].isna() & own["inst"].isna().any())]
    pd.testing.assert_frame_equal(own, chosen.reset_index(drop=True), check_dtype=False)
    assert len(own) == 76


def test_columns_of_a_parquet_file_are_read_when_they_are_needed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"IID": [7, 8], "ph": [1, 2], "ph.ecog": [0.5, None], "s": pd.Categorical(["x", None])})
    frame.to_parquet(tmp_path / "t.parquet")
    records = load(Dataset(tmp_path / "t.parquet", id="IID"), "a")
    assert (records.rows, records.names) == (2, ["IID", "ph", "ph.ecog", "s"])
    assert "frame" not in vars(records)
    assert records.columns(["ph"]).columns.tolist() == ["ph"]
    assert records.columns(["s", "ph.ecog"]).isna().to_numpy().tolist() == [[False, False], [True, True]]
    assert records.columns(["IID"])["IID"].tolist() == ["7", "8"]
    assert records.frame["IID"].tolist() == ["7", "8"]
    assert records.frame.columns.tolist() == records.names


def test_a_parquet_file_that_changes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    records = load(path, "lakeside")
    pd.DataFrame({"a": [NUMBER, 2, 3]}).to_parquet(path)
    with pytest.raises(DataError, match=r"t\.parquet was changed while it was in use"):
        records.columns(["a"])
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        records.columns(["a"])


def test_ids_of_a_parquet_file_are_checked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"pid": [CANARY, CANARY, "b"], "x": 1}).to_parquet(path)
    assert "t.parquet: 1 rows repeat an id of column 'pid'" in refused(Dataset(path, id="pid"))
    pd.DataFrame({"pid": [NUMBER, None], "x": 1}).to_parquet(path)
    assert "t.parquet: 1 rows have no id in column 'pid'" in refused(Dataset(path, id="pid"))


def test_infinite_numbers_of_a_parquet_file_are_refused_where_they_are_used(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"x": [np.inf, 1.0], "y": [1.0, 2.0]}).to_parquet(path)
    columns = [{"name": "x", "type": "decimal"}, {"name": "y", "type": "decimal"}]
    dictionary = parse_dictionary({"id": "d", "column": columns})
    records = load(path, "lakeside", dictionary)
    assert check_records(records, dictionary, ["y"], "lakeside")["y"].tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match=r"column 'x' \(decimal\): 1 rows are infinite"):
        check_records(records, dictionary, ["x"], "lakeside")
