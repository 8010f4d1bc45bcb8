"""Genotype files: counts as their formats define them, and every way in which files can fail to fit."""

from __future__ import annotations

import gc
import gzip
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, DataError
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


@pytest.fixture
def pgen(tmp_path: Path) -> Path:
    """A copy of the PLINK 2 file set that a test may damage."""
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copyfile(DATA / f"regenie{suffix}", tmp_path / f"set{suffix}")
    return tmp_path / "set"


def test_plink_2_files_give_the_same_as_plink_1_files() -> None:
    first, second = open_genotypes(DATA / "regenie", "a"), open_genotypes(DATA / "regenie.pgen", "a")
    pd.testing.assert_frame_equal(first.samples, second.samples)
    pd.testing.assert_frame_equal(first.variants, second.variants)
    for rows in (np.arange(500), np.array([499, 7, 3]), np.array([4, 4, 1])):
        assert np.array_equal(first.read(0, 1000, rows), second.read(0, 1000, rows))
        chosen = np.array([900, 17, 18, 0])
        assert np.array_equal(first.read_list(chosen, rows), second.read_list(chosen, rows))
        assert np.array_equal(first.read_list(np.arange(30, 40), rows), second.read(30, 40, rows))
    assert second.read(3, 9, np.arange(0)).shape == (0, 6)
    assert second.read_list(np.arange(0), np.arange(2)).shape == (2, 0)
    for genotypes in (first, second):
        with pytest.raises(ValueError, match="not within"):
            genotypes.read_list(np.array([3, 1000]), np.arange(2))


def test_missing_calls_of_plink_2_files(tmp_path: Path) -> None:
    calls = np.array([[0, 1, 2, -1, 1], [-1, -1, 0, 0, 2]], dtype=np.int8)
    write_pgen(
        tmp_path / "x", calls.T, ["a", "b", "c", "d", "e"], [("1", 10, "rs1", "A", "G"), ("1", 20, ".", "C", ".")]
    )
    genotypes = open_genotypes(tmp_path / "x", "a")  # a bare prefix finds them, too
    assert np.array_equal(genotypes.read(0, 2, np.arange(5)).T, calls)
    assert genotypes.samples["fid"].tolist() == ["0"] * 5
    assert genotypes.variants["alt"].tolist() == ["G", "."]


def write_pgen(
    prefix: Path, calls: np.ndarray, people: list[str], variants: list[tuple[str, int, str, str, str]]
) -> None:
    """calls: copies of ALT (people, variants), -1 missing."""
    import pgenlib

    with pgenlib.PgenWriter(
        str(prefix.with_suffix(".pgen")).encode(), len(people), variant_ct=len(variants), nonref_flags=False
    ) as file:
        for row in calls.T:
            file.append_biallelic(np.where(row < 0, -9, row).astype(np.int8))
    prefix.with_suffix(".psam").write_text("#IID\tSEX\n" + "".join(f"{name}\tNA\n" for name in people))
    lines = ["##made=by a test", "#CHROM\tPOS\tID\tREF\tALT\tINFO", *("\t".join(map(str, (*v, "."))) for v in variants)]
    prefix.with_suffix(".pvar").write_text("\n".join(lines) + "\n")


def test_plink_2_files_that_do_not_fit(pgen: Path) -> None:
    path = pgen.with_suffix(".pgen")
    good = path.read_bytes()
    for content in (good[:-1], good[:40_000], good[:200]):
        path.write_bytes(content)
        assert "set.pgen cannot be read to its end: it may be truncated" in refused(path)
    path.write_bytes(good[:5])
    assert "not a pgen file" in refused(path)
    path.write_bytes(b"\x6c\x1b\x01" + good[3:])
    assert "PLINK 1 bed file under another name" in refused(path)
    path.write_bytes(good)
    psam = pgen.with_suffix(".psam")
    psam.write_text("".join(psam.read_text().splitlines(keepends=True)[:-3]))
    assert "holds 1,000 variants of 500 people, but the pvar file lists 1,000 and the psam file 497" in refused(path)
    psam.unlink()
    assert "missing in" in refused(path)


def test_a_pgen_file_that_changes_after_opening_is_noticed(pgen: Path) -> None:
    genotypes = open_genotypes(pgen, "westbay")
    path = pgen.with_suffix(".pgen")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="changed while it was used"):
        genotypes.read(0, 10, np.arange(100))
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        genotypes.read(0, 10, np.arange(100))


@pytest.mark.parametrize(
    ("header", "row", "problem"),
    [
        ("#CHROM\tPOS\tID\tREF\tALT", f"1\t5\t{CANARY}\tA\tC,G", "1 of 1000 variants have more than one ALT allele"),
        ("#CHROM\tPOS\tID\tREF", "1\t5\trs\tA", "no column ALT"),
        ("CHROM\tPOS\tID\tREF\tALT", f"1\t5\t{CANARY}\tA\tG", "no header line that begins with #CHROM"),
        ("#CHROM\tPOS\tID\tREF\tALT\tALT", "1\t5\trs\tA\tG\tG", "two columns have the same name"),
        ("#CHROM\tPOS\tID\tREF\tALT", f"1\t5\t{CANARY}", "1 rows do not have 5 fields"),
        ("#CHROM\tPOS\tID\tREF\tALT", f"1\t-5\t{CANARY}\tA\tG", "1 of 1000 positions are not whole numbers"),
    ],
)
def test_a_pvar_file_is_wrong(pgen: Path, header: str, row: str, problem: str) -> None:
    path = pgen.with_suffix(".pvar")
    width = len(header.split("\t"))
    rows = ["\t".join([*line.split("\t"), "x"][:width]) for line in path.read_text().splitlines()[1:]]
    path.write_text("\n".join(["##a=b", header, *rows[:-1], row]) + "\n")
    assert problem in refused(pgen)


def test_a_psam_file_is_wrong_or_has_families(pgen: Path) -> None:
    path = pgen.with_suffix(".psam")
    good = path.read_text().splitlines()
    path.write_text("\n".join(good[1:]) + "\n")
    assert "no header line that begins with #FID or #IID" in refused(pgen)
    path.write_text("\n".join(["#FID\tSEX", *good[1:]]) + "\n")
    assert "no column IID" in refused(pgen)
    path.write_text("\n".join([*good[:-1], good[1]]) + "\n")
    assert "1 of 500 people (family and individual id) are duplicates" in refused(pgen)
    path.write_text("#IID SEX\n" + "\n".join(f"{k} 1" for k in range(500)) + "\n")
    assert open_genotypes(pgen, "a").samples.iloc[3].tolist() == ["0", "3"]


@pytest.mark.parametrize("suffix", [".pvar", ".psam"])
def test_a_list_without_rows(pgen: Path, suffix: str) -> None:
    path = pgen.with_suffix(suffix)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert f"set{suffix} lists nothing" in refused(pgen)
    path.write_text("")
    assert f"set{suffix} is empty" in refused(pgen)


def test_a_compressed_pvar_file(pgen: Path) -> None:
    import pyarrow as pa

    path = pgen.with_suffix(".pvar")
    expected = open_genotypes(pgen, "a").variants
    compressed = pgen.with_suffix(".pvar.zst")
    with pa.CompressedOutputStream(str(compressed), "zstd") as file:
        file.write(path.read_bytes())
    path.unlink()
    pd.testing.assert_frame_equal(open_genotypes(compressed, "a").variants, expected)
    compressed.write_bytes(compressed.read_bytes()[:-100])
    assert "cannot be unpacked" in refused(pgen)


def test_an_id_at_several_positions_is_refused(prefix: Path) -> None:
    path = prefix.with_suffix(".bim")
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[0][1] = lines[1][1] = "."
    lines[3] = [*lines[2]]  # another allele at the same position, under the same id
    lines[3][4] = "T"
    lines[2][4] = "G"
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    assert len(open_genotypes(prefix, "a").variants) == 100
    lines[9][1] = lines[8][1]
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    assert "set.bim: 1 variant ids are used at several positions" in refused(prefix)


VCF = """##fileformat=VCFv4.2
##contig=<ID=1,length=1000000>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FILTER=<ID=low,Description="low">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td\te
1\t10\trs1\tA\tG\t.\t.\t.\tGT\t0/0\t0/1\t1|1\t./.\t./1
1\t20\t.\tA\tAT\t.\tlow\t.\tGT\t0\t1\t1|0\t.\t1/1
1\t30\trs3\tA\t.\t.\tPASS\t.\tGT\t0/0\t0/0\t0/0\t.\t0/0
1\t40\trs4\tA\t<DEL>\t.\tPASS\t.\tGT:DP\t0/0:3\t0/0:.\t1/1:3\t.\t1
"""
VCF_CALLS = [[0, 1, 2, -1, -1], [0, 2, 1, -1, 2], [0, 0, 0, -1, 0], [0, 0, 2, -1, 2]]


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz"])
def test_vcf_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(VCF.encode()) if name.endswith("gz") else VCF.encode())
    genotypes = open_genotypes(path, "a")
    assert genotypes.samples.to_numpy().tolist() == [["0", name] for name in "abcde"]
    assert genotypes.variants.to_numpy().tolist() == [
        ["1", 10, "rs1", "A", "G"],
        ["1", 20, ".", "A", "AT"],
        ["1", 30, "rs3", "A", "."],
        ["1", 40, "rs4", "A", "<DEL>"],
    ]
    assert np.array_equal(genotypes.read(0, 4, np.arange(5)).T, VCF_CALLS)
    assert np.array_equal(genotypes.read_list(np.array([3, 0]), np.array([4, 2])), [[2, -1], [2, 2]])


@pytest.mark.parametrize(("name", "mode"), [("y.bcf", "wb"), ("y.vcf.gz", "wz")])
def test_files_in_blocks_with_their_end_or_without(tmp_path: Path, name: str, mode: str) -> None:
    import cyvcf2

    (tmp_path / "x.vcf").write_text(VCF)
    source = cyvcf2.VCF(str(tmp_path / "x.vcf"))
    path = tmp_path / name
    target = cyvcf2.Writer(str(path), source, mode=mode)
    for variant in source:
        target.write_record(variant)
    target.close()
    source.close()
    genotypes = open_genotypes(path, "a")
    assert np.array_equal(genotypes.read(0, 4, np.arange(5)).T, VCF_CALLS)
    path.write_bytes(path.read_bytes()[:-28])
    assert f"{name} is truncated" in refused(path)


def test_calls_of_a_vcf_file_are_private_and_go_with_the_object(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    path.write_text(VCF)
    genotypes = open_genotypes(path, "a")
    folder = genotypes.prefix.parent  # type: ignore[attr-defined]
    assert folder.stat().st_mode & 0o077 == 0
    del genotypes
    gc.collect()
    assert not folder.exists()


def test_calls_of_a_vcf_file_are_kept_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cyvcf2

    path, cache = tmp_path / "x.vcf", tmp_path / "state" / "genotypes"
    path.write_text(VCF)
    opened: list[str] = []
    original = cyvcf2.VCF
    monkeypatch.setattr(cyvcf2, "VCF", lambda name: opened.append(name) or original(name))
    for _ in range(2):
        genotypes = open_genotypes(path, "a", cache)
        assert np.array_equal(genotypes.read(0, 4, np.arange(5)).T, VCF_CALLS)
    assert len(opened) == 1
    assert cache.stat().st_mode & 0o077 == 0
    path.write_text(VCF.replace("rs4", "rs5"))
    (cache / ".new-killed").mkdir()
    os.utime(cache / ".new-killed", (0, 0))
    assert open_genotypes(path, "a", cache).variants["id"].tolist()[-1] == "rs5"
    assert len(opened) == 2
    assert len(list(cache.iterdir())) == 1  # the older one is gone
    path.write_text(VCF.replace("0/1", "0/2"))
    with pytest.raises(DataError):
        open_genotypes(path, "a", cache)
    assert len(list(cache.iterdir())) == 1  # nothing half done


def test_vcf_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"

    def problem(content: str | bytes, name: str = "x.vcf") -> str:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return refused(tmp_path / name)

    assert "1 variants have more than one ALT allele" in problem(VCF.replace("\tG\t", "\tG,T\t"))
    assert "variant 1 has calls of an allele that is not listed" in problem(VCF.replace("0/1", "0/2"))
    assert "calls of 3 alleles" in problem(VCF.replace("0/1", "0/1/1"))
    assert "1 variants have no genotypes" in problem(VCF[: VCF.index("GT:DP")] + "DP\t1\t2\t3\t4\t5\n")
    assert "no variants" in problem("".join(VCF.splitlines(keepends=True)[:6]))
    assert "no samples" in problem("".join(line.partition("\tFORMAT")[0] + "\n" for line in VCF.splitlines()[:6]))
    assert "not a readable VCF or BCF file" in problem(f"{CANARY}\n")
    assert "is truncated" in problem(VCF[:-5])
    packed = gzip.compress(VCF.encode())
    assert "is truncated" in problem(packed[:-9], "y.vcf.gz")
    blocks = bytearray(packed[:10]) + b"\x06\x00BC\x02\x00\x00\x00" + packed[10:]
    blocks[3] = 4  # a block of bgzip, without the empty one at its end
    assert "is truncated" in problem(bytes(blocks), "z.vcf.gz")
    path.unlink()
    assert "cannot be read: No such file" in refused(path)
    doubled = VCF.replace("1\t20\t.\tA\tAT", "1\t10\trs1\tA\tG")
    assert "1 of 4 variants" in problem(doubled)


def test_without_cyvcf2_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.vcf").write_text(VCF)
    monkeypatch.setitem(sys.modules, "cyvcf2", None)
    with pytest.raises(ConfigurationError, match="needs the package cyvcf2") as caught:
        open_genotypes(tmp_path / "x.vcf", "a")
    assert caught.value.hint == "pip install 'mpcstats[vcf]'"
