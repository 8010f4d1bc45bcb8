"""The end of a run: all parties make the same certificate, sign it, and check each other's signatures.

Two rounds after the last opening (four with several guests): what only one party knows (its commitment to the records
it read, the digest of the result where it has it, the state of its audit log), then signatures with the proof that the
run is in that log.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from mpcstats.errors import AuditBroken, Divergence, FrameRejected, SignatureInvalid
from mpcstats.node.auditing.log import AuditLog
from mpcstats.runtime import Session, local
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_digest import outcome_digest
from mpcstats.study.audit import Condition
from mpcstats.study.canonical import canonical_bytes
from mpcstats.study.certificate import (
    Certificate,
    Evidence,
    LogState,
    RunIdentity,
    SignedCertificate,
    build_certificate,
    check_certificate,
    check_evidence,
    sign_certificate,
)
from mpcstats.study.signing import SIGNATURE_BYTES, SigningKey

__all__ = ["Certifying", "certify"]

_HASH = 32
_SIZE = 8
_EVIDENCE = 8192
"""Bytes of a party's evidence, filled up: a record without values and at most 64 hashes."""

_NOTHING = bytes(_HASH)


@dataclass(frozen=True)
class Certifying:
    """What one party needs to certify its runs.

    Attributes
    ----------
    key : SigningKey
        Its own.
    keys : mapping of party to public signing key
        Of all parties of the roster.
    identity : RunIdentity
    audit : AuditLog or None
        Where the run is written down; at all parties or at none.
    commitment : function without arguments, or None
        This party's `mpcstats.node.auditing.snapshots.commitment` to what it read; None without data. Runs in a thread.
    """

    key: SigningKey
    keys: Mapping[str, bytes]
    identity: RunIdentity
    audit: AuditLog | None = None
    commitment: Callable[[], bytes] | None = None


@dataclass(frozen=True)
class _Told:
    """What a party tells before the certificate can be made."""

    snapshot: bytes
    outcome: bytes
    openings: bytes
    size: int
    root: bytes

    def to_bytes(self) -> bytes:
        return self.snapshot + self.outcome + self.openings + self.size.to_bytes(_SIZE, "little") + self.root

    @classmethod
    def from_bytes(cls, data: bytes) -> _Told:
        snapshot, outcome, openings = (data[at : at + _HASH] for at in (0, _HASH, 2 * _HASH))
        size, root = data[3 * _HASH : 3 * _HASH + _SIZE], data[3 * _HASH + _SIZE :]
        return cls(snapshot, outcome, openings, int.from_bytes(size, "little"), root)


async def certify(
    session: Session, certifying: Certifying, account: Mapping[str, Any], outcome: Outcome | None
) -> dict[str, Any]:
    """Make the run's certificate with all parties. Two rounds; four where several guests take part.

    Parameters
    ----------
    session : Session
        After `confirm`.
    account : mapping
        As in `Outcome.run`: what was opened, rules, parties; the same at every party.
    outcome : Outcome or None
        The result. None at a party that is no recipient, or lacks the public variant table: it signs what the others
        agree on.

    Returns
    -------
    dict
        "certificate": the SignedCertificate with every party's signature and evidence, checked, as plain values.

    Raises
    ------
    Divergence, SignatureInvalid, AuditBroken, FrameRejected
        Names the party that has another result, did not sign the same, or did not write the run down.
    """
    own_digest = _NOTHING if outcome is None else outcome_digest(outcome)
    evidence, told = await _own(certifying, session, account, own_digest)
    messages = await _everybodys(session, told.to_bytes())
    by_party = {session.name(j): _Told.from_bytes(message) for j, message in messages.items()}
    certificate = build_certificate(
        certifying.identity,
        account,
        openings=_common(by_party, "openings", _own_openings(session, account)).hex(),
        snapshots=_snapshots(by_party, account["data_parties"]),
        outcome=_common(by_party, "outcome", own_digest).hex(),
        audit=_log_states(by_party, certifying.audit is not None),
    )
    signature = bytes.fromhex(sign_certificate(certifying.key, certificate))
    signed = await _everybodys(session, signature + _padded(evidence))
    return {"certificate": _checked(session, certifying, certificate, signed).model_dump(mode="json")}


async def _everybodys(session: Session, message: bytes) -> dict[int, bytes]:
    """The messages of all parties, of one length, by number. Guests do not reach each other: a member passes on."""
    size = len(message)
    sent = await session.exchange(
        dict.fromkeys(session.peers, message), dict.fromkeys(session.peers, size), guests=True
    )
    found = {session.index: message} | {j: bytes(data) for j, data in sent.items()}
    guests = session.guests
    if len(guests) > 1:
        relayed = {g: b"".join(found[h] for h in guests if h != g) for g in guests} if session.index == 1 else {}
        rest = [g for g in guests if g != session.index]
        expected = {1: size * len(rest)} if session.is_guest else {}
        passed_on = bytes((await session.exchange(relayed, expected, guests=True)).get(1, b""))
        if session.is_guest:
            found |= {g: passed_on[place * size : (place + 1) * size] for place, g in enumerate(rest)}
    return dict(sorted(found.items()))


async def _own(
    certifying: Certifying, session: Session, account: Mapping[str, Any], digest: bytes
) -> tuple[Evidence | None, _Told]:
    """Write the run down, and what this party has to tell."""
    snapshot, openings = _NOTHING, _own_openings(session, account)
    if certifying.commitment is not None:
        snapshot = await local(session, certifying.commitment)
    if certifying.audit is None:
        return None, _Told(snapshot, digest, openings, 0, _NOTHING)
    evidence, state = await local(session, _written_down, certifying.audit, certifying.identity, account)
    return evidence, _Told(snapshot, digest, openings, state.size, bytes.fromhex(state.root))


def _written_down(log: AuditLog, identity: RunIdentity, account: Mapping[str, Any]) -> tuple[Evidence, LogState]:
    """The run's record, and the log as it was with it. A run that is taken up again has its record already."""
    conditions: dict[str, Condition] = {
        "run": identity.run,
        "study_digest": str(account["study_digest"]),
        "values_opened": sum(row["values"] for row in account["opened"]),
    }
    record = log.find("run-certified", identity.study, conditions)
    if record is None:
        record = log.append("run-certified", "node", identity.study, **cast(Any, conditions))
    size = record.index + 1
    proof = tuple(part.hex() for part in log.inclusion(record.index, size))
    return Evidence(record=record, proof=proof), LogState(size=size, root=log.root(size).hex())


def _snapshots(by_party: Mapping[str, _Told], data_parties: list[str]) -> dict[str, str]:
    for name, told in by_party.items():
        if (told.snapshot != _NOTHING) != (name in data_parties):
            raise FrameRejected("sent a commitment that does not fit its role", party=name)
    return {name: by_party[name].snapshot.hex() for name in by_party if name in data_parties}


def _own_openings(session: Session, account: Mapping[str, Any]) -> bytes:
    """The digest of what was opened; nothing where this party did not see all of it."""
    return _NOTHING if session.blind else bytes.fromhex(account["openings_digest"])


def _common(by_party: Mapping[str, _Told], what: str, own: bytes) -> bytes:
    """The digest of openings or outcome that all parties agree on that have it."""
    known = {name: getattr(told, what) for name, told in by_party.items() if getattr(told, what) != _NOTHING}
    common = own if own != _NOTHING else next(iter(known.values()), _NOTHING)
    for name, digest in known.items():
        if not hmac.compare_digest(digest, common):
            raise Divergence(f"has another result than this party ({what}); no certificate is signed", party=name)
    if common == _NOTHING:
        raise Divergence(f"no party has the {what} that is to be certified")
    return common


def _log_states(by_party: Mapping[str, _Told], wanted: bool) -> dict[str, LogState]:
    for name, told in by_party.items():
        if (told.size > 0) != wanted:
            raise AuditBroken("keeps no audit log" if wanted else "keeps an audit log, others do not", party=name)
    return {name: LogState(size=told.size, root=told.root.hex()) for name, told in by_party.items()} if wanted else {}


def _padded(evidence: Evidence | None) -> bytes:
    data = b"" if evidence is None else canonical_bytes(evidence)
    assert len(data) + 2 <= _EVIDENCE
    return (len(data).to_bytes(2, "little") + data).ljust(_EVIDENCE, b"\0")


def _checked(
    session: Session, certifying: Certifying, certificate: Certificate, messages: Mapping[int, bytes]
) -> SignedCertificate:
    """Check all signatures and evidence."""
    signatures = {session.name(j): message[:SIGNATURE_BYTES].hex() for j, message in messages.items()}
    try:
        check_certificate(certificate, signatures, certifying.keys)
    except SignatureInvalid as error:
        raise SignatureInvalid(
            "did not sign the certificate that this party made", party=error.party, hint="compare the parties' logs"
        ) from None
    evidence: dict[str, Evidence] = {}
    if certifying.audit is not None:
        for j, message in messages.items():
            name = session.name(j)
            evidence[name] = _parsed(message[SIGNATURE_BYTES:], name)
            check_evidence(certificate, name, evidence[name])
    return SignedCertificate(certificate=certificate, signatures=signatures, evidence=evidence)


def _parsed(data: bytes, party: str) -> Evidence:
    length = int.from_bytes(data[:2], "little")
    try:
        return Evidence.model_validate_json(data[2 : 2 + length])
    except ValidationError:
        raise FrameRejected("sent evidence that cannot be read", party=party) from None
