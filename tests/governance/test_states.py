"""The state of a study follows from its signed entries, whatever order they came in."""

from __future__ import annotations

import datetime
import itertools
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcstats.errors import (
    AuditBroken,
    Divergence,
    FrameRejected,
    MpcStatsError,
    NotApproved,
    NotPermitted,
    SignatureInvalid,
    SpecError,
    StudyClosed,
)
from mpcstats.node.consortium.roster import Roster, make_roster
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.locking import make_lock
from mpcstats.node.governance.permit import Permit, check_unapproved
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party, make_card
from mpcstats.node.state.database import Database
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, state_of
from mpcstats.study.lock import Cost, Proposal, parse_proposal
from mpcstats.study.policy import Policy, parse_policy
from mpcstats.study.presets import PRESETS
from tests.governance.kit import NAMES, count_manifest, study_file

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
SPEC = CountSpec(by=("sex",))


class House:
    """Three desks without nodes: entries are carried by hand."""

    def __init__(self, root) -> None:
        directories = []
        for k, name in enumerate(NAMES):
            create_party(root / name, name=name, listen=f"127.0.0.1:{4710 + k}", advertise=f"127.0.0.1:{4710 + k}")
            directories.append(PartyDirectory(root / name))
        self.roster: Roster = make_roster("heart", [make_card(each.path) for each in directories])
        self.keys = {each.config.name: each.signing_key() for each in directories}
        self.now = NOW

    def desks(self) -> dict[str, Desk]:
        return {
            name: Desk(Database.in_memory(name), self.roster, name, key, now=lambda: self.now)
            for name, key in self.keys.items()
        }

    def terms(self, **rules: Any) -> dict[str, dict[str, Any]]:
        found = {"role": "data", "policy": "a" * 64, "dictionary": "b" * 64, "plan": "c" * 64, "release": "manual"}
        plain = asdict(Policy.preset("standard").rules)
        return {name: found | {"rules": plain | rules.get(name, {})} for name in NAMES}

    def proposal(self, **study: Any) -> Proposal:
        terms = study.pop("terms", None) or self.terms()
        lock = make_lock(SPEC, self.roster, terms, count_manifest(2), Cost(rounds=16), study.get("recipients", ()))
        return Proposal(study=study_file(SPEC, **{"expires": "2027-01-01T00:00:00Z"} | study), lock=lock)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("house"))


def _propose(desk: Desk, proposal: Proposal) -> str:
    desk.write("propose", proposal.id, json.loads(proposal.model_dump_json()))
    return proposal.id


def _deliver(desks: dict[str, Desk]) -> None:
    for one, other in itertools.permutations(desks.values(), 2):
        for document in one.after(other.heads(), 1 << 20):
            other.add(SignedEntry.model_validate_json(document))


def _scene(house: House, *acts: tuple[str, str, dict[str, Any]], **study: Any) -> tuple[list[SignedEntry], str]:
    """Entries of a proposal by the first party and these acts."""
    desks = house.desks()
    identity = _propose(desks[NAMES[0]], house.proposal(**study))
    for party, action, body in acts:
        desks[party].write(action, identity, body)
    _deliver(desks)
    return desks[NAMES[1]].entries_of(identity), identity


APPROVED = [(name, "approve", {}) for name in NAMES]
RUN = {"run": "ab" * 16}
COMPUTED = [(name, "computed", RUN) for name in NAMES]
RELEASED = [(name, "release", RUN) for name in NAMES]


@pytest.mark.parametrize(
    ("acts", "status"),
    [
        ([], "in review"),
        (APPROVED[:2], "in review"),
        (APPROVED, "approved"),
        ([*APPROVED[:2], (NAMES[2], "reject", {"reason": "no"})], "rejected"),
        ([*APPROVED, (NAMES[1], "reject", {})], "rejected"),
        ([*APPROVED, (NAMES[1], "withdraw", {"what": "approval"})], "revoked"),
        ([*APPROVED, (NAMES[1], "withdraw", {"what": "approval"}), (NAMES[1], "approve", {})], "revoked"),
        ([*APPROVED, (NAMES[0], "withdraw", {"what": "proposal"})], "withdrawn"),
        ([*APPROVED, *COMPUTED[:2]], "approved"),
        ([*APPROVED, *COMPUTED], "computed"),
        ([*APPROVED, *COMPUTED, *RELEASED], "computed"),
        ([*APPROVED, *COMPUTED, *RELEASED, (NAMES[0], "released", RUN)], "released"),
        ([*APPROVED, *COMPUTED, (NAMES[2], "withhold", RUN | {"reason": "odd"})], "withheld"),
        ([(name, "approve", {"until": "2026-11-21T00:00:00Z"}) for name in NAMES], "in review"),
    ],
)
def test_statuses(house, acts, status) -> None:
    entries, _ = _scene(house, *acts)
    assert state_of(entries, NOW).status == status


def test_a_study_expires_unless_its_result_is_out(house) -> None:
    later = NOW + datetime.timedelta(days=60)
    entries, _ = _scene(house, *APPROVED)
    assert state_of(entries, later).status == "expired"
    with pytest.raises(StudyClosed, match="expired at 2027-01-01"):
        state_of(entries, later).require_approved()
    out, _ = _scene(house, *APPROVED, *COMPUTED, *RELEASED, (NAMES[0], "released", RUN))
    assert state_of(out, later).status == "released"


@pytest.fixture(scope="module")
def busy(house) -> list[SignedEntry]:
    acts = [*APPROVED, *COMPUTED[:2], (NAMES[0], "comment", {"text": "?"}), (NAMES[2], "reject", {}), RELEASED[0]]
    return _scene(house, *acts)[0]


@given(order=st.permutations(range(9)))
def test_the_order_of_arrival_says_nothing(busy, order) -> None:
    entries = busy
    assert len(entries) == len(order)
    mixed = [entries[k] for k in order]
    one, other = state_of(entries, NOW), state_of(mixed, NOW)
    assert (one.status, one.decisions, one.runs) == (other.status, other.decisions, other.runs)


def test_desks_take_what_is_signed_and_next_and_nothing_else(house) -> None:
    desks = house.desks()
    lead, other = desks[NAMES[0]], desks[NAMES[1]]
    identity = _propose(lead, house.proposal())
    said = [lead.write("comment", identity, {"text": str(k)}) for k in range(3)]
    (proposal,) = lead.chain(NAMES[0])[:1]
    with pytest.raises(FrameRejected, match="entry 1 is due"):
        other.add(said[0])
    assert other.add(proposal)
    assert not other.add(proposal)
    forged = said[0].model_copy(update={"signature": said[1].signature})
    with pytest.raises(SignatureInvalid):
        other.add(forged)
    assert other.add(said[0])
    # the same party, the same number, another entry: two histories
    twin = house.desks()[NAMES[0]]
    twin.add(proposal)
    fork = twin.write("comment", identity, {"text": "another"})
    with pytest.raises(AuditBroken, match="two different entries with number 2"):
        other.add(fork)
    # what calls itself a proposal and is none stays in the chain of its party, and there is no study of it
    third = desks[NAMES[2]]
    for body in (json.loads(house.proposal().model_dump_json()), {"study": "of another time"}):
        third.write("propose", "0" * 64, body)
    assert [number for number, _ in third.studies()] == []
    assert third.heads()[NAMES[2]] == 2


def test_a_database_that_somebody_changed_is_noticed(house) -> None:
    from sqlalchemy import update

    from mpcstats.node.state.tables import EntryRow

    desk = house.desks()[NAMES[0]]
    identity = _propose(desk, house.proposal())
    desk.write("comment", identity, {"text": "as it was"})
    with desk.database.transaction() as session:
        row = session.query(EntryRow).filter_by(number=2).one()
        session.execute(
            update(EntryRow).where(EntryRow.number == 2).values(document=row.document.replace("as it was", "as it is"))
        )
    with pytest.raises(SignatureInvalid, match="comment"):
        desk.study(identity)


def test_studies_are_found_by_number_name_and_id(house) -> None:
    desk = house.desks()[NAMES[0]]
    first = _propose(desk, house.proposal(id="one"))
    second = _propose(desk, house.proposal(id="one", title="again"))
    assert desk.study("1").id == desk.study("#1").id == desk.study(first[:12]).id == first
    assert desk.study("one").id == second  # the latest of its name
    for wrong in ("3", "two", first[:4], "../../etc/passwd", "%", ""):
        with pytest.raises(SpecError, match="no study is known"):
            desk.study(wrong)


def _state(house: House, **study: Any) -> StudyState:
    entries, _ = _scene(house, *APPROVED, **study)
    return state_of(entries, NOW)


def test_a_permit_holds_for_the_approved_request_alone(house) -> None:
    permit = Permit(_state(house), "compute", "ab" * 16)
    permit.check_request(SPEC, house.roster)
    for other, field in [
        (CountSpec(by=("sex",), where="age > 60"), "where"),
        (CountSpec(by=("age",)), "by"),
        (CountSpec(by=("sex",), dataset="other"), "dataset"),
        (CountSpec(by=("sex",), policy="strict20"), "policy"),
    ]:
        with pytest.raises(Divergence, match=f"differs from the approved study in '{field}'"):
            permit.check_request(other, house.roster)
    newer = make_roster("heart", house.roster.party, 2, previous=house.roster.digest.hex())
    with pytest.raises(Divergence, match="roster here is not the one"):
        permit.check_request(SPEC, newer)
    with pytest.raises(NotApproved, match="sealed until every party"):
        Permit(permit.state, "whole", "ab" * 16).check_request(SPEC, house.roster)
    with pytest.raises(SpecError, match="no schedule"):
        Permit(permit.state, "compute", "ab" * 16, "2026-12-01T00:00:00Z").check_request(SPEC, house.roster)
    with pytest.raises(NotApproved, match="no sealed result"):
        Permit(permit.state, "release", "ab" * 16).check_request(SPEC, house.roster)


def test_releases_are_counted(house) -> None:
    entries, _ = _scene(house, *APPROVED, *COMPUTED, *RELEASED[:2])
    permit = Permit(state_of(entries, NOW), "release", RUN["run"])
    with pytest.raises(NotApproved, match="2 of 3 parties: waiting for westbay"):
        permit.check_request(SPEC, house.roster)
    entries, _ = _scene(house, *APPROVED, *COMPUTED, *RELEASED)
    Permit(state_of(entries, NOW), "release", RUN["run"]).check_request(SPEC, house.roster)
    with pytest.raises(NotApproved, match="no sealed result of this run"):
        Permit(state_of(entries, NOW), "release", "cd" * 16).check_request(SPEC, house.roster)


def test_a_party_that_became_stricter_is_named(house) -> None:
    permit = Permit(_state(house, terms=house.terms(westbay={"minimum_count": 20})), "compute", "ab" * 16)
    rules = permit.lock.all_rules
    assert permit.lock.effective[1]["minimum_count"] == "westbay"
    permit.check_rules(rules)
    permit.check_rules(rules | {"westbay": Policy.preset("standard").rules})  # more lenient: the approved 20 holds
    stricter = parse_policy({"extends": "standard", "disclosure": {"minimum_count": 25}}).rules
    with pytest.raises(NotPermitted, match=r"minimum_count is 20 .* \(because of westbay\) and 25 now") as error:
        permit.check_rules(rules | {"lakeside": stricter})
    assert error.value.party == "lakeside"


def test_entries_under_another_roster_say_nothing(house) -> None:
    """An approval that was given in another consortium, or under another version of the roster, does not count."""
    entries, identity = _scene(house, *APPROVED[:2])
    desks = house.desks()
    second = make_roster("heart", house.roster.party, 2, previous=house.roster.digest.hex())
    later = Desk(
        Database.in_memory(NAMES[2]), second, NAMES[2], house.keys[NAMES[2]], now=lambda: NOW, earlier=[house.roster]
    )
    foreign = later.write("approve", identity, {})
    assert state_of([*entries, foreign], NOW).status == "in review"
    with pytest.raises(FrameRejected, match="unknown roster"):
        desks[NAMES[0]].add(foreign)


@pytest.mark.parametrize(
    ("analysis", "auto", "fine"),
    [
        ("count", [], False),
        ("count", ["*"], True),
        ("count", ["kaplan-meier"], False),
        ("count", ["count"], True),
        ("count", ["count with minimum_count >= 11"], True),
        ("count", ["count with minimum_count >= 12"], False),
        ("count", ["kaplan-meier", "* with rounding_base >= 5"], True),
    ],
)
def test_what_needs_nobody(analysis, auto, fine) -> None:
    policy = parse_policy({"extends": "standard", "approval": {"auto": auto}})
    assert policy.approval.needs_nobody(analysis, policy.rules) is fine
    if fine:
        check_unapproved(policy, SPEC, policy.rules, "westbay")
    else:
        with pytest.raises(NotApproved, match="needs an approved study"):
            check_unapproved(policy, SPEC, policy.rules, "westbay")


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ({"extends": "lenient"}, "no preset is called"),
        ({"approval": {"auto": ["counts"]}}, "is not an analysis"),
        ({"approval": {"auto": ["count with kindness >= 3"]}}, "there is no rule"),
        ({"approval": {"rule": "most"}}, "must be"),
        ({"approval": {"people": ["a"], "rule": "2-of"}}, "2 people must approve and 1 are listed"),
        ({"approval": {"people": ["a"], "two_person": True}}, "2 people must approve"),
        ({"approval": {"people": ["a", "a"]}}, "listed twice"),
        ({"budget": {"runs_per_month": 0}}, "greater than or equal to 1"),
        ({"release": {"rule": "soon"}}, "'manual' or 'auto'"),
        ({"colums": {}}, "did you mean columns"),
    ],
)
def test_policies_that_are_wrong(plain, problem) -> None:
    with pytest.raises(MpcStatsError, match=problem):
        parse_policy({"extends": "standard"} | plain)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "open"])
def test_no_preset_but_open_lets_single_people_out(name) -> None:
    rules, policy = Policy.preset(name).rules, Policy.preset(name)
    assert rules.minimum_count >= 3
    assert not any((rules.exact_curve, rules.all_variants, rules.allele_counts, rules.small_remainders))
    assert policy.approval.auto == ()
    assert policy.release.rule == "manual"


def test_malformed_proposals_name_the_field(house) -> None:
    plain = json.loads(house.proposal().model_dump_json())
    assert parse_proposal(plain).id == house.proposal().id
    for change, problem in [
        (("study", "expires", "soon"), "expires|time"),
        (("study", "purpose", ""), "purpose"),
        (("lock", "roster", "xyz"), "lock.roster"),
        (("lock", "recipients", ["westbay"]), "recipients of the study is not the one of its lock"),
        (("study", "recipients", ["nobody"]), "no party of heart"),
        (("lock", "data_parties", ["nobody"]), "lock.data_parties"),
        (("lock", "rules", {}), "lock.rules"),
        (("lock", "manifest", [{"name": "x"}]), "manifest"),
        (("lock", "spec", {"type": "count", "where": 3}), "where"),
        (("lock", "extra", 1), "lock.extra"),
    ]:
        wrong = json.loads(json.dumps(plain))
        wrong[change[0]][change[1]] = change[2]
        with pytest.raises(SpecError, match=problem):
            parse_proposal(wrong)
