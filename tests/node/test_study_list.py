"""The study's public list of variants: made from lists, written, read, refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mpcstats.errors import DataError
from mpcstats.node.genotypes.study_list import make_study_list, read_list, read_study_list, write_study_list

CANARY = "CANARY"
HEADER = "#CHROM\tPOS\tID\tREF\tALT\n"


def table(*rows: tuple[str, int, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt"]).astype({"pos": "int64"})


NORTH = table(
    ("X", 5, "rs9", "A", "G"),
    ("2", 50, "rs5", "A", "C"),
    ("10", 50, "rs6", "A", "C"),
    ("2", 40, "rs4", "A", "T"),
    ("2", 30, "rs3", "G", "A"),
    ("2", 20, "rs2", "G", "0"),
    ("2", 30, "twice", "T", "C"),
)
SOUTH = table(
    ("chr2", 30, "exm3", "C", "T"),
    ("chr2", 20, "exm2", "A", "G"),
    ("chrX", 5, "rs9", "G", "."),
    ("chr2", 60, "exm7", "G", "C"),
    ("chr2", 70, "exm8", "G", "T"),
)


def test_variants_that_all_lists_have() -> None:
    study, reports = make_study_list([("north.bim", NORTH), ("south.pvar", SOUTH)])
    assert study.variants.to_numpy().tolist() == [
        ["chr2", 20, "exm2", "A", "G"],  # north names one allele of it
        ["2", 30, "rs3", "G", "A"],
        ["X", 5, "rs9", "A", "G"],
    ]
    assert (study.ambiguous, study.dropped) == ("drop", 2)
    north, south = reports
    assert (north.name, north.variants, north.ambiguous, north.repeated, north.one_allele) == ("north.bim", 7, 1, 1, 1)
    assert (south.ambiguous, south.repeated, south.one_allele) == (1, 0, 1)
    assert (north.harmonisation.matched, north.harmonisation.flipped, north.harmonisation.unused) == (3, 1, 4)
    assert (south.harmonisation.matched, south.harmonisation.complemented) == (3, 1)


def test_variants_that_one_list_has() -> None:
    study, _ = make_study_list([("north.bim", NORTH), ("south.pvar", SOUTH)], "union", "keep")
    assert study.variants["id"].tolist() == ["exm2", "rs3", "rs4", "rs5", "exm7", "exm8", "rs6", "rs9"]
    assert study.variants["pos"].tolist() == [20, 30, 40, 50, 60, 70, 50, 5]
    assert study.dropped == 0


def test_the_order_of_rows_plays_no_part() -> None:
    first, _ = make_study_list([("a", NORTH), ("b", SOUTH)], "union")
    second, _ = make_study_list([("a", NORTH.iloc[::-1]), ("b", SOUTH.iloc[[2, 0, 4, 1, 3]])], "union")
    pd.testing.assert_frame_equal(first.variants, second.variants)


def test_lists_with_nothing_in_common() -> None:
    lists = [("a", table(("1", 1, "a", "A", "G"))), ("b", table(("2", 1, "b", "A", "G")))]
    with pytest.raises(DataError, match="none of the study's 1 variants"):
        make_study_list(lists)
    assert len(make_study_list(lists, "union")[0].variants) == 2
    with pytest.raises(DataError, match="no variant is in all lists"):
        make_study_list([("a", table(("1", 1, "a", "A", "T")))])


def test_lists_of_different_builds_are_matched_by_id() -> None:
    north = table(*[("19", 63_500_000 + k, f"rs{k}", "A", "G") for k in range(9)])
    south = table(*[("19", 58_900_000 + k, f"rs{k}", "G", "A") for k in range(8)])
    with pytest.raises(DataError, match="look like NCBI36"):
        make_study_list([("a", south), ("b", north)], "union")
    study, reports = make_study_list([("a", south), ("b", north)], match="id")
    pd.testing.assert_frame_equal(study.variants, south)
    assert reports[1].harmonisation.by_id == 8
    assert reports[1].build == "NCBI36"


@pytest.mark.parametrize("rule", ["drop", "keep"])
def test_a_written_list_is_read_again(tmp_path: Path, rule: str) -> None:
    study, _ = make_study_list([("north.bim", NORTH)], "union", rule)  # type: ignore[arg-type]
    write_study_list(study, tmp_path / "study.tsv")
    found = read_study_list(tmp_path / "study.tsv", "a")
    pd.testing.assert_frame_equal(found.variants, study.variants)
    assert (found.ambiguous, found.dropped) == (rule, 0)
    name, again = read_list(tmp_path / "study.tsv")
    assert name == "study.tsv"
    pd.testing.assert_frame_equal(again, study.variants)


def test_ambiguous_variants_of_a_list_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "study.tsv"
    rows = "1\t1\ta\tA\tT\n1\t2\tb\tA\tC\n"
    path.write_text(HEADER + rows)
    found = read_study_list(path, "a")
    assert (found.variants["id"].tolist(), found.dropped) == (["b"], 1)
    path.write_text("##ambiguous=keep\n" + HEADER + rows)
    assert read_study_list(path, "a").variants["id"].tolist() == ["a", "b"]
    (tmp_path / "list.bim").write_text("1\ta\t0\t1\tT\tA\n1\tb\t0\t2\tC\tA\n")
    pd.testing.assert_frame_equal(read_study_list(tmp_path / "list.bim", "a").variants, found.variants)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (HEADER, "no variants that can be used"),
        (HEADER + f"1\t1\t{CANARY}\tA\tT\n", "no variants that can be used"),
        (HEADER + "1\t1\ta\tA\t.\n", "1 variants have one allele only"),
        (HEADER + "1\t1\ta\tA\tG\nchr1\t1\tb\tC\tT\n", "1 variants are others of the list with alleles swapped"),
        (HEADER + f"1\t1\t{CANARY}\tA\tG\n1\t2\t{CANARY}\tC\tT\n", "1 variant ids are used at several positions"),
        ("##ambiguous=perhaps\n" + HEADER + "1\t1\ta\tA\tG\n", "##ambiguous= must be drop or keep"),
        ("", "is empty"),
        ("chrom,pos\n1,2\n", "no header line"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "study.tsv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_study_list(path, "westbay")
    assert caught.value.party == "westbay"
    assert problem in str(caught.value)
    assert CANARY not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_study_list(path, "westbay")
