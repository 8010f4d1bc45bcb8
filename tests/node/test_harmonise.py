"""One list of variants onto another, and calls turned with it: a disguised copy gives back the original."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import DataError
from mpcstats.node.genotypes.base import GenotypeFiles
from mpcstats.node.genotypes.builds import chromosome_code, looks_like
from mpcstats.node.genotypes.harmonise import harmonise, same_variant, strand_ambiguous
from mpcstats.node.genotypes.harmonised import harmonised

COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}
PLAIN = [("A", "C"), ("A", "G"), ("C", "A"), ("T", "C"), ("G", "T"), ("T", "G")]
FIXED = [("A", "AT"), ("GTC", "G"), ("A", "T"), ("G", "C"), ("1", "2"), ("A", "<DEL>")]


class InMemory(GenotypeFiles):
    """Calls (people, variants) as a file would give them."""

    def __init__(self, variants: pd.DataFrame, calls: np.ndarray) -> None:
        people = pd.DataFrame({"fid": "0", "iid": [f"p{k}" for k in range(len(calls))]})
        super().__init__(people, variants, "westbay", "the sample list", "own.bim")
        object.__setattr__(self, "calls", calls)

    def state(self) -> bytes:
        return b"in memory"

    def _calls(self, variants: Any, rows: np.ndarray) -> np.ndarray:
        return self.calls[rows][:, variants].copy()  # type: ignore[attr-defined,no-any-return]


def table(*rows: tuple[str, int, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt"]).astype({"pos": "int64"})


@st.composite
def disguised(draw: st.DrawFn) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray, np.ndarray]:
    """A study with calls of three people, and the same as a site may hold it; which study variants it lacks."""
    places = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=12, unique=True))
    study, own, calls, theirs, lost = [], [], [], [], []
    for k, (chrom, pos) in enumerate(places):
        ref, alt = draw(st.sampled_from(PLAIN + FIXED))
        column = np.array(draw(st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=3, max_size=3)), dtype=np.int8)
        study.append((str(chrom), pos, f"rs{k}", ref, alt))
        plain = (ref, alt) in PLAIN
        flip = draw(st.booleans()) and (ref, alt) not in FIXED[:2]
        swap_strand = draw(st.booleans()) and plain
        if draw(st.integers(0, 4)) == 0 and k:
            lost.append(True)
            column = np.full(3, -1, dtype=np.int8)
        else:
            lost.append(False)
            a, b = (COMPLEMENT[ref], COMPLEMENT[alt]) if swap_strand else (ref, alt)
            name = draw(st.sampled_from([f"rs{k}", f"other{k}", "."]))
            prefix = draw(st.sampled_from(["", "chr"]))
            own.append((prefix + str(chrom), pos, name, *((b, a) if flip else (a, b))))
            theirs.append(np.where(column < 0, -1, 2 - column) if flip else column)
        calls.append(column)
    order = draw(st.permutations(range(len(own))))
    shuffled = [own[k] for k in order]
    extra = [("9", 77, "unasked", "A", "C")] if draw(st.booleans()) else []
    held = np.array([theirs[k] for k in order] + [[0, 1, 2]] * len(extra), dtype=np.int8).T
    return table(*study), np.array(calls).T, table(*shuffled, *extra), held, np.array(lost)


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(disguised(), st.data())
def test_a_shuffled_flipped_complemented_copy_gives_back_the_calls(
    case: tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    study, calls, own, held, lost = case
    found = harmonised(InMemory(own, held), study)
    pd.testing.assert_frame_equal(found.variants, study)
    rows = np.array(data.draw(st.permutations(range(3))))
    start = data.draw(st.integers(0, len(study)))
    stop = data.draw(st.integers(start, len(study)))
    assert np.array_equal(found.read(start, stop, rows), calls[rows, start:stop])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(study) - 1), max_size=5)), dtype=np.intp)
    assert np.array_equal(found.read_list(chosen, rows), calls[rows][:, chosen])
    report = found.report
    assert (report.matched, report.absent) == ((~lost).sum(), lost.sum())
    assert report.matched == report.by_position
    assert report.unused == len(own) - report.matched
    assert (report.other_alleles, report.repeated) == (0, 0)


def test_counts_of_what_was_done() -> None:
    study = table(*[("1", k, f"rs{k}", "A", "G") for k in range(1, 9)])
    own = table(
        ("1", 1, "rs1", "A", "G"),
        ("1", 2, "rs2", "G", "A"),
        ("1", 3, "rs3", "T", "C"),
        ("1", 4, "rs4", "C", "T"),
        ("1", 5, "rs5", "A", "C"),  # another variant
        ("chr01", 6, "x", "G", "0"),  # nobody carries A
        ("1", 7, "x1", "A", "G"),
        ("1", 7, "x2", "A", "G"),  # nobody can tell which
    )
    mapping = harmonise(own, study, "own.bim", "westbay")
    assert mapping.position.tolist() == [0, 1, 2, 3, -1, 5, -1, -1]
    assert mapping.flipped.tolist() == [False, True, False, True, False, True, False, False]
    r = mapping.report
    assert (r.study, r.own, r.matched, r.by_position, r.by_id) == (8, 8, 5, 5, 0)
    assert (r.flipped, r.complemented, r.one_allele, r.repeated, r.other_alleles, r.absent) == (3, 2, 1, 1, 1, 3)
    assert r.unused == 3
    assert "5 of 8 variants matched" in str(r)


def test_the_row_with_the_same_id_is_taken_where_several_fit() -> None:
    study = table(("1", 7, "rs7", "A", "G"), ("1", 8, "rs8", "A", "G"))
    own = table(("1", 7, "x", "A", "G"), ("1", 7, "rs7", "C", "T"), ("1", 8, "y", "A", "G"), ("1", 8, "z", "A", "."))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        mapping = harmonise(own.iloc[order], study, "own.bim", "westbay")
        assert [order[k] for k in mapping.position] == [1, 2]
        assert mapping.flipped.tolist() == [True, False]


def test_a_scan_goes_on_only_where_the_lists_map_as_before() -> None:
    study = table(("1", 7, "rs7", "A", "G"), ("1", 8, "rs8", "A", "G"))
    calls = np.zeros((3, 2), dtype=np.int8)
    states = {
        harmonised(InMemory(own, calls), study).state()
        for own in (
            study,
            study.iloc[::-1].reset_index(drop=True),
            study.assign(ref="G", alt="A"),
            study.assign(id="."),
        )
    }
    assert len(states) == 3


def test_one_allele_of_several_rows_at_a_position() -> None:
    study = table(("1", 7, "rs7", "A", "G"), ("1", 7, "rs7b", "A", "C"), ("1", 9, "rs9", "C", "A"))
    mapping = harmonise(table(("1", 7, "x", "A", "."), ("1", 9, "y", "T", "0")), study, "own.bim", "westbay")
    assert mapping.position.tolist() == [0, 0, 1]
    assert mapping.flipped.tolist() == [False, False, True]
    assert mapping.report.complemented == 1


def test_insertions_are_not_deletions() -> None:
    study = table(("1", 7, "a", "G", "GA"), ("1", 8, "b", "G", "T"))
    mapping = harmonise(table(("1", 7, "c", "GA", "G"), ("1", 8, "b", "g", "t")), study, "own.bim", "westbay")
    assert mapping.position.tolist() == [-1, 1]
    assert mapping.report.other_alleles == 1


def test_ids_are_trusted_where_few_of_them_moved() -> None:
    study = table(*[("1", k, f"rs{k}", "A", "G") for k in range(1, 21)])
    own = study.copy()
    own.loc[3, "pos"] = 1003  # corrected since
    own.loc[4, ["pos", "ref"]] = [1004, "C"]  # the same id for another variant
    mapping = harmonise(own, study, "own.bim", "westbay")
    assert (mapping.report.by_position, mapping.report.by_id, mapping.report.absent) == (18, 1, 1)
    own.loc[5:8, "pos"] += 1000  # numbered rows, not names
    mapping = harmonise(own, study, "own.bim", "westbay")
    assert (mapping.report.by_id, mapping.report.absent) == (0, 6)
    by_id = harmonise(own, study, "own.bim", "westbay", "id")
    assert (by_id.report.by_id, by_id.report.absent, by_id.report.repeated) == (19, 1, 0)
    split = pd.concat([own, own.iloc[[10]].assign(alt="T")], ignore_index=True)  # one place, several ALT alleles
    by_id = harmonise(split, study, "own.bim", "westbay", "id")
    assert (by_id.report.by_id, by_id.report.absent, by_id.report.repeated) == (18, 2, 1)


def test_another_build_is_noticed() -> None:
    places = [("19", 63_500_000 + k, f"rs{k}", "A", "G") for k in range(30)]
    study = table(*[("19", 58_900_000 + k, f"rs{k}", "A", "G") for k in range(30)])
    own = table(*places)
    with pytest.raises(DataError) as caught:
        harmonise(own, study, "own.bim", "westbay")
    assert caught.value.party == "westbay"
    assert "30 of the 30 variant ids" in caught.value.message
    assert "own.bim look like NCBI36, the study's like NCBI36 or GRCh37" in caught.value.message
    assert 'variant_match = "id"' in str(caught.value.hint)
    assert harmonise(own, study, "own.bim", "westbay", "id").report.by_id == 30


def test_another_build_is_noticed_without_ids() -> None:
    ends = [("19", 63_700_000, ".", "A", "G"), ("17", 81_000_000, ".", "A", "G")]
    rows = [("19", 1000 * k, ".", "A", "G") for k in range(1, 30)]
    study = table(*rows, ends[1])
    own = table(*[("19", pos + 7 * (k > 5), *rest) for k, (_, pos, *rest) in enumerate(rows)], ends[0])
    with pytest.raises(DataError, match=r"6 of the study's 30 variants are at the positions of own.bim's 30.*NCBI36"):
        harmonise(own, study, "own.bim", "westbay")
    unknown = table(*rows[:6], *own.to_numpy()[6:].tolist(), ("19", 99_000_000, ".", "A", "G"))  # no build has it
    assert harmonise(unknown, study, "own.bim", "westbay").report.matched == 6


def test_numbered_ids_are_no_other_build() -> None:
    study = table(*[("1", k, f"snp{k}", "A", "G") for k in range(1, 31)])
    own = study.assign(id=[f"snp{k}" for k in range(30, 0, -1)])
    mapping = harmonise(own, study, "own.bim", "westbay")
    assert mapping.position.tolist() == list(range(30))


def test_nothing_in_common() -> None:
    study, own = table(("1", 7, "a", "G", "A")), table(("2", 7, "b", "G", "A"), ("1", 7, "c", "G", "T"))
    with pytest.raises(DataError, match="none of the study's 1 variants is among the 2 of own") as caught:
        harmonise(own, study, "own.bim", "westbay")
    assert caught.value.party == "westbay"
    assert harmonise(own, study, "own.bim", "westbay", may_differ=True).report.absent == 1


def test_builds_and_names_of_chromosomes() -> None:
    assert chromosome_code(pd.Series(["chr1", "01", "X", "chrX", "23", "MT", "chrM", "Un_7"])).tolist() == (
        ["1", "1", "23", "23", "23", "26", "26", "UN_7"]
    )
    assert looks_like(table(("19", 63_000_000, "a", "A", "G"))) == "NCBI36"
    assert looks_like(table(("17", 81_000_000, "a", "A", "G"), ("21", 48_000_000, "b", "A", "G"))) == "GRCh37"
    assert looks_like(table(("17", 83_000_000, "a", "A", "G"))) == "GRCh38"
    assert looks_like(table(("chrX", 155_900_000, "a", "A", "G"))) == "GRCh38"
    assert looks_like(table(("1", 5, "a", "A", "G"))) == "NCBI36 or GRCh37 or GRCh38"
    assert looks_like(table(("1", 300_000_000, "a", "A", "G"))) == "no human build that is known here"


def test_the_same_variant_in_other_letters() -> None:
    rows = table(
        ("1", 7, "a", "A", "G"),
        ("chr1", 7, "b", "g", "a"),
        ("1", 7, "c", "T", "C"),
        ("1", 7, "d", "C", "T"),
        ("1", 7, "e", "A", "C"),
        ("1", 8, "f", "A", "G"),
        ("1", 7, "g", "A", "AG"),
        ("1", 7, "h", "AG", "A"),
    )
    groups = same_variant(rows)
    assert len(set(groups[:4])) == 1
    assert len(set(groups)) == 5
    assert strand_ambiguous(
        table(("1", 1, "a", "A", "T"), ("1", 2, "b", "c", "g"), ("1", 3, "c", "A", "C"))
    ).tolist() == ([True, True, False])
