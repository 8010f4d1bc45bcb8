"""The same life of a study with the state of every node in PostgreSQL."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import make_party_directories
from mpcstats.study.analyses.counts import CountSpec
from tests.governance.kit import NAMES, count_manifest, make_files, make_proposal, propose
from tests.node.postgres import postgres_server

__all__ = ["postgres_server"]
pytestmark = pytest.mark.long


def test_a_study_with_postgresql(tmp_path, postgres_server) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(host=str(postgres_server), user="mpcstats", dbname="postgres", autocommit=True) as connection:
        for name in NAMES:
            connection.execute(f"CREATE DATABASE {name}")
    # the roster is signed into the database that party.toml names
    files = {
        name: replace(party, state=f"postgresql://mpcstats@/{name}?host={postgres_server}")
        for name, party in make_files(tmp_path).items()
    }
    directories = make_party_directories(tmp_path / "parties", files, consortium="heart")
    with ProcessNetwork(directories, start_seconds=240) as network:
        clients = [network[name].client for name in NAMES]
        deadline = time.monotonic() + 60
        while len(clients[0].govern("consortium")["signed"]) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        study = propose(clients[0], make_proposal(clients[0], CountSpec(by=("sex",)), count_manifest(2), id="pg"))
        for client in clients:
            client.govern("decide", study=study, decision="approve")
        clients[0].govern("run", study=study)
        for client in clients:
            client.govern("decide", study=study, decision="release")
        assert clients[2].govern("show", study=study)["status"] == "released"
    for path in directories.values():
        assert not (path / "state" / "state.db").exists()
    with psycopg.connect(host=str(postgres_server), user="mpcstats", dbname="westbay") as connection:
        (entries,) = connection.execute("SELECT count(*) FROM entries WHERE study = %s", (study,)).fetchone()
    assert entries == 1 + 3 * 4  # a proposal, and approve, computed, release, released of each
