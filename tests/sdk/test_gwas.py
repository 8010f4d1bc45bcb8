"""Files of a scan: PLINK's table, GWAS-SSF, the log; and scans that release hits alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from mpcstats.sdk.results import GwasResult, wrap
from mpcstats.sdk.results.gwas_files import SSF_COLUMNS
from tests.sdk import outcomes
from tests.sdk.test_local import genotype_sites


def test_summary_statistics_in_the_catalogs_format(tmp_path: Path) -> None:
    result = wrap(outcomes.gwas())
    assert isinstance(result, GwasResult)
    path = result.write_gwas_ssf(tmp_path / "new" / "y1.tsv.gz")
    table = pd.read_csv(path, sep="\t")
    assert tuple(table.columns) == SSF_COLUMNS
    assert len(table) == 999
    assert table["effect_allele_frequency"].isna().all()
    ours = result.table.set_index("ID").loc["568"]
    row = table.iloc[[table["neg_log_10_p_value"].argmax()]].squeeze()
    assert row["beta"] == ours["BETA"]
    assert row["effect_allele"] == ours["A1"]
    assert {row["effect_allele"], row["other_allele"]} == {ours["REF"], ours["ALT"]}
    assert row["variant_id"] == f"{ours['#CHROM']}_{ours['POS']}_{ours['REF']}_{ours['ALT']}"


def test_names_of_chromosomes_are_numbers(tmp_path: Path) -> None:
    outcome = outcomes.gwas()
    table = outcome.tables["variants"]
    table["#CHROM"] = np.resize(np.array(["chr2", "X", "MT"], dtype=object), len(table))
    result = wrap(outcome)
    assert isinstance(result, GwasResult)
    written = pd.read_csv(result.write_gwas_ssf(tmp_path / "x.tsv"), sep="\t")
    assert sorted(set(written["chromosome"])) == [2, 23, 25]
    assert written["chromosome"].is_monotonic_increasing


@pytest.mark.parametrize("threshold", [0.3, 1e-60])
def test_hits_are_written_and_told_apart(tmp_path: Path, threshold: float) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 5)
    with ms.local(parties) as consortium:
        result = consortium.gwas(phenotype="height", release="hits", threshold=threshold, missing="mean")
        every = consortium.gwas(phenotype="height", missing="mean")
    expected = every.table[every.table["P"] < threshold]
    assert result.table["ID"].tolist() == expected["ID"].tolist()
    assert (len(expected) == 0) == (threshold == 1e-60)
    np.testing.assert_allclose(result.table["P"], expected["P"], rtol=1e-7)
    text = result.summary()
    assert f"hits, p < {threshold:g}" in text
    assert "other variants stay there" in text
    with pytest.raises(SpecError, match="no QQ plot"):
        result.plot(kind="qq")
    names = {path.name for path in result.save(tmp_path / "out" / "scan")}
    assert {"scan.glm.linear", "scan.gwas-ssf.tsv.gz", "scan.log"} <= names
    assert ("scan.png" in names) == (len(expected) > 0)
    log = (tmp_path / "out" / "scan.log").read_text(encoding="utf-8")
    for name, value in {"release": "hits", "threshold": threshold, "phenotype": "height", "missing": "mean"}.items():
        assert f"  {name} = {json.dumps(value)}\n" in log
    assert "wrote scan.glm.linear" in log


def case_control(folder: Path) -> tuple[dict[str, ms.Dataset], pd.DataFrame, np.ndarray]:
    """`genotype_sites` with a status, coded 1 and 2, that depends on the first variant."""
    parties, traits, calls = genotype_sites(folder, 3, 6)
    rng = np.random.default_rng(6)
    odds = -0.4 + 1.2 * np.maximum(calls[:, 0], 0) * (calls[:, 0] >= 0) - 0.02 * (traits["age"] - 55)
    traits["status"] = 1 + (rng.random(len(traits)) < 1 / (1 + np.exp(-odds)))
    coded = {}
    for name, dataset in parties.items():
        own = dataset.table.merge(traits[["IID", "status"]], on="IID")
        coded[name] = ms.Dataset(own, genotypes=dataset.genotypes, id="IID")
    return coded, traits, calls


@pytest.mark.long
def test_logistic_scans(tmp_path: Path) -> None:
    import statsmodels.api as sm

    parties, traits, calls = case_control(tmp_path)
    with ms.local(parties) as consortium:
        every = consortium.gwas(phenotype="status", covariates=["age"], model="logistic")
        hits = consortium.gwas(phenotype="status", covariates=["age"], model="logistic", release="hits", threshold=1e-3)
        score = consortium.gwas(
            phenotype="status", covariates=["age"], model="logistic", method="score", missing="mean"
        )
    assert every.title == "Logistic association, additive model"
    called = calls[:, 0] >= 0
    design = sm.add_constant(np.column_stack([traits["age"], calls[:, 0]]))[called]
    fit = sm.Logit(traits["status"].to_numpy()[called] - 1, design).fit(disp=0, tol=1e-14)
    sign = 1 if every.table["A1"][0] == every.table["ALT"][0] else -1
    assert every.effect_size["v0"] * sign == pytest.approx(fit.params[-1], rel=1e-6)
    assert every.standard_error["v0"] == pytest.approx(fit.bse[-1], rel=1e-6)
    assert every.statistic["v0"] * sign == pytest.approx(fit.tvalues[-1], rel=1e-6)
    assert "v0" in hits.table["ID"].tolist()
    assert score.statistic["v0"] == pytest.approx(every.statistic["v0"], rel=0.1)
    assert every.outcome.values["cases"] == (traits["status"] == 2).sum()
    names = {path.name for path in every.save(tmp_path / "out" / "s")}
    assert {"s.glm.logistic.hybrid", "s.gwas-ssf.tsv.gz", "s.log", "s.manhattan.png", "s.qq.png"} <= names
    ssf = pd.read_csv(tmp_path / "out" / "s.gwas-ssf.tsv.gz", sep="\t").set_index("base_pair_location")
    assert ssf["beta"][1] == pytest.approx(every.effect_size["v0"], rel=1e-12)


def test_filters_leave_variants_out(tmp_path: Path) -> None:
    parties, _, calls = genotype_sites(tmp_path, 3, 7)
    called = (calls >= 0).sum(axis=0)
    copies = np.maximum(calls, 0).sum(axis=0)
    frequency = np.minimum(copies, 2 * called - copies) / (2 * called)
    absent = 1 - called / len(calls)
    with ms.local(parties) as consortium:
        table = consortium.gwas(phenotype="height", maf=0.2, geno=0.03, missing="mean").table
    kept = (frequency >= 0.2) & (absent <= 0.03)
    assert 3 < kept.sum() < 20
    assert (table["ERRCODE"] != "FILTERED").tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"model": "logistic"}, "boolean, 0/1, or 1/2"),
        ({"method": "wald"}, "those of a logistic regression"),
        ({"phenotype": "smoker", "model": "logistic", "method": "score"}, 'needs missing="mean"'),
        ({"phenotype": "smoker", "model": "logistic", "missing": "mean"}, 'needs missing="complete"'),
        ({"hwe": 1e-310}, "too small"),
        ({"maf": 0.7}, "maf"),
    ],
)
def test_requests_that_do_not_fit(tmp_path: Path, request_: dict[str, object], complaint: str) -> None:
    parties, _, _ = genotype_sites(tmp_path, 3, 8)
    with ms.local(parties) as consortium, pytest.raises(SpecError, match=complaint):
        consortium.gwas(**{"phenotype": "height", **request_})  # type: ignore[arg-type]
