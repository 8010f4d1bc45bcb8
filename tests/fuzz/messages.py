"""Targets: what comes over the network. Frames, messages and the documents in them, as they are read on arrival."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from mpcstats.errors import FrameRejected, MpcStatsError
from mpcstats.field.prime import M61, M127
from mpcstats.node.auditing.certify import _parsed as parse_evidence
from mpcstats.node.auditing.exchange import parse_checkpoint
from mpcstats.node.consortium.roster import past_roster
from mpcstats.node.consortium.terms import parse_terms
from mpcstats.node.failures import from_operator_failure, from_peer_failure
from mpcstats.node.governance.courier import parse_heads, take_entries
from mpcstats.node.governance.desk import Desk
from mpcstats.node.ledger.check import _merged as merge_told
from mpcstats.node.ledger.check import _parsed as parse_told
from mpcstats.node.runs.plan_codec import plan_from_json
from mpcstats.node.runs.terms import rules_from_json
from mpcstats.node.state.database import Database
from mpcstats.runtime.manifest import Manifest
from mpcstats.sdk.audit import _checked as check_audit_lines
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses import parse_spec
from mpcstats.study.audit import NO_HASH, AuditRecord, Checkpoint, log_root, make_checkpoint
from mpcstats.study.entries import Entry, sign_entry
from mpcstats.study.lifecycle import state_of
from mpcstats.study.lock import parse_proposal
from mpcstats.study.signing import SigningKey
from mpcstats.transport.channel import Buffer
from mpcstats.transport.codec import ChunkFrame, decode
from mpcstats.transport.grpc_channel import GrpcChannel
from mpcstats.wire import audit_pb2, node_pb2
from tests.fuzz.target import CORPUS, Target

__all__ = ["KEYS", "NOW", "TARGETS"]

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
NAMES = ("westbay", "lakeside", "northfield")
KEYS = {name: SigningKey(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}
"""Of the roster in the corpus: the fuzzer is a party, and signs what it likes."""

SESSION = b"0123456789abcdef"


def text(data: bytes) -> str:
    """As protobuf gives it: UTF-8, or no message at all."""
    return data.decode("utf-8", "replace")


@functools.cache
def roster() -> Any:
    return past_roster((CORPUS / "past_roster" / "roster.toml").read_text(), "the corpus")


# --- transport --------------------------------------------------------------------------------------------------------


def frames(data: bytes) -> None:
    """A stream of frames (each behind two bytes of length) into a session, and two waits in it."""

    async def run() -> None:
        channel = GrpcChannel((SESSION, 1), index=1, parties=NAMES, patience_seconds=5)
        parts, rest = [], data
        while rest:
            length = int.from_bytes(rest[:2], "little")
            parts.append(rest[2 : 2 + length])
            rest = rest[2 + length :]
        for part in parts:
            frame = decode(part)
            if isinstance(frame, ChunkFrame) and len(frame.payload) > len(part):
                raise AssertionError("a payload from nowhere")
            async with asyncio.timeout(0.5):  # an inbox that is full waits
                if not await channel._take(2, frame):
                    return
        channel._inboxes[2].finish()
        for step, size in ((0, 5), (1, 3)):
            found: Buffer = await channel._inboxes[2].get(step, size, lambda: None)
            assert len(found) == size

    asyncio.run(run())


def elements(data: bytes) -> None:
    """Field elements: those from p up are refused, the others survive."""
    for field in (M61, M127):
        size = 8 * -(-field.modulus.bit_length() // 64)
        count = len(data) // size
        own = data[: size * count]
        try:
            found = field.from_bytes(own, (count,))
        finally:
            values = [int.from_bytes(own[size * k : size * (k + 1)], "little") for k in range(count)]
            sound = all(value < field.modulus for value in values)
        assert sound, "a value that is no element was taken"
        assert bytes(field.to_bytes(found)) == own
        assert field.to_ints(found).tolist() == values
        assert not count or np.asarray(found).size


# --- messages of runs -------------------------------------------------------------------------------------------------


def protos(data: bytes) -> None:
    """Every message of another party; the first byte says which one. gRPC refuses what is none."""
    kinds: tuple[tuple[Any, Callable[[Any], object]], ...] = (
        (node_pb2.CoordinatorMessage, _coordinator),
        (node_pb2.PartyMessage, _party),
        (node_pb2.Entries, _entries),
        (node_pb2.TermsRequest, lambda m: parse_spec(m.spec_json)),
        (node_pb2.TermsReply, _terms),
        (node_pb2.RunRequest, lambda m: parse_spec(m.spec_json)),
        (audit_pb2.WitnessRequest, lambda m: parse_checkpoint(m.checkpoint, "lakeside")),
        (audit_pb2.WitnessReply, lambda m: (parse_checkpoint(m.checkpoint, "x"), parse_checkpoint(m.known, "x"))),
    )
    kind, read = kinds[data[0] % len(kinds) if data else 0]
    try:
        message = kind.FromString(data[1:])
    except DecodeError:
        return
    read(message)


def _coordinator(message: Any) -> None:
    if message.WhichOneof("content") == "reserve":
        parse_spec(message.reserve.spec_json)
        plan_from_json(message.reserve.plan_json, "lakeside")
    elif message.WhichOneof("content") == "begin":
        rules_from_json(message.begin.rules_json, "lakeside")
    elif message.WhichOneof("content") == "cancelled":
        str(from_peer_failure(message.cancelled, "lakeside", NAMES))


def _party(message: Any) -> None:
    if message.WhichOneof("content") == "accepted":
        rules_from_json(f'{{"lakeside":{message.accepted.rules_json}}}', "lakeside")
    elif message.WhichOneof("content") == "refused":
        str(from_peer_failure(message.refused, "lakeside", NAMES))
        str(from_operator_failure(message.refused))


def _entries(message: Any) -> None:
    parse_heads(message.heads_json, "lakeside")
    take_entries(desk(), message.entries, "lakeside")


def _terms(message: Any) -> None:
    if message.HasField("refused"):
        str(from_peer_failure(message.refused, "lakeside", NAMES))
    else:
        parse_terms(message.terms_json, "lakeside")


def plan(data: bytes) -> None:
    plan_from_json(text(data), "lakeside")


def told_releases(data: bytes) -> None:
    """What another party says about earlier releases: as it is, and as it would be compressed."""

    class Names:
        name = staticmethod(lambda j: NAMES[j - 1])

    for packed in (data, zlib.compress(data)):
        try:
            found = parse_told(packed, "lakeside")
        except FrameRejected:
            continue
        merge_told(Names(), {1: found, 2: found}, [])  # type: ignore[arg-type]


# --- governance -------------------------------------------------------------------------------------------------------


def desk() -> Desk:
    return Desk(Database.in_memory("westbay"), roster(), "westbay", KEYS["westbay"], now=lambda: NOW)


def entry(data: bytes) -> None:
    """One entry of a party that signs whatever it likes; then everything that is made of the entries."""
    with contextlib.suppress(MpcStatsError):
        take_entries(desk(), [text(data)], "lakeside")
    try:
        made = Entry.model_validate(json.loads(data)["entry"])
    except (ValueError, RecursionError, TypeError, KeyError):
        return
    signed, here = sign_entry(made, KEYS.get(made.party, KEYS["lakeside"])), desk()
    with contextlib.suppress(MpcStatsError):
        here.add(signed)
    here.studies()
    with contextlib.suppress(MpcStatsError):
        state_of([signed], NOW)


def chain(data: bytes) -> None:
    """Bodies of several entries of a study, each signed by its party."""
    try:
        plain = json.loads(data)
        entries = [Entry.model_validate(row) for row in plain]
    except (ValueError, RecursionError, TypeError):
        return
    state = state_of([sign_entry(each, KEYS.get(each.party, KEYS["westbay"])) for each in entries], NOW)
    _ = state.closed_because, state.waiting_for, state.approvals, state.runs
    for name in ("name", "schedule"):
        str(getattr(state.proposal, name))


def proposal(data: bytes) -> None:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    found = parse_proposal(plain)
    _ = found.id, found.expires, found.schedule, found.lock.effective, found.lock.reveals


def manifest(data: bytes) -> None:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    found = Manifest.from_plain(plain)
    assert Manifest.from_plain(found.to_plain()) == found


# --- audit ------------------------------------------------------------------------------------------------------------


def checkpoint(data: bytes) -> None:
    signed = parse_checkpoint(data, "lakeside")
    signed.check({name: key.public for name, key in KEYS.items()})


def evidence(data: bytes) -> None:
    parse_evidence(len(data).to_bytes(2, "little") + data if len(data) < 1 << 16 else data, "lakeside")


def audit_lines(data: bytes) -> None:
    """What an auditor gets, with a checkpoint over those records that are some."""
    records = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            records.append(AuditRecord.model_validate_json(line))
    head, root = records[-1].hash if records else NO_HASH, log_root(records).hex()
    point = Checkpoint(consortium="test", party="lakeside", size=len(records), head=head, root=root, time="2026")
    check_audit_lines(data, make_checkpoint(KEYS["lakeside"], point), "lakeside", roster())


TARGETS = (
    Target("frames", frames, "bytes"),
    Target("elements", elements, "bytes"),
    Target("protos", protos, "bytes"),
    Target("spec", parse_spec, "json"),
    Target("plan", plan, "json"),
    Target("rules", lambda data: rules_from_json(text(data), "lakeside"), "json"),
    Target("terms", lambda data: parse_terms(text(data), "lakeside"), "json"),
    Target("heads", lambda data: parse_heads(text(data), "lakeside"), "json"),
    Target("told_releases", told_releases, "json"),
    Target("entry", entry, "json"),
    Target("chain", chain, "json"),
    Target("proposal", proposal, "json"),
    Target("manifest", manifest, "json"),
    Target("checkpoint", checkpoint, "json"),
    Target("evidence", evidence, "json"),
    Target("audit_lines", audit_lines, "json"),
    Target("outcome", outcome_from_bytes, "bytes"),
)
