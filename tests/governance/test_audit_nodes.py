"""Audit logs of three real nodes: certified runs, heads that agree, an auditor who may read and do nothing else."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import AuditBroken, PeerRefused
from mpcstats.node.auditing.auditors import load_auditors
from mpcstats.node.auditing.log import roster_keys
from mpcstats.node.identity.keys import load_identity
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.state.database import Database
from mpcstats.sdk.audit import own_log, read_as_auditor
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_digest import outcome_digest
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.certificate import SignedCertificate, check_certificate
from mpcstats.testing.processes import PartyFiles, ProcessNetwork, make_party_directories
from mpcstats.transport.tls import dial_options, peer_credentials
from mpcstats.wire import audit_pb2, node_pb2, transport_pb2

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "test"
version = 1
[[column]]
name = "sex"
type = "category"
levels = ["F", "M"]
"""
POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "open"
[approval]
auto = ["count"]
"""


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    root = tmp_path_factory.mktemp("audit")
    files = PartyFiles(datasets={"main": {"table": "data.csv", "dictionary": "dictionary.toml"}}, policy=POLICY)
    directories = make_party_directories(root, {"alpha": files, "beta": files, "gamma": PartyFiles(role="compute")})
    for name in ("alpha", "beta"):
        (directories[name] / "dictionary.toml").write_text(DICTIONARY)
        (directories[name] / "data.csv").write_text("sex\n" + "F\n" * 7 + "M\n" * 5)
    made = command("audit", "key", str(root / "auditor"), "--name", "inspector")
    assert made.exit_code == 0, made.output
    certificate = str(root / "auditor" / "keys" / "node.crt")
    added = command("party", "auditor", "add", str(directories["alpha"]), "inspector", "--certificate", certificate)
    assert added.exit_code == 0, added.output
    with ProcessNetwork(directories) as nodes:
        yield nodes


@pytest.fixture(scope="module", autouse=True)
def outcomes(network: ProcessNetwork) -> tuple[Outcome, Outcome]:
    """Two runs, whatever test comes first."""
    return network["alpha"].client.run(CountSpec(by=("sex",))), network["beta"].client.run(CountSpec(by=("sex",)))


def auditor(network: ProcessNetwork) -> Path:
    return network.directories["alpha"].parent / "auditor"


def test_a_run_is_certified_and_written_down_at_every_party(
    network: ProcessNetwork, outcomes: tuple[Outcome, Outcome]
) -> None:
    outcome, again = outcomes
    signed = SignedCertificate.model_validate(outcome.run["certificate"])
    check_certificate(signed.certificate, signed.signatures, roster_keys(network.roster))
    assert signed.certificate.outcome == outcome_digest(outcome).hex()
    assert set(signed.evidence) == {"alpha", "beta", "gamma"}
    assert set(signed.certificate.snapshots) == {"alpha", "beta"}
    assert signed.certificate.snapshots["alpha"] != signed.certificate.snapshots["beta"]  # equal tables, own secrets
    assert again.run["certificate"]["certificate"]["snapshots"] == signed.certificate.snapshots
    for name, path in network.directories.items():
        with own_log(PartyDirectory(path)) as (log, keys):
            events = [record.event for record in log.records()]
            log.verify(keys)
        runs = [event for event in events if event.startswith("run-")]
        assert runs[:6] == ["run-started", "run-certified", "run-finished"] * 2
        assert events[0] == ("key-added" if name == "alpha" else "node-started")


def test_heads_agree_and_are_co_signed(network: ProcessNetwork) -> None:
    for name in ("alpha", "beta"):
        done = command("audit", "verify", str(network.directories[name]), "--peers")
        assert done.exit_code == 0, done.output
        assert done.output.count("agrees") == 2
    head = json.loads(command("audit", "head", str(network.directories["beta"]), "--json").output)
    assert set(head["witnesses"]) == {"alpha", "gamma"}
    shown = command("audit", "show", str(network.directories["beta"]), "--last", "500").output
    assert "run-finished" in shown
    assert "analysis=count" in shown


def test_a_command_beside_the_node_is_no_second_node(network: ProcessNetwork) -> None:
    for _ in range(2):
        assert command("audit", "verify", str(network.directories["alpha"]), "--peers").exit_code == 0
        network["alpha"].client.run(CountSpec(by=("sex",)))
    assert not [event for node in network for event in node.events if event["event"] == "two_nodes_with_one_identity"]


def test_the_log_is_exported_after_it_was_checked(network: ProcessNetwork, tmp_path: Path) -> None:
    path = network.directories["beta"]
    deadline = time.monotonic() + 60
    rows: list[dict[str, str]] = []
    while len(rows) <= 3 and time.monotonic() < deadline:  # the others' entries come in
        table = command("audit", "export", str(path)).stdout
        rows = list(csv.DictReader(io.StringIO(table)))
    lines = command("audit", "export", str(path), "--format", "json").stdout.splitlines()
    # the log of a running node grows between two exports, and only at its end
    assert len(lines) >= len(rows) > 3
    assert [json.loads(line)["hash"] for line in lines[: len(rows)]] == [row["hash"] for row in rows]
    target = tmp_path / "log.csv"
    assert command("audit", "export", str(path), "-o", str(target)).exit_code == 0
    assert target.read_text().startswith(table)


def test_an_auditor_reads_the_checked_log(network: ProcessNetwork) -> None:
    records, signed = read_as_auditor(auditor(network), "inspector", network.roster, "alpha")
    assert records[-1].event == "audit-read"
    assert records[-1].actor == "inspector"
    assert signed.checkpoint.size == len(records)
    roster = network.directories["alpha"] / "roster.toml"
    arguments = ("--name", "inspector", "--roster", str(roster), "--party", "alpha", "--format", "json")
    done = command("audit", "read", str(auditor(network)), *arguments)
    assert done.exit_code == 0, done.output
    with pytest.raises(PeerRefused):
        read_at_beta(network)


def read_at_beta(network: ProcessNetwork) -> None:
    """Beta has not registered the auditor: TLS itself refuses, or the check of callers does."""
    from mpcstats.errors import PartyUnreachable

    try:
        read_as_auditor(auditor(network), "inspector", network.roster, "beta")
    except PartyUnreachable as error:
        raise PeerRefused(error.message, party="beta") from None


def services() -> list[tuple[str, Any]]:
    found = []
    for module in (node_pb2, transport_pb2, audit_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            found += [(f"/{service.full_name}/{method.name}", method) for method in service.methods]
    return found


def call(network: ProcessNetwork, folder: Path, name: str, target: str, method: str, kind: Any) -> grpc.StatusCode:
    """Call an RPC with an empty request; how it ended."""
    peer = next(peer for peer in network.roster.peers if peer.name == target)
    credentials = peer_credentials(load_identity(folder, name), peer.certificate_pem)
    with grpc.secure_channel(peer.address, credentials, options=dial_options(target)) as channel:
        shape = (
            ("stream" if kind.client_streaming else "unary") + "_" + ("stream" if kind.server_streaming else "unary")
        )
        rpc = getattr(channel, shape)(method, request_serializer=lambda _x: b"", response_deserializer=lambda x: x)
        try:
            answer = rpc(iter([b""]) if kind.client_streaming else b"", timeout=20)
            if kind.server_streaming:
                list(answer)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def test_an_auditor_may_call_nothing_else(network: ProcessNetwork) -> None:
    names = [method for method, _ in services()]
    assert len(names) >= 9
    assert "/mpcstats.v1.Audit/Read" in names
    for method, kind in services():
        code = call(network, auditor(network), "inspector", "alpha", method, kind)
        expected = grpc.StatusCode.OK if method.endswith("Audit/Read") else grpc.StatusCode.PERMISSION_DENIED
        assert code == expected, method


def test_a_party_does_not_read_the_log_of_another_and_an_operator_is_no_witness(network: ProcessNetwork) -> None:
    kinds = dict(services())
    read, witness = "/mpcstats.v1.Audit/Read", "/mpcstats.v1.Witness/Exchange"
    beta, alpha = network.directories["beta"], network.directories["alpha"]
    assert call(network, beta, "beta", "alpha", read, kinds[read]) == grpc.StatusCode.PERMISSION_DENIED
    assert call(network, alpha, "alpha", "alpha", witness, kinds[witness]) == grpc.StatusCode.PERMISSION_DENIED
    assert call(network, alpha, "alpha", "alpha", read, kinds[read]) == grpc.StatusCode.OK
    # an empty request of a party is refused for what it is
    assert call(network, beta, "beta", "alpha", witness, kinds[witness]) == grpc.StatusCode.FAILED_PRECONDITION


def test_auditors_are_listed_and_removed(network: ProcessNetwork, tmp_path: Path) -> None:
    gamma = network.directories["gamma"]
    certificate = str(auditor(network) / "keys" / "node.crt")
    add = ("party", "auditor", "add", str(gamma))
    assert command(*add, "inspector", "--certificate", certificate).exit_code == 0
    assert "inspector" in command("party", "auditor", "list", str(gamma)).output
    for name, file in (("inspector", certificate), ("other", certificate), ("gamma", str(gamma / "keys" / "node.crt"))):
        assert command(*add, name, "--certificate", file).exit_code != 0
    assert command("party", "auditor", "remove", str(gamma), "inspector").exit_code == 0
    assert load_auditors(gamma) == {}


# last: it breaks what the others need
def test_a_log_that_was_cut_is_found_by_its_owner_and_by_the_others(network: ProcessNetwork) -> None:
    path = network.directories["gamma"]
    assert command("audit", "verify", str(path), "--peers").exit_code == 0
    network["gamma"].stop()
    database = Database(PartyDirectory(path).state_url, "gamma")
    with database.transaction() as session:
        session.execute(text("DELETE FROM audit_records WHERE number >= 2"))
        session.execute(text("DELETE FROM audit_checkpoints WHERE party = 'gamma'"))
        last = session.execute(text("SELECT hash FROM audit_records WHERE number = 1")).scalar_one()
        session.execute(text("UPDATE audit_head SET size = 2, hash = :last"), {"last": last})
    database.close()
    assert command("audit", "verify", str(path)).exit_code == 0  # alone it cannot tell
    broken = command("audit", "verify", str(path), "--peers")
    assert isinstance(broken.exception, AuditBroken)
    assert broken.exception.exit_code == 6
    assert broken.exception.party == "gamma"
    assert "audit record 2" in broken.exception.message
    # the others kept what gamma showed them
    found = command("audit", "verify", str(network.directories["alpha"]))
    assert isinstance(found.exception, AuditBroken)
    assert found.exception.party == "gamma"
