"""A study's run as its coordinator starts it: gone on with, begun afresh, or an error that says what can be done."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mpcstats.errors import JournalMismatch, MpcStatsError, NothingToResume, PartyUnreachable
from mpcstats.node.failures import for_peer, from_peer_failure
from mpcstats.node.runs import taking_up
from mpcstats.node.runs.coordinator import Errand
from mpcstats.node.runs.taking_up import run_study
from mpcstats.node.schedules import runs as scheduled_runs

RUN = "ab" * 16
NAMES = ("northfield", "lakeside", "westbay")
WHEN = "2026-12-01T00:00:00Z"


def refusal(error: MpcStatsError) -> MpcStatsError:
    """An error of lakeside as its coordinator gets it."""
    return from_peer_failure(for_peer(error, "lakeside"), "lakeside", NAMES)


@pytest.fixture
def world(monkeypatch):
    """`world.errands` are the runs that were asked for; a resumed one ends with `world.error`."""
    lock = SimpleNamespace(request="request", release="manual")
    found: Any = SimpleNamespace(errands=[], error=None, run=RUN, logged=[])

    async def coordinate(_house, _spec, _progress, errand):
        found.errands.append(errand)
        if errand.resume and found.error is not None:
            raise found.error
        return f"result of {errand.resume or 'a new run'}"

    monkeypatch.setattr(taking_up, "coordinate", coordinate)

    def log(event, **_):
        found.logged.append(event)

    office = SimpleNamespace(unfinished=SimpleNamespace(of=lambda _state, occurrence: found.run))
    found.house = SimpleNamespace(office=office, name="northfield", log=SimpleNamespace(info=log, warning=log))
    found.state = SimpleNamespace(id="cd" * 32, proposal=SimpleNamespace(name="heart", lock=lock), runs={})
    found.ask = lambda **options: asyncio.run(run_study(found.house, found.state, lambda text: None, **options))
    return found


def test_what_broke_off_is_taken_up_and_what_did_not_is_begun(world) -> None:
    assert world.ask(occurrence=WHEN) == f"result of {RUN}"
    assert world.ask(choice="afresh") == "result of a new run"
    world.run = None
    assert world.ask() == "result of a new run"
    study = world.state.id
    assert world.errands == [
        Errand(study, "compute", WHEN, resume=RUN),
        Errand(study, "compute"),
        Errand(study, "compute"),
    ]
    with pytest.raises(NothingToResume, match="no run of study heart broke off"):
        world.ask(choice="resume")


def test_where_a_party_lacks_its_journal_a_new_run_begins_unless_that_was_not_asked_for(world) -> None:
    world.error = refusal(NothingToResume("no journal"))
    assert world.ask() == "result of a new run"
    assert world.logged == ["begins_afresh"]
    with pytest.raises(NothingToResume, match="keeps nothing of run") as caught:
        world.ask(choice="resume")
    assert (caught.value.party, caught.value.hint) == ("lakeside", "mpcstats study run heart --afresh")


@pytest.mark.parametrize("error", [JournalMismatch("old copy", party="lakeside"), refusal(JournalMismatch("old copy"))])
def test_a_run_that_does_not_repeat_itself_is_for_people_to_decide_about(world, error) -> None:
    world.error = error
    for choice in ("either", "resume"):
        with pytest.raises(JournalMismatch) as caught:
            world.ask(choice=choice)
        assert (caught.value.party, caught.value.hint) == ("lakeside", "mpcstats study run heart --afresh")
    assert all(errand.resume for errand in world.errands)


def test_a_schedule_begins_afresh_then(world) -> None:
    world.error = refusal(JournalMismatch("old copy"))
    ended = asyncio.run(scheduled_runs._started(world.house, world.state, WHEN))
    assert ended == "result of a new run"
    assert [(errand.occurrence, errand.resume) for errand in world.errands] == [(WHEN, RUN), (WHEN, "")]
    assert world.logged == ["begins_afresh"]


def test_other_errors_are_told_as_they_are(world) -> None:
    world.error = PartyUnreachable("gone", party="westbay")
    for choice in ("either", "resume"):
        with pytest.raises(PartyUnreachable):
            world.ask(choice=choice)
    assert all(errand.resume for errand in world.errands)
