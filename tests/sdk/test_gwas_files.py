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
