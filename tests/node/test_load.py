"""A node that is called by many at once, rightly and wrongly: a short `scripts/load`."""

import importlib.util
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.testing.processes import ProcessNetwork, free_ports
from mpcstats.transport.tls import dial_options, peer_credentials

_SCRIPT = Path(__file__).parents[2] / "scripts" / "load.py"


@pytest.fixture(scope="module")
def load():
    sys.path.insert(0, str(_SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("mpcstats_load", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(_SCRIPT.parent))
    yield module
    del sys.modules[spec.name]


def health(network, key_of):
    key = PartyDirectory(network.directories[key_of]).identity()
    directory = PartyDirectory(network.directories["alpha"])
    credentials = peer_credentials(key, directory.identity().certificate_pem)
    with grpc.secure_channel(directory.config.network.listen, credentials, options=dial_options("alpha")) as channel:
        return HealthStub(channel).Check(HealthCheckRequest(), timeout=20).status


@pytest.mark.long
def test_a_node_under_load_answers_its_operator(load, tmp_path):
    directories = load.make_consortium(tmp_path / "parties")
    (port,) = free_ports(1)
    with (directories["alpha"] / "party.toml").open("a") as file:
        file.write(f'\n[observability]\nmetrics = "127.0.0.1:{port}"\n')
    with ProcessNetwork(directories, start_seconds=240) as network:
        measured = load.under_load(network, tmp_path, clients=12, seconds=5)
        assert health(network, "alpha") == health(network, "beta") == HealthCheckResponse.SERVING
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            page = reply.read().decode()
        printed = CliRunner().invoke(app, ["party", "status", str(directories["alpha"]), "--watch"]).stdout
        logs = CliRunner().invoke(app, ["party", "log", str(directories["alpha"])]).stdout
    assert measured.status_failed == 0
    assert measured.median_ms < 1000  # a machine that does other things meanwhile
    answers = measured.answers
    assert answers["ping", "OK"] + answers["ping, flood", "OK"]
    assert {code for kind, code in answers if kind == "ping, flood"} <= {"OK", "RESOURCE_EXHAUSTED"}
    assert answers["terms", "OK"]
    assert {code for kind, code in answers if kind == "unknown method"} == {"UNIMPLEMENTED"}
    assert {code for kind, code in answers if kind == "stranger's ping"} <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert ("exchange, oversized", "OK") not in answers
    assert ("status, not for parties", "OK") not in answers
    assert not any(code in {"UNKNOWN", "OK"} for kind, code in answers if kind == "status, not for parties")
    assert 'mpcstats_runs_total{analysis="count",state="released"} 1.0' in page
    assert "certificate" in printed
    assert "count" in logs
