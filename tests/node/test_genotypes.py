"""PLINK 1 files: counts as bed-reader gives them, and every way in which three files can fail to fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import DataError
from mpcstats.node.genotypes import Genotypes, open_genotypes, variant_digest

DATA = Path(__file__).parents[1] / "data"
PARTIES = Path(__file__).parents[2] / "parties"
CANARY = "CANARY"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A copy of the file set with missing calls that a test may damage."""
    for suffix in (".bed", ".bim", ".fam"):
        shutil.copyfile(DATA / f"some_missing{suffix}", tmp_path / f"set{suffix}")
    return tmp_path / "set"


def refused(prefix: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_genotypes(prefix, "westbay")
    assert caught.value.party == "westbay"
    assert CANARY not in str(caught.value)
    return str(caught.value)


def decoded(prefix: Path, people: int) -> np.ndarray:
    """A slow reader of the format, straight from its definition: two bits per call, A1 counted."""
    packed = np.frombuffer(prefix.with_suffix(".bed").read_bytes()[3:], dtype=np.uint8)
    packed = packed.reshape(-1, -(-people // 4))
    bits = np.stack([(packed >> shift) & 3 for shift in (0, 2, 4, 6)], axis=-1).reshape(len(packed), -1)[:, :people]
    return np.array([2, -1, 1, 0], dtype=np.int8)[bits].T


@pytest.mark.parametrize(("name", "people"), [("some_missing", 100), ("regenie", 500)])
def test_counts_of_alt_are_those_of_the_format(name: str, people: int) -> None:
    genotypes = open_genotypes(DATA / name, "a")
    expected = decoded(DATA / name, people)
    everyone = np.arange(people)
    found = genotypes.read(0, len(genotypes.variants), everyone)
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)
    assert int((found == -1).sum()) == (2182 if name == "some_missing" else 0)
    chosen = np.array([7, 3, people - 1, 0])
    assert np.array_equal(genotypes.read(13, 29, chosen), expected[chosen, 13:29])
    blocks = [genotypes.read(start, min(start + 17, 100), everyone) for start in range(0, 100, 17)]
    assert np.array_equal(np.hstack(blocks), expected[:, :100])


def test_nobody_and_no_variants() -> None:
    genotypes = open_genotypes(DATA / "some_missing.bed", "a")
    assert genotypes.read(0, 5, np.array([], dtype=np.intp)).shape == (0, 5)
    assert genotypes.read(5, 5, np.arange(3)).shape == (3, 0)
    with pytest.raises(ValueError, match="not within 0 to 100"):
        genotypes.read(90, 101, np.arange(3))


def test_people_and_variants() -> None:
    genotypes = open_genotypes(DATA / "some_missing", "a")
    assert genotypes.samples.iloc[1].tolist() == ["0", "iid_1"]
    assert genotypes.variants.iloc[1].to_dict() == {
        "chrom": "1",
        "pos": 30630001,
        "id": "sid_1",
        "ref": "C",
        "alt": "A",
    }
    assert genotypes.variants["pos"].dtype == np.int64
    assert all(genotypes.variants[name].map(type).eq(str).all() for name in ("chrom", "id", "ref", "alt"))


def test_blanks_for_tabs_and_names_that_look_missing(prefix: Path) -> None:
    bim = prefix.with_suffix(".bim")
    lines = bim.read_text().splitlines()
    lines[0] = "1 NA 0 1 NA NaN"
    lines[1] = "X  . 0.5 30630001 . C "
    bim.write_text("\n".join(lines) + "\n")
    found = open_genotypes(prefix, "a").variants
    assert found.iloc[0].tolist() == ["1", 1, "NA", "NaN", "NA"]
    assert found.iloc[1].tolist() == ["X", 30630001, ".", "C", "."]


def test_the_digest_is_the_same_at_every_party_of_the_demonstration() -> None:
    own = {
        variant_digest(open_genotypes(PARTIES / party / "data" / "variants", party).variants)
        for party in ("northfield", "lakeside", "westbay")
    }
    assert own == {variant_digest(open_genotypes(DATA / "regenie", "all").variants)}


def test_the_genotypes_of_the_demonstration_are_the_pooled_set_in_three_parts() -> None:
    parts: list[Genotypes] = [
        open_genotypes(PARTIES / party / "data" / "variants", party) for party in ("northfield", "lakeside", "westbay")
    ]
    pooled = open_genotypes(DATA / "regenie", "all")
    assert [len(part.samples) for part in parts] == [200, 170, 130]
    pd.testing.assert_frame_equal(pd.concat([part.samples for part in parts], ignore_index=True), pooled.samples)
    calls = np.vstack([part.read(0, 1000, np.arange(len(part.samples))) for part in parts])
    assert np.array_equal(calls, pooled.read(0, 1000, np.arange(500)))


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_a_file_is_missing_or_empty(prefix: Path, suffix: str) -> None:
    prefix.with_suffix(suffix).write_bytes(b"")
    assert f"set{suffix}" in refused(prefix)
    prefix.with_suffix(suffix).unlink()
    assert f"missing in {prefix.parent}: set{suffix}" in refused(prefix)


def test_the_bed_file_does_not_fit(prefix: Path) -> None:
    bed = prefix.with_suffix(".bed")
    good = bed.read_bytes()
    for content in (good[:-1], good + b"\0"):
        bed.write_bytes(content)
        needed = "bytes, but 100 people in the fam file and 100 variants in the bim file need 2,503"
        assert f"{len(content):,} {needed}" in refused(prefix)
    bed.write_bytes(b"PK\x03\x04" + good[4:])
    assert "not a PLINK 1 bed file" in refused(prefix)
    bed.write_bytes(good[:2] + b"\0" + good[3:])
    assert "person by person" in refused(prefix)


@pytest.mark.parametrize(("suffix", "count"), [(".fam", "96 people"), (".bim", "96 variants")])
def test_rows_are_missing(prefix: Path, suffix: str, count: str) -> None:
    path = prefix.with_suffix(suffix)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:96]))
    assert count in refused(prefix)


@pytest.mark.parametrize("suffix", [".fam", ".bim"])
def test_rows_with_a_wrong_number_of_fields(prefix: Path, suffix: str) -> None:
    path = prefix.with_suffix(suffix)
    lines = path.read_text().splitlines()
    lines[4] = f"{CANARY}\t1\t2\t3\t4"
    lines[9] = f"{CANARY}\t1\t2\t3\t4\t5\t6"
    path.write_text("\n".join(lines) + "\n")
    assert f"set{suffix}: 2 rows do not have 6 fields; the first is line 5" in refused(prefix)


@pytest.mark.parametrize("position", [CANARY, "-5", "1.5", "1e6", ""])
def test_positions_must_be_whole_numbers(prefix: Path, position: str) -> None:
    path = prefix.with_suffix(".bim")
    lines = path.read_text().splitlines()
    lines[7] = f"1\trs\t0\t{position}\tA\tC"
    path.write_text("\n".join(lines) + "\n")
    assert ("1 rows have no pos" if position == "" else "1 of 100 positions are not whole numbers") in refused(prefix)


def test_duplicates(prefix: Path) -> None:
    bim, fam = prefix.with_suffix(".bim"), prefix.with_suffix(".fam")
    good = bim.read_text().splitlines()
    bim.write_text("\n".join([*good[:98], good[0], good[0]]) + "\n")
    assert "2 of 100 variants" in refused(prefix)
    bim.write_text("\n".join(good) + "\n")
    people = fam.read_text().splitlines()
    fam.write_text("\n".join([*people[:99], people[3]]) + "\n")
    assert "1 of 100 people (family and individual id) are duplicates" in refused(prefix)


def test_a_file_that_changes_after_opening_is_noticed(prefix: Path) -> None:
    genotypes = open_genotypes(prefix, "westbay")
    bed = prefix.with_suffix(".bed")
    bed.write_bytes(bed.read_bytes()[:1000])
    with pytest.raises(DataError, match="1,000 bytes"):
        genotypes.read(0, 10, np.arange(100))
    bed.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        genotypes.read(0, 10, np.arange(100))


def test_a_prefix_with_dots(prefix: Path) -> None:
    for suffix in (".bed", ".bim", ".fam"):
        prefix.with_suffix(suffix).rename(prefix.parent / f"chr1.clean{suffix}")
    assert len(open_genotypes(prefix.parent / "chr1.clean", "a").samples) == 100
