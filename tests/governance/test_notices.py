"""What the entries of a study tell the people of a party, and whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from mpcstats.node.governance.notices import EntryNotices
from mpcstats.node.notices.config import EVENTS
from tests.governance.bundles import LOST
from tests.governance.kit import NAMES
from tests.governance.test_lost_members import ALL, NEW, OLD, Four, Scene
from tests.governance.test_states import _deliver


class Told:
    """Takes notices; the same event about the same subject and party once, as the queue does."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def tell(self, event: str, *, subject: str, party: str = "", **facts: Any) -> int:
        assert event in EVENTS
        known = any((event, subject, party) == (e, f["subject"], f["party"]) for e, f in self.seen)
        self.seen += [] if known else [(event, facts | {"subject": subject, "party": party})]
        return int(not known)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(Four(tmp_path))


def listen(scene: Scene, name: str) -> Told:
    """Notices at one party from now on."""
    _deliver(scene.desks)
    told, desk = Told(), scene.desks[name]
    desk.on_entry.append(EntryNotices(told, desk, structlog.get_logger()))
    return told


@pytest.mark.parametrize("name", [NAMES[0], LOST])
def test_all_hear_once_that_a_run_begins_without_a_party(scene: Scene, name: str) -> None:
    told = listen(scene, name)
    scene.missing(*NAMES[:2])
    _deliver(scene.desks)
    assert told.seen == []  # one has not said so
    scene.missing(NAMES[2])
    _deliver(scene.desks)
    ((event, facts),) = told.seen
    assert event == "run-without"
    assert (facts["party"], facts["state"]) == (LOST, "a new run begins without it")
    assert facts["subject"] == f"{scene.study} {NEW}"
    assert facts["next"] == f"mpcstats study show {scene.proposal.name}"


def test_the_life_of_a_study(scene: Scene) -> None:
    told = listen(scene, NAMES[1])
    scene.acts("computed", *ALL)
    _deliver(scene.desks)
    scene.acts("released", *ALL)
    _deliver(scene.desks)
    assert [event for event, _ in told.seen] == ["computed", "release-needed", "released"]
    assert all(facts["party"] == NAMES[1] for _, facts in told.seen)
    assert all(facts["study"] == scene.study for _, facts in told.seen)
    assert OLD not in json.dumps([facts["state"] for _, facts in told.seen])


def test_a_proposal_asks_the_parties_with_data(tmp_path: Path) -> None:
    house = Four(tmp_path)
    desks = house.desks()
    told = {}
    for name, desk in desks.items():
        told[name] = Told()
        desk.on_entry.append(EntryNotices(told[name], desk, structlog.get_logger()))
    proposal = house.proposal()
    desks[NAMES[0]].write("propose", proposal.id, json.loads(proposal.model_dump_json()))
    _deliver(desks)
    for name in NAMES:
        assert [event for event, _ in told[name].seen] == ["study-proposed", "approval-needed"]
    assert [event for event, _ in told[LOST].seen] == ["study-proposed"]
    for name in NAMES[:2]:
        desks[name].write("approve", proposal.id, {})
    desks[NAMES[2]].write("reject", proposal.id, {"reason": "too early"})
    _deliver(desks)
    assert [(event, facts["party"]) for event, facts in told[LOST].seen[1:]] == [("rejected", NAMES[2])]
    assert "too early" not in json.dumps(told[LOST].seen)
