"""A party's audit log: what happened, who did it, under which study; an append-only chain of records.

Every record names the hash of the one before. A *checkpoint* is the party's signature over the size of the log, the
hash of its last record and the Merkle root of all; other parties sign it, too (*witnesses*), if it continues the last
one that they saw. So whoever changes, drops or swaps records has to do without the own signature or
without the others'.

Records have names, digests and numbers of values; never a value.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mpcstats.errors import AuditBroken, SignatureInvalid
from mpcstats.study.canonical import canonical_bytes, document_digest
from mpcstats.study.merkle import GrowingTree, leaf_hash, root_of
from mpcstats.study.signing import SigningKey, verify

__all__ = [
    "EVENTS",
    "NO_HASH",
    "AuditEvent",
    "AuditRecord",
    "Checkpoint",
    "Condition",
    "Keys",
    "SignedCheckpoint",
    "check_records",
    "check_witness",
    "cosign",
    "log_root",
    "make_checkpoint",
    "next_record",
    "record_leaf",
    "records_to_csv",
    "records_to_json",
    "verify_log",
]

AuditEvent = Literal[
    "node-started",
    "node-stopped",
    "roster-joined",
    "entry-sent",
    "entry-received",
    "entry-refused",
    "study-proposed",
    "study-approved",
    "study-rejected",
    "study-commented",
    "study-withdrawn",
    "study-expired",
    "run-started",
    "run-finished",
    "run-failed",
    "run-sealed",
    "run-certified",
    "run-released",
    "run-withheld",
    "party-missing",
    "policy-changed",
    "schedule-fired",
    "schedule-held",
    "schedule-paused",
    "schedule-resumed",
    "key-added",
    "key-rotated",
    "key-revoked",
    "call-refused",
    "witness-refused",
    "audit-read",
]
EVENTS: tuple[str, ...] = get_args(AuditEvent)

NO_HASH = "0" * 64
"""What the first record of a log names as its predecessor, and an empty log as its head."""

_HEX = r"^[0-9a-f]{64}$"
_KIND, _CHECKPOINT = "audit-record", "audit-checkpoint"

_Text = Annotated[str, StringConstraints(max_length=500, strict=True)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Condition = Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True)] | _Text | tuple[_Text, ...]
"""What a condition may be: no floating point number, no table."""


Keys = Mapping[str, bytes | tuple[bytes, ...]]
"""Public signing keys by party; several where a party has changed its key."""


class AuditRecord(BaseModel):
    """One thing that happened at one party.

    Attributes
    ----------
    index : int
        From 0, without gaps.
    time : str
        By the party's own clock, as `mpcstats.study.canonical.moment` writes it.
    party : str
        Whose log it is.
    actor : str
        A person, another party, or "node".
    event : str
        One of `EVENTS`.
    study : str
        The study's id; "" where it is about none.
    conditions : dict
        Run, digests, codes, numbers of values opened.
    previous, hash : str
        SHA-256 (hex) of the record before (zeros for the first), and of this one without `hash`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["AuditRecord"] = "AuditRecord"
    index: int = Field(ge=0, lt=1 << 53)
    time: str = Field(min_length=1, max_length=40)
    party: str = Field(min_length=1, max_length=64)
    actor: str = Field(min_length=1, max_length=200)
    event: AuditEvent
    study: str = Field(pattern=r"^([0-9a-f]{64})?$")
    conditions: dict[_Name, Condition] = Field(default={}, max_length=40)
    previous: str = Field(pattern=_HEX)
    hash: str = Field(pattern=_HEX)

    def computed_hash(self) -> str:
        """What `hash` has to be."""
        return document_digest(_KIND, self.model_dump(exclude={"hash"})).hex()


class Checkpoint(BaseModel):
    """The state of a log, as its party signs it.

    Attributes
    ----------
    consortium, party : str
        Whose log.
    size : int
        Number of records.
    head : str
        Hash of the last one (hex); zeros for an empty log.
    root : str
        Merkle root of all (hex).
    time : str
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["AuditCheckpoint"] = "AuditCheckpoint"
    consortium: str = Field(min_length=1, max_length=64)
    party: str = Field(min_length=1, max_length=64)
    size: int = Field(ge=0, lt=1 << 53)
    head: str = Field(pattern=_HEX)
    root: str = Field(pattern=_HEX)
    time: str = Field(min_length=1, max_length=40)


class SignedCheckpoint(BaseModel):
    """A checkpoint with its party's signature, and those of witnesses by name (hex)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    checkpoint: Checkpoint
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")
    witnesses: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]] = Field(
        default={}, max_length=64
    )

    @functools.cached_property
    def state(self) -> tuple[int, str, str]:
        """Size, head and root: equal for equal logs."""
        return (self.checkpoint.size, self.checkpoint.head, self.checkpoint.root)

    def check(self, keys: Keys) -> None:
        """Verify the signature of the party, and of each witness.

        Raises
        ------
        SignatureInvalid
            One does not hold, or is of nobody in `keys`.
        """
        point = self.checkpoint
        what = f"the audit checkpoint of {point.party} over {point.size} records"
        _verify(keys, point.party, point, self.signature, _CHECKPOINT, what)
        for name, signature in self.witnesses.items():
            check_witness(point, name, signature, keys)


def next_record(
    size: int,
    head: str,
    *,
    party: str,
    time: str,
    actor: str,
    event: AuditEvent,
    study: str,
    conditions: Mapping[str, Condition],
) -> AuditRecord:
    """The record that follows `size` others, the last one with hash `head` (zeros for the first of a log)."""
    record = AuditRecord(
        index=size,
        time=time,
        party=party,
        actor=actor,
        event=event,
        study=study,
        conditions=dict(conditions),
        previous=head,
        hash=NO_HASH,
    )
    return record.model_copy(update={"hash": record.computed_hash()})


def record_leaf(record: AuditRecord) -> bytes:
    """The record's leaf of the Merkle tree (32 bytes)."""
    return leaf_hash(bytes.fromhex(record.hash))


def log_root(records: Iterable[AuditRecord]) -> bytes:
    """The Merkle root of a log (32 bytes)."""
    return root_of(record_leaf(record) for record in records)


def make_checkpoint(key: SigningKey, checkpoint: Checkpoint) -> SignedCheckpoint:
    """Sign the state of the own log."""
    return SignedCheckpoint(checkpoint=checkpoint, signature=key.sign(_CHECKPOINT, checkpoint).hex())


def cosign(key: SigningKey, checkpoint: Checkpoint) -> str:
    """Witness a checkpoint of another party (hex); the caller has checked that it continues the last one."""
    return key.sign(f"{_CHECKPOINT}/witness", checkpoint).hex()


def check_witness(checkpoint: Checkpoint, witness: str, signature: str, keys: Keys) -> None:
    """Verify the signature of a witness.

    Raises
    ------
    SignatureInvalid
        It does not hold; names the witness.
    """
    what = f"{witness} as witness of {checkpoint.party}'s audit checkpoint over {checkpoint.size} records"
    _verify(keys, witness, checkpoint, signature, f"{_CHECKPOINT}/witness", what)


def check_records(records: Sequence[AuditRecord], party: str) -> None:
    """Check that records are a whole log of `party` from its first record on: numbers, hashes, predecessors.

    Raises
    ------
    AuditBroken
        Names the first record that is changed, missing, repeated, out of order, or of another log.
    """
    previous, seen = NO_HASH, set[str]()
    for index, record in enumerate(records):
        if record.party != party:
            raise _broken(party, index, f"is of another log ({record.party})")
        if record.hash in seen:
            raise _broken(party, index, "is repeated")
        if record.hash != record.computed_hash():
            raise _broken(party, index, "was changed: it has another hash than it says")
        if record.index != index:
            later = any(other.index == index for other in records[index + 1 :])
            raise _broken(party, index, "is out of order" if later else "is missing")
        if record.previous != previous:
            raise _broken(party, index, "does not follow the one before: one of them was replaced")
        seen.add(record.hash)
        previous = record.hash


def verify_log(
    records: Sequence[AuditRecord],
    party: str,
    checkpoints: Iterable[SignedCheckpoint] = (),
    keys: Keys | None = None,
) -> None:
    """Check a log, and that it is the one of which checkpoints were signed.

    Parameters
    ----------
    records : sequence of AuditRecord
        All of them, from the first.
    party : str
        Whose log.
    checkpoints : iterable of SignedCheckpoint
        The party's, whoever kept them.
    keys : mapping of party to public signing key

    Raises
    ------
    AuditBroken
        Names the first record at fault.
    SignatureInvalid
        Of a checkpoint; names who is said to have signed.
    """
    check_records(records, party)
    tree, agreed = GrowingTree(), 0
    for signed in sorted(checkpoints, key=lambda signed: signed.checkpoint.size):
        point = signed.checkpoint
        if point.party != party:
            raise _broken(party, 0, f"cannot be compared with a checkpoint of {point.party}")
        signed.check(keys or {})
        if point.size > len(records):
            raise _broken(
                party, len(records), f"is missing: the log was cut, {point.size} records were signed ({point.time})"
            )
        head = records[point.size - 1].hash if point.size else NO_HASH
        for record in records[agreed : point.size]:
            tree.add(record_leaf(record))
        if tree.root.hex() != point.root or head != point.head:
            raise _broken(
                party,
                agreed,
                f"or one up to {max(point.size - 1, agreed)} is another than was signed: there are two histories",
            )
        agreed = point.size


def records_to_json(records: Iterable[AuditRecord]) -> str:
    """One canonical JSON document per line."""
    return "".join(canonical_bytes(record).decode() + "\n" for record in records)


def records_to_csv(records: Iterable[AuditRecord]) -> str:
    """A table for people; what a spreadsheet would run as a formula is text in it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["index", "time", "party", "actor", "event", "study", "conditions", "previous", "hash"])
    for record in records:
        conditions = canonical_bytes(record.conditions).decode() if record.conditions else ""
        row: list[Any] = [record.index, record.time, record.party, record.actor, record.event, record.study, conditions]
        writer.writerow([_defused(value) for value in (*row, record.previous, record.hash)])
    return out.getvalue()


def _defused(value: Any) -> str:
    text = str(value)
    first = text.lstrip()[:1]
    return f"'{text}" if first in {"=", "+", "-", "@", "|"} or text[:1] in {"\t", "\r", "\n"} else text


def _verify(keys: Keys, signer: str, checkpoint: Checkpoint, signature: str, kind: str, what: str) -> None:
    if signer not in keys:
        raise SignatureInvalid(f"{what}: {signer} has no key in the roster", party=signer)
    known = keys[signer]
    *earlier, last = known if isinstance(known, tuple) else (known,)
    for public in earlier:
        with contextlib.suppress(SignatureInvalid):
            verify(public, kind, checkpoint, bytes.fromhex(signature), what=what, party=signer)
            return
    verify(last, kind, checkpoint, bytes.fromhex(signature), what=what, party=signer)


def _broken(party: str, index: int, problem: str) -> AuditBroken:
    return AuditBroken(f"audit record {index} {problem}", party=party)
