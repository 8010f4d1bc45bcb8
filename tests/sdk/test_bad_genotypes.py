"""What can be wrong with the inputs of an association study: each thing is an error that says what it is, or a code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DataError, MpcStatsError, SpecError
from mpcstats.node.genotypes.plink1 import write_bed

SITES = ("north", "south", "west")
PEOPLE, VARIANTS = 40, 6
MONOMORPHIC, NO_CALLS = 2, 4


def calls_of(site: int) -> np.ndarray:
    calls = np.random.default_rng(site).integers(0, 3, (VARIANTS, PEOPLE)).astype(np.int8)
    calls[MONOMORPHIC], calls[NO_CALLS] = 0, -1
    return calls


def write_site(folder: Path, site: int) -> ms.Dataset:
    folder.mkdir()
    people = [f"{site}_{k}" for k in range(PEOPLE)]
    (folder / "set.bed").write_bytes(b"\x6c\x1b\x01" + write_bed(calls_of(site)))
    (folder / "set.bim").write_text("".join(f"1\trs{k}\t0\t{1000 * (k + 1)}\tA\tG\n" for k in range(VARIANTS)))
    (folder / "set.fam").write_text("".join(f"0\t{name}\t0\t0\t0\t-9\n" for name in people))
    rng = np.random.default_rng(100 + site)
    table = pd.DataFrame(
        {"IID": people, "trait": rng.normal(size=PEOPLE).round(3), "age": rng.integers(40, 80, PEOPLE)}
    )
    table["case"] = rng.integers(0, 2, PEOPLE)
    table.to_csv(folder / "traits.csv", index=False)
    return ms.Dataset(folder / "traits.csv", genotypes=folder / "set", id="IID")


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, ms.Dataset]:
    return {name: write_site(tmp_path / name, k) for k, name in enumerate(SITES)}


def scan(sites: dict[str, ms.Dataset], **request: object) -> pd.DataFrame:
    with ms.local(sites) as consortium:
        return consortium.gwas(**{"phenotype": "trait", "covariates": ["age"], **request}).to_frame()


def edit(sites: dict[str, ms.Dataset], change: object, names: tuple[str, ...] = SITES) -> None:
    for name in names:
        path = Path(str(sites[name].table))
        change(pd.read_csv(path)).to_csv(path, index=False)


@pytest.mark.parametrize("request_", [{}, {"missing": "mean"}, {"phenotype": "case", "model": "logistic"}], ids=str)
def test_variants_without_variation_or_calls_have_a_code_and_the_others_an_effect(sites, request_) -> None:
    table = scan(sites, **request_)
    assert table["ID"].tolist() == [f"rs{k}" for k in range(VARIANTS)]
    bad = table["ERRCODE"] != "."
    assert np.flatnonzero(bad).tolist() == [MONOMORPHIC, NO_CALLS]
    assert (table["P"].isna() == bad).all()


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_files_that_do_not_belong_together(sites, suffix: str) -> None:
    file = Path(f"{sites['south'].genotypes}{suffix}")
    content = file.read_bytes()
    shorter = content[:-5] if suffix == ".bed" else b"\n".join(content.splitlines()[:-1]) + b"\n"
    file.write_bytes(shorter)
    with pytest.raises(DataError, match=r"south.*set\.bed has .*do not belong together"):
        scan(sites)


@pytest.mark.parametrize(
    ("row", "what"), [("1\trs1\t0\t2000\tA\tG", "duplicates"), ("1\trs1\t0\t9000\tA\tG", "several positions")]
)
def test_repeated_variants(sites, row: str, what: str) -> None:
    for data in sites.values():
        bim = Path(f"{data.genotypes}.bim")
        bim.write_text("\n".join([*bim.read_text().splitlines()[:-1], row]) + "\n")
    with pytest.raises(DataError, match=what):
        scan(sites)


@pytest.mark.parametrize("model", [{}, {"phenotype": "case", "model": "logistic"}], ids=str)
def test_a_constant_phenotype(sites, model) -> None:
    edit(sites, lambda table: table.assign(trait=1.5, case=np.where(table.index >= 0, 1, 0)))
    dictionary = """
    apiVersion = "mpcstats/v1"
    kind = "Dictionary"
    id = "test"
    column = [{name="IID", type="category"}, {name="trait", type="decimal", range=[-9, 9]},
              {name="age", type="integer", range=[0, 99]}, {name="case", type="integer", range=[0, 1]}]
    """
    path = Path(str(sites["north"].table)).with_name("dictionary.toml")
    path.write_text(dictionary)
    with ms.local(sites, dictionary=path) as consortium, pytest.raises(MpcStatsError, match="constant"):
        consortium.gwas(**{"phenotype": "trait", "covariates": ["age"], **model})


@pytest.mark.parametrize("model", [{}, {"phenotype": "case", "model": "logistic"}], ids=str)
def test_collinear_covariates(sites, model) -> None:
    edit(sites, lambda table: table.assign(twice=2 * table["age"] + 1))
    with pytest.raises(SpecError, match="collinear"):
        scan(sites, covariates=["age", "twice"], **model)


def test_a_covariate_that_one_site_does_not_have(sites) -> None:
    edit(sites, lambda table: table.drop(columns="age"), ("west",))
    with pytest.raises(DataError, match=r"west.*age"):
        scan(sites)


def test_a_covariate_without_values_at_one_site_leaves_its_people_out(sites) -> None:
    edit(sites, lambda table: table.assign(age=np.nan), ("west",))
    table = scan(sites)
    assert table["OBS_CT"].max() == 2 * PEOPLE


def test_sites_with_other_variants(sites) -> None:
    bim = Path(f"{sites['west'].genotypes}.bim")
    bim.write_text("".join(f"1\tqs{k}\t0\t{7 + k}\tC\tT\n" for k in range(VARIANTS)))
    with pytest.raises(MpcStatsError, match="variants") as caught:
        scan(sites)
    assert "mpcstats variants" in f"{caught.value} {caught.value.hint}"


def test_nobody_in_both_the_table_and_the_genotypes(sites) -> None:
    edit(sites, lambda table: table.assign(IID=[f"other{k}" for k in range(len(table))]), ("west",))
    with pytest.raises(DataError, match="west"):
        scan(sites)
