"""Metrics, health, logs of single runs, and the table of `party status`: what they show, and what they never show."""

import asyncio
import contextlib
import io
import urllib.request
from types import SimpleNamespace

import pytest
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from mpcstats.cli.party_status import status_rows, watch
from mpcstats.errors import ConfigurationError
from mpcstats.node.observing.health import Health
from mpcstats.node.observing.logs import ThinOut, close_log, open_log
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.metrics import LABELS, MetricsPage
from mpcstats.node.observing.run_logs import RunLogs, list_run_logs, read_run_log
from mpcstats.node.runs.jobs import Jobs
from mpcstats.study.analyses import ANALYSES
from mpcstats.testing.processes import free_ports
from mpcstats.wire.node_pb2 import PeerStatus

PARTIES = ("northfield", "lakeside")
VITALS = {
    "certificate_days": 12,
    "roster_version": 3,
    "disk_free_bytes": 5_000_000_000,
    "database_bytes": 2_000_000,
    "audit_records": 17,
    "memory_bytes": 200_000_000,
    "cpu_seconds": 4.5,
    "studies": {"approved": 2, "in review": 1},
    "waiting_here": 1,
    "schedules": 1,
    "held": 2,
}
FIXED = {
    "state": {"running", "sealed", "released", "failed", "refused"},
    "status": {
        *("in review", "approved", "computed", "released", "withheld"),
        *("rejected", "withdrawn", "revoked", "expired"),
    },
    "reason": {"unknown key", "not for this caller", "no client certificate"},
}


def page():
    meter = Meter()
    meter.run("count", "running")
    meter.run("count", "released", 12)
    meter.run("unknown", "refused")
    meter.sent("lakeside", 4096)
    meter.refused_call("not for this caller")
    meter.refused_connection("unknown key")
    meter.flood("lakeside")
    peers = SimpleNamespace(
        last={
            "lakeside": PeerStatus(name="lakeside", reachable=True, round_trip_microseconds=1500),
            "northfield": PeerStatus(name="northfield", reachable=False),
        }
    )
    return MetricsPage(meter, Jobs("westbay"), peers, lambda: VITALS)


def test_labels_come_from_fixed_lists():
    allowed = FIXED | {"analysis": {*ANALYSES, "unknown"}, "party": {*PARTIES, "others"}}
    assert set(allowed) == LABELS
    samples = [sample for family in page().registry.collect() for sample in family.samples]
    assert len(samples) > 20
    for sample in samples:
        for label, value in sample.labels.items():
            assert value in allowed[label], (sample.name, label, value)


def test_the_page_over_http():
    served = page()
    (port,) = free_ports(1)
    served.serve(f"127.0.0.1:{port}")
    try:
        with pytest.raises(ConfigurationError, match="cannot serve metrics"):
            page().serve(f"127.0.0.1:{port}")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
            lines = reply.read().decode().splitlines()
    finally:
        served.close()
    assert 'mpcstats_runs_total{analysis="count",state="released"} 1.0' in lines
    assert "mpcstats_rounds_total 12.0" in lines
    assert 'mpcstats_bytes_sent_total{party="lakeside"} 4096.0' in lines
    assert 'mpcstats_peer_reachable{party="northfield"} 0.0' in lines
    assert "mpcstats_certificate_expiry_days 12.0" in lines
    assert 'mpcstats_studies{status="in review"} 1.0' in lines


# ---- health ----------------------------------------------------------------------------------------------------------


class Watcher:
    def __init__(self):
        self.told = []

    async def write(self, reply):
        self.told.append(reply.status)


async def test_a_node_that_drains_is_not_serving():
    health, watcher = Health(), Watcher()
    request = HealthCheckRequest(service="mpcstats.v1.Peer")
    assert (await health.Check(request, None)).status == HealthCheckResponse.SERVING
    task = asyncio.create_task(health.Watch(request, watcher))
    await asyncio.sleep(0)
    health.drain()
    await asyncio.sleep(0.01)
    assert (await health.Check(request, None)).status == HealthCheckResponse.NOT_SERVING
    assert watcher.told == [HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_what_others_cause_is_logged_so_often_a_minute():
    clock = [0.0]
    thin = ThinOut(3, lambda: clock[0])

    def passed(party, name="terms_refused"):
        try:
            return thin(None, "warning", {"event": name, "party": party})
        except structlog.DropEvent:
            return None

    assert [passed("east") is not None for _ in range(10)] == [True] * 3 + [False] * 7
    assert passed("north") is not None
    assert all(passed("east", "finished") for _ in range(10))
    clock[0] = 61.0
    assert passed("east")["unlogged_before"] == 7
    assert "unlogged_before" not in passed("east")


# ---- logs of runs ----------------------------------------------------------------------------------------------------


def run_id(number):
    return f"{number:032x}"


def test_a_run_has_a_log_of_its_own(tmp_path):
    log = open_log(
        tmp_path / "node.log",
        node="west",
        level="info",
        terminal=io.StringIO(),
        runs=RunLogs(tmp_path / "runs", 10, 10_000),
    )
    first, second = log.bind(run=run_id(1), coordinator="east"), log.bind(run=run_id(2), coordinator="east")
    first.info("reserve", analysis="count")
    second.info("reserve", analysis="gwas")
    log.info("entry", number=5)
    first.info("session", session="00")
    first.error("run_failed", code="E1401")
    second.error("run_failed", code="E1403")  # it never began: whoever only asks makes no file
    log.bind(run="../../etc/passwd").info("session")
    close_log(log)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"{run_id(1)}.log"]
    assert oct((tmp_path / "runs" / f"{run_id(1)}.log").stat().st_mode & 0o777) == "0o600"
    assert [event["event"] for event in read_run_log(tmp_path / "runs", "0000")] == ["reserve", "session", "run_failed"]
    (line,) = list_run_logs(tmp_path / "runs")
    assert (line["run"], line["analysis"], line["last"]) == (run_id(1), "count", "run_failed E1401")
    assert read_run_log(tmp_path / "runs", "ffff") == []


def test_logs_of_runs_are_bounded_in_number_and_size(tmp_path):
    logs = RunLogs(tmp_path, 3, 500)
    for number in range(8):
        logs.write({"run": run_id(number), "event": "session"})
    assert len(list(tmp_path.iterdir())) == 3
    for _ in range(100):
        logs.write({"run": run_id(7), "event": "x" * 40})
    assert (tmp_path / f"{run_id(7)}.log").stat().st_size <= 500
    for number in range(1000, 2000):  # asked for, and refused: kept aside, and not many of them
        logs.write({"run": run_id(number), "event": "reserve"})
    assert len(logs._aside) <= 32
    assert len(list(tmp_path.iterdir())) == 3


# ---- the table -------------------------------------------------------------------------------------------------------


STATE = {
    "name": "west",
    "role": "data",
    "version": "1",
    "consortium": "c",
    "roster_digest": "ab" * 32,
    "uptime_seconds": 5,
    "current_run": None,
    "queued_runs": 0,
    "finished_runs": 1,
    "failed_runs": 0,
    "vitals": VITALS,
    "peers": [
        {"name": "lakeside", "reachable": True, "same_roster": True, "round_trip_ms": 1.0, "version": "1"}
        | {"clock_skew_ms": 90_000},
        {"name": "northfield", "reachable": False, "same_roster": False, "round_trip_ms": None, "version": None},
    ],
}


def test_status_without_a_terminal_is_told_once(capsys):
    watch(lambda: STATE)
    printed = capsys.readouterr().out
    for words in (
        "2 approved, 1 in review; 1 wait for this party",
        "1, 2 due times held back",
        "12 days SOON",
        "5.0 GB free",
        "CLOCK +90.0 s",
        "cannot be reached",
    ):
        assert words in printed
    assert len(status_rows({**STATE, "vitals": {}})) == 6
