"""Three nodes that the tests of a worker share."""

from __future__ import annotations

import time

import pytest

from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import make_party_directories
from tests.governance.kit import NAMES, make_files


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="session")
def network(root):
    directories = make_party_directories(root / "parties", make_files(root), consortium="heart")
    with ProcessNetwork(directories, start_seconds=180) as network:
        clients = [network[name].client for name in NAMES]
        deadline = time.monotonic() + 30
        while any(len(client.govern("consortium")["signed"]) < 3 for client in clients):
            assert time.monotonic() < deadline, "the signatures of the roster did not arrive"
            time.sleep(0.1)
        yield network


@pytest.fixture
def clients(network):
    return {name: network[name].client for name in NAMES}
