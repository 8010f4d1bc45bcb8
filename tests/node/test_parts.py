"""The smaller parts of a node: log, slot, plans and errors on the wire, refused handshakes."""

import asyncio
import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mpcstats import errors
from mpcstats.errors import ConfigurationError, DataError, FrameRejected, MpcStatsError, PeerRefused
from mpcstats.node.failures import for_operator, for_peer, from_operator_failure, from_peer_failure
from mpcstats.node.identity.lockfile import hold_lock, lock_holder
from mpcstats.node.observing.logs import close_log, open_log, where_from
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.stderr import refusal_reason
from mpcstats.node.runs.coordinator import _begin
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_json, plan_to_plain
from mpcstats.node.runs.terms import rules_from_json, rules_to_json
from mpcstats.stats.contributions.association import AssociationPlan
from mpcstats.stats.contributions.counts import CountPlan
from mpcstats.stats.contributions.sample_overlap import SampleOverlapPlan
from mpcstats.stats.contributions.survival import SurvivalPlan
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.policy import Policy
from mpcstats.study.spec import digest
from mpcstats.wire.node_pb2 import Accepted, Failure

# ---- log -------------------------------------------------------------------------------------------------------------


def test_a_log_withholds_everything_that_could_hold_records(tmp_path):
    terminal = io.StringIO()
    log = open_log(tmp_path / "logs" / "node.log", node="alpha", level="info", terminal=terminal)
    canary = 918273645
    log.info(
        "event",
        run="ab12",
        count=3,
        array=np.full(3, canary),
        number=np.int64(canary),
        table=pd.DataFrame({"x": [canary]}),
        raw=str(canary).encode(),
        nested={"x": canary},
        series=pd.Series([canary]),
        many=[str(canary)] * 21,
        names=["beta", "gamma"],
        long="x" * 1000,
    )
    log.debug("quiet")
    close_log(log)
    text = (tmp_path / "logs" / "node.log").read_text()
    assert str(canary) not in text + terminal.getvalue()
    event = json.loads(text)
    assert (event["node"], event["run"], event["count"], event["names"]) == ("alpha", "ab12", 3, ["beta", "gamma"])
    assert event["array"] == "<ndarray withheld>"
    assert len(event["long"]) < 600
    assert (tmp_path / "logs" / "node.log").stat().st_mode & 0o777 == 0o600


def test_names_from_other_parties_do_not_make_lines_of_their_own(tmp_path):
    terminal = io.StringIO()
    log = open_log(tmp_path / "logs" / "node.log", node="alpha", level="info", terminal=terminal)
    evil = "main\n2030-01-01T00:00:00Z info alpha finished\r\x1b[2K\u202e\u2028\x9b"
    log.info("reserve", dataset=evil, many=["a", evil], plain="Zürich 東京")
    close_log(log)
    for text in (terminal.getvalue(), (tmp_path / "logs" / "node.log").read_text()):
        assert text.count("\n") == 1
        assert text.removesuffix("\n").isprintable()
        assert "Zürich 東京" in text
        assert "\\n2030" in text


def test_an_unexpected_error_is_told_by_place_not_by_text():
    try:
        int("patient 17")
    except ValueError as error:
        places = where_from(error)
    assert places[-1].startswith("test_parts.py:")
    assert "17" not in places[-1].split(" ", 1)[1]


# ---- slot ------------------------------------------------------------------------------------------------------------


async def test_runs_take_turns_in_order_of_arrival():
    jobs = Jobs("alpha")
    order = []

    async def run(name):
        async with jobs.slot(name, 5):
            assert jobs.current == name
            order.append(name)
            await asyncio.sleep(0.01)

    async with jobs.slot("first", 5):
        waiting = [asyncio.create_task(run(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        assert jobs.queued == 3
        waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == ["a", "c"]
    assert (jobs.current, jobs.queued, jobs.busy, jobs.finished) == ("", 0, False, 3)


async def test_waiting_for_the_slot_is_bounded_and_a_failure_frees_it():
    jobs = Jobs("alpha")

    async def fails():
        async with jobs.slot("one", 1):
            with pytest.raises(PeerRefused, match="busy") as caught:
                await jobs.slot("two", 0.05).__aenter__()
            assert caught.value.party == "alpha"
            raise KeyError

    with pytest.raises(KeyError):
        await fails()
    assert jobs.failed == 1
    async with jobs.slot("three", 0.05):
        pass


async def test_a_stopping_node_takes_no_new_run_and_refuses_the_queue():
    jobs = Jobs("alpha")
    async with jobs.slot("one", 1):
        queued = asyncio.create_task(jobs.slot("two", 5).__aenter__())
        await asyncio.sleep(0.01)
        assert not await jobs.drain(0.05)
        with pytest.raises(PeerRefused, match="stopping"):
            await jobs.slot("three", 1).__aenter__()
    with pytest.raises(PeerRefused, match="stopping"):
        await queued
    assert await jobs.drain(1)


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path):
    with hold_lock(tmp_path / "state"):
        assert lock_holder(tmp_path / "state") == os.getpid()
        with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"), hold_lock(tmp_path / "state"):
            pass
    assert lock_holder(tmp_path / "state") is None


# ---- on the wire -----------------------------------------------------------------------------------------------------

PLANS = [
    CountPlan(by=(), levels=()),
    CountPlan(by=("sex", "stage", "smoker"), levels=(("F", "M"), (1, 2, 3), (False, True))),
    SurvivalPlan(by=None, groups=(), horizon=1095, unit=1.0, event="status", event_values=(1,)),
    SurvivalPlan(by="arm", groups=("a", "b"), horizon=10, unit=0.1, event="dead", event_values=(True,)),
    SurvivalPlan("arm", (1, 2), 90, 1.0, "dead", (1,), ("sex", "old"), (("F", "M"), (False, True)), "start", 30.4375),
    AssociationPlan("Y1", ("V1", "V2"), 1000, "ab" * 32, ((), (0.0, 1.0), ()), (0.5, 1.0, 2.0), (0.5, 1.0, 1.0)),
    SampleOverlapPlan(rows=96),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_a_plan_is_read_back_the_same_to_the_type_of_its_levels(plan):
    again = plan_from_json(plan_to_json(plan), "beta")
    assert again == plan
    assert repr(again) == repr(plan)  # 1, 1.0 and True are equal, and different levels


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"kind":' * 100_000,
        '{"kind":' + "1" * 5000 + "}",
        '{"kind":"count"}',
        '{"kind":"other","by":[],"levels":[]}',
        '{"kind":"count","by":[],"levels":[] }',  # not canonical
        '{"by":["a"],"kind":"count","levels":[]}',  # an axis without levels
        '{"by":["a"],"kind":"count","levels":[[]]}',  # no cell
        '{"by":["a"],"kind":"count","levels":[[null]]}',
        '{"by":[],"extra":1,"kind":"count","levels":[]}',
        plan_to_json(SurvivalPlan("a", tuple(range(100)), 199_999, 1.0, "e", (1,))),  # too many cells
        plan_to_json(SurvivalPlan(None, (), -1, 1.0, "e", (1,))),
        plan_to_json(SurvivalPlan(None, (), 10, 1.0, "e", (1,), ("s",), ())),  # a stratum without levels
        plan_to_json(SurvivalPlan(None, (), 10, 1.0, "e", (1,), grid=0.5)),  # narrower than the unit
        plan_to_json(SurvivalPlan(None, (), 10**9, 1.0, "e", (1,), grid=10.0**6)),
        plan_to_json(AssociationPlan("Y", (), 10**9, "00", ())),
        plan_to_json(SampleOverlapPlan(rows=10**9)),
        plan_to_json(AssociationPlan("Y", (), 10, "00", ((), ()))),
        plan_to_json(AssociationPlan("Y", (), 10, "00", ((1.0, 2.0, 3.0, 4.0),))),
        plan_to_json(AssociationPlan("Y", (), 10, "00", (), (0.0,), (0.0,))),
        plan_to_json(AssociationPlan("Y", (), 10, "00", (), (0.0, 0.0), (1.0,))),
    ],
)
def test_what_is_no_plan_is_refused_by_the_senders_name(text):
    with pytest.raises(FrameRejected) as caught:
        plan_from_json(text, "beta")
    assert caught.value.party == "beta"


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_reaches_the_operator_whole_and_a_peer_without_details(name):
    error = getattr(errors, name)("ward 7", party="beta", hint="look")
    again = from_operator_failure(for_operator(error))
    assert type(again) is type(error)
    assert (again.message, again.party, again.hint) == ("ward 7", "beta", "look")
    failure = for_peer(error, "alpha")
    assert "ward" not in str(failure)
    heard = from_peer_failure(failure, "alpha", ("alpha", "beta"))
    assert heard.party == "beta"
    assert error.code in heard.message


def test_a_bug_is_told_by_type_only():
    assert "17" not in str(for_operator(ValueError("patient 17")))
    assert for_peer(ValueError("patient 17"), "alpha") == Failure(code="E1000", party="alpha")


def test_what_a_peer_says_is_not_repeated_unless_we_know_it():
    heard = from_peer_failure(Failure(code="E9999 patient 17", party="nobody", message="17"), "beta", ("alpha", "beta"))
    assert heard.party == "beta"
    assert "17" not in str(heard)
    assert isinstance(from_operator_failure(Failure(code="E9999", message="x")), MpcStatsError)
    assert isinstance(from_operator_failure(Failure(code="E1300", message="x")), DataError)


# ---- refused handshakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "I1122 06:46:04.74 2706 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: "
            "error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self signed certificate",
            "unknown key",
        ),
        (
            "I1122 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: error:100000c0:SSL "
            "routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE",
            "no client certificate",
        ),
        (
            "I1122 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: new in the next release",
            "TLS handshake failed",
        ),
        ("Traceback (most recent call last):", None),
        ("I1122 chttp2_transport.cc:1403] Got goaway [2]", None),
    ],
)
def test_lines_of_the_c_core(line, reason):
    assert refusal_reason(line) == reason


WATCHED = """
import os, sys
from mpcstats.node.observing.stderr import watch_stderr
def found(reason):
    if reason == "not TLS":
        raise OSError("disk full")
    os.write(1, reason.encode() + b"\\n")
with watch_stderr(found):
    os.write(2, b"from C\\n")
    os.write(2, b"x] Handshake failed with error SSL_ERROR_SSL: CERTIFICATE_VERIFY_FAILED\\n")
    os.write(2, b"x] Handshake failed with error SSL_ERROR_SSL: HTTP_REQUEST\\n")
    for _ in range(3000):
        os.write(2, b"flood" * 20 + b"\\n")
    os.write(2, b"no newline at the end")
    sys.stderr.write("from Python\\n")
    {end}
os.write(2, b"\\nafter\\n")
"""


@pytest.mark.parametrize("end", ["pass", "raise KeyError('boom')"])
def test_nothing_that_is_written_to_stderr_is_lost(end):
    done = subprocess.run([sys.executable, "-c", WATCHED.format(end=end)], capture_output=True, text=True, check=False)
    assert done.stdout == "unknown key\n"
    for text in ("from C\n", "HTTP_REQUEST\n", "no newline at the end", "from Python\n"):
        assert text in done.stderr
    assert done.stderr.count("flood" * 20) == 3000
    if end == "pass":
        assert done.stderr.endswith("\nafter\n")
    else:
        assert "KeyError: 'boom'" in done.stderr


def test_a_port_scan_does_not_flood_the_log(monkeypatch):
    from mpcstats.node import server

    class Lines(list):
        def warning(self, event, **fields):
            self.append((event, fields))

    clock = [100.0]
    monkeypatch.setattr(server.time, "monotonic", lambda: clock[0])
    lines = Lines()
    refused = server._RefusedConnections(lines, Meter())
    for _ in range(1000):
        refused("unknown key")
    refused("not TLS")
    clock[0] += 1.5
    refused("unknown key")
    assert [(fields["reason"], fields["unlogged_before"]) for _, fields in lines] == [
        ("unknown key", 0),
        ("not TLS", 0),
        ("unknown key", 999),
    ]


# ---- rules -----------------------------------------------------------------------------------------------------------


def test_a_party_answers_with_its_own_rules_only():
    """The answer is JSON: `{...},"alpha":{...}` would be rules of two parties, the second one somebody else's."""
    text = rules_to_json({"beta": Policy.preset("standard").rules}).removeprefix('{"beta":').removesuffix("}")
    weak = rules_to_json({"gamma": Policy.preset("open").rules}).removeprefix("{").removesuffix("}")
    spec, plan = CountSpec(), CountPlan((), ())
    house = SimpleNamespace(
        roster=SimpleNamespace(
            data_parties=("beta", "gamma"), digest=bytes(32), threshold=1, committee=("alpha", "beta", "gamma")
        )
    )
    answer = Accepted(rules_json=text, plan_digest=digest(plan_to_plain(plan)))
    assert _begin(house, None, bytes(16), spec, plan, {"beta": answer, "gamma": answer}).rules_json
    answer = Accepted(rules_json=f"{text},{weak}", plan_digest=digest(plan_to_plain(plan)))
    with pytest.raises(FrameRejected, match="rules of other parties") as caught:
        _begin(house, None, bytes(16), spec, plan, {"beta": answer})
    assert caught.value.party == "beta"


@pytest.mark.parametrize("text", ["", "[]", "{" * 100_000, '{"a":' * 100_000, '{"a":1}', '{"a":{}}'])
def test_what_is_no_set_of_rules_is_refused(text):
    with pytest.raises(FrameRejected, match="rules that are not valid"):
        rules_from_json(text, "beta")


@pytest.mark.parametrize("value", [str(2**61 - 1), str(2**60 + 11), "-1", "11.0", "true", '"11"', "null"])
def test_rules_from_the_wire_that_are_no_rules_are_refused(value):
    text = rules_to_json({"beta": Policy.preset("standard").rules})
    assert rules_from_json(text, "beta")["beta"].minimum_count == 11
    with pytest.raises(FrameRejected, match="rules that are not valid") as caught:
        rules_from_json(text.replace('"minimum_count":11', f'"minimum_count":{value}'), "beta")
    assert caught.value.party == "beta"
