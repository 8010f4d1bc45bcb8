"""What nodes remember of released counts: on disk, over changed tables, restarts and losses."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, DisclosureRefused, Divergence, MpcStatsError
from mpcstats.node.ledger.releases import Entry, ReleaseLedger, Snapshot
from mpcstats.node.records.preparation import people_of, prepare
from mpcstats.node.records.source import Dataset, Records, load
from mpcstats.node.runs.execution import execute
from mpcstats.stats.differencing import Members, Release
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import make_plan
from mpcstats.study.policy import Policy
from mpcstats.testing.processes import NodeProcess, PartyFiles, ProcessNetwork, make_party_directories
from mpcstats.transport.memory import MemoryNetwork

NAMES = ("alpha", "beta", "gamma")
DATA = NAMES[:2]
RULES = replace(Policy.preset("standard").rules, minimum_count=4, minimum_parties=1, small_remainders=True)
COLUMNS = [{"name": "age", "type": "integer", "range": [0, 120]}]
DICTIONARY = Dictionary.model_validate({"id": "test", "columns": COLUMNS})
TABLES = {name: pd.DataFrame({"age": np.arange(40, 80), "pid": np.arange(40) + 100 * k}) for k, name in enumerate(DATA)}
EVERYBODY, NEARLY = CountSpec(), CountSpec(where="age < 79")


def in_folder(folder: Path) -> dict[str, ReleaseLedger]:
    return {name: ReleaseLedger(folder / name / "released.sqlite", name) for name in NAMES}


def run(
    spec: CountSpec,
    ledgers: dict[str, ReleaseLedger],
    tables: dict[str, pd.DataFrame] = TABLES,
    identified: bool = False,
) -> Outcome:
    """One run of two parties with data and one without."""
    network, study = MemoryNetwork(NAMES, 20.0), secrets.token_bytes(32)
    plan = make_plan(spec, DICTIONARY, None)
    records: dict[str, Records] = {
        name: load(Dataset(table, id="pid" if identified else None), name) for name, table in tables.items()
    }

    async def party(number: int, name: str) -> Outcome:
        channel = network.channel(number)
        here = records.get(name)
        try:
            return await execute(
                channel,
                spec=spec,
                plan=plan,
                contribution=None if here is None else prepare(spec, plan, here, DICTIONARY, name),
                study_digest=study,
                data_parties=DATA,
                rules=RULES,
                rules_owner=dict.fromkeys(RULES.__dataclass_fields__, "test"),
                variants=None,
                progress=lambda text: None,
                ledger=ledgers[name],
                people=None if here is None else people_of(spec, plan, here, DICTIONARY, name),
            )
        except Exception as error:
            await channel.abort(error)
            raise

    async def all_of_them() -> list[Any]:
        parties = [party(number, name) for number, name in enumerate(NAMES, 1)]
        return await asyncio.gather(*parties, return_exceptions=True)

    outcomes = asyncio.run(all_of_them())
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise next((e for e in errors if not (isinstance(e, MpcStatsError) and "was stopped" in e.message)), errors[0])
    assert isinstance(outcomes[0], Outcome)
    return outcomes[0]


def test_an_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    members = Members(np.array([7, 2**64 - 1], np.uint64), np.array([1, 0]))
    entry = Entry("00ff", "main", "aa", DATA, Release((2,), False, None), Snapshot(members, "pid", "digest"))
    ledger = ReleaseLedger(tmp_path / "state" / "released.sqlite", "alpha")
    assert ledger.entries("main") == []
    ledger.begin(entry)
    ledger.begin(replace(entry, id="01", dataset="other", own=None))
    ledger.finish(replace(entry, release=replace(entry.release, shown=(True, False))))
    (read,) = ReleaseLedger(tmp_path / "state" / "released.sqlite", "alpha").entries("main")
    assert (read.id, read.request, read.parties) == ("00ff", "aa", DATA)
    assert read.release == Release((2,), False, (True, False))
    assert read.own is not None
    np.testing.assert_array_equal(read.own.members.keys, members.keys)
    np.testing.assert_array_equal(read.own.members.sets, members.sets)
    assert (read.own.keyed_by, read.own.content) == ("pid", "digest")
    assert ledger.entries("other")[0].own is None
    assert stat.S_IMODE((tmp_path / "state" / "released.sqlite").stat().st_mode) == 0o600


def test_what_was_released_before_a_restart_counts(tmp_path: Path) -> None:
    run(EVERYBODY, in_folder(tmp_path))
    with pytest.raises(DisclosureRefused):
        run(NEARLY, in_folder(tmp_path))
    again = run(EVERYBODY, in_folder(tmp_path))
    assert [entry["name"] for entry in again.run["opened"]] == ["counts"]
    assert all(len(ledger.entries("main")) == 1 for ledger in in_folder(tmp_path).values())
    # a party without data knows what is public, and nothing of people
    assert [entry.own for entry in in_folder(tmp_path)["gamma"].entries("main")] == [None]


@pytest.mark.parametrize("how", ["text", "entry", "people"])
def test_a_broken_ledger_stops_the_run(tmp_path: Path, how: str) -> None:
    run(EVERYBODY, in_folder(tmp_path))
    file = tmp_path / "beta" / "released.sqlite"
    if how == "text":
        file.write_bytes(b"not a database, though it is long enough to be one" * 100)
    else:
        changed = {"entry": "public = replace(public, '1', '0')", "people": "people = x'00'"}[how]
        with sqlite3.connect(file) as database:
            database.execute(f"UPDATE released SET {changed}")
        database.close()
    with pytest.raises(ConfigurationError, match="cannot be used") as broken:
        run(NEARLY, in_folder(tmp_path))
    assert broken.value.party == "beta"


def test_a_lost_ledger_is_noticed(tmp_path: Path) -> None:
    run(EVERYBODY, in_folder(tmp_path))
    (tmp_path / "beta" / "released.sqlite").unlink()
    with pytest.raises(ConfigurationError, match="lacks a release") as lost:
        run(NEARLY, in_folder(tmp_path))
    assert lost.value.party == "beta"
    assert "backup" in (lost.value.hint or "")


def test_parties_that_remember_different_things_stop(tmp_path: Path) -> None:
    ledgers = in_folder(tmp_path)
    run(EVERYBODY, ledgers)
    (entry,) = ledgers["beta"].entries("main")
    ledgers["beta"].finish(replace(entry, release=replace(entry.release, shown=(False,))))
    with pytest.raises(Divergence, match="remembers an earlier release as another one"):
        run(NEARLY, ledgers)


def test_a_run_that_broke_off_counts_as_released(tmp_path: Path) -> None:
    ledgers = in_folder(tmp_path)
    run(EVERYBODY, ledgers)
    for ledger in ledgers.values():
        (entry,) = ledger.entries("main")
        ledger.finish(replace(entry, release=replace(entry.release, shown=None)))
    with pytest.raises(DisclosureRefused):
        run(NEARLY, ledgers)
    run(EVERYBODY, ledgers)  # the same again completes it
    assert [ledger.entries("main")[0].release.shown for ledger in ledgers.values()] == [(True,)] * 3


def test_changed_tables_are_compared_by_the_people_in_them(tmp_path: Path) -> None:
    def with_rows(*ages: int) -> dict[str, pd.DataFrame]:
        more = pd.DataFrame({"age": ages, "pid": 900 + np.arange(len(ages))})
        return {**TABLES, "alpha": pd.concat([more, TABLES["alpha"]], ignore_index=True)}

    ledgers = in_folder(tmp_path)
    run(EVERYBODY, ledgers, identified=True)
    with pytest.raises(DisclosureRefused):  # one person more than yesterday
        run(EVERYBODY, ledgers, with_rows(50), identified=True)
    shuffled = {name: table.sample(frac=1, random_state=1, ignore_index=True) for name, table in TABLES.items()}
    assert (
        run(EVERYBODY, ledgers, shuffled, identified=True).withheld == run(EVERYBODY, ledgers, identified=True).withheld
    )
    run(EVERYBODY, ledgers, with_rows(50, 51, 52, 53), identified=True)


def test_changed_tables_without_ids_are_not_compared_and_the_result_says_so(tmp_path: Path) -> None:
    ledgers = in_folder(tmp_path)
    run(EVERYBODY, ledgers)
    changed = {**TABLES, "alpha": TABLES["alpha"][1:].reset_index(drop=True)}
    outcome = run(EVERYBODY, ledgers, changed)
    assert any("1 earlier releases could not be compared" in text for text in outcome.withheld)
    with pytest.raises(DisclosureRefused):  # the release of the changed table can be
        run(NEARLY, ledgers, changed)


@pytest.mark.long
def test_nodes_remember_over_restarts(tmp_path: Path) -> None:
    dictionary = '[[column]]\nname = "age"\ntype = "integer"\nrange = [0, 120]\n'
    header = 'apiVersion = "mpcstats/v1"\nkind = "Dictionary"\nid = "test"\nversion = 1\n'
    policy = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "standard"\n[disclosure]\nminimum_parties = 2\n'
    policy += '[approval]\nauto = ["*"]\n'
    files = PartyFiles(datasets={"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}}, policy=policy)
    parties = {"alpha": files, "beta": files, "gamma": PartyFiles(role="compute")}
    directories = make_party_directories(tmp_path, parties)
    for name in DATA:
        (directories[name] / "dictionary.toml").write_text(header + dictionary)
        (directories[name] / "cohort.csv").write_text("age\n" + "".join(f"{age}\n" for age in range(30, 80)))
    with ProcessNetwork(directories) as network:
        first = network["alpha"].client.run(CountSpec())
        with pytest.raises(MpcStatsError, match="fewer than 11 people"):
            network["beta"].client.run(CountSpec(where="age < 79"))
        network["beta"].kill()
        network.nodes["beta"] = NodeProcess(directories["beta"])
        network["beta"].wait_ready()
        with pytest.raises(MpcStatsError, match="fewer than 11 people"):
            network["beta"].client.run(CountSpec(where="age < 79"))
        again = network["alpha"].client.run(CountSpec())
        pd.testing.assert_frame_equal(again.tables["counts"], first.tables["counts"])
    modes = [stat.S_IMODE((directories[name] / "state" / "released.sqlite").stat().st_mode) for name in parties]
    assert modes == [0o600] * 3
