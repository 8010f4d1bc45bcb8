"""What an operator sees of the ledger, and the one deletion that is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.ledger.care import ledger_lines, prune_ledger
from mpcstats.node.ledger.releases import FORGOTTEN, ROWS, Entry, ReleaseLedger, Snapshot
from mpcstats.node.records.cells import table_digest
from mpcstats.node.records.source import Dataset, load
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import source_of
from mpcstats.stats.differencing import Members, Release
from mpcstats.study.dictionary import load_dictionary
from mpcstats.testing.processes import PartyFiles, make_party_directories

HEADER = 'apiVersion = "mpcstats/v1"\nkind = "Dictionary"\nid = "test"\nversion = 1\n'
AGE = '[[column]]\nname = "age"\ntype = "integer"\nrange = [0, 120]\n'
PEOPLE = Members(np.arange(20, dtype=np.uint64), np.repeat([0, 1], 10))


@pytest.fixture
def party(tmp_path: Path) -> PartyDirectory:
    files = PartyFiles(datasets={"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}})
    path = make_party_directories(tmp_path, dict.fromkeys(("alpha", "beta", "gamma"), files))["alpha"]
    (path / "dictionary.toml").write_text(HEADER + AGE)
    (path / "cohort.csv").write_text("age\n" + "40\n" * 20)
    return PartyDirectory(path)


def fill(party: PartyDirectory) -> ReleaseLedger:
    """By rows of the table of now and of another one, by a column, and a release without own people."""
    files = party.dataset("main")
    now = table_digest(load(Dataset(files.table), "alpha", load_dictionary(files.dictionary)).source)
    ledger = ReleaseLedger(party.ledger_file, "alpha")
    known = [Snapshot(PEOPLE, ROWS, now), Snapshot(PEOPLE, ROWS, "0f" * 32), Snapshot(PEOPLE, "pid", "0f" * 32), None]
    for number, own in enumerate(known):
        release = Release((2,), shown=(True, False) if number else None)
        ledger.begin(Entry(f"{number:064x}", "main", "ab" * 32, ("alpha", "beta"), release, own))
    return ledger


def test_releases_are_listed_without_people(party: PartyDirectory) -> None:
    assert ledger_lines(party) == []
    assert not party.ledger_file.exists()
    fill(party)
    lines = ledger_lines(party)
    assert [(line.cells, line.released, line.people, line.known_by) for line in lines] == [
        (2, None, 20, "rows"),
        (2, 1, 20, "rows"),
        (2, 1, 20, "pid"),
        (2, 1, None, None),
    ]
    printed = CliRunner().invoke(app, ["ledger", "show", str(party.path)])
    assert "4 releases" in printed.output
    as_json = json.loads(CliRunner().invoke(app, ["ledger", "show", str(party.path), "--json"]).output)
    assert [line["released"] for line in as_json] == [None, 1, 1, 1]


def test_people_of_tables_that_are_gone_can_be_deleted_and_nothing_else(party: PartyDirectory) -> None:
    ledger = fill(party)
    before = ledger.entries("main")
    with hold_lock(party.state), pytest.raises(ConfigurationError, match="runs with"):
        prune_ledger(party)
    printed = CliRunner().invoke(app, ["ledger", "prune", str(party.path)])
    assert "main: people of 1 releases deleted" in printed.output
    after = ledger.entries("main")
    assert [entry.id for entry in after] == [entry.id for entry in before]
    assert [entry.release for entry in after] == [entry.release for entry in before]
    sizes = [None if entry.own is None else len(entry.own.members.keys) for entry in after]
    assert sizes == [20, 0, 20, None]
    pruned = after[1].own
    assert pruned is not None
    assert pruned.keyed_by == FORGOTTEN
    # not comparable with any table, not even with that of then
    assert not Snapshot(PEOPLE, ROWS, "0f" * 32).comparable(pruned)
    assert prune_ledger(party) == {"main": 0}


def test_a_data_set_that_is_not_listed_is_not_taken_for_gone(party: PartyDirectory) -> None:
    ledger = fill(party)
    own = Snapshot(PEOPLE, ROWS, "0f" * 32)
    ledger.begin(Entry("ff" * 32, "other", "ab" * 32, ("alpha",), Release((2,), shown=(True, True)), own))
    with pytest.raises(ConfigurationError, match="'other'"):
        prune_ledger(party)


def test_a_table_under_a_rule_of_consent_is_the_one_of_its_release(party: PartyDirectory) -> None:
    (party.path / "cohort.csv").write_text("age,agreed\n" + "40,yes\n" * 20 + "40,no\n" * 5)
    consent = '[datasets.main.consent]\ncolumn = "agreed"\nallow = ["yes"]\n'
    party.config_file.write_text(party.config_file.read_text() + consent)
    party = PartyDirectory(party.path)
    files = party.dataset("main")
    now = table_digest(load(source_of(files), "alpha", load_dictionary(files.dictionary)).source)
    whole = table_digest(load(Dataset(files.table), "alpha", load_dictionary(files.dictionary)).source)
    ledger = ReleaseLedger(party.ledger_file, "alpha")
    for number, table in enumerate((now, whole)):
        release = Release((2,), shown=(True, False))
        ledger.begin(
            Entry(f"{number:064x}", "main", "ab" * 32, ("alpha", "beta"), release, Snapshot(PEOPLE, ROWS, table))
        )
    assert prune_ledger(party) == {"main": 1}
    kept = [entry.own.keyed_by for entry in ledger.entries("main") if entry.own is not None]
    assert kept == [ROWS, FORGOTTEN]
