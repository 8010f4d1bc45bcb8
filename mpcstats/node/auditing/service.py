"""The services of a node's audit log: Witness for the other parties, Audit for operator and auditors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc

from mpcstats.errors import AuditBroken, MpcStatsError
from mpcstats.node.auditing.exchange import parse_checkpoint
from mpcstats.node.auditing.log import AuditLog
from mpcstats.study.audit import AuditRecord, Keys, records_to_json
from mpcstats.study.canonical import canonical_bytes
from mpcstats.transport.callers import caller_auditor, caller_index
from mpcstats.wire.audit_pb2 import ReadReply, ReadRequest, WitnessReply, WitnessRequest
from mpcstats.wire.audit_pb2_grpc import AuditServicer, WitnessServicer

__all__ = ["AUDIT_SERVICE", "AuditService", "WitnessService"]

AUDIT_SERVICE = "mpcstats.v1.Audit"
_PROOF = 64
_BATCH = 500
"""Records of one message: each has less than two kilobytes, usually."""


class WitnessService(WitnessServicer):
    """What other parties may ask about audit logs.

    Parameters
    ----------
    log : AuditLog
    names : tuple of str
        Parties by number.
    keys : mapping of party to public signing key
    """

    def __init__(self, log: AuditLog, names: tuple[str, ...], keys: Keys) -> None:
        self._log, self._names, self._keys = log, names, keys
        self._refused: set[str] = set()

    async def Exchange(self, request: WitnessRequest, context: Any) -> WitnessReply:
        """Sign the caller's checkpoint if it continues what was seen; show the own one."""
        caller = self._names[caller_index() - 1]
        try:
            return await asyncio.to_thread(self._answer, caller, request)
        except MpcStatsError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.code)
            raise AssertionError from None  # abort raises

    def _answer(self, caller: str, request: WitnessRequest) -> WitnessReply:
        signed = parse_checkpoint(request.checkpoint, caller)
        if signed.checkpoint.party != caller or len(request.proof) > _PROOF:
            raise AuditBroken("showed the audit log of another party", party=caller)
        own = self._log.checkpoint()
        size = own.checkpoint.size
        proof = self._log.consistency(request.seen, size) if request.seen < size else []
        reply = WitnessReply(checkpoint=canonical_bytes(own), proof=proof)
        shown = [bytes(part) for part in request.proof]
        try:
            signature = self._log.witness(signed, request.proof_from, shown, self._keys)
        except AuditBroken:
            self._note(caller, signed.checkpoint.size)
            signature = None
        last = self._log.last_seen(caller)
        if signature is not None:
            reply.cosignature = bytes.fromhex(signature)
        elif last is not None:
            reply.known = canonical_bytes(last)
        return reply

    def _note(self, caller: str, size: int) -> None:
        """Once per party: a peer cannot fill the log."""
        if caller not in self._refused:
            self._refused.add(caller)
            self._log.append("witness-refused", caller, party=caller, size=size, code=AuditBroken.code)


class AuditService(AuditServicer):
    """What operator and auditors may ask."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def Read(self, request: ReadRequest, context: Any) -> None:
        """All records from `start`, then the checkpoint."""
        reader = caller_auditor()
        try:
            await asyncio.to_thread(lambda: self._log.append("audit-read", reader or "operator"))
            signed = await asyncio.to_thread(self._log.checkpoint)
            start = request.start
            while start < signed.checkpoint.size:
                stop = min(start + _BATCH, signed.checkpoint.size)
                records = await asyncio.to_thread(self._log.records, start, stop)
                for piece in _pieces(records):
                    await context.write(ReadReply(records=piece))
                start = stop
            await context.write(ReadReply(checkpoint=canonical_bytes(signed)))
        except MpcStatsError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.code)


def _pieces(records: list[AuditRecord], limit: int = 1 << 19) -> Iterator[bytes]:
    batch, size = list[AuditRecord](), 0
    for record in records:
        length = len(canonical_bytes(record))
        if batch and size + length > limit:
            yield records_to_json(batch).encode()
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield records_to_json(batch).encode()
