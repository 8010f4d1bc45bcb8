"""Accidents of real nodes: the right answer or a typed error in time, no mask twice, and the nodes are of use again."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from mpcstats.testing.faults import KINDS, Fault, FaultSchedule
from mpcstats.testing.history import Wire, audit_problems
from mpcstats.testing.lab import Lab
from mpcstats.testing.nemesis import attempt, cohort_files, run_trial
from mpcstats.testing.proxy import ChaosNet, Weather

NAMES = ("alpha", "beta", "gamma")

PATIENCE = 15.0
"""A busy machine is no accident."""


# ---- the kit ---------------------------------------------------------------------------------------------------------


class Echo:
    """A server that sends back what it hears."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def net():
    echo = Echo()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        front = probe.getsockname()[1]
    here = {"echo": ("127.0.0.1", front), "caller": ("127.0.0.1", echo.port)}
    with ChaosNet({"echo": here["echo"]}, {"echo": here["caller"]}, lambda _address, _port: "caller") as net:
        yield net
    echo.listener.shutdown(socket.SHUT_RDWR)
    echo.listener.close()
    echo.thread.join(10)


def call(net, data, seconds=20.0):
    """Send, and read back as many bytes."""
    with socket.create_connection(net.fronts["echo"], seconds) as connection:
        connection.sendall(data)
        answer = b""
        while len(answer) < len(data):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError
            answer += piece
        return answer


def test_good_weather_changes_nothing(net):
    data = bytes(range(256)) * 1000
    assert call(net, data) == data
    assert net.passed["caller", "echo"] == net.passed["echo", "caller"] == len(data)


def test_a_byte_is_changed_once_at_its_place(net):
    net.set("caller", "echo", Weather(corrupt_after=1000))
    data = bytes(5000)
    answer = call(net, data)
    assert [place for place, byte in enumerate(answer) if byte] == [1000]
    assert net.struck
    assert call(net, data) == data


def test_a_connection_breaks_after_some_bytes(net):
    net.set("echo", "caller", Weather(cut_after=1000))
    with pytest.raises(ConnectionError):
        call(net, bytes(5000))
    assert call(net, bytes(500)) == bytes(500)


def test_a_hole_keeps_what_was_sent_until_it_is_closed(net):
    net.partition("caller", "echo", both=False)
    threading.Timer(0.6, net.heal).start()
    started = time.monotonic()
    assert call(net, b"after the storm") == b"after the storm"
    assert time.monotonic() - started >= 0.5


def test_delay_and_bandwidth_take_their_time(net):
    net.set("caller", "echo", Weather(latency_seconds=0.2))
    started = time.monotonic()
    call(net, b"x")
    assert time.monotonic() - started >= 0.2
    net.set("caller", "echo", Weather(bytes_per_second=100_000))
    started = time.monotonic()
    assert call(net, bytes(60_000)) == bytes(60_000)
    assert time.monotonic() - started >= 0.5


def test_a_seed_names_the_accidents():
    first, again, other = (FaultSchedule(seed, NAMES) for seed in (1, 1, 2))
    row = [first.fault(n) for n in range(48)]
    assert row == [again.fault(n) for n in range(48)]
    assert row != [other.fault(n) for n in range(48)]
    assert {fault.kind for fault in row} == set(KINDS) - {"state-rolled-back"}
    assert all(fault.party != fault.other for fault in row)


def test_a_mask_on_two_values_is_found(tmp_path):
    line = {"party": "a", "study": "s1", "receiver": "b", "step": 7, "journaled": True, "digest": "x", "coins": ""}
    wire = Wire(tmp_path / "wire")
    for change in (
        {},
        {},
        {"step": 8, "digest": "y"},
        {"study": "s2", "digest": "y"},
        {"step": 0},
        {"step": 0, "digest": "y"},
    ):
        wire.take(line | change)
    assert wire.reused == []
    wire.take(line | {"digest": "y"})
    assert wire.reused == ["a to b, step 7 of study s1"]
    wire.take(line | {"step": 2, "coins": "c"})
    wire.take(line | {"step": 2, "coins": "c", "study": "s3"})
    assert len(wire.reused) == 2


def test_who_does_not_come_back_hangs():
    assert attempt(lambda: threading.Event().wait(30), 0.2)[0] == "hang"
    assert attempt(lambda: False)[0] == "wrong"
    assert attempt(lambda: True) == ("right", "")


# ---- real nodes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("nemesis")
    lab = Lab(root / "lab", {name: cohort_files(root, k, PATIENCE) for k, name in enumerate(NAMES)})
    with lab:
        yield lab
        codes = [node.stop(60) for node in lab.nodes.values()]
    # what the tests of this module did together
    assert codes == [0, 0, 0]
    assert lab.left_behind() == []
    assert lab.wire.messages > 0
    assert lab.wire.reused == []


def suffer(lab, kind, **fields):
    """An accident; how the run ended."""
    fault = Fault(0, kind, **({"coordinator": "alpha", "party": "beta", "other": "gamma", "at": 12} | fields))
    trial = run_trial(lab, fault)
    assert trial.good, trial
    return trial.outcome


def test_accidents_of_a_count(lab):
    assert suffer(lab, "kill").startswith("E14")
    assert suffer(lab, "corrupt-bytes", at=2) in ("E1401", "E1404", "right")  # one side sees it, or hears of it
    assert audit_problems(lab.directories.values()) == []


@pytest.mark.long
def test_more_accidents_of_a_count(lab):
    assert suffer(lab, "none") == "right"
    assert suffer(lab, "duplicate").startswith("E14")
    assert suffer(lab, "corrupt-frame").startswith("E14")
    assert audit_problems(lab.directories.values()) == []


def _classes():
    """Every class of accident in a single run and in a sealed one; only those have a journal."""
    for kind in KINDS:
        if not kind.startswith("journal") and kind != "state-rolled-back":
            yield pytest.param(kind, False, marks=pytest.mark.exhaustive)
        if kind != "state-rolled-back":
            yield pytest.param(kind, True, marks=pytest.mark.long)


@pytest.mark.parametrize(("kind", "sealed"), list(_classes()))
def test_every_class_of_accident(lab, kind, sealed):
    if kind in ("clock-jump", "expired") and not lab.can_set_clocks:
        pytest.skip("pip install libfaketime, which changes a process' clock")
    journal = kind.startswith("journal")
    suffer(lab, kind, sealed=sealed, releasing=journal)
    assert audit_problems(lab.directories.values()) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("party", ["alpha", "beta"])
def test_a_party_dies_at_every_message_of_a_count(lab, party):
    outcomes = []
    for at in range(0, 200, 4):  # a round of three parties is four messages
        outcomes.append(suffer(lab, "kill", party=party, at=at))
        if outcomes[-1] == "right":  # the run has fewer messages
            break
    assert outcomes.count("right") == 1
    assert len(outcomes) > 10
