"""`mpcstats variants`: a list made, and a party's own files checked against it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError, DataError
from mpcstats.node.settings.setup import create_party

DATA = Path(__file__).parents[1] / "data"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def party(tmp_path: Path) -> Path:
    directory = tmp_path / "north"
    create_party(directory, name="north", listen="127.0.0.1:4710", advertise="127.0.0.1:4710", role="data")
    data = directory / "data"
    data.mkdir(exist_ok=True)
    for suffix in (".pgen", ".pvar", ".psam"):
        shutil.copyfile(DATA / f"regenie{suffix}", data / f"set{suffix}")
    with (directory / "party.toml").open("a") as file:
        file.write(
            '[datasets.main]\ntable = "data/t.csv"\ndictionary = "d.toml"\ngenotypes = "data/set"\n'
            'id = "IID"\nvariants = "study.tsv"\n'
        )
    return directory


def test_a_list_is_made_and_checked(party: Path, tmp_path: Path) -> None:
    pvar = (DATA / "regenie.pvar").read_text().splitlines()
    # 900 variants, the first with swapped alleles, and one that nobody has
    swapped = pvar[1].split("\t")
    swapped[3:5] = swapped[4:2:-1]
    rows = [pvar[0], "\t".join(swapped), *pvar[2:901], "9\t5\tnew\t1\t2"]
    (tmp_path / "panel.pvar").write_text("\n".join(rows) + "\n")
    out = party / "study.tsv"
    text = run("variants", "make", tmp_path / "panel.pvar", DATA / "regenie.bim", "--out", out)
    assert "panel.pvar: 901 variants, positions of NCBI36 or GRCh37 or GRCh38" in text
    assert "900 of 900 variants matched" in text
    assert f"wrote {out}: 900 variants, digest" in text
    with pytest.raises(ConfigurationError, match="exists"):
        run("variants", "make", tmp_path / "panel.pvar", "--out", out)
    found = json.loads(run("variants", "check", party, "--json"))
    digest = found.pop("digest")
    assert digest[:16] in text
    assert found == {
        "people": 500,
        "study": 900,
        "own": 1000,
        "matched": 900,
        "by_position": 900,
        "by_id": 0,
        "flipped": 1,
        "complemented": 0,
        "one_allele": 0,
        "repeated": 0,
        "other_alleles": 0,
        "absent": 0,
        "unused": 100,
    }
    text = run("variants", "check", party)
    assert "500 people in the psam file" in text
    assert "         900  study variants found" in text
    out.unlink()
    run("variants", "make", tmp_path / "panel.pvar", DATA / "regenie.bim", "--out", out, "--keep", "union")
    found = json.loads(run("variants", "check", party, "--json"))
    assert (found["study"], found["matched"], found["absent"]) == (1001, 1000, 1)


def test_what_a_check_needs(party: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        run("variants", "check", party)
    file = party / "party.toml"
    text = file.read_text()
    file.write_text(text.replace('variants = "study.tsv"\n', ""))
    with pytest.raises(ConfigurationError, match="names no variants"):
        run("variants", "check", party)
    file.write_text(text.replace('genotypes = "data/set"\n', ""))
    with pytest.raises(ConfigurationError, match="names no genotypes"):
        run("variants", "check", party)
    shutil.copyfile(DATA / "some_missing.bim", party / "study.bim")
    file.write_text(text.replace("study.tsv", "study.bim"))
    with pytest.raises(DataError, match="none of the study's") as caught:
        run("variants", "check", party)
    assert caught.value.party == "north"
