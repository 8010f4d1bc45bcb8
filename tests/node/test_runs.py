"""Three nodes as real processes over mutual TLS: two with data, one that only computes. The real computation."""

import asyncio
import contextlib
import json
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner

from mpcstats import __version__
from mpcstats.cli.main import app
from mpcstats.errors import DataError, NotPermitted, PartyUnreachable, PeerRefused, SpecError
from mpcstats.node.identity.keys import create_identity
from mpcstats.node.runs.plan_codec import plan_to_json
from mpcstats.node.runs.terms import rules_from_json, rules_to_json
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.sdk.connect import NodeClient
from mpcstats.stats.contributions.counts import CountPlan
from mpcstats.stats.contributions.survival import SurvivalPlan
from mpcstats.study.analyses.association import GwasSpec
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.analyses.survival import LogrankSpec
from mpcstats.study.dictionary import parse_dictionary
from mpcstats.study.spec import canonical_json
from mpcstats.testing.processes import PartyFiles, ProcessNetwork, make_party_directories
from mpcstats.transport.tls import dial_options, peer_credentials
from mpcstats.wire.node_pb2 import Begin, CoordinatorMessage, PingRequest, Reserve
from mpcstats.wire.node_pb2_grpc import ControlStub, PeerStub

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "test"
version = 1
[[column]]
name = "age"
type = "integer"
range = [0, 120]
[[column]]
name = "sex"
type = "category"
levels = ["F", "M"]
[[column]]
name = "score"
type = "decimal"
range = [0, 1e9]
"""
POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "open"
analyses = {analyses}
"""
CANARIES = {"alpha": "918273645.25", "beta": "546372819.75"}
SPEC = CountSpec(by=("sex",))


def soon(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")

    def files(analyses):
        return PartyFiles(
            datasets={
                "main": {"table": "cohort.csv", "dictionary": "dictionary.toml"},
                "broken": {"table": "broken.csv", "dictionary": "dictionary.toml"},
            },
            policy=POLICY.format(analyses=json.dumps(analyses)),
            run={"patience_seconds": 5, "queue_seconds": 20},
        )

    directories = make_party_directories(
        root,
        {
            "alpha": files(["count", "logrank", "gwas"]),
            "beta": files(["count"]),
            "gamma": PartyFiles(role="compute"),
        },
    )
    for name, canary in CANARIES.items():
        directory = directories[name]
        (directory / "dictionary.toml").write_text(DICTIONARY)
        people = "".join(f"{age},{'F' if age % 3 else 'M'},{canary}\n" for age in range(30, 60))
        (directory / "cohort.csv").write_text("age,sex,score\n" + people)
        (directory / "broken.csv").write_text("age,sex,score\n" + people)
    (directories["beta"] / "broken.csv").write_text(f"age,sex,score\n-5,F,{CANARIES['beta']}\n-6,F,1\n")
    with ProcessNetwork(directories) as running:
        yield running


def test_a_run_gives_the_pooled_counts_at_every_party_with_data(network):
    heard = []
    outcome = network["alpha"].client.run(SPEC, heard.append)
    table = next(iter(outcome.tables.values()))
    assert table["count"].tolist() == [40, 20]
    assert heard[:4] == ["asking alpha", "asking beta", "asking gamma", "all parties accepted"]
    assert outcome.run["parties"] == ["alpha", "beta", "gamma"]
    assert outcome.run["data_parties"] == ["alpha", "beta"]
    again = network["beta"].client.run(SPEC)
    assert next(iter(again.tables.values()))["count"].tolist() == [40, 20]
    for node in network:  # a slot may be freed a moment later than the outcome arrives
        assert soon(lambda node=node: node.client.status()["finished_runs"] == 2)
    # the owner's log says how many rows went in; nobody else's does
    prepared = network["alpha"].wait_event("prepared")
    assert (prepared["rows"], prepared["selected"], prepared["used"]) == (30, 30, 30)
    assert not any(event["event"] == "prepared" for event in network["gamma"].events)


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "other"),
    [
        ('id = "test"', 'id = "test"\nunit_of_count = "score"'),  # people here, rows there
        ('name = "age"\ntype = "integer"', 'name = "age"\nunit = "mo"\ntype = "integer"'),
        ("range = [0, 120]", "range = [0, 1440]"),
    ],
)
def test_parties_whose_dictionaries_differ_do_not_run(network, text, other):
    """None of these is in the plan of a count by sex: the numbers would be added all the same."""
    file = network.directories["beta"] / "dictionary.toml"
    assert text in DICTIONARY
    file.write_text(DICTIONARY.replace(text, other))
    try:
        with pytest.raises(PeerRefused, match="E1502") as caught:
            network["alpha"].client.run(CountSpec(by=("sex",), where="age > 40"))
    finally:
        file.write_text(DICTIONARY)
    assert caught.value.party == "beta"


def test_two_operators_at_once_take_turns(network):
    results = {}

    def ask(name):
        results[name] = [network[name].client.run(SPEC) for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("alpha", "beta")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for name in ("alpha", "beta"):
        assert [next(iter(o.tables.values()))["count"].tolist() for o in results[name]] == [[40, 20]] * 3


def test_a_party_with_bad_data_is_named_and_keeps_the_reason(network):
    broken = CountSpec(by=("sex",), where="age >= 0", dataset="broken")
    before = network["beta"].client.status()["failed_runs"]
    with pytest.raises(PeerRefused) as caught:
        network["alpha"].client.run(broken)
    assert caught.value.party == "beta"
    assert "E1300" in caught.value.message
    assert "age" not in caught.value.message
    assert soon(lambda: network["beta"].client.status()["failed_runs"] == before + 1)
    reason = network["beta"].wait_event("run_failed", code="E1300")["reason"]
    assert "age" in reason  # the owner can repair it
    assert "column" not in json.dumps([e for e in network["alpha"].events if e["event"] == "run_failed"])
    with pytest.raises(DataError, match="age"):  # the owner's operator is told
        network["beta"].client.run(broken)
    assert network["alpha"].client.run(SPEC).run["parties"]  # the slots are free


def test_a_request_that_fits_no_dictionary_is_refused_at_home(network):
    logrank = LogrankSpec(time="age", event="sex", event_values=("F",), by="sex")
    with pytest.raises(SpecError):
        network["alpha"].client.run(logrank)
    logrank = logrank.model_copy(update={"event": "score"})
    with pytest.raises(SpecError):
        network["alpha"].client.run(logrank)
    with pytest.raises(SpecError, match="genotypes"):
        network["alpha"].client.run(GwasSpec(phenotype="score"))


def test_an_analysis_that_a_policy_does_not_list(network):
    policy = network.directories["beta"] / "policy.toml"
    before = policy.read_text()
    policy.write_text(POLICY.format(analyses='["gwas"]'))
    try:
        with pytest.raises(PeerRefused) as caught:
            network["alpha"].client.run(SPEC)
        assert caught.value.party == "beta"
        assert "E1202" in caught.value.message
        assert caught.value.exit_code == 3
        with pytest.raises(NotPermitted, match="gwas"):
            network["beta"].client.run(SPEC)
    finally:
        policy.write_text(before)


def test_a_party_without_data_cannot_plan(network):
    with pytest.raises(SpecError, match="holds no data"):
        network["gamma"].client.run(SPEC)


def test_another_dictionary_is_noticed_before_anything_is_shared(network):
    file = network.directories["beta"] / "dictionary.toml"
    file.write_text(DICTIONARY.replace('["F", "M"]', '["M", "F"]'))
    try:
        with pytest.raises(PeerRefused, match="E1502") as caught:
            network["alpha"].client.run(SPEC)
        assert caught.value.party == "beta"
    finally:
        file.write_text(DICTIONARY)


def test_status_sees_the_others(network):
    state = network["alpha"].client.status()
    assert state["name"] == "alpha"
    assert state["role"] == "data"
    assert {peer["name"] for peer in state["peers"]} == {"beta", "gamma"}
    assert all(peer["reachable"] and peer["same_roster"] and peer["round_trip_ms"] > 0 for peer in state["peers"])
    assert state["current_run"] is None


def typed(*arguments):
    """What a command prints."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None, result.output
    return result.stdout


def test_the_command_line(network, tmp_path):
    alpha = str(network.directories["alpha"])
    assert json.loads(typed("party", "status", alpha, "--json"))["name"] == "alpha"
    assert "same roster" in typed("party", "status", alpha)
    assert typed("consortium", "status", "--party", alpha).count(" yes     same") == 3  # online
    parties = json.loads(typed("consortium", "status", "--party", alpha, "--json"))["parties"]
    assert [party["role"] for party in parties] == ["data", "data", "compute"]
    assert all(party["signed"] for party in parties)
    printed = typed("run", "count", "--by", "sex", "--party", alpha, "--out", str(tmp_path / "out" / "n"))
    assert "40" in printed
    files = list((tmp_path / "out").iterdir())
    assert files
    assert all(path.name.startswith("n") for path in files)
    assert json.loads(typed("run", "count", "--by", "sex", "--party", alpha, "--json"))["analysis"] == "count"


# ---- strangers -----------------------------------------------------------------------------------------------------


def call_with(key, network, name, stub, method, request):
    directory = PartyDirectory(network.directories[name])
    credentials = peer_credentials(key, directory.identity().certificate_pem)
    with grpc.secure_channel(directory.config.network.listen, credentials, options=dial_options(name)) as channel:
        return getattr(stub(channel), method)(request, timeout=5)


def test_an_unknown_key_is_refused_and_logged(network, tmp_path):
    stranger = create_identity(tmp_path, "alpha")
    with pytest.raises(grpc.RpcError) as caught:
        call_with(stranger, network, "beta", PeerStub, "Ping", PingRequest())
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert network["beta"].wait_event("connection_refused", seconds=5)["reason"] == "unknown key"


def test_a_connection_without_certificate_is_refused_and_logged(network):
    host, port = PartyDirectory(network.directories["gamma"]).config.network.listen.split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        contextlib.suppress(ssl.SSLError, OSError),
        socket.create_connection((host, int(port)), 5) as plain,
        context.wrap_socket(plain) as secure,
    ):
        assert secure.recv(100) == b""
    assert network["gamma"].wait_event("connection_refused", seconds=5)["reason"] == "no client certificate"


def test_a_party_is_no_operator_elsewhere(network):
    from mpcstats.wire.node_pb2 import StatusRequest

    key = PartyDirectory(network.directories["alpha"]).identity()
    with pytest.raises(grpc.RpcError) as caught:
        call_with(key, network, "beta", ControlStub, "Status", StatusRequest())
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert network["beta"].wait_event("call_refused")["method"] == "/mpcstats.v1.Control/Status"
    own = PartyDirectory(network.directories["beta"]).identity()
    with pytest.raises(grpc.RpcError) as caught:
        call_with(own, network, "beta", PeerStub, "Ping", PingRequest())
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


# ---- a coordinator that does not keep to the rules -------------------------------------------------------------------


PLAN = CountPlan(
    by=("sex",),
    levels=(("F", "M"),),
    dictionary=parse_dictionary(tomllib.loads(DICTIONARY)).digest().hex(),
)


def reservation(network, **changes):
    fields = {
        "run_id": secrets.token_bytes(16),
        "spec_json": canonical_json(SPEC).decode(),
        "plan_json": plan_to_json(PLAN),
        "roster_digest": network.roster.digest,
        "version": __version__,
    }
    return Reserve(**{**fields, **changes})


def talk(network, name, *messages):
    """Play alpha's coordinator towards a party; the answers."""

    async def scenario():
        directory = PartyDirectory(network.directories[name])
        key = PartyDirectory(network.directories["alpha"]).identity()
        credentials = peer_credentials(key, directory.identity().certificate_pem)
        address = directory.config.network.listen
        async with grpc.aio.secure_channel(address, credentials, options=dial_options(name)) as channel:
            call = PeerStub(channel).TakePart()
            answers = []
            for message in messages:
                await call.write(message(answers) if callable(message) else message)
                answers.append(await asyncio.wait_for(call.read(), 10))
            call.cancel()
            return answers

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"roster_digest": bytes(32)}, "E1502"),
        ({"version": "0.0.1"}, "E1502"),
        ({"run_id": b"short"}, "E1403"),
        ({"spec_json": '{"type": "everything"}'}, "E1201"),
        ({"plan_json": plan_to_json(PLAN).replace("sex", "age")}, "E1502"),
        ({"plan_json": '{"kind":"count","by":[],"levels":[],"extra":1}'}, "E1403"),
        ({"plan_json": plan_to_json(SurvivalPlan(None, (), 10, 1.0, "dead", (1,)))}, "E1403"),  # of another analysis
    ],
)
def test_a_reservation_that_is_not_right_is_refused(network, changes, code):
    (answer,) = talk(network, "beta", CoordinatorMessage(reserve=reservation(network, **changes)))
    assert answer.refused.code == code
    assert answer.refused.message == ""


def test_rules_that_are_not_the_partys_own_are_refused(network):
    def begin(answers):
        own = answers[0].accepted.rules_json
        assert own
        rules = rules_from_json(f'{{"alpha":{own},"beta":{own}}}', "alpha")
        changed = json.loads(rules_to_json(rules))
        changed["beta"]["minimum_parties"] += 1
        return CoordinatorMessage(
            begin=Begin(session_id=bytes(16), rules_json=canonical_json(changed).decode(), study_digest=bytes(32))
        )

    answers = talk(network, "beta", CoordinatorMessage(reserve=reservation(network)), begin)
    assert answers[-1].refused.code == "E1502"
    event = network["beta"].wait_event("run_failed", reason="begins with rules that are not this party's")
    assert event["party"] == "alpha"


def test_another_study_digest_is_refused(network):
    def begin(answers):
        own = answers[0].accepted.rules_json
        return CoordinatorMessage(
            begin=Begin(session_id=bytes(16), rules_json=f'{{"alpha":{own},"beta":{own}}}', study_digest=bytes(32))
        )

    answers = talk(network, "beta", CoordinatorMessage(reserve=reservation(network)), begin)
    assert answers[-1].refused.code == "E1502"
    network["beta"].wait_event("run_failed", reason="begins another study than the one it asked for")
    # the slot is free again
    assert network["alpha"].client.run(SPEC).run["parties"]


def test_a_party_that_asks_for_many_runs_does_not_take_all_calls(network):
    """Streams that say nothing: the node's operator and the other parties are served all the same."""

    async def scenario():
        directory = PartyDirectory(network.directories["gamma"])
        key = PartyDirectory(network.directories["alpha"]).identity()
        credentials = peer_credentials(key, directory.identity().certificate_pem)
        address = directory.config.network.listen
        async with grpc.aio.secure_channel(address, credentials, options=dial_options("gamma")) as channel:
            calls = [PeerStub(channel).TakePart() for _ in range(140)]
            answers = [asyncio.create_task(call.read()) for call in calls]
            await asyncio.sleep(1)
            status = await asyncio.to_thread(network["gamma"].client.status)
            done, waiting = await asyncio.wait(answers, timeout=1)
            for call in calls:
                call.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
            return status, done, waiting

    status, done, waiting = asyncio.run(scenario())
    assert status["name"] == "gamma"
    answers = [task.result() for task in done if task.exception() is None]
    assert {answer.refused.code for answer in answers} == {"E1403"}
    assert 0 < len(waiting) <= 12
    assert network["alpha"].client.run(SPEC).run["parties"]


def test_a_coordinator_that_goes_away_frees_the_slot(network):
    (answer,) = talk(network, "gamma", CoordinatorMessage(reserve=reservation(network)))
    assert answer.WhichOneof("content") == "accepted"
    assert answer.accepted.rules_json == ""
    assert network["alpha"].client.run(SPEC).run["parties"]


# ---- the directory ---------------------------------------------------------------------------------------------------


def test_a_second_node_with_the_same_directory_is_refused(network):
    command = [sys.executable, "-m", "mpcstats.cli.main", "party", "start", str(network.directories["alpha"])]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 2
    assert "another node" in second.stderr
    assert "Traceback" not in second.stderr
    assert network["alpha"].client.status()["name"] == "alpha"


def test_no_log_holds_a_record_a_key_or_a_share(network):
    for node in network:
        text = (node.directory / "logs" / "node.log").read_text() + node.console
        for canary in CANARIES.values():
            assert canary not in text
            assert canary.split(".")[0] not in text
            assert "PRIVATE KEY" not in text
        assert oct((node.directory / "logs" / "node.log").stat().st_mode & 0o777) == "0o600"
        for line in (node.directory / "logs" / "node.log").read_text().splitlines():
            assert json.loads(line)["node"] == node.name
        assert "Traceback" not in node.console
        if sys.platform == "linux":  # nor will there be a dump of its memory
            limits = Path(f"/proc/{node.process.pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_the_end(network):
    """Last in the file: `party stop` and SIGTERM both end with exit code 0."""
    directory = str(network.directories["gamma"])
    assert "stopped gamma" in typed("party", "stop", directory)
    assert network["gamma"].wait(5) == 0
    assert network["alpha"].stop() == 0
    with pytest.raises(PartyUnreachable, match="no node answers") as caught:
        NodeClient(directory).status()
    assert caught.value.exit_code == 5
