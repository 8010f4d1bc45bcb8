"""Real processes over mutual TLS; parties are killed, paused and interrupted in the middle of a run."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from mpcstats.errors import DeadlineExceeded, MpcStatsError, PartyUnreachable, PeerRefused
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.testing.processes import NodeProcess, PartyFiles, ProcessNetwork, make_party_directories

NAMES = ("alpha", "beta", "gamma")
PATIENCE = 1.5
SPEC = CountSpec(where="age >= 65")

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "test"
version = 1
[[column]]
name = "age"
type = "integer"
range = [0, 120]
"""


def paced(directory):
    return [sys.executable, "-m", "tests.node.paced_node", str(directory)]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    root = tmp_path_factory.mktemp("paced")
    files = PartyFiles(
        datasets={"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}}, run={"patience_seconds": PATIENCE}
    )
    directories = make_party_directories(root, dict.fromkeys(NAMES, files))
    for directory in directories.values():
        (directory / "dictionary.toml").write_text(DICTIONARY)
        (directory / "cohort.csv").write_text("age\n" + "70\n" * 20)
    with ProcessNetwork(directories, {name: paced(path) for name, path in directories.items()}) as running:
        yield running


def restart(network, name):
    network[name].kill()
    network.nodes[name] = NodeProcess(network.directories[name], paced(network.directories[name]))
    network[name].wait_ready()


class Run(threading.Thread):
    """A run asked for at one party; `error` is what its operator gets."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.error = None
        self.exchanging = threading.Event()
        self._client = node.client
        self.start()
        assert self.exchanging.wait(15), f"the run did not start: {self.error}"

    def run(self):
        try:
            self._client.run(SPEC, lambda text: self.exchanging.set() if text == "exchanging" else None)
        except MpcStatsError as error:
            self.error = error

    def outcome(self, seconds):
        self.join(seconds)
        assert not self.is_alive(), "the operator still waits"
        return self.error


def failures(node, count_before):
    """The failure that the node logged since; waits for it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [event for event in node.events if event["event"] == "run_failed"]
        if len(found) > count_before:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(f"{node.name} logged no failure")


def count_failures(node):
    return len([event for event in node.events if event["event"] == "run_failed"])


def idle(node):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if node.client.status()["current_run"] is None:
            return True
        time.sleep(0.05)
    return False


def ask_on_the_command_line(network, name):
    """`mpcstats run` at a party, in the middle of its run."""
    command = [
        sys.executable,
        "-m",
        "mpcstats.cli.main",
        "run",
        "count",
        "--where",
        "age >= 65",
        "--party",
        str(network.directories[name]),
    ]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in client.stderr:
        if "exchanging" in line:
            break
    return client


@pytest.mark.long
def test_a_killed_party_is_named_by_all_others_in_seconds(network):
    before = count_failures(network["beta"])
    client = ask_on_the_command_line(network, "alpha")
    network["gamma"].kill()
    start = time.monotonic()
    out, err = client.communicate(timeout=15)
    assert time.monotonic() - start < 5
    assert client.returncode == 5
    assert out == ""
    assert "[E1401] party gamma" in err
    assert "Traceback" not in err
    logged = failures(network["beta"], before)
    assert (logged["party"], logged["code"]) == ("gamma", "E1401")
    assert idle(network["alpha"])
    assert idle(network["beta"])
    # while it is gone, a run is refused by name
    with pytest.raises(PartyUnreachable) as caught:
        network["alpha"].client.run(SPEC)
    assert caught.value.party == "gamma"
    states = {peer["name"]: peer["reachable"] for peer in network["alpha"].client.status()["peers"]}
    assert states == {"beta": True, "gamma": False}
    restart(network, "gamma")


@pytest.mark.long
def test_a_killed_coordinator_is_named_and_the_slots_are_free_again(network):
    before = {name: count_failures(network[name]) for name in ("alpha", "gamma")}
    run = Run(network["beta"])
    network["beta"].kill()
    error = run.outcome(10)
    assert isinstance(error, PartyUnreachable)
    for name in ("alpha", "gamma"):
        assert failures(network[name], before[name])["party"] == "beta"
        assert idle(network[name])
    restart(network, "beta")


@pytest.mark.long
def test_a_paused_party_is_named_at_the_deadline(network):
    before = count_failures(network["beta"])
    run = Run(network["alpha"])
    network["gamma"].send_signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        error = run.outcome(PATIENCE + 10)
        assert PATIENCE - 0.5 < time.monotonic() - start < PATIENCE + 6
    finally:
        network["gamma"].send_signal(signal.SIGCONT)
    assert isinstance(error, DeadlineExceeded | PartyUnreachable)
    assert error.party == "gamma"
    assert failures(network["beta"], before)["party"] == "gamma"
    assert all(idle(network[name]) for name in NAMES)


@pytest.mark.long
def test_an_operator_who_goes_away_ends_the_run_everywhere(network):
    before = {name: count_failures(network[name]) for name in NAMES}
    client = ask_on_the_command_line(network, "alpha")
    client.kill()
    client.communicate(timeout=10)
    for name in ("beta", "gamma"):
        assert failures(network[name], before[name])["party"] == "alpha"
    assert all(idle(network[name]) for name in NAMES)


@pytest.mark.long
def test_stopping_lets_the_current_run_go_on_and_takes_no_new_one(network):
    run = Run(network["alpha"])
    network["beta"].process.terminate()
    network["beta"].wait_event("stopping", busy=True)
    assert network["beta"].process.poll() is None  # the run goes on
    with pytest.raises(PeerRefused, match="stopping") as refused:
        network["beta"].client.run(SPEC)
    assert refused.value.party == "beta"
    network["gamma"].kill()  # now the run cannot go on
    assert run.outcome(10).party == "gamma"
    assert network["beta"].wait(10) == 0
