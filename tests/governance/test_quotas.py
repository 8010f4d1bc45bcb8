"""What one party may write: entries that are one too many are refused, and taken when their time has come."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace

import pytest

from mpcstats.errors import LimitExceeded
from mpcstats.node.governance.courier import Courier
from mpcstats.node.governance.desk import Desk
from mpcstats.node.observing.vitals import Vitals
from mpcstats.node.settings.limits import Limits
from mpcstats.node.state.database import Database
from mpcstats.study.entries import SignedEntry
from mpcstats.wire.node_pb2 import Entries
from tests.governance.kit import NAMES
from tests.governance.test_states import NOW, House

FIRST, SECOND = NAMES[0], NAMES[1]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(autouse=True)
def _the_clock(house):
    house.now = NOW


def desk(house, name, **limits):
    return Desk(
        Database.in_memory(name),
        house.roster,
        name,
        house.keys[name],
        now=lambda: house.now,
        limits=Limits(**limits),
    )


def carry(one, other):
    for document in one.after(other.heads(), 1 << 20):
        other.add(SignedEntry.model_validate_json(document))


def propose(at, house, name):
    proposal = house.proposal(id=f"study-{name}")
    at.write("propose", proposal.id, json.loads(proposal.model_dump_json()))
    return proposal.id


def test_another_party_writes_so_much_a_day(house):
    writer, reader = desk(house, FIRST), desk(house, SECOND, entries_per_day=2)
    for _ in range(4):
        writer.write("approve", "ab" * 32, {})
    with pytest.raises(LimitExceeded, match=r"3 entries in 24 hours; the limit is 2 \(entries_per_day\)") as caught:
        carry(writer, reader)
    assert caught.value.party == FIRST
    assert reader.heads()[FIRST] == 2
    house.now = NOW + datetime.timedelta(hours=25)
    carry(writer, reader)
    assert reader.heads()[FIRST] == 4  # nothing is lost


def test_ones_own_people_are_told_before_the_others_refuse(house):
    own = desk(house, FIRST, comments_per_day=1, entries_per_day=3)
    own.write("comment", "ab" * 32, {"text": "one"})
    with pytest.raises(LimitExceeded, match="comments_per_day"):
        own.write("comment", "ab" * 32, {"text": "two"})
    for _ in range(5):  # what a run has to say is never held up
        own.write("computed", "ab" * 32, {"run": "cd" * 16})


def test_open_proposals(house):
    own, careful = desk(house, FIRST, open_proposals=2), desk(house, SECOND, open_proposals=1)
    first = propose(own, house, "one")
    propose(own, house, "two")
    with pytest.raises(LimitExceeded, match=r"2 studies that .* open; the limit is 2 \(open_proposals\)"):
        propose(own, house, "three")
    own.write("withdraw", first, {"what": "proposal"})
    propose(own, house, "three")
    carry(own, careful)
    # the chain is whole, and what was too much is no study there
    assert careful.heads()[FIRST] == own.heads()[FIRST] == 4
    assert [state.proposal.name for _, state in careful.studies()] == ["study-one", "study-three"]


async def test_a_party_that_takes_nothing_is_not_asked_again_at_once(house):
    own, asked = desk(house, FIRST), []
    own.write("approve", "ab" * 32, {})

    class Stub:
        async def Exchange(self, request, timeout):
            asked.append(request)
            return Entries(heads_json="{}")

    courier = Courier(own, {SECOND: Stub()}, SimpleNamespace(error=lambda *_, **__: None))
    assert await courier.exchange(SECOND) == ""
    assert [len(request.entries) for request in asked] == [0, 1]


def test_vitals_count_studies_and_tell_nothing_of_them(house, tmp_path):
    own = desk(house, FIRST)
    state = tmp_path / "state"
    state.mkdir()
    identity = SimpleNamespace(certificate_pem=house.roster.ordered[house.roster.names.index(FIRST)].certificate_pem)
    directory = SimpleNamespace(state=state, identity=lambda: identity)
    vitals = Vitals(directory, own, None)
    assert vitals.read()["studies"] == {}
    propose(own, house, "one")
    found = vitals.read()
    assert found["studies"] == {"in review": 1}
    assert found["waiting_here"] == 1
    assert (found["schedules"], found["held"], found["roster_version"]) == (0, 0, house.roster.version)
    assert found["certificate_days"] > 30
    assert "study-one" not in json.dumps(found)
