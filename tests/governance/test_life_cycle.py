"""A study from proposal to release, with three real nodes."""

from __future__ import annotations

import time

import pytest

from mpcstats.errors import NotApproved, SpecError, StudyClosed
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses.counts import CountSpec
from tests.governance.kit import NAMES, count_manifest, make_proposal, propose, truth

SPEC = CountSpec(by=("sex",))


def _files(network, pattern):
    return {name: list((network[name].directory / "state").glob(pattern)) for name in NAMES}


def test_from_proposal_to_release(network, clients, root) -> None:
    lead, *others = clients.values()
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="released"))
    for client in clients.values():
        (line,) = [line for line in client.govern("inbox")["studies"] if line["id"] == study]
        assert (line["status"], line["waiting_for"]) == ("in review", list(NAMES))
    with pytest.raises(NotApproved, match="0 of 3 approvals"):
        lead.govern("run", study=study)
    others[0].govern("comment", study=study, text="Which years?")
    for client in clients.values():
        client.govern("decide", study=study, decision="approve")
    with pytest.raises(NotApproved, match="has no result yet"):
        lead.govern("decide", study=study, decision="release")
    line = lead.govern("run", study=study)
    assert line["status"] == "computed"
    assert all(_files(network, "sealed/*/run.journal").values())
    assert not any(_files(network, "results/*").values())
    with pytest.raises(StudyClosed, match="has its result"):
        lead.govern("run", study=study)
    with pytest.raises(NotApproved, match="0 of 3"):
        lead.govern("result", study=study)
    for client in others:
        client.govern("decide", study=study, decision="release")
    with pytest.raises(NotApproved, match="2 of 3 parties: waiting for northfield"):
        others[0].govern("result", study=study)
    assert lead.govern("decide", study=study, decision="release")["status"] == "released"
    results = []
    for client in clients.values():
        with open(client.govern("result", study=study)["path"], "rb") as file:
            results.append(outcome_from_bytes(file.read()))
    counts = results[0].tables["counts"].set_index("sex")["count"]
    exact = truth(root)
    assert all(abs(counts[sex] - exact[sex]) <= 2 and counts[sex] % 5 == 0 for sex in ("f", "m"))
    assert len({result.to_json() for result in results}) >= 1
    assert all(result.tables["counts"].equals(results[0].tables["counts"]) for result in results)
    shown = others[1].govern("show", study="released")
    assert [comment["text"] for comment in shown["comments"]] == ["Which years?"]
    assert shown["rules"]["minimum_count"] == {"value": 11, "owner": "all parties"}
    deadline = time.monotonic() + 30
    while any(_files(network, "sealed/*").values()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(_files(network, "sealed/*").values()), "shares are kept after the release"


def test_one_no_ends_a_study(clients) -> None:
    lead, other, third = clients.values()
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="rejected"))
    lead.govern("decide", study=study, decision="approve")
    other.govern("decide", study=study, decision="reject", reason="no legal basis")
    with pytest.raises(StudyClosed, match="lakeside rejected it: no legal basis"):
        third.govern("decide", study=study, decision="approve")
    with pytest.raises(StudyClosed, match="no legal basis"):
        lead.govern("run", study=study)


def test_a_result_that_one_party_withholds_stays_closed(network, clients) -> None:
    lead, other, third = clients.values()
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="withheld"))
    for client in clients.values():
        client.govern("decide", study=study, decision="approve")
    lead.govern("run", study=study)
    assert other.govern("decide", study=study, decision="withhold", reason="wrong cohort")["status"] == "withheld"
    with pytest.raises(NotApproved, match="no sealed result: it is withheld"):
        third.govern("decide", study=study, decision="release")
    for client in (lead, other, third):
        with pytest.raises((StudyClosed, NotApproved)):
            client.govern("result", study=study)


def test_an_approval_can_be_taken_back_before_the_run(clients) -> None:
    lead, other, third = clients.values()
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="revoked"))
    for client in clients.values():
        client.govern("decide", study=study, decision="approve")
    assert third.govern("withdraw", study=study, reason="consent form changed")["what"] == "approval"
    with pytest.raises(StudyClosed, match="westbay revoked its approval: consent form changed"):
        lead.govern("run", study=study)
    again = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="withdrawn"))
    assert lead.govern("withdraw", study=again)["what"] == "proposal"
    with pytest.raises(StudyClosed, match="northfield withdrew it"):
        other.govern("decide", study=again, decision="approve")


def test_a_manifest_that_is_too_small_stops_the_run_before_anything_is_opened(network, clients) -> None:
    lead = clients["northfield"]
    study = propose(lead, make_proposal(lead, SPEC, count_manifest(1), id="small-manifest"))
    for client in clients.values():
        client.govern("decide", study=study, decision="approve")
    with pytest.raises(Exception, match=r"E1503|declare"):
        lead.govern("run", study=study)
    # who notices first stops the others, who would have noticed by themselves; nothing was opened anywhere
    events = [event for name in NAMES for event in network[name].events if event["event"] == "run_failed"]
    assert any(event["code"] == "E1503" and "counts" in event["reason"] for event in events)
    assert lead.govern("show", study=study)["runs"] == []


def test_without_a_study_nothing_runs_where_people_are_asked(clients) -> None:
    with pytest.raises(NotApproved, match="needs an approved study"):
        clients["northfield"].run(SPEC)


def test_what_cannot_be_proposed(clients) -> None:
    lead = clients["northfield"]
    proposal = make_proposal(lead, SPEC, count_manifest(2), id="twice")
    propose(lead, proposal)
    with pytest.raises(SpecError, match="proposed already"):
        propose(lead, proposal)
    with pytest.raises(SpecError, match="no study is known"):
        lead.govern("show", study="nothing-of-this-name")
    for verb in ("__init__", "do_run", "nonsense"):
        with pytest.raises(SpecError, match="no verb"):
            lead.govern(verb)
    with pytest.raises(SpecError, match="run"):
        lead.govern("run")
