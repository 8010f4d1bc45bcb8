import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import Card, load_card, load_roster, make_roster, read_model
from mpcstats.node.consortium.succession import changed_roster, changes
from mpcstats.node.identity.keys import create_identity


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    root = tmp_path_factory.mktemp("cards")
    made = []
    for number in range(12):
        name = f"party{number}"
        pem = create_identity(root / name, name).certificate_pem.decode()
        plain = {
            "name": name,
            "role": "data",
            "operator": f'Hospital "{number}" Ü',
            "address": f"127.0.0.1:{5000 + number}",
            "certificate": pem,
        }
        made.append(read_model(Card, plain, name))
    return made


@pytest.mark.parametrize(("m", "threshold"), [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (8, 3), (9, 4)])
def test_the_default_threshold(cards, m, threshold):
    roster = make_roster("demo", cards[:m], committee=[card.name for card in cards[:m]])
    assert roster.threshold == threshold
    assert roster.computing.m == m
    assert roster.computing.t == threshold


@pytest.mark.parametrize(("parties", "members"), [(3, 3), (7, 7), (8, 5), (12, 5)])
def test_above_seven_parties_five_compute(cards, parties, members, tmp_path):
    roster = make_roster("demo", cards[:parties])
    assert roster.committee == tuple(card.name for card in cards[:members])
    assert roster.computing.m == members
    assert "committee =" not in roster.to_toml()
    (tmp_path / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
    assert load_roster(tmp_path / "roster.toml") == roster


def test_the_committee_comes_first_in_its_own_order(cards, tmp_path):
    roster = make_roster("demo", cards[:8], committee=["party6", "party0", "party3"])
    assert roster.threshold == 1
    expected = ("party6", "party0", "party3", "party1", "party2", "party4", "party5", "party7")
    assert roster.names == roster.data_parties == expected
    assert [peer.name for peer in roster.peers] == list(expected)
    assert roster.index(cards[6].certificate_pem) == 1
    assert roster.index(cards[1].certificate_pem) == 4
    (tmp_path / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
    assert load_roster(tmp_path / "roster.toml").digest == roster.digest
    assert make_roster("demo", cards[:8], committee=["party0", "party6", "party3"]).digest != roster.digest


def test_parties_without_data_compute(cards):
    some = [changed(card, role="compute") if k in {6, 9} else card for k, card in enumerate(cards[:10])]
    assert make_roster("demo", some).committee == ("party6", "party9", "party0", "party1", "party2")
    with pytest.raises(ConfigurationError, match="party9 has no data and is not in the committee"):
        make_roster("demo", some, committee=["party0", "party1", "party6"])


@pytest.mark.parametrize(
    ("committee", "threshold", "says"),
    [
        (["party0", "party1", "party11"], None, "names party11, which is no party of this roster"),
        (["party0", "party1", "party1"], None, "names party1 twice"),
        (["party0", "party1"], None, "has 2 members, 3 to 9 can compute"),
        ([f"party{k}" for k in range(10)], None, "has 10 members, 3 to 9 can compute"),
        (["party0", "party1", "party2"], 2, "threshold 2 is not below half of 3 parties that compute"),
        (["party0", "party1", "No Name"], None, "committee.2"),
        ([], None, "has 0 members"),
    ],
)
def test_what_cannot_be_a_committee(cards, committee, threshold, says):
    with pytest.raises(ConfigurationError, match=says):
        make_roster("demo", cards[:10], threshold=threshold, committee=committee)


def test_a_named_committee_stays_in_the_next_version(cards):
    named = make_roster("demo", cards[:9], committee=["party6", "party0", "party3", "party8"])
    grown = changed_roster(named, add=[cards[10]])
    assert grown.committee == named.committee
    assert [change.text for change in changes(named, grown) if not change.party] == ["version: 1 -> 2"]
    assert changed_roster(named, remove=["party0", "party1"]).committee == ("party6", "party3", "party8")
    with pytest.raises(ConfigurationError, match="the committee has 2 members"):
        changed_roster(named, remove=["party0", "party3"])
    other = changed_roster(named, committee=["party1", "party2", "party3"])
    assert "who computes: party6, party0, party3, party8 -> party1, party2, party3" in [
        change.text for change in changes(named, other)
    ]
    usual = make_roster("demo", cards[:7])
    assert len(changed_roster(usual, add=[cards[8]]).committee) == 5
    assert len(changed_roster(usual, remove=["party0"]).committee) == 6


def test_operators_are_counted_in_the_committee(cards):
    one = [changed(card, operator="one company") if k >= 3 else card for k, card in enumerate(cards[:9])]
    assert make_roster("demo", one, committee=["party0", "party1", "party3"]).threshold == 1
    with pytest.raises(ConfigurationError, match="'one company' operates 2 parties that compute"):
        make_roster("demo", one, committee=["party0", "party3", "party4"])


@pytest.mark.parametrize(
    ("m", "threshold", "says"),
    [
        (2, None, "at least 3"),
        (3, 2, "not below half"),
        (4, 2, "not below half"),
        (3, 0, "threshold"),
    ],
)
def test_what_cannot_be_a_consortium(cards, m, threshold, says):
    with pytest.raises(ConfigurationError, match=says):
        make_roster("demo", cards[:m], threshold=threshold)


def changed(card, **fields):
    return card.model_copy(update=fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "party1", "certificate": "same"}, "the name of party1 is listed twice"),
        ({"address": "127.0.0.1:5001"}, "the address of party1 is listed twice"),
        ({"address": "nowhere"}, "address: 'nowhere' is not host:port"),
        ({"address": "host:70000"}, "host:port"),
        ({"role": "observer"}, "role"),
        ({"operator": ""}, "operator"),
        ({"certificate": "nonsense"}, "cannot be read"),
        ({"name": "other"}, "not made for the name"),
    ],
)
def test_wrong_fields_are_named(cards, fields, says):
    if fields.get("certificate") == "same":
        fields = {**fields, "certificate": cards[1].certificate}
    wrong = changed(cards[0], **fields)
    with pytest.raises(ConfigurationError, match=says):
        make_roster("demo", [wrong, *cards[1:3]])


def test_somebody_must_have_data(cards):
    with pytest.raises(ConfigurationError, match="no party has the role"):
        make_roster("demo", [changed(card, role="compute") for card in cards[:3]])


def test_files_are_read_back_the_same(cards, tmp_path):
    roster = make_roster("demo", cards[:3])
    (tmp_path / "roster.toml").write_text(roster.to_toml(), encoding="utf-8")
    assert load_roster(tmp_path / "roster.toml").digest == roster.digest
    (tmp_path / "card.toml").write_text(cards[0].to_toml(), encoding="utf-8")
    assert load_card(tmp_path / "card.toml") == cards[0]
    assert roster.peers[2].name == "party2"
    assert roster.index(cards[1].certificate_pem) == 2
    with pytest.raises(ConfigurationError, match="does not contain this party's key"):
        roster.index(cards[7].certificate_pem)


def test_every_change_changes_the_digest(cards):
    roster = make_roster("demo", cards[:5])
    others = [
        make_roster("other", cards[:5]),
        make_roster("demo", cards[:5], version=2),
        make_roster("demo", cards[:5], threshold=1),
        make_roster("demo", cards[1:6]),
        make_roster("demo", [cards[1], cards[0], *cards[2:5]]),
        make_roster("demo", [changed(cards[0], role="compute"), *cards[1:5]]),
        make_roster("demo", [changed(cards[0], address="127.0.0.1:9999"), *cards[1:5]]),
        make_roster("demo", [changed(cards[0], operator="other"), *cards[1:5]]),
    ]
    assert len({roster.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_one_operator_may_not_run_more_parties_than_the_threshold(cards):
    two = [changed(cards[0], operator="one company"), changed(cards[1], operator="one company"), cards[2]]
    with pytest.raises(
        ConfigurationError, match="'one company' operates 2 parties that compute where the threshold is 1"
    ):
        make_roster("demo", two)
    five = make_roster("demo", [*two, cards[3], cards[4]])
    assert five.threshold == 2
    spelled = [changed(cards[0], operator="One  Company "), changed(cards[1], operator="one company"), cards[2]]
    with pytest.raises(ConfigurationError, match="'One  Company ' operates 2 parties"):
        make_roster("demo", spelled)


@pytest.mark.parametrize("beside", ["second", "\n'''\n[[party]]\nname = 'x'\n", "a comment", "key"])
def test_a_certificate_comes_alone(cards, beside):
    """TLS trusts every certificate in the text, and the text is copied into rosters."""
    second = {"second": cards[1].certificate, "key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}
    for text in (cards[0].certificate + second.get(beside, beside), second.get(beside, beside) + cards[0].certificate):
        with pytest.raises(ConfigurationError, match=r"something else beside|cannot be read|not made for the name"):
            make_roster("demo", [changed(cards[0], certificate=text), *cards[1:3]])


def test_a_certificate_with_a_strange_curve_is_refused(cards):
    plain = x509.load_pem_x509_certificate(cards[0].certificate_pem).public_bytes(Encoding.DER)
    curve = bytes.fromhex("2a8648ce3d030107")
    strange = base64.encodebytes(plain.replace(curve, curve[:-1] + b"\x08")).decode()
    text = f"-----BEGIN CERTIFICATE-----\n{strange}-----END CERTIFICATE-----\n"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        make_roster("demo", [changed(cards[0], certificate=text), *cards[1:3]])


@pytest.mark.parametrize("content", [b"x = " + b"1" * 5000, b"x = " + b"[" * 50_000, b"\xff", b"x = 1 1"])
def test_a_card_that_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "card.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_card(tmp_path / "card.toml")
