"""`mpcstats dataset`: the steward's way from a file or a database to a published dictionary."""

from __future__ import annotations

import json
import sqlite3
import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError, DataError, SpecError
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party
from mpcstats.node.site import Site
from mpcstats.stats.contributions import Plan
from mpcstats.study.analyses import parse_spec

PARTIES = Path(__file__).parents[2] / "parties"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return result.stdout


@pytest.fixture
def party(tmp_path: Path) -> Path:
    directory = tmp_path / "north"
    create_party(directory, name="north", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    return directory


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE patients (age INTEGER, sex TEXT, agreed TEXT)")
        people = [(30 + i % 50, "wm"[i % 2], "ja" if i % 4 else "nein") for i in range(80)]
        connection.executemany("INSERT INTO patients VALUES (?, ?, ?)", people)
    connection.close()
    (tmp_path / "q.sql").write_text("SELECT * FROM patients")
    return path


def test_from_a_file_to_a_published_dictionary(party: Path) -> None:
    before = (party / "party.toml").read_text()
    csv = PARTIES / "northfield" / "data" / "lung.csv"
    text = run("dataset", "add", "lung", "--party", party, "--csv", csv)
    assert f"next: mpcstats dataset describe lung --party {party} -o {party / 'lung.dictionary.toml'}" in text
    after = (party / "party.toml").read_text()
    assert after.startswith(before)
    assert tomllib.loads(after)["datasets"]["lung"] == {"table": str(csv), "dictionary": "lung.dictionary.toml"}
    assert run("dataset", "list", "--party", party).splitlines()[1].split()[:3] == ["lung", "registered", "missing"]

    draft = party / "lung.dictionary.toml"
    run("dataset", "describe", "lung", "--party", party, "-o", draft)
    with pytest.raises(ConfigurationError, match="exists"):
        run("dataset", "describe", "lung", "--party", party, "-o", draft)
    with pytest.raises(ConfigurationError, match="is a draft"):
        run("dataset", "publish", "lung", "--party", party)
    assert "[E2103]" in run("dataset", "check", "lung", "--party", party, code=1)
    assert "has problems" in run("dataset", "list", "--party", party)

    draft.write_text((PARTIES / "northfield" / "dictionary.toml").read_text())
    report = json.loads(run("dataset", "check", "lung", "--party", party, "--json"))
    assert (report["rows"], report["problems"]) == (76, 0)
    assert "checked" in run("dataset", "list", "--party", party)
    text = run("dataset", "publish", "lung", "--party", party)
    assert "published lung version 1, digest" in text
    assert "76" not in text
    assert "age                      integer   18 to 110 a" in text
    assert "published" in run("dataset", "list", "--party", party)

    draft.write_text(draft.read_text().replace("[18, 110]", "[18, 120]"))
    assert "registered" in run("dataset", "list", "--party", party)
    with pytest.raises(ConfigurationError, match="published with another content") as caught:
        run("dataset", "publish", "lung", "--party", party)
    assert caught.value.hint == "version = 2 at every party, then publish again"
    draft.write_text(draft.read_text().replace("version = 1", "version = 2"))
    run("dataset", "publish", "lung", "--party", party)
    (row,) = json.loads(run("dataset", "list", "--party", party, "--json"))
    assert (row["published"]["version"], row["state"]) == (2, "published")
    draft.write_text(draft.read_text().replace("version = 2", "version = 1"))
    with pytest.raises(ConfigurationError, match="version 2 of the dictionary 'lung' is published already"):
        run("dataset", "publish", "lung", "--party", party)


def test_from_a_database_with_consent_and_codes(party: Path, database: Path, tmp_path: Path) -> None:
    (party / "d.toml").write_text(
        'id = "d"\n[[column]]\nname = "age"\ntype = "integer"\nrange = [0, 120]\nunit = "a"\n'
        '[[column]]\nname = "sex"\ntype = "category"\nlevels = ["F", "M"]\n'
    )
    (party / "mapping.toml").write_text('[values.sex]\nw = "F"\nm = "M"\n')
    run(
        "dataset", "add", "cohort", "--party", party, "--from", f"sqlite:///{database}", "--query", tmp_path / "q.sql",
        "--dictionary", party / "d.toml", "--mapping", party / "mapping.toml",
        "--consent-column", "agreed", "--consent-allow", "ja",
    )  # fmt: skip
    table = party / "snapshots" / "cohort.parquet"
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    section = tomllib.loads((party / "party.toml").read_text())["datasets"]["cohort"]
    assert section == {
        "table": "snapshots/cohort.parquet",
        "dictionary": "d.toml",
        "mapping": "mapping.toml",
        "consent": {"column": "agreed", "allow": ["ja"]},
        "source": {"url": f"sqlite:///{database}", "query": str(tmp_path / "q.sql")},
    }
    text = run("dataset", "check", "cohort", "--party", party)
    assert "consent: 20 rows left out, 60 rows may be used" in text
    assert "60 rows, 0 problems" in text

    # what a run would use, and what its owner's log says
    spec = parse_spec(json.dumps({"type": "count", "dataset": "cohort", "where": None, "by": ["sex"]}))
    site = Site(PartyDirectory(party))
    plan = site.make_plan(spec)
    assert isinstance(plan, Plan)
    prepared = site.prepare(spec, plan)
    assert prepared.report is not None
    assert prepared.report.counts()["without_consent"] == 20
    assert (prepared.report.rows, prepared.report.used) == (60, 60)
    assert "20 rows without consent never looked at" in str(prepared.report)

    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO patients VALUES (50, 'w', 'ja')")
    connection.close()
    text = run("dataset", "refresh", "cohort", "--party", party)
    assert "81 rows at" in text
    assert "before: 80 rows at" in text
    (row,) = json.loads(run("dataset", "list", "--party", party, "--json"))
    assert row["extracted"]


def test_what_is_not_added(party: Path, database: Path, tmp_path: Path) -> None:
    before = (party / "party.toml").read_text()
    csv = PARTIES / "northfield" / "data" / "lung.csv"
    url = f"sqlite:///{database}"
    for arguments, problem in (
        (["x", "--csv", tmp_path / "gone.csv"], "there is no file"),
        (["x", "--csv", csv, "--dictionary", tmp_path / "gone.toml"], "there is no file"),
        (["x", "--csv", csv, "--mapping", tmp_path / "gone.toml"], "there is no file"),
        (["x"], "has one table"),
        (["x", "--csv", csv, "--parquet", csv], "has one table"),
        (["x", "--parquet", csv], "is not named .parquet"),
        (["a b", "--csv", csv], "cannot name a data set"),
        (["../x", "--csv", csv], "cannot name a data set"),
        (["x", "--from", url], "needs a query"),
        (["x", "--from", "postgresql://me:pw@db/x", "--query", tmp_path / "q.sql"], "has a password"),
        (["x", "--from", url, "--query", tmp_path / "gone.sql"], "there is no file"),
        (["x", "--csv", csv, "--consent-allow", "yes"], "needs --consent-column"),
        (["x", "--csv", csv, "--consent-column", "c"], "consent.allow"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            run("dataset", "add", *arguments, "--party", party)
    with pytest.raises(DataError, match="set"):
        run("dataset", "add", "x", "--csv", csv, "--genotypes", tmp_path / "set", "--party", party)
    assert (party / "party.toml").read_text() == before
    run("dataset", "add", "x", "--csv", csv, "--party", party)
    with pytest.raises(ConfigurationError, match="there is a data set 'x' already"):
        run("dataset", "add", "x", "--csv", csv, "--party", party)
    with pytest.raises(ConfigurationError, match="comes from a file"):
        run("dataset", "refresh", "x", "--party", party)
    with pytest.raises(SpecError, match="no data set 'y'"):
        run("dataset", "check", "y", "--party", party)


def test_a_party_without_data_has_no_data_sets(tmp_path: Path) -> None:
    create_party(tmp_path / "neutral", name="neutral", listen="127.0.0.1:1", advertise="127.0.0.1:1", role="compute")
    with pytest.raises(ConfigurationError, match="has no datasets"):
        run("dataset", "add", "x", "--csv", PARTIES / "northfield/data/lung.csv", "--party", tmp_path / "neutral")
