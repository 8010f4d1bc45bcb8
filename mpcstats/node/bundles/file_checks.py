"""Of a bundle's files: the zip, the index, its signature, and the roster that the keys are from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from mpcstats.errors import BundleInvalid, ConfigurationError, SignatureInvalid
from mpcstats.node.bundles.archive import compare_zip, read_zip
from mpcstats.node.bundles.opened import OpenedBundle, WrongPart, difference, document, member, model_of
from mpcstats.node.bundles.parts import (
    INDEX,
    BundleIndex,
    field_digests,
    index_signature_kind,
    parse_document,
    pretty_json,
)
from mpcstats.node.consortium.roster import Roster, past_roster
from mpcstats.study.signing import verify

__all__ = ["check_files", "check_index", "check_index_signed", "check_roster", "check_zip"]


def check_zip(bundle: OpenedBundle, data: bytes) -> str:
    """The zip holds nothing but its members, and each once."""
    try:
        bundle.files = read_zip(data)
        compare_zip(data, bundle.files)
    except BundleInvalid as error:
        name, _, rest = error.message.partition(": ")
        raise WrongPart(name.strip("'"), _where(bundle.files, name), rest or error.message) from None
    return f"{len(bundle.files)} files, {len(data):,} bytes"


def _where(files: Mapping[str, bytes], name: str) -> str:
    """The field of a changed member, as far as the index is there to tell."""
    if name == INDEX or name not in files:
        return ""
    try:
        plain = parse_document(INDEX, files.get(INDEX, b""))
        index = BundleIndex.model_validate({key: value for key, value in plain.items() if key != "signature"})
    except (ValueError, AttributeError, RecursionError):
        return ""
    return _changed_field(name, files[name], index)


def check_index(bundle: OpenedBundle) -> str:
    """The index can be read."""
    plain = document(bundle, INDEX)
    plain.pop("signature", None)
    bundle.index = model_of(BundleIndex, plain, INDEX)
    return f"written by {bundle.index.party}"


def check_files(bundle: OpenedBundle) -> str:
    """The files are those of the index, byte for byte."""
    assert bundle.index is not None
    listed = bundle.index.files
    for name, content in bundle.files.items():
        if name == INDEX:
            continue
        if name not in listed:
            raise WrongPart(name, "", "is not in the index")
        if hashlib.sha256(content).hexdigest() != listed[name]:
            raise WrongPart(name, _changed_field(name, content, bundle.index), "is not what the index says")
    missing = sorted(set(listed) - set(bundle.files))
    if missing:
        raise WrongPart(missing[0], "", "is missing")
    return f"SHA-256 of {len(listed)} files"


def _changed_field(name: str, content: bytes, index: BundleIndex) -> str:
    if hashlib.sha256(content).hexdigest() == index.files.get(name):
        return ""
    due, found = index.fields.get(name, {}), field_digests(name, content)
    if not due or not found:
        return ""
    changed = [path for path in (*due, *found) if due.get(path) != found.get(path)]
    return changed[0] if changed else "spelling"


def check_roster(bundle: OpenedBundle, trusted: Roster | None) -> str:
    """The roster is sound and, where the reader has one, theirs."""
    text = member(bundle, "roster.toml").decode("utf-8")
    try:
        bundle.roster = past_roster(text, "roster.toml")
        bundle.keys = {member.name: member.signing_public for member in bundle.roster.party}
    except ConfigurationError as error:
        raise WrongPart("roster.toml", "", error.message) from None
    if trusted is None:
        return f"{bundle.roster.consortium}, version {bundle.roster.version}; not compared: give --roster"
    if trusted.digest != bundle.roster.digest:
        raise WrongPart("roster.toml", difference(trusted, bundle.roster), "is not the roster given with --roster")
    return f"{trusted.consortium}, version {trusted.version}: the one given"


def check_index_signed(bundle: OpenedBundle) -> str:
    """Who wrote the bundle signed its index."""
    assert bundle.index is not None
    plain = document(bundle, INDEX)
    if pretty_json(plain) != bundle.files[INDEX]:
        raise WrongPart(INDEX, "spelling", "is not written as an index is")
    party = bundle.index.party
    if party not in bundle.keys:
        raise WrongPart(INDEX, "party", f"{party} is not in the roster")
    try:
        signature = bytes.fromhex(plain.get("signature", ""))
        verify(bundle.keys[party], index_signature_kind(), bundle.index, signature, what="the index", party=party)
    except (SignatureInvalid, ValueError, TypeError):
        raise WrongPart(INDEX, "signature", f"the signature of {party} does not hold for this index") from None
    return f"by {party}"
