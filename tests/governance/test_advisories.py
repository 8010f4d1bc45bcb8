"""What auditors found in another federation for health data, tried here: each line of their advisories is a test.

vantage6: CVE-2023-23930 (pickle), GHSA-rjmv-52mp-gjrr (input uploaded in the clear), CVE-2023-41882 (permissions passed
by through another address), GHSA-vc3v-ppc7-v486 (allowed analyses passed by through a parent), GHSA-99r4-cjp4-3hmx
(rights that one gives oneself), CVE-2022-39228 and GHSA-45gq-q4xh-cp53 (enumeration), GHSA-w9h2-px87-74vx (code in
environment variables).
"""

from __future__ import annotations

import ast
import json
import os
import pickle
from pathlib import Path

import grpc
import numpy as np
import pandas as pd
import pytest

import mpcstats
from mpcstats.errors import (
    ConfigurationError,
    FrameRejected,
    MpcStatsError,
    SignatureInvalid,
    SpecError,
)
from mpcstats.node.governance.courier import take_entries
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.people import person_key, person_public
from mpcstats.node.identity.keys import create_identity
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.state.database import Database
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses import parse_spec
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.entries import SignedEntry
from mpcstats.transport.tls import dial_options, peer_credentials
from mpcstats.wire import node_pb2, transport_pb2
from tests.governance.kit import count_manifest, make_proposal, propose

SPEC = CountSpec(by=("sex",))
PACKAGE = Path(mpcstats.__file__).parent


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_bytes_are_never_code(tmp_path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    for parse in (
        outcome_from_bytes,
        lambda data: parse_spec(data.decode("latin1")),
        lambda data: take_entries(None, [data.decode("latin1")], "westbay"),
        SignedEntry.model_validate_json,
    ):
        with pytest.raises((MpcStatsError, ValueError)):
            parse(trap)
    assert not (tmp_path / "sprung").exists()


def test_the_package_has_no_call_that_makes_code_of_data() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "yaml"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), f"{path}"
                assert node.value.value is False, f"{path}"
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & modules, f"{path}:{node.lineno}"


def _methods() -> list[tuple[str, bool, bool]]:
    """Every RPC that a node's protos declare: path, and which sides stream."""
    found = []
    for module in (node_pb2, transport_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                found.append((path, method.client_streaming, method.server_streaming))
    return found


def _call(channel, path: str, client_streams: bool, server_streams: bool):
    kind = {(0, 0): "unary_unary", (0, 1): "unary_stream", (1, 0): "stream_unary", (1, 1): "stream_stream"}
    make = getattr(channel, kind[int(client_streams), int(server_streams)])(path)
    call = make(iter([b""]) if client_streams else b"", timeout=10)
    return list(call) if server_streams else call


def test_no_rpc_answers_a_stranger_and_no_peer_reaches_the_operators(network, tmp_path) -> None:
    """Also by other spellings of the address."""
    target = PartyDirectory(network["westbay"].directory)
    own = target.identity().certificate_pem
    stranger = create_identity(tmp_path / "stranger", "lakeside")
    peer = PartyDirectory(network["lakeside"].directory).identity()
    methods = _methods()
    assert {"/mpcstats.v1.Control/Govern", "/mpcstats.v1.Peer/Exchange"} <= {path for path, *_ in methods}
    address = target.config.network.listen
    for pair, allowed in ((stranger, ()), (peer, ("/mpcstats.v1.Peer/", "/mpcstats.v1.Transport/"))):
        with grpc.secure_channel(address, peer_credentials(pair, own), options=dial_options("westbay")) as channel:
            for path, client_streams, server_streams in methods:
                if path.startswith(tuple(allowed)) and allowed:
                    continue
                for spelling in (path, path + "/", path.replace("/", "//", 1), path.lower(), path + "?include=results"):
                    with pytest.raises(grpc.RpcError) as error:
                        _call(channel, spelling, client_streams, server_streams)
                    assert error.value.code() in {
                        grpc.StatusCode.UNAVAILABLE,
                        grpc.StatusCode.PERMISSION_DENIED,
                        grpc.StatusCode.UNAUTHENTICATED,
                        grpc.StatusCode.UNIMPLEMENTED,
                    }, (spelling, error.value.code())


def test_nothing_is_said_without_tls(network) -> None:
    with grpc.insecure_channel(PartyDirectory(network["westbay"].directory).config.network.listen) as channel:
        for path, client_streams, server_streams in _methods():
            with pytest.raises(grpc.RpcError):
                _call(channel, path, client_streams, server_streams)


def test_records_are_in_nobody_elses_house(network, clients, root) -> None:
    """A value that only one table has is in no file of the others: entries, logs, journals, results."""
    lead = clients["northfield"]
    canary = 73.0000119  # no age that a table would hold
    path = root / "westbay.csv"
    table = pd.read_csv(path)
    before = path.read_bytes()
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="canary", title="canary"))
    for client in clients.values():
        client.govern("decide", study=study, decision="approve")
    table["note"] = "canary-kilimanjaro"
    table["age"] = table["age"].astype(float)
    table["weight"] = canary
    table.to_csv(path, index=False)
    try:
        lead.govern("run", study=study)
    finally:
        path.write_bytes(before)
    needles = [b"canary-kilimanjaro", b"73.0000119", np.float64(canary).tobytes()]
    for name in ("northfield", "lakeside"):
        for file in Path(network[name].directory).rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert not any(needle in content for needle in needles), file
    lead.govern("decide", study=study, decision="withhold")


def test_names_lead_nowhere_else(network, clients, tmp_path) -> None:
    """Studies, runs, data sets and people are names, and no paths."""
    client = clients["westbay"]
    for evil in ("../../keys/node.key", "/etc/passwd", "..", "a/../../b", "x\x00y", "%2e%2e%2f"):
        with pytest.raises(MpcStatsError):
            client.govern("show", study=evil)
        with pytest.raises(MpcStatsError):
            client.govern("result", study=evil, run=evil)
        with pytest.raises(SpecError):
            client.run(CountSpec(dataset=evil))
        for function in (person_key, person_public):
            with pytest.raises(ConfigurationError):
                function(tmp_path, evil)


def _desk(network, name: str) -> Desk:
    directory = PartyDirectory(network[name].directory)
    database = Database.in_memory(name)
    return Desk(database, directory.roster(), name, directory.signing_key(), earlier=directory.earlier_rosters())


def test_nobody_gives_rights_to_oneself(network, clients) -> None:
    """The lead signs approvals in the others' names, and passes an approval of one study off as one of another."""
    lead = clients["northfield"]
    first = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="rights-one"))
    second = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="rights-two"))
    clients["westbay"].govern("decide", study=first, decision="approve")
    entries = lead.govern("entries", study=first)["entries"]
    (approval,) = [entry for entry in entries if entry["entry"]["action"] == "approve"]
    moved = json.loads(json.dumps(approval))
    moved["entry"]["study"] = second
    own_key = PartyDirectory(network["northfield"].directory).signing_key()
    forged = json.loads(json.dumps(approval))
    forged["entry"]["party"] = "lakeside"
    forged["signature"] = own_key.sign("entry", forged["entry"]).hex()
    for wrong in (moved, forged):
        with pytest.raises((SignatureInvalid, FrameRejected)):
            _desk(network, "northfield").add(SignedEntry.model_validate(wrong))
    # the same over the wire: the receiving node takes nothing and says so in its log
    peer = PartyDirectory(network["northfield"].directory)
    target = PartyDirectory(network["lakeside"].directory)
    credentials = peer_credentials(peer.identity(), target.identity().certificate_pem)
    with grpc.secure_channel(target.config.network.listen, credentials, options=dial_options("lakeside")) as channel:
        send = channel.unary_unary(
            "/mpcstats.v1.Peer/Exchange",
            request_serializer=node_pb2.Entries.SerializeToString,
            response_deserializer=node_pb2.Entries.FromString,
        )
        for wrong in (moved, forged):
            send(node_pb2.Entries(heads_json="{}", entries=[json.dumps(wrong)]), timeout=10)
    network["lakeside"].wait_event("entries_refused")
    assert clients["lakeside"].govern("show", study=second)["approvals"] == []


def test_settings_from_the_environment_are_values(tmp_path, monkeypatch) -> None:
    from mpcstats.node.settings.setup import create_party

    create_party(tmp_path / "p", name="westbay", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    for name, value in {
        "MPCSTATS_LISTEN": "$(touch /tmp/x)",
        "MPCSTATS_LOG_LEVEL": "__import__('os')",
        "MPCSTATS_PATIENCE_SECONDS": "1; import os",
    }.items():
        with pytest.raises(ConfigurationError, match=f"environment variable {name}"):
            PartyDirectory(tmp_path / "p", {name: value})
