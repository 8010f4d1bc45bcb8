"""Runs without a lost party: what all others must have said, what a node checks, how a certificate is read."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mpcstats.errors import (
    Divergence,
    FrameRejected,
    LimitExceeded,
    PartyNeeded,
    PartyPresent,
    PartyUnreachable,
    SpecError,
    StudyClosed,
)
from mpcstats.node.bundles.checks import Check, check_bundle, failures
from mpcstats.node.consortium.roster import make_roster
from mpcstats.node.failures import for_peer, from_peer_failure
from mpcstats.node.governance.absence import hear, present, say
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.permit import Permit
from mpcstats.node.governance.verbs import _way_out
from mpcstats.node.runs.coordinator import _plainly
from mpcstats.node.runs.lineup import Lineup
from mpcstats.node.runs.terms import study_digest
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party, make_card
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, state_of
from mpcstats.study.missing import agreed, check_without
from mpcstats.study.policy import Policy
from tests.governance.bundles import LOST, RUN, Released, Writer, released
from tests.governance.bundles import NAMES as SIGNERS
from tests.governance.kit import NAMES
from tests.governance.test_states import NOW, SPEC, House, _deliver
from tests.governance.test_tampering import entries_bundle
from tests.node.in_memory import Parties

OLD, NEW, OTHER = "aa" * 16, "bb" * 16, "cc" * 16
ALL = (*NAMES, LOST)


class Four(House):
    """Three hospitals and a neutral node; `threshold` and more neutral nodes as wanted."""

    def __init__(self, root: Path, neutral: tuple[str, ...] = (LOST,), threshold: int | None = None) -> None:
        directories = []
        for k, name in enumerate((*NAMES, *neutral)):
            address, role = f"127.0.0.1:{4710 + k}", "compute" if name in neutral else "data"
            create_party(root / name, name=name, listen=address, advertise=address, role=role)
            directories.append(PartyDirectory(root / name))
        cards = [make_card(each.path) for each in directories]
        self.roster = make_roster("heart", cards, threshold=threshold)
        self.keys = {each.config.name: each.signing_key() for each in directories}
        self.now = NOW


class Scene:
    """An approved study at the desks of all parties."""

    def __init__(self, house: House, **study: Any) -> None:
        self.house, self.desks = house, house.desks()
        self.proposal = house.proposal(**study)
        self.study = self.proposal.id
        self.desks[NAMES[0]].write("propose", self.study, json.loads(self.proposal.model_dump_json()))
        for name in NAMES:
            self.desks[name].write("approve", self.study, {})

    def missing(self, *parties: str, run: str = NEW, without: Any = (LOST,)) -> Scene:
        for name in parties:
            self.desks[name].write("missing", self.study, {"run": run, "without": list(without)})
        return self

    def acts(self, action: Any, *parties: str, run: str = OLD, **body: Any) -> Scene:
        for name in parties:
            self.desks[name].write(action, self.study, {"run": run, **body})
        return self

    @property
    def entries(self) -> list[SignedEntry]:
        _deliver(self.desks)
        return self.desks[NAMES[1]].entries_of(self.study)

    @property
    def state(self) -> StudyState:
        return state_of(self.entries, NOW)

    def permit(self, phase: Any = "compute", run: str = NEW, without: tuple[str, ...] = (LOST,), **more: Any) -> Permit:
        return Permit(self.state, phase, run, without=without, **more)

    def check(self, *arguments: Any, **more: Any) -> None:
        self.permit(*arguments, **more).check_request(SPEC, self.house.roster)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Four:
    return Four(tmp_path_factory.mktemp("four"))


@pytest.fixture
def scene(house: Four) -> Scene:
    return Scene(house)


def test_a_run_is_without_a_party_when_all_others_have_said_so_and_not_before(scene: Scene) -> None:
    for count, name in enumerate(NAMES, 1):
        scene.missing(name)
        found = scene.state.runs[NEW].without
        assert found == ((LOST,) if count == len(NAMES) else ())
    assert scene.state.status == "approved"
    scene.acts("computed", *NAMES[:2], run=NEW)
    assert scene.state.status == "approved"
    scene.acts("computed", NAMES[2], run=NEW)
    assert (scene.state.status, scene.state.latest.run) == ("computed", NEW)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda s: s.missing(NAMES[0], run=OTHER), id="one said it of another run"),
        pytest.param(lambda s: s.missing(NAMES[0], without=[]), id="of nobody"),
        pytest.param(lambda s: s.missing(NAMES[0], without=[LOST, LOST]), id="twice"),
        pytest.param(lambda s: s.missing(NAMES[0], without=["epsilon"]), id="of a stranger"),
        pytest.param(lambda s: s.missing(NAMES[0], without=[NAMES[2]]), id="of a party with data"),
        pytest.param(lambda s: s.missing(NAMES[0], without=LOST), id="letters"),
        pytest.param(lambda s: s.missing(NAMES[0], without=[1, {}]), id="no names"),
        pytest.param(lambda s: s.missing(LOST), id="the lost one says it for another"),
        pytest.param(lambda s: s.missing(NAMES[0]).missing(NAMES[0], without=[NAMES[2], LOST]), id="two things"),
    ],
)
def test_two_and_something_else_are_not_enough(scene: Scene, spoil: Any) -> None:
    spoil(scene.missing(*NAMES[1:]))
    assert all(run.without == () for run in scene.state.runs.values())
    scene.acts("computed", *NAMES, run=NEW)
    assert scene.state.status == "approved"


def test_what_the_lost_party_says_and_the_order_of_arrival_change_nothing(scene: Scene) -> None:
    scene.missing(*NAMES).missing(LOST, without=[NAMES[0]]).missing(LOST, without=[])
    assert scene.state.runs[NEW].without == (LOST,)
    said = [signed for signed in scene.entries if signed.entry.action == "missing"]
    assert len(said) == 5
    for order in itertools.permutations(said):
        assert agreed([signed.entry for signed in order], scene.proposal) == {NEW: (LOST,)}


def test_parties_with_data_and_only_recipients_are_needed(house: Four) -> None:
    proposal = house.proposal()
    check_without(proposal, (LOST,))
    with pytest.raises(PartyNeeded, match=r"has data in study heart-count \(as have lakeside, westbay\)") as found:
        check_without(proposal, ("northfield",))
    assert found.value.party == "northfield"
    assert "when it is back" in found.value.hint
    for wrong in ((LOST, LOST), ("epsilon",)):
        with pytest.raises(SpecError):
            check_without(proposal, wrong)
    alone = proposal.model_copy(update={"lock": proposal.lock.model_copy(update={"recipients": (LOST,)})})
    with pytest.raises(PartyNeeded, match="only one to whom the result"):
        check_without(alone, (LOST,))
    scheduled = proposal.model_copy(update={"study": proposal.study | {"schedule": {"cron": "0 6 * * mon"}}})
    with pytest.raises(SpecError, match="its runs need all parties"):
        check_without(scheduled, (LOST,))


@pytest.mark.parametrize(
    ("threshold", "lost", "left"), [(1, 1, 5), (1, 3, 3), (2, 1, 5), (2, 2, 4), (2, 3, 3)], ids=str
)
def test_so_many_members_must_be_left(tmp_path: Path, threshold: int, lost: int, left: int) -> None:
    neutral = ("delta", "epsilon", "zeta")
    proposal = Four(tmp_path, neutral, threshold).proposal()
    if left >= 2 * threshold + 1:
        check_without(proposal, neutral[:lost])
        return
    says = f"{left} members would be left, and threshold {threshold} needs at least {2 * threshold + 1}"
    with pytest.raises(PartyNeeded, match=says):
        check_without(proposal, neutral[:lost])


def test_a_permit_for_a_new_run_without_a_party(scene: Scene) -> None:
    scene.check()
    with pytest.raises(PartyNeeded, match="has data"):
        scene.check(without=("westbay",))
    # what goes on is without those it began without, as all have said
    for phase, more in (("compute", {"resume": True}), ("release", {})):
        with pytest.raises(Divergence, match="other parties than all have agreed"):
            scene.check(phase, **more)
    scene.missing(*NAMES)
    scene.check(resume=True)
    with pytest.raises(Divergence, match="other parties than all have agreed"):
        scene.check(without=(), resume=True)
    scene.acts("computed", *NAMES, run=NEW).acts("release", *NAMES, run=NEW)
    scene.check("release")
    with pytest.raises(Divergence, match="other parties than all have agreed"):
        scene.check("release", without=())
    with pytest.raises(StudyClosed, match="has its result"):
        scene.check(run=OTHER)


def test_a_sealed_result_of_all_is_taken_back_by_those_who_begin_again(scene: Scene) -> None:
    scene.acts("computed", *ALL)
    with pytest.raises(StudyClosed, match="has its result"):
        scene.check(without=())
    scene.check()
    scene.missing(*NAMES[:2])
    assert (scene.state.status, scene.state.latest.run) == ("computed", OLD)
    scene.missing(NAMES[2])
    assert scene.state.status == "approved"
    assert scene.state.runs[OLD].computed == (LOST,)
    scene.acts("computed", *NAMES, run=NEW)
    assert (scene.state.status, scene.state.latest.run) == ("computed", NEW)


def test_all_may_seal_the_earlier_run_after_all(scene: Scene) -> None:
    """The new run did not come about, and the lost party is back with its journal."""
    scene.acts("computed", *ALL).missing(*NAMES).acts("computed", *NAMES)
    assert (scene.state.status, scene.state.latest.run) == ("computed", OLD)
    assert set(scene.state.latest.computed) == set(ALL)


@pytest.mark.parametrize(("action", "says"), [("released", "released"), ("withhold", "withheld")])
def test_a_result_that_is_out_or_that_the_lost_party_withheld_is_not_computed_again(
    scene: Scene, action: str, says: str
) -> None:
    scene.acts("computed", *ALL).acts(action, LOST)
    with pytest.raises(StudyClosed, match=f"it is {says}"):
        scene.check()


def test_what_the_lost_party_refused_stays_refused(scene: Scene) -> None:
    scene.desks[LOST].write("reject", scene.study, {"reason": "no"})
    with pytest.raises(StudyClosed, match="delta rejected it"):
        scene.check()


def test_a_party_says_it_of_new_runs_alone(scene: Scene) -> None:
    desk: Desk = scene.desks[NAMES[0]]
    scene.acts("computed", *ALL)
    say(desk, scene.permit(), NAMES[1])
    assert desk.chain(NAMES[0])[-1].entry.body == {"run": NEW, "without": [LOST]}
    for run in (NEW, OLD):
        with pytest.raises(FrameRejected, match="id of an earlier one"):
            say(desk, scene.permit(run=run), NAMES[1])


def test_nobody_fills_the_chain_of_another_with_runs_that_begin(scene: Scene) -> None:
    desk: Desk = scene.desks[NAMES[0]]
    for number in range(20):
        say(desk, scene.permit(run=f"{number:032x}"), NAMES[1])
    with pytest.raises(LimitExceeded, match="20 runs of this study") as found:
        say(desk, scene.permit(), NAMES[1])
    assert found.value.party == NAMES[1]
    try:
        scene.house.now = NOW + datetime.timedelta(days=1)
        say(desk, scene.permit(), NAMES[1])
    finally:
        scene.house.now = NOW


async def test_a_run_begins_when_all_have_said_it(scene: Scene) -> None:
    class Office:
        desk, party, courier = scene.desks[NAMES[0]], NAMES[0], None

    lineup = Lineup(scene.house.roster, (LOST,))
    scene.missing(*NAMES[:2])
    _deliver(scene.desks)
    with pytest.raises(PartyNeeded, match="westbay did not say that it is lost") as found:
        await hear(Office(), lineup, scene.study, NEW)
    assert found.value.party == LOST
    scene.missing(NAMES[2])
    _deliver(scene.desks)
    assert (await hear(Office(), lineup, scene.study, NEW)).runs[NEW].without == (LOST,)
    scene.acts("withdraw", NAMES[2], what="approval", reason="no")
    _deliver(scene.desks)
    with pytest.raises(StudyClosed, match="revoked"):
        await hear(Office(), lineup, scene.study, NEW)


def test_places_follow_from_the_roster_less_the_lost(tmp_path: Path) -> None:
    roster = make_roster(
        "heart",
        Four(tmp_path, ("delta", "epsilon"), 1).roster.party,
        committee=("delta", "westbay", "epsilon", "lakeside"),
    )
    lineup = Lineup.asked(roster, ["epsilon"], "westbay", "lakeside")
    assert lineup.names == ("delta", "westbay", "lakeside", "northfield")
    assert (lineup.committee, lineup.lost) == (("delta", "westbay", "lakeside"), (3,))
    assert (lineup.computing.m, lineup.computing.t) == (3, 1)
    assert lineup.numbers(("lakeside", "epsilon", "northfield")) == (3, 4)
    for names in (["alpha"], ["epsilon", "delta"], ["epsilon", "epsilon"], ["westbay"], ["lakeside"]):
        with pytest.raises(FrameRejected) as found:
            Lineup.asked(roster, names, "westbay", "lakeside")
        assert found.value.party == "lakeside"


def test_who_reaches_a_lost_party_is_named() -> None:
    """Over the wire only code and party travel; the one who reports is known from its connection."""
    refusal = from_peer_failure(for_peer(present(LOST, "lakeside"), "lakeside"), "lakeside", ALL)
    found = _plainly(refusal, "lakeside")
    assert isinstance(found, PartyPresent)
    assert (found.party, found.message) == (LOST, "answers lakeside: a party that is there is not left out")
    other = from_peer_failure(for_peer(PartyNeeded("no", party=LOST), "lakeside"), "lakeside", ALL)
    assert _plainly(other, "lakeside") is other


def test_an_operator_whose_run_lost_a_party_hears_what_can_be_done(scene: Scene) -> None:
    lost = _way_out(scene.state, PartyUnreachable("cannot be reached", party=LOST, hint="mpcstats party status DIR"))
    assert lost.hint.endswith("if it is lost for good: mpcstats study run heart-count --without delta")
    for party in ("westbay", None):
        error = PartyUnreachable("cannot be reached", party=party)
        assert _way_out(scene.state, error) is error


def test_keys_differ_from_those_of_a_run_of_all(scene: Scene) -> None:
    people = pd.DataFrame({"sex": ["F", "M"]})
    plan = Parties(SPEC, dict.fromkeys(NAMES, people), Policy.preset("standard").rules).plan
    digests = {
        study_digest(bytes.fromhex(NEW), SPEC, plan, {}, scene.house.roster, scene.permit(without=without))
        for without in ((), (LOST,))
    }
    assert len(digests) == 2


# --- the reader of a certificate --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> Released:
    return released(without=(LOST,))


def first_failure(data: bytes, run: Released) -> Check:
    return failures(check_bundle(data, run.roster))[0]


def test_a_certificate_of_all_others_holds_where_their_entries_say_so(run: Released) -> None:
    assert set(run.certificate.certificate.parties) == set(SIGNERS)
    assert set(run.certificate.signatures) == set(SIGNERS)
    checks = check_bundle(run.bundle, run.roster)
    assert failures(checks) == []
    assert all(check.passed for check in checks)
    assert next(check for check in checks if check.name == "complete").detail.startswith("all but delta")


@pytest.mark.parametrize("silent", [SIGNERS, SIGNERS[1:], *((name,) for name in SIGNERS)], ids=str)
def test_and_not_where_one_of_them_has_not_said_so(run: Released, silent: tuple[str, ...]) -> None:
    data = entries_bundle(run, lambda entry: entry.action != "missing" or entry.party not in silent)
    found = first_failure(data, run)
    assert (found.name, found.field) == ("complete", "certificate.parties")
    assert "delta is missing" in found.detail


def test_nor_where_their_entries_are_about_another_run(run: Released) -> None:
    writer = Writer(run.roster, run.keys)
    for signed in run.entries:
        entry = signed.entry
        body = entry.body | {"run": "ef" * 16} if entry.action == "missing" else entry.body
        writer.write(entry.party, entry.action, entry.study, body, entry.person)
    other = Released(run.outcome, run.certificate, run.roster, run.keys, writer.entries)
    assert first_failure(other.bundle, run).field == "certificate.parties"
    assert RUN not in json.dumps([s.entry.body for s in writer.entries if s.entry.action == "missing"])


def test_a_certificate_of_all_does_not_hold_where_all_others_said_that_one_is_lost() -> None:
    whole = released()
    writer = Writer(whole.roster, whole.keys)
    for signed in whole.entries:
        entry = signed.entry
        writer.write(entry.party, entry.action, entry.study, entry.body, entry.person)
    # three members and threshold 1: that cannot be said with effect, and the certificate of all three stays
    for name in SIGNERS[:2]:
        study = whole.certificate.certificate.study
        writer.write(name, "missing", study, {"run": RUN, "without": ["northfield"]})
    said = Released(whole.outcome, whole.certificate, whole.roster, whole.keys, writer.entries)
    assert failures(check_bundle(said.bundle, whole.roster)) == []
