"""Sites whose genotypes differ in format, order, alleles, strand and build: the joint answer is that of pooled data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed, to_bed

import mpcstats as ms
from mpcstats.errors import DataError
from mpcstats.node.genotypes.study_list import make_study_list, read_list, write_study_list

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "genotype"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
PAIRS = [("A", "G"), ("C", "T"), ("A", "C"), ("G", "T"), ("A", "T"), ("AC", "A")]


@pytest.fixture
def cohort() -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Study list, calls (90 people, 18 variants), traits."""
    generator = np.random.default_rng(11)
    pairs = [PAIRS[k % 6] for k in range(18)]
    study = pd.DataFrame(
        {
            "chrom": "7",
            "pos": 1000 + 10 * np.arange(18),
            "id": [f"rs{k}" for k in range(18)],
            "ref": [a for a, _ in pairs],
            "alt": [b for _, b in pairs],
        }
    )
    calls = generator.binomial(2, 0.4, (90, 18)).astype(np.int8)
    calls[generator.random(calls.shape) < 0.03] = -1
    traits = pd.DataFrame({"IID": [f"p{k}" for k in range(90)], "height": generator.normal(170, 9, 90).round(1)})
    return study, calls, traits


def write_study(path: Path, study: pd.DataFrame, rule: str = "keep") -> Path:
    rows = "".join("\t".join(map(str, row)) + "\n" for row in study.to_numpy())
    path.write_text(f"##ambiguous={rule}\n#CHROM\tPOS\tID\tREF\tALT\n{rows}")
    return path


def write_plink1(prefix: Path, variants: pd.DataFrame, calls: np.ndarray, people: list[str]) -> None:
    properties = {
        "fid": ["0"] * len(people),
        "iid": people,
        "sid": variants["id"].tolist(),
        "chromosome": variants["chrom"].tolist(),
        "bp_position": variants["pos"].tolist(),
        "allele_1": variants["alt"].tolist(),
        "allele_2": variants["ref"].tolist(),
    }
    to_bed(prefix.with_suffix(".bed"), np.where(calls < 0, -127, calls).astype(np.int8), properties=properties)


def write_plink2(prefix: Path, variants: pd.DataFrame, calls: np.ndarray, people: list[str]) -> None:
    import pgenlib

    with pgenlib.PgenWriter(
        str(prefix.with_suffix(".pgen")).encode(), len(people), variant_ct=len(variants), nonref_flags=False
    ) as file:
        for row in calls.T:
            file.append_biallelic(np.where(row < 0, -9, row).astype(np.int8))
    prefix.with_suffix(".psam").write_text("#IID\n" + "".join(f"{name}\n" for name in people))
    write_study(prefix.with_suffix(".pvar"), variants)


def write_vcf(path: Path, variants: pd.DataFrame, calls: np.ndarray, people: list[str]) -> None:
    text = np.array(["0/0", "0/1", "1/1", "./."])
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=chr7,length=159138663>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people]),
    ]
    for row, column in zip(variants.to_numpy(), calls.T, strict=True):
        lines.append("\t".join([*map(str, row), ".", "PASS", ".", "GT", *text[column]]))
    path.write_text("\n".join(lines) + "\n")


def test_three_formats_on_one_list(tmp_path: Path, cohort: tuple[pd.DataFrame, np.ndarray, pd.DataFrame]) -> None:
    study, calls, traits = cohort
    people = traits["IID"].tolist()
    listed = write_study(tmp_path / "study.tsv", study)
    # the pooled answer, with the variants that a site lacks as missing calls
    pooled_calls = calls.copy()
    pooled_calls[60:, 4] = -1
    pooled = {}
    for k, rows in enumerate((slice(0, 30), slice(30, 60), slice(60, 90))):
        write_plink1(tmp_path / f"pooled{k}", study, pooled_calls[rows], people[rows])
        pooled[f"site{k}"] = ms.Dataset(traits[rows], genotypes=tmp_path / f"pooled{k}", id="IID")
    with ms.local(pooled) as consortium:
        expected = consortium.gwas(phenotype="height").to_frame()
    # north: swapped where it can be; lakeside: the other strand, shuffled; westbay: a VCF that lacks a variant
    swap = ~study["ref"].str.len().gt(1).to_numpy()
    north = study.assign(ref=np.where(swap, study["alt"], study["ref"]), alt=np.where(swap, study["ref"], study["alt"]))
    turned = np.where(swap & (calls[:30] >= 0), 2 - calls[:30], calls[:30])
    write_plink1(tmp_path / "north", north, turned, people[:30])
    single = study["ref"].str.len().eq(1) & ~study["alt"].eq("T").where(study["ref"].eq("A"), False)
    lakeside = study.copy()
    for name in ("ref", "alt"):
        lakeside.loc[single, name] = study.loc[single, name].str.translate(COMPLEMENT)
    order = np.arange(18) * 7 % 18
    write_plink2(tmp_path / "lakeside", lakeside.iloc[order], calls[30:60][:, order], people[30:60])
    has = np.arange(18) != 4
    write_vcf(tmp_path / "westbay.vcf", study[has].assign(chrom="chr7", id="."), calls[60:][:, has], people[60:])
    parties = {
        "north": ms.Dataset(traits[:30], genotypes=tmp_path / "north", id="IID", variants=listed),
        "lakeside": ms.Dataset(traits[30:60], genotypes=tmp_path / "lakeside", id="IID", variants=listed),
        "westbay": ms.Dataset(traits[60:], genotypes=tmp_path / "westbay.vcf", id="IID", variants=listed),
        "empty": ms.Dataset(traits[:0], variants=listed, id="IID"),
    }
    told: list[str] = []
    with ms.local(parties, progress=told.append) as consortium:
        found = consortium.gwas(phenotype="height").to_frame()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9)
    reports = [text for text in told if "variants matched" in text]
    assert "15 with swapped alleles" in reports[0]
    assert "12 on the other strand" in reports[1]
    assert "17 of 18 variants matched" in reports[2]
    assert "1 absent" in reports[2]


def test_other_lists_and_other_rules_are_told_apart(
    tmp_path: Path, cohort: tuple[pd.DataFrame, np.ndarray, pd.DataFrame]
) -> None:
    study, calls, traits = cohort
    people = traits["IID"].tolist()
    write_plink1(tmp_path / "all", study, calls, people)

    def parties(**lists: Path | None) -> dict[str, ms.Dataset]:
        return {
            name: ms.Dataset(traits, genotypes=tmp_path / "all", id="IID", variants=path)
            for name, path in lists.items()
        }

    keep, drop = write_study(tmp_path / "keep.tsv", study), write_study(tmp_path / "drop.tsv", study, "drop")
    with ms.local(parties(a=keep, b=keep, c=drop)) as consortium, pytest.raises(DataError) as caught:
        consortium.gwas(phenotype="height")
    assert caught.value.party == "c"
    assert "the variant list (15 variants) is not the one of a (18)" in caught.value.message
    assert "mpcstats variants make" in str(caught.value.hint)
    with ms.local(parties(a=keep, b=None, c=keep)) as consortium:  # the same variants without a list
        assert len(consortium.gwas(phenotype="height").to_frame()) == 18
    foreign = write_study(tmp_path / "foreign.tsv", study.assign(chrom="8", id="."))
    with pytest.raises(DataError, match="none of the study's 18 variants") as caught:
        ms.local(parties(a=keep, b=keep, c=foreign))
    assert caught.value.party == "c"


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "hapmap3").exists(), reason="needs hapmap3 and kg_phase1, which are not shipped")
def test_hapmap_and_1000_genomes(tmp_path: Path) -> None:
    """Other builds, 190 rows in another order, 7% strand-ambiguous: joined by id, they are one cohort."""
    files = {"hapmap": SHARED / "hapmap3" / "hm3_overlap", "kg": SHARED / "kg_phase1" / "kg_overlap"}
    bim = {name: Path(f"{prefix}.bim") for name, prefix in files.items()}
    with pytest.raises(DataError, match=r"look like NCBI36, the study's like GRCh37"):
        make_study_list([read_list(bim["kg"]), read_list(bim["hapmap"])])
    study, _ = make_study_list([read_list(bim["kg"]), read_list(bim["hapmap"])], match="id")
    assert len(study.variants) == 13_064
    write_study_list(study, tmp_path / "study.tsv")
    generator = np.random.default_rng(3)
    beds = {name: open_bed(f"{prefix}.bed") for name, prefix in files.items()}
    tables = {
        name: pd.DataFrame({"IID": bed.iid, "trait": generator.normal(size=bed.iid_count).round(3)})
        for name, bed in beds.items()
    }
    by_position = {
        name: ms.Dataset(tables[name], genotypes=prefix, id="IID", variants=tmp_path / "study.tsv")
        for name, prefix in files.items()
    }
    with pytest.raises(DataError, match="13,059 of the 13,064 variant ids") as caught:
        ms.local(by_position)
    assert caught.value.party == "hapmap"
    half = len(tables["kg"]) // 2
    sites = {
        "hapmap": ms.Dataset(
            tables["hapmap"], files["hapmap"], id="IID", variants=tmp_path / "study.tsv", variant_match="id"
        ),
        "kg1": ms.Dataset(tables["kg"][:half], files["kg"], id="IID", variants=tmp_path / "study.tsv"),
        "kg2": ms.Dataset(tables["kg"][half:], files["kg"], id="IID", variants=tmp_path / "study.tsv"),
    }
    with ms.local(sites) as consortium:
        found = consortium.gwas(phenotype="trait").to_frame()
    # by hand: columns by id, alleles compared one by one
    wanted = study.variants
    columns = []
    for name, bed in beds.items():
        table = pd.DataFrame({"a1": bed.allele_1, "a2": bed.allele_2}, index=bed.sid).loc[wanted["id"]]
        place = pd.Series(np.arange(bed.sid_count), index=bed.sid)[wanted["id"]].to_numpy()
        calls = bed.read(dtype="float64")[:, place]
        same = (table["a1"] == wanted["alt"].to_numpy()) & (table["a2"] == wanted["ref"].to_numpy())
        swapped = (table["a1"] == wanted["ref"].to_numpy()) & (table["a2"] == wanted["alt"].to_numpy())
        assert (same | swapped).all(), name
        columns.append(np.where(swapped.to_numpy(), 2 - calls, calls))
    x, y = np.vstack(columns), np.concatenate([tables[name]["trait"] for name in beds])
    known = np.isfinite(x)
    n = known.sum(axis=0)
    xs, ys = np.where(known, x, 0), np.where(known, y[:, None], 0)
    sxx = (xs**2).sum(axis=0) - xs.sum(axis=0) ** 2 / n
    sxy = (xs * ys).sum(axis=0) - xs.sum(axis=0) * ys.sum(axis=0) / n
    syy = (ys**2).sum(axis=0) - ys.sum(axis=0) ** 2 / n
    beta = sxy / sxx
    error = np.sqrt((syy - beta * sxy) / (n - 2) / sxx)
    assert found["ID"].tolist() == wanted["id"].tolist()
    assert (found["OBS_CT"] == n).all()
    # the table's A1 is the rarer or the ALT allele; the effect is that of A1
    sign = np.where(found["A1"] == found["ALT"], 1.0, -1.0)
    np.testing.assert_allclose(found["BETA"], sign * beta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found["SE"], error, rtol=1e-7)
