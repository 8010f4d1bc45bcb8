"""Which runs can be taken up again, and when what is kept of them goes; without nodes."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from mpcstats.errors import (
    DisclosureRefused,
    Divergence,
    FrameRejected,
    JournalMismatch,
    NothingToResume,
    PartyUnreachable,
    PeerRefused,
    UndeclaredOpening,
)
from mpcstats.node.governance.permit import Permit
from mpcstats.node.governance.unfinished import KEPT_SECONDS, Unfinished
from mpcstats.node.governance.vault import Vault
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.state.tables import RunRow
from tests.governance.kit import NAMES
from tests.governance.test_states import NOW, House

ME = NAMES[0]
OLD, LAST, OTHER = "aa" * 16, "bb" * 16, "cc" * 16


class Place:
    """One party: its desk with an approved study, its vault, its diary of runs."""

    def __init__(self, house: House, root: Path) -> None:
        self.house = house
        self.desk = house.desks()[ME]
        proposal = house.proposal()
        self.study = proposal.id
        self.desk.write("propose", self.study, json.loads(proposal.model_dump_json()))
        self.vault = Vault(house.root / ME, root, ME)
        self.unfinished = Unfinished(self.desk, self.vault, structlog.get_logger())
        self.ledger = ReleaseLedger(None, ME)

    @property
    def state(self) -> Any:
        return self.desk.study(self.study)

    def begun(self, run: str, day: int, occurrence: str = "", phase: str = "compute") -> None:
        self.vault.journal(run).close()
        changed = (NOW + datetime.timedelta(days=day)).isoformat()
        detail = json.dumps({"phase": phase, "session": "dd" * 32})
        with self.desk.database.transaction() as session:
            session.add(
                RunRow(
                    run=run, study=self.study, occurrence=occurrence, state="running", detail=detail, changed=changed
                )
            )

    def permit(self, run: str, *, resume: bool = False, occurrence: str = "", phase: Any = "compute") -> Permit:
        return Permit(self.state, phase, run, occurrence, resume)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    root = tmp_path_factory.mktemp("unfinished")
    found = House(root)
    found.root = root
    return found


@pytest.fixture
def place(house, tmp_path):
    return Place(house, tmp_path)


def test_the_last_run_with_a_journal_is_taken_up(place: Place) -> None:
    assert place.unfinished.of(place.state) is None
    place.begun(OLD, 1)
    place.begun(LAST, 2)
    place.begun(OTHER, 3, "2026-12-01T00:00:00Z")
    assert place.unfinished.of(place.state) == LAST
    assert place.unfinished.of(place.state, "2026-12-01T00:00:00Z") == OTHER
    place.vault.forget(LAST)
    assert place.unfinished.of(place.state) == OLD


def test_a_run_whose_end_all_parties_told_is_not_unfinished(place: Place) -> None:
    place.begun(LAST, 1)
    desks = place.house.desks()
    for count, name in enumerate(NAMES, 1):
        entry = (place.desk if name == ME else desks[name]).write("computed", place.study, {"run": LAST})
        if name != ME:
            place.desk.add(entry)
        assert place.unfinished.of(place.state) == (LAST if count < len(NAMES) else None)


def test_what_is_taken_up_is_here_and_what_is_new_is_not(place: Place) -> None:
    place.begun(LAST, 1)
    place.unfinished.check(place.permit(LAST, resume=True), "lakeside")
    place.unfinished.check(place.permit(OTHER), "lakeside")
    place.unfinished.check(place.permit(OTHER, phase="release"), "lakeside")
    with pytest.raises(NothingToResume, match="cccccccccccc") as caught:
        place.unfinished.check(place.permit(OTHER, resume=True), "lakeside")
    assert caught.value.party == ME
    with pytest.raises(FrameRejected, match="id of an earlier one") as foreign:
        place.unfinished.check(place.permit(LAST), "lakeside")
    assert foreign.value.party == "lakeside"


def test_a_new_run_ends_what_was_kept_in_its_place(place: Place) -> None:
    place.begun(OLD, 1)
    place.begun(OTHER, 2, "2026-12-01T00:00:00Z")
    place.begun(LAST, 3)
    place.unfinished.begins(place.permit(LAST), place.ledger)
    assert place.vault.runs() == sorted([LAST, OTHER])


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (PartyUnreachable("gone", party="lakeside"), True),
        (PeerRefused("refused with E1203", party="lakeside"), True),
        (JournalMismatch("an old copy"), True),
        (KeyboardInterrupt(), True),
        (DisclosureRefused("too few people"), False),
        (UndeclaredOpening("more than the manifest"), False),
        (Divergence("opened something else"), False),
    ],
)
def test_what_would_end_the_same_way_again_is_not_kept(place: Place, error: BaseException, kept: bool) -> None:
    place.begun(LAST, 1)
    place.unfinished.broke_off(place.permit(LAST), error, began=True)
    assert (LAST in place.vault.runs()) == kept


def test_what_this_party_came_to_the_end_of_is_kept_whatever_another_attempt_says(place: Place) -> None:
    place.begun(LAST, 1)
    place.desk.write("computed", place.study, {"run": LAST})
    place.unfinished.broke_off(place.permit(LAST, resume=True), Divergence("another run"), began=True)
    place.unfinished.broke_off(place.permit(LAST, phase="release"), Divergence("another run"), began=True)
    assert place.vault.has(LAST)


def test_the_copy_of_a_table_goes_with_a_reservation_that_came_to_nothing(place: Place) -> None:
    place.vault.snapshot(LAST).mkdir(parents=True)
    place.unfinished.broke_off(place.permit(LAST), PartyUnreachable("gone"), began=False)
    assert place.vault.runs() == []
    place.vault.snapshot(LAST).mkdir(parents=True)  # the node was killed then
    place.unfinished.tidy(LAST, place.unfinished.study_of(LAST), place.ledger)
    assert place.vault.runs() == []


def test_abandoned_runs_go_after_a_week_and_those_of_closed_studies_at_once(place: Place) -> None:
    place.begun(OLD, 1)
    begun = place.vault.last_used(OLD)
    place.unfinished.tidy(OLD, place.study, place.ledger, begun + KEPT_SECONDS - 1)
    assert place.vault.has(OLD)
    place.unfinished.tidy(OLD, place.study, place.ledger, begun + KEPT_SECONDS + 1)
    assert place.vault.runs() == []
    place.begun(LAST, 1)
    place.desk.write("withdraw", place.study, {"what": "proposal"})
    place.unfinished.tidy(LAST, place.study, place.ledger)
    assert place.vault.runs() == []


def test_a_sealed_run_is_no_abandoned_one_and_a_journal_of_no_known_run_is_left_alone(place: Place) -> None:
    place.begun(LAST, 1)
    desks = place.house.desks()
    for name in NAMES:
        entry = (place.desk if name == ME else desks[name]).write("computed", place.study, {"run": LAST})
        if name != ME:
            place.desk.add(entry)
    os.utime(place.vault._journal(LAST), (0, 0))
    place.unfinished.tidy(LAST, place.study, place.ledger)
    place.vault.journal(OTHER).close()
    place.unfinished.tidy(OTHER, place.unfinished.study_of(OTHER), place.ledger)
    assert place.vault.runs() == sorted([LAST, OTHER])
