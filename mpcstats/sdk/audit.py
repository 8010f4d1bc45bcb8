"""Audit logs from outside of a running node: the own one in its database, the others' heads, what an auditor reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpcstats.errors import AuditBroken, FrameRejected, MpcStatsError, PartyUnreachable, PeerRefused
from mpcstats.node.auditing.log import AuditLog, known_keys, roster_keys
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.identity.keys import load_identity
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.audit import AuditRecord, Keys, SignedCheckpoint, verify_log

__all__ = ["compare_with_peers", "own_log", "read_as_auditor"]

_SECONDS = 60.0


@contextlib.contextmanager
def own_log(directory: PartyDirectory) -> Iterator[tuple[AuditLog, Keys]]:
    """The audit log of a party whose directory is here, whether its node runs or not; and all parties' keys, earlier
    ones included."""
    from mpcstats.node.state.database import Database

    roster, name = directory.roster(), directory.config.name
    database, earlier = Database(directory.state_url, name), directory.earlier_rosters()
    try:
        yield (
            AuditLog(database, roster.consortium, name, directory.signing_key()),
            known_keys(roster, earlier),
        )
    finally:
        database.close()


def compare_with_peers(directory: PartyDirectory) -> dict[str, MpcStatsError | None]:
    """Exchange heads with every other party now.

    Returns
    -------
    dict of party to error or None
        None: it signed this party's head, and its own continues what was seen of it.
    """
    return asyncio.run(_compare(directory))


async def _compare(directory: PartyDirectory) -> dict[str, MpcStatsError | None]:
    from mpcstats.node.auditing.exchange import exchange_heads
    from mpcstats.transport.network import PeerNetwork
    from mpcstats.wire.audit_pb2_grpc import WitnessStub

    identity, roster = directory.identity(), directory.roster()
    index = roster.index(identity.certificate_pem)
    network = PeerNetwork(identity, index, roster.peers, lambda _reason, _party: None, is_node=False)
    calls: dict[str, Any] = {
        peer.name: WitnessStub(network.channel_to(peer.index)).Exchange  # type: ignore[no-untyped-call]
        for peer in roster.peers
        if peer.index != index
    }
    try:
        with own_log(directory) as (log, _):
            return await exchange_heads(log, roster_keys(roster), calls)
    finally:
        await network.close()


def read_as_auditor(folder: Path, name: str, roster: Roster, party: str) -> tuple[list[AuditRecord], SignedCheckpoint]:
    """Read a party's whole audit log over the network, and check it.

    Parameters
    ----------
    folder : Path
        With the auditor's keys.
    name : str
        Of the auditor, as registered.
    roster : Roster
    party : str

    Raises
    ------
    AuditBroken, SignatureInvalid
        Names the first record at fault, or whose signature does not hold.
    PeerRefused, PartyUnreachable
        The party has not registered this auditor, or does not answer.
    """
    import grpc

    from mpcstats.node.auditing.exchange import parse_checkpoint
    from mpcstats.transport.tls import dial_options, peer_credentials
    from mpcstats.wire.audit_pb2 import ReadRequest
    from mpcstats.wire.audit_pb2_grpc import AuditStub

    peer = next((peer for peer in roster.peers if peer.name == party), None)
    if peer is None:
        raise FrameRejected(f"the roster has no party {party!r} (parties: {', '.join(roster.names)})")
    credentials = peer_credentials(load_identity(folder, name), peer.certificate_pem)
    lines, signed = bytearray(), None
    try:
        with grpc.secure_channel(peer.address, credentials, options=dial_options(party)) as channel:
            for reply in AuditStub(channel).Read(ReadRequest(start=0), timeout=_SECONDS):  # type: ignore[no-untyped-call]
                if reply.WhichOneof("content") == "records":
                    lines += reply.records
                else:
                    signed = parse_checkpoint(reply.checkpoint, party)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.PERMISSION_DENIED:
            raise PeerRefused("does not know this auditor", party=party, hint="mpcstats party auditor add") from None
        raise PartyUnreachable(f"cannot be reached ({error.code().name})", party=party) from None
    return _checked(bytes(lines), signed, party, roster)


def _checked(
    lines: bytes, signed: SignedCheckpoint | None, party: str, roster: Roster
) -> tuple[list[AuditRecord], SignedCheckpoint]:
    from pydantic import ValidationError

    records: list[AuditRecord] = []
    for line in lines.splitlines():
        try:
            records.append(AuditRecord.model_validate_json(line))
        except ValidationError:
            raise AuditBroken(f"audit record {len(records)} cannot be read", party=party) from None
    if signed is None:
        raise AuditBroken("sent no checkpoint of its audit log", party=party)
    verify_log(records, party, [signed], roster_keys(roster))
    return records, signed
