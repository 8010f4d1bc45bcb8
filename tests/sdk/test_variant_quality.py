"""Quality control of variants and contingency tests on embedded parties, beside PLINK's own tables."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bed_reader import open_bed, to_bed

import mpcstats as ms
from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.stats.outcome import Outcome

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[2].parent / "shared"
PIECE = DATA / "chr10_piece"
WHOLE, GOLDEN = SHARED / "data/genotype/chr10_cc/chr10_cc", SHARED / "truth/plink/chr10_cc"

DIGITS = 5.1e-4
"""PLINK 1.9 prints four digits."""

CLOSED = ms.Policy.model_validate({"extends": "open", "disclosure": {"allele_counts": False}})


def sites(prefix: Path, folder: Path, count: int, seed: int, empty: bool = False) -> dict[str, ms.Dataset]:
    """People to sites at random; with `empty`, the last site has nobody."""
    bed = open_bed(f"{prefix}.bed")
    calls = bed.read(dtype="int8")
    sick = pd.read_csv(f"{prefix}.fam", sep=r"\s+", header=None)[5].to_numpy()
    target = np.random.default_rng(seed).integers(0, count - empty, len(calls))
    parties: dict[str, Any] = {}
    for k in range(count):
        rows = np.flatnonzero(target == k)
        if not rows.size:
            parties[f"site{k}"] = pd.DataFrame({"IID": pd.Series(dtype=object), "case": pd.Series(dtype=np.int64)})
            continue
        properties = {name: getattr(bed, name)[rows] for name in ("fid", "iid")}
        names = ("sid", "chromosome", "bp_position", "allele_1", "allele_2")
        properties |= {name: getattr(bed, name) for name in names}
        to_bed(folder / f"site{k}.bed", np.ascontiguousarray(calls[rows]), properties=properties)
        table = pd.DataFrame({"IID": properties["iid"], "case": sick[rows]})
        parties[f"site{k}"] = ms.Dataset(table, genotypes=folder / f"site{k}", id="IID")
    return parties


def golden(prefix: Path, suffix: str) -> pd.DataFrame:
    with gzip.open(f"{prefix}.{suffix}.gz", "rt") as file:
        return pd.read_csv(file, sep=r"\s+")


def agree(ours: pd.Series[Any], theirs: pd.Series[Any]) -> None:
    """To the digits printed; missing, infinite and zero where PLINK has them."""
    a, b = ours.to_numpy(dtype=np.float64), theirs.to_numpy(dtype=np.float64)
    assert (np.isnan(a) == np.isnan(b)).all(), theirs.name
    np.testing.assert_allclose(a, b, rtol=DIGITS, err_msg=str(theirs.name))


def check_quality(result: ms.sdk.results.VariantQualityResult, prefix: Path, names: dict[str, str]) -> None:
    counts, hardy = golden(prefix, names["gcount"]), golden(prefix, names["hwe"])
    for column in ("ID", "REF", "ALT", "HOM_REF_CT", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS", "MISSING_CT"):
        assert (result.table[column] == counts[column]).all(), column
    assert result.hardy is not None
    for ours, theirs in (("ID", "SNP"), ("TEST", "TEST"), ("A1", "A1"), ("A2", "A2")):
        assert (result.hardy[ours] == hardy[theirs]).all(), ours
    numbers = result.hardy[["HOM_A1_CT", "HET_CT", "HOM_A2_CT"]].astype(str).agg("/".join, axis=1)
    assert (numbers == hardy["GENO"]).all()
    for column in ("O(HET)", "E(HET)", "P"):
        agree(result.hardy[column], hardy[column])


def check_tests(result: ms.sdk.results.ContingencyResult, prefix: Path, names: dict[str, str]) -> None:
    model, assoc, fisher = (golden(prefix, names[name]) for name in ("model", "assoc", "fisher"))
    for ours, theirs in (("ID", "SNP"), ("A1", "A1"), ("A2", "A2"), ("TEST", "TEST")):
        assert (result.table[ours] == model[theirs]).all(), ours
    for column in ("AFF", "UNAFF"):
        assert (result.table[column] == model[column]).all()
    assert (result.table["DF"].fillna(-1).astype(int) == model["DF"].fillna(-1)).all()
    for column in ("CHISQ", "P"):
        agree(result.table[column], model[column])
    assert result.allelic is not None
    for column in ("F_A", "F_U", "CHISQ", "P", "OR", "SE", "L95", "U95"):
        agree(result.allelic[column], assoc[column])
    agree(result.allelic["P_FISHER"], fisher["P"])


SHORT = {name: name for name in ("gcount", "hwe", "model", "assoc", "fisher")}
LONG = {
    "gcount": "p2.gcount",
    "hwe": "p19.hwe",
    "model": "p19.model",
    "assoc": "p19.assoc",
    "fisher": "p19f.assoc.fisher",
}


@pytest.mark.parametrize(("count", "seed"), [(2, 1), (3, 2), (5, 3)])
def test_open_counts_give_plinks_digits(tmp_path: Path, count: int, seed: int) -> None:
    with ms.local(sites(PIECE, tmp_path, count, seed, empty=count == 3)) as consortium:
        quality = consortium.variant_quality(phenotype="case")
        check_quality(quality, PIECE, SHORT)
        check_tests(consortium.contingency(phenotype="case", fisher=True), PIECE, SHORT)
    assert quality.passed == len(quality.table) == 60


@pytest.mark.long
@pytest.mark.skipif(not Path(f"{WHOLE}.bed").exists(), reason="needs the cohort chr10_cc, which is not shipped")
@pytest.mark.parametrize(("count", "seed"), [(2, 4), (3, 5), (5, 6)])
def test_the_whole_cohort_gives_plinks_digits(tmp_path: Path, count: int, seed: int) -> None:
    with ms.local(sites(WHOLE, tmp_path, count, seed)) as consortium:
        check_quality(consortium.variant_quality(phenotype="case"), GOLDEN, LONG)
        found = consortium.contingency(phenotype="case", fisher=True)
    check_tests(found, GOLDEN, LONG)
    model = golden(GOLDEN, LONG["model"])
    median = model.loc[model["TEST"] == "TREND", "CHISQ"].median()
    assert found.genomic_control_lambda == pytest.approx(median / 0.45493642, rel=DIGITS)


@pytest.mark.long
@pytest.mark.skipif(not Path(f"{WHOLE}.bed").exists(), reason="needs the cohort chr10_cc, which is not shipped")
def test_the_whole_cohort_on_shares(tmp_path: Path) -> None:
    """Statistics without counts, and hits."""
    model, assoc = golden(GOLDEN, LONG["model"]), golden(GOLDEN, LONG["assoc"])
    with ms.local(sites(WHOLE, tmp_path, 3, 7), policy=CLOSED) as consortium:
        table = consortium.contingency(phenotype="case", tests=["trend", "allelic"])
        hits = consortium.contingency(phenotype="case", release="hits", threshold=1e-5)
    monomorphic = table.table["ERRCODE"] == "CONST_OMITTED_ALLELE"
    assert monomorphic.sum() == 4
    rows = model[model["TEST"].isin(["TREND", "ALLELIC"])]
    ours = table.table[~monomorphic].set_index(["ID", "TEST"])["CHISQ"]
    agree(ours.reindex(pd.MultiIndex.from_frame(rows[["SNP", "TEST"]])), rows["CHISQ"])
    assert table.allelic is not None
    ratios = table.allelic.set_index("ID")["OR"].reindex(assoc["SNP"])
    with_cells = np.isfinite(assoc["SE"]).to_numpy()
    agree(ratios[with_cells], assoc["OR"][with_cells])
    trend = model[model["TEST"] == "TREND"]
    assert set(hits.table["ID"]) == set(trend.loc[trend["P"] < 1e-5, "SNP"])


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ms.Consortium]:
    with ms.local(sites(PIECE, tmp_path_factory.mktemp("closed"), 3, 8), policy=CLOSED) as consortium:
        yield consortium


def opened(result: Any) -> dict[str, int]:
    return {entry["name"]: entry["values"] for entry in result.run["opened"]}


def test_statistics_without_counts_are_plinks(closed: ms.Consortium) -> None:
    found = closed.contingency(phenotype="case")
    model, assoc = golden(PIECE, "model"), golden(PIECE, "assoc")
    constant = set(assoc.loc[(assoc["F_A"] == 0) & (assoc["F_U"] == 0), "SNP"])
    assert constant
    shown = found.table[found.table["ERRCODE"] != "CONST_OMITTED_ALLELE"]
    assert set(found.table["ID"]) - set(shown["ID"]) == constant
    rows = model[~model["SNP"].isin(constant)]
    for ours, theirs in (("ID", "SNP"), ("A1", "A1"), ("A2", "A2"), ("TEST", "TEST")):
        assert (shown[ours].to_numpy() == rows[theirs].to_numpy()).all(), ours
    assert (shown["DF"].fillna(-1).astype(int).to_numpy() == rows["DF"].fillna(-1).to_numpy()).all()
    for column in ("CHISQ", "P"):
        agree(shown[column], rows[column])
    assert found.allelic is not None
    rows = assoc[~assoc["SNP"].isin(constant)].reset_index(drop=True)
    # an odds ratio needs all four cells
    rows.loc[~np.isfinite(rows["SE"]), ["OR", "SE", "L95", "U95"]] = np.nan
    for column in ("CHISQ", "P", "OR", "SE", "L95", "U95"):
        agree(found.allelic[column], rows[column])
    again = Outcome.from_json(found.outcome.to_json()).tables
    for name, table in found.outcome.tables.items():
        pd.testing.assert_frame_equal(again[name], table)
    assert not {"AFF", "UNAFF", "F_A", "F_U"} & (set(found.table) | set(found.allelic))
    assert "genotype counts" not in opened(found)


@pytest.mark.parametrize("deciding", ["trend", "allelic", "dominant", "recessive", "genotypic"])
def test_hits_are_the_variants_beyond_the_threshold(closed: ms.Consortium, deciding: str) -> None:
    model = golden(PIECE, "model")
    name = {"trend": "TREND", "allelic": "ALLELIC", "dominant": "DOM", "recessive": "REC", "genotypic": "GENO"}[
        deciding
    ]
    rows = model[model["TEST"] == name]
    found = closed.contingency(phenotype="case", release="hits", deciding=deciding, threshold=1e-3, tests=[deciding])
    expected = set(rows.loc[rows["P"] < 1e-3, "SNP"])
    assert set(found.table["ID"]) == expected
    assert expected
    # of the others one bit each, and nothing else
    names = opened(found)
    assert names["variant is released"] == 60
    assert names["rarer allele"] == len(expected)
    assert names["chi-square"] == 2 * len(expected)


def test_results_are_printed_drawn_and_saved(closed: ms.Consortium, tmp_path: Path) -> None:
    found = closed.contingency(phenotype="case", tests=["trend", "allelic"])
    assert len(found.of("trend")) == len(found.of("ALLELIC")) == found.outcome.values["variants_released"]
    with pytest.raises(SpecError, match="DOM"):
        found.of("DOM")
    names = {path.name for path in found.save(tmp_path / "cc")}
    assert names == {"cc.model.csv", "cc.allelic.csv", "cc.json", "cc.txt", "cc.png"}
    assert len(found.plot(test="allelic").axes) == 2  # type: ignore[union-attr]
    assert found.top(1)["ID"].tolist() == ["rs870041"]
    assert "rs870041" in found.summary()
    assert "rs870041" in found._repr_html_()
    hits = closed.contingency(phenotype="case", release="hits", threshold=1e-3)
    assert len(hits.plot().axes) == 1  # type: ignore[union-attr]
    nothing = closed.contingency(phenotype="case", release="hits", threshold=1e-100)
    assert nothing.figures() == {}
    quality = closed.variant_quality(maf=0.1)
    assert f"{quality.passed} of 60 variants pass" in quality.summary()
    assert {path.name for path in quality.save(tmp_path / "qc")} == {"qc.variants.csv", "qc.json", "qc.txt"}


def test_no_hit_is_an_empty_table(closed: ms.Consortium) -> None:
    found = closed.contingency(phenotype="case", release="hits", threshold=1e-100)
    assert len(found.table) == 0
    assert opened(found)["chi-square"] == 0
    assert "released" in found.summary()
    assert Outcome.from_json(found.outcome.to_json()).values["variants_released"] == 0


def test_filters_open_one_bit(closed: ms.Consortium) -> None:
    found = closed.variant_quality(phenotype="case", maf=0.05, geno=0.012, hwe=1e-3)
    counts, hardy = golden(PIECE, "gcount"), golden(PIECE, "hwe")
    n = counts[["HOM_REF_CT", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS"]].to_numpy()
    called = n.sum(axis=1)
    frequency = (n[:, 1] + 2 * n[:, 2]) / (2 * called)
    genotypes = hardy.loc[hardy["TEST"] == "UNAFF", "GENO"].str.split("/", expand=True).to_numpy().astype(np.int64)
    p = (genotypes[:, 1] + 2 * genotypes[:, 0]) / (2 * genotypes.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        chi_square = genotypes.sum(axis=1) * (1 - genotypes[:, 1] / (genotypes.sum(axis=1) * 2 * p * (1 - p))) ** 2
    expected = (np.minimum(frequency, 1 - frequency) >= 0.05) & (counts["MISSING_CT"] <= 12).to_numpy()
    expected &= ~(chi_square > 10.82757)
    assert (found.table["PASS"].to_numpy() == expected).all()
    assert 0 < expected.sum() < 60
    assert found.passed == expected.sum()
    assert found.hardy is None
    assert found.variants() == counts["ID"][expected].tolist()
    assert opened(found) == {"enough people": 0, "people": 2, "variant passes": 60}
    assert list(found.table.columns) == ["#CHROM", "POS", "ID", "REF", "ALT", "PASS"]


def test_standard_shows_bits_and_hits_only(tmp_path: Path) -> None:
    model = golden(PIECE, "model")
    with ms.local(sites(PIECE, tmp_path, 3, 9), policy="standard") as consortium:
        quality = consortium.variant_quality(phenotype="case")
        with pytest.raises(DisclosureRefused, match="all_variants"):
            consortium.contingency(phenotype="case")
        # nearly everything would be a hit
        with pytest.raises(DisclosureRefused, match="hits_log10_p"):
            consortium.contingency(phenotype="case", release="hits", threshold=0.5)
        hits = consortium.contingency(phenotype="case", release="hits", threshold=1e-5, fisher=True)
    counts = golden(PIECE, "gcount")
    copies = counts["HET_REF_ALT_CTS"] + 2 * counts["TWO_ALT_GENO_CTS"]
    rarer = np.minimum(copies, 2 * (1000 - counts["MISSING_CT"]) - copies)
    assert (quality.table["PASS"] == (rarer >= 20)).all()
    assert any("minimum_allele_count" in text for text in quality.withheld)
    trend = model[model["TEST"] == "TREND"]
    chosen = trend.loc[trend["P"] < 1e-5, "SNP"]
    assert set(hits.table["ID"]) == set(chosen)
    assert len(chosen)
    rows = model[model["SNP"].isin(chosen)]
    agree(hits.table["CHISQ"], rows["CHISQ"])
    # 21 significant bits, not more
    for x in hits.table["CHISQ"].to_numpy(dtype=np.float64):
        assert np.ldexp(np.frexp(x)[0], 21) % 1 == 0
    assert any("Fisher" in text for text in hits.withheld)
    assert "P_FISHER" not in hits.allelic


def test_few_people_and_rare_variants_are_withheld(tmp_path: Path) -> None:
    parties = sites(PIECE, tmp_path, 3, 9)
    few = ms.Policy.model_validate({"extends": "open", "disclosure": {"association_minimum_people": 1001}})
    with ms.local(parties, policy=few) as consortium, pytest.raises(DisclosureRefused, match="fewer people") as caught:
        consortium.variant_quality()
    assert "1000" not in str(caught.value)
    groups = ms.Policy.model_validate({"extends": "open", "disclosure": {"minimum_count": 501}})
    with ms.local(parties, policy=groups) as consortium:
        with pytest.raises(DisclosureRefused, match="fewer people"):
            consortium.contingency(phenotype="case")
        assert consortium.variant_quality().passed == 60
    rare = {"extends": "open", "disclosure": {"minimum_allele_count": 100, "allele_counts": False}}
    with ms.local(parties, policy=ms.Policy.model_validate(rare)) as consortium:
        table = consortium.contingency(phenotype="case", tests="allelic").to_frame()
    hidden = table["ERRCODE"] == "MAC_BELOW_MINIMUM"
    assert 0 < hidden.sum() < 60
    assert table.loc[hidden, ["CHISQ", "P"]].isna().all(axis=None)


def test_counts_of_hits_are_not_counts_of_all(tmp_path: Path) -> None:
    """`allele_counts` without `all_variants`."""
    rules = ms.Policy.model_validate({"extends": "open", "disclosure": {"all_variants": False}})
    with ms.local(sites(PIECE, tmp_path, 3, 9), policy=rules) as consortium:
        quality = consortium.variant_quality(phenotype="case")
        hits = consortium.contingency(phenotype="case", release="hits", threshold=1e-5, tests="trend")
    assert quality.hardy is None
    assert any("all_variants" in text for text in quality.withheld)
    model = golden(PIECE, "model")
    rows = model[(model["TEST"] == "TREND") & (model["P"] < 1e-5)]
    assert (hits.table["AFF"].to_numpy() == rows["AFF"].to_numpy()).all()
    assert opened(hits)["genotype counts"] == 6 * len(rows) > 0


def test_small_margins_stay_closed(tmp_path: Path) -> None:
    rules = {"minimum_count": 11, "allele_counts": False, "all_variants": True}
    model = golden(PIECE, "model")
    with ms.local(sites(PIECE, tmp_path, 3, 9), policy=ms.Policy.model_validate({"disclosure": rules})) as consortium:
        table = consortium.contingency(phenotype="case", tests=["genotypic", "recessive"]).to_frame()
    shown = table[table["CHISQ"].notna()].set_index(["ID", "TEST"])
    counts = model.set_index(["SNP", "TEST"])
    for (name, test), _ in shown.iterrows():
        cells = [counts.loc[(name, test), column].split("/") for column in ("AFF", "UNAFF")]
        assert np.array(cells, dtype=int).sum(axis=0).min() >= 11
    assert table.loc[table["ERRCODE"] == "MARGIN_TOO_SMALL", "CHISQ"].isna().all()
    assert (table["ERRCODE"] == "MARGIN_TOO_SMALL").any()
    assert len(shown)


def test_one_site_without_cases(tmp_path: Path) -> None:
    parties = sites(PIECE, tmp_path, 3, 10)
    frames = {name: data.table for name, data in parties.items()}
    controls = frames["site0"][frames["site0"]["case"] == 1].reset_index(drop=True)
    parties["site0"] = ms.Dataset(controls, genotypes=tmp_path / "site0", id="IID")
    with ms.local(parties, policy=CLOSED) as consortium:
        found = consortium.contingency(phenotype="case", tests="trend")
    left = int(sum((frame["case"] == 2).sum() for name, frame in frames.items() if name != "site0"))
    assert found.outcome.values["cases"] == left
    assert found.table["CHISQ"].notna().sum() >= 50


def test_requests_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with ms.local(sites(PIECE, tmp_path, 2, 1)) as consortium:
        with pytest.raises(SpecError, match="twice"):
            consortium.contingency(phenotype="case", tests=["trend", "trend"])
        with pytest.raises(SpecError, match="allelic"):
            consortium.contingency(phenotype="case", tests="trend", fisher=True)
        with pytest.raises(SpecError, match="hwe"):
            consortium.variant_quality(hwe=1e-310)
        with pytest.raises(SpecError, match="maf"):
            consortium.variant_quality(maf=0.7)
        with pytest.raises(SpecError, match="case/control"):
            consortium.contingency(phenotype="IID")
    traits = pd.DataFrame({"IID": ["a", "b", "c"], "score": [1.5, 2.5, 3.5]})
    with ms.local({"one": traits, "two": traits}) as consortium, pytest.raises(DataError, match="genotypes"):
        consortium.variant_quality()
