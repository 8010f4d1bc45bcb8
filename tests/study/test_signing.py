"""Canonical documents and their signatures."""

from __future__ import annotations

import datetime
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcstats.errors import AuditBroken, SignatureInvalid, SpecError
from mpcstats.study.canonical import canonical_bytes, document_digest, moment, parse_moment
from mpcstats.study.entries import Entry, SignedEntry, check_chain, sign_entry
from mpcstats.study.signing import SigningKey, verify

UTC = datetime.UTC
_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_moment_has_one_spelling() -> None:
    stockholm = datetime.timezone(datetime.timedelta(hours=1))
    when = datetime.datetime(2027, 1, 31, 1, tzinfo=stockholm)
    assert canonical_bytes({"b": 1.0, "a": when}) == b'{"a":"2027-01-31T00:00:00Z","b":1}'
    assert parse_moment(moment(when)) == when
    for text in ("2027-01-31", "2027-01-31T00:00:00+00:00", "soon", "2027-01-31T01:00:00+01:00"):
        with pytest.raises(SpecError):
            parse_moment(text)
    with pytest.raises(SpecError, match="no time zone"):
        moment(datetime.datetime(2027, 1, 31))


def test_large_whole_numbers_become_text() -> None:
    assert (
        canonical_bytes([2**53 - 1, 2**53, -(2**61)]) == b'[9007199254740991,"9007199254740992","-2305843009213693952"]'
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, object(), {"a": {1, 2}}])
def test_what_has_no_canonical_form(value: object) -> None:
    with pytest.raises(SpecError, match="canonical"):
        canonical_bytes(value)


@given(_PLAIN)
def test_the_canonical_form_is_json_of_the_same_content(value: object) -> None:
    once = canonical_bytes(value)
    assert canonical_bytes(json.loads(once)) == once


def test_kinds_do_not_share_digests_or_signatures() -> None:
    key, document = SigningKey.generate(), {"a": 1}
    assert document_digest("study", document) != document_digest("entry", document)
    signature = key.sign("study", document)
    verify(key.public, "study", document, signature, what="it")
    for kind, content, public, signed in [
        ("entry", document, key.public, signature),
        ("study", {"a": 2}, key.public, signature),
        ("study", document, SigningKey.generate().public, signature),
        ("study", document, key.public, signature[:-1] + bytes([signature[-1] ^ 1])),
        ("study", document, key.public, b""),
    ]:
        with pytest.raises(SignatureInvalid):
            verify(public, kind, content, signed, what="it")
    assert key.secret.hex() not in repr(key)


def _entry(number: int, previous: str, **fields: object) -> Entry:
    plain = {
        "consortium": "cvd",
        "roster": "ab" * 32,
        "party": "westbay",
        "number": number,
        "previous": previous,
        "action": "comment",
        "study": "cd" * 32,
        "time": "2026-11-22T10:00:00Z",
        "body": {"text": "why?"},
    }
    return Entry.model_validate(plain | fields)


def test_a_chain_shows_what_was_changed_or_left_out() -> None:
    key = SigningKey.generate()
    chain: list[SignedEntry] = []
    for number in range(1, 6):
        chain.append(sign_entry(_entry(number, chain[-1].digest if chain else "0" * 64), key))
    check_chain(chain, key.public)
    check_chain(chain[:3], key.public)
    stranger = sign_entry(chain[2].entry, SigningKey.generate())
    for broken in (
        chain[1:],
        chain[:2] + chain[3:],
        [chain[0], chain[2], chain[1]],
        [*chain[:2], stranger, *chain[3:]],
    ):
        with pytest.raises(AuditBroken):
            check_chain(broken, key.public)


def test_every_field_of_an_entry_is_signed() -> None:
    key = SigningKey.generate()
    signed = sign_entry(_entry(1, "0" * 64, person="dpo@westbay"), key)
    signed.check(key.public)
    others = {
        "consortium": "other",
        "roster": "ba" * 32,
        "party": "lakeside",
        "number": 2,
        "previous": "1" * 64,
        "action": "approve",
        "study": "dc" * 32,
        "person": "",
        "time": "2026-11-22T10:00:01Z",
        "body": {"text": "why"},
    }
    assert {"apiVersion", "kind", *others} == set(Entry.model_fields)
    for name, value in others.items():
        changed = SignedEntry(entry=signed.entry.model_copy(update={name: value}), signature=signed.signature)
        with pytest.raises(SignatureInvalid):
            changed.check(key.public)
