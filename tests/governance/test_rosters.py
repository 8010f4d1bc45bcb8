"""Versions of a roster: who signs them, who comes and goes, who changes keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpcstats.errors import ConfigurationError, FrameRejected
from mpcstats.node.consortium.joining import join_roster, joined, new_keys, review_roster
from mpcstats.node.consortium.roster import load_roster, make_roster
from mpcstats.node.consortium.succession import changed_roster, changes, vouched
from mpcstats.node.governance.desk import Desk
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party, make_card
from mpcstats.node.state.database import Database

NAMES = ("alpha", "beta", "gamma")


def _party(root: Path, name: str, port: int) -> PartyDirectory:
    create_party(root / name, name=name, listen=f"127.0.0.1:{port}", advertise=f"127.0.0.1:{port}")
    return PartyDirectory(root / name)


@pytest.fixture
def parties(tmp_path: Path) -> dict[str, PartyDirectory]:
    return {name: _party(tmp_path, name, 4710 + k) for k, name in enumerate(NAMES)}


@pytest.fixture
def roster(parties):
    roster = make_roster("cvd", [make_card(each.path) for each in parties.values()])
    for each in parties.values():
        join_roster(each, roster)
    return roster


def _desk(directory: PartyDirectory) -> Desk:
    database = Database(directory.state_url, directory.config.name)
    earlier = directory.earlier_rosters()
    return Desk(database, directory.roster(), directory.config.name, directory.signing_key(), earlier=earlier)


def test_every_party_signs_the_roster_once_and_hears_of_the_others(parties, roster) -> None:
    desks = {name: _desk(each) for name, each in parties.items()}
    assert list(joined(desks["alpha"])) == ["alpha"]
    for other in ("beta", "gamma"):
        for signed in desks[other].chain(other):
            assert desks["alpha"].add(signed)
            assert not desks["alpha"].add(signed)
    assert set(joined(desks["alpha"])) == set(NAMES)
    again = join_roster(parties["alpha"], roster)
    assert again == joined(desks["alpha"])["alpha"]


def test_a_stranger_signs_nothing(parties, roster, tmp_path) -> None:
    stranger = _party(tmp_path, "delta", 4720)
    other = make_roster("cvd", [make_card(p.path) for p in (*parties.values(), stranger)])
    entry = join_roster(stranger, other)
    with pytest.raises(FrameRejected, match="stranger"):
        _desk(parties["alpha"]).add(entry)


def test_keys_change_with_the_old_keys_signature(parties, roster) -> None:
    before = make_card(parties["beta"].path).words
    card = new_keys(parties["beta"])
    assert vouched(roster.party[1], card)
    with pytest.raises(ConfigurationError, match="not in use yet"):
        new_keys(parties["beta"])
    new = changed_roster(roster, replace=[card])
    assert (new.version, new.previous) == (2, roster.digest.hex())
    assert [(c.party, c.unvouched) for c in changes(roster, new)] == [("", False), ("beta", False)]
    for each in parties.values():
        review_roster(each, new)
        join_roster(each, new)
    assert make_card(parties["beta"].path).words == card.words != before
    desk = _desk(parties["beta"])
    assert [signed.entry.roster for signed in desk.chain("beta")] == [roster.digest.hex(), new.digest.hex()]
    kept = list(parties["beta"].path.glob("keys-until-*/node.key"))
    assert len(kept) == 1


def test_keys_that_nobody_vouches_for_need_people(parties, roster, tmp_path) -> None:
    other = _party(tmp_path / "again", "beta", 4711)
    new = changed_roster(roster, replace=[make_card(other.path)])
    with pytest.raises(ConfigurationError, match="beta has new keys") as error:
        review_roster(parties["alpha"], new)
    assert "--accept beta" in (error.value.hint or "")
    assert any(change.unvouched for change in review_roster(parties["alpha"], new, ["beta"]))
    forged = make_card(other.path).model_copy(update={"succession": new_keys(parties["beta"]).succession})
    assert not vouched(roster.party[1], forged)


def test_parties_come_and_go_one_version_after_the_other(parties, roster, tmp_path) -> None:
    delta, epsilon = _party(tmp_path, "delta", 4720), _party(tmp_path, "epsilon", 4721)
    second = changed_roster(roster, add=[make_card(delta.path), make_card(epsilon.path)])
    third = changed_roster(second, remove=["alpha"])
    assert second.names == (*NAMES, "delta", "epsilon")
    assert second.threshold == 2
    assert third.names == ("beta", "gamma", "delta", "epsilon")
    assert third.threshold == 1
    assert {c.text.split(":")[0] for c in changes(roster, second)} == {"version", "threshold", "who computes", "comes"}
    assert ("alpha", "leaves") in {(c.party, c.text) for c in changes(second, third)}
    with pytest.raises(ConfigurationError, match="does not follow"):
        review_roster(parties["beta"], third)
    review_roster(parties["beta"], second)
    join_roster(parties["beta"], second)
    with pytest.raises(ConfigurationError, match="already uses version 2"):
        review_roster(parties["beta"], roster)
    with pytest.raises(ConfigurationError, match="is not the one that version 3"):
        join_roster(delta, third, earlier=[roster])
    join_roster(delta, third, earlier=[roster, second])
    desk = _desk(delta)
    assert all(desk.add(signed) for signed in _desk(parties["beta"]).chain("beta"))
    assert load_roster(delta.roster_file) == third


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"remove": ["omega"]}, "no party 'omega'"), ({}, "nothing changes"), ({"remove": ["alpha"]}, "at least 3")],
)
def test_changes_that_cannot_be_made(roster, change, problem) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        changed_roster(roster, **change)
