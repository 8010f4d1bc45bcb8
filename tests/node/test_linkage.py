"""Who is in table and genotypes: family ids, near misses, study lists; at a node with its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import DataError, SpecError
from mpcstats.node.records.linkage import LinkedPeople, linked_people
from mpcstats.node.records.source import Dataset, load
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import Site
from mpcstats.study.analyses.association import GwasSpec
from mpcstats.study.variants import variant_digest

DATA = Path(__file__).parents[1] / "data"
PARTIES = Path(__file__).parents[2] / "parties"


def write_set(prefix: Path, people: list[tuple[str, str]]) -> None:
    """The 100 people of some_missing under other names."""
    for suffix in (".bed", ".bim"):
        shutil.copyfile(DATA / f"some_missing{suffix}", prefix.with_suffix(suffix))
    prefix.with_suffix(".fam").write_text("".join(f"{fid} {iid} 0 0 0 -9\n" for fid, iid in people))


def linked(frame: pd.DataFrame, prefix: Path, **options: str) -> LinkedPeople:
    records = load(Dataset(frame, genotypes=prefix, **options), "westbay")  # type: ignore[arg-type]
    assert records.genotypes is not None
    digest = variant_digest(records.genotypes.variants)
    return linked_people(frame[["y"]], records, digest, len(records.genotypes.variants), "westbay")


def test_files_of_plink_without_families(tmp_path: Path) -> None:
    """#IID tables fit files with families and the other way round, as long as individual ids are enough."""
    names = [f"p{k}" for k in range(100)]
    table = tmp_path / "pheno.phe"
    table.write_text("#IID\ty\n" + "".join(f"{name}\t{k}\n" for k, name in enumerate(names)))
    frame = load(table, "westbay").frame
    for families in (["0"] * 100, [f"f{k}" for k in range(100)]):
        write_set(tmp_path / "set", list(zip(families, names, strict=True)))
        assert linked(frame, tmp_path / "set").report.used == 100
    with_families = frame.assign(FID=[f"other{k}" for k in range(100)])
    assert linked(with_families.assign(FID="0"), tmp_path / "set").report.used == 100
    with pytest.raises(DataError, match="none of the 100 table rows"):
        linked(with_families, tmp_path / "set")
    write_set(tmp_path / "set", [("0", name) for name in names])
    assert linked(with_families, tmp_path / "set").report.used == 100
    twice = with_families.assign(IID=[*names[:99], "p0"])
    with pytest.raises(
        DataError, match="1 rows repeat an individual id of column 'IID', and the fam file has no family"
    ):
        linked(twice, tmp_path / "set")


def test_headers_and_blanks_of_covariate_files(tmp_path: Path) -> None:
    for name, text in {
        "a.cov": "#FID IID  AGE\n0 a 5\n 0  b NA\n",
        "b.covar": "FID\tIID\tAGE\n0\ta\t5\n0\tb\t.\n",
        "c.pheno": "FID IID AGE\n0 a 5\n0 b nan\n0 c -9\n",
    }.items():
        (tmp_path / name).write_text(text.replace("nan", "NaN"))
        frame = load(tmp_path / name, "westbay").frame
        assert list(frame.columns) == ["FID", "IID", "AGE"]
        assert frame["AGE"].iloc[0] == 5
        assert np.isnan(frame["AGE"].iloc[1])
    assert frame["AGE"].iloc[2] == -9  # a number, not PLINK's code


def test_near_misses_are_counted_and_explained(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [("fam", f"P{k:03d}") for k in range(100)])
    own = [f"P{k:03d}" for k in range(50)]
    other = (
        [f"p{k:03d}" for k in range(50, 60)] + [f"P{k}" for k in range(60, 70)] + [f"fam_P{k}" for k in range(70, 75)]
    )
    frame = pd.DataFrame({"IID": [*own, *other, "stranger"], "y": 1.0})
    report = linked(frame, tmp_path / "set").report
    assert (report.rows, report.used, report.without_genotype, report.nearly, report.without_row) == (
        76,
        50,
        26,
        25,
        50,
    )
    assert "25 of them would match but for letter case, leading zeros or the family id" in str(report)
    with pytest.raises(DataError, match="none of the 26 table rows") as caught:
        linked(frame[50:], tmp_path / "set")
    assert "25 of 26 would match but for letter case" in str(caught.value.hint)
    assert "stranger" not in str(caught.value)
    write_set(tmp_path / "set", [("0", f"f_P{k}") for k in range(100)])  # as plink2 --export vcf names them
    frame = pd.DataFrame({"FID": "f", "IID": [*[f"P{k}" for k in range(9)], "f_P20"], "y": 1.0})
    assert linked(frame, tmp_path / "set").report.nearly == 9


@pytest.fixture
def northfield(tmp_path: Path) -> Path:
    directory = tmp_path / "northfield"
    shutil.copytree(PARTIES / "northfield", directory)
    return directory


def test_a_node_maps_its_genotypes_onto_the_list_of_its_data_set(northfield: Path) -> None:
    spec = GwasSpec(phenotype="Y1", covariates=("V1",), dataset="genetics")
    plain = Site(PartyDirectory(northfield))
    own = plain.prepare(spec, plain.make_plan(spec))
    assert own.contribution is not None
    assert own.report is not None
    assert own.report.variants is None
    bim = pd.read_csv(DATA / "regenie.bim", sep="\t", header=None, dtype=str)
    rows = ["#CHROM\tPOS\tID\tREF\tALT"]
    rows += [f"{r[0]}\t{r[3]}\t{r[1]}\t{r[4]}\t{r[5]}" for r in bim.to_numpy()[10:60]]  # alleles swapped
    rows += ["9\t7\tnew\tA\tG"]
    (northfield / "study.tsv").write_text("\n".join(rows) + "\n")
    file = northfield / "party.toml"
    text = file.read_text()
    file.write_text(text.replace('id = "IID"', 'id = "IID"\nvariants = "study.tsv"\nvariant_match = "position"'))
    site = Site(PartyDirectory(northfield))
    plan = site.make_plan(spec)
    assert plan.variant_count == 51  # type: ignore[attr-defined]
    prepared = site.prepare(spec, plan)
    assert prepared.plan == plan
    assert prepared.variants is not None
    assert prepared.variants["id"].tolist()[-1] == "new"
    expected = own.contribution.read(10, 60)  # type: ignore[attr-defined]
    found = prepared.contribution.read(0, 51)  # type: ignore[union-attr]
    assert np.array_equal(found[:, :50], 2 - expected)
    assert (found[:, 50] == -1).all()
    assert prepared.report is not None
    assert prepared.report.variants is not None
    assert (prepared.report.variants.matched, prepared.report.variants.flipped) == (50, 50)
    counts = prepared.report.counts()
    assert (counts["used"], counts["variants_absent"]) == (200, 1)
    assert all(type(count) is int for count in counts.values())
    assert "variants_absent" not in own.report.counts()
    file.write_text(file.read_text().replace('"position"', '"name"'))
    with pytest.raises(Exception, match="variant_match"):
        PartyDirectory(northfield)


def test_an_empty_site_with_a_list_needs_no_genotypes(northfield: Path) -> None:
    """It plans like the others, and its part is nobody."""
    shutil.copyfile(DATA / "regenie.pvar", northfield / "study.pvar")
    file = northfield / "party.toml"
    text = file.read_text().replace('genotypes = "data/variants"\n', "")
    file.write_text(text)
    spec = GwasSpec(phenotype="Y1", dataset="genetics")
    with pytest.raises(SpecError, match="no genotypes"):
        Site(PartyDirectory(northfield)).make_plan(spec)
    file.write_text(text.replace('id = "IID"', 'variants = "study.pvar"'))
    table = northfield / "data" / "traits.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    site = Site(PartyDirectory(northfield))
    prepared = site.prepare(spec, site.make_plan(spec))
    assert prepared.contribution.read(3, 9).shape == (0, 6)  # type: ignore[union-attr]
