"""A study from a notebook: proposed, approved elsewhere, run, released, fetched."""

from __future__ import annotations

import threading

import pytest

import mpcstats as ms
from mpcstats.errors import NotApproved, SpecError, StudyClosed
from tests.governance.kit import truth

ABOUT = {"title": "People by sex", "purpose": "feasibility", "principal": "anna", "expires": "2099-01-01T00:00:00Z"}


def _decide(clients, study: str, decision: str) -> None:
    for client in clients.values():
        client.govern("decide", study=study, decision=decision)


def test_the_same_lines_go_on_where_the_study_is(network, clients, root) -> None:
    consortium = ms.connect("heart", party=network["northfield"].directory)
    ask = consortium.study("notebook", wait_seconds=0, **ABOUT)
    with pytest.raises(NotApproved, match="in review: waiting for northfield, lakeside, westbay"):
        ask.count(by=["sex"])
    with pytest.raises(SpecError, match="asks for something else"):
        ask.count(by=["sex"], where="age > 60")
    _decide(clients, "notebook", "approve")
    with pytest.raises(NotApproved, match="computed: waiting for"):
        ask.count(by=["sex"])
    _decide(clients, "notebook", "release")
    counts = ask.count(by=["sex"]).to_frame().set_index("sex")["count"]
    exact = truth(root)
    assert all(abs(counts[sex] - exact[sex]) <= 2 for sex in ("f", "m"))
    assert "differences" not in {entry["name"] for entry in ask.count(by=["sex"]).outcome.run["opened"]}


def test_waiting_for_people_elsewhere(network, clients) -> None:
    consortium = ms.connect("heart", party=network["northfield"].directory)
    said: list[str] = []
    waiting = ms.connect("heart", party=network["northfield"].directory, progress=said.append)
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(waiting.study("refused-notebook", wait_seconds=120, **ABOUT).count(where="age >= 50"))
        except StudyClosed as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(600):
            if any("in review" in text for text in said):
                break
            thread.join(0.2)
        clients["westbay"].govern("decide", study="refused-notebook", decision="reject", reason="not now")
    finally:
        thread.join(130)
    assert isinstance(answers[0], StudyClosed)
    assert "not now" in str(answers[0])
    assert repr(consortium.study("other", **ABOUT)) == "<study other through the node of northfield>"
