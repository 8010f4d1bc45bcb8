"""Audit heads between parties: each shows the others the state of its log, and has it signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import grpc
from pydantic import ValidationError

from mpcstats.errors import AuditBroken, FrameRejected, MpcStatsError, PartyUnreachable
from mpcstats.node.auditing.log import AuditLog
from mpcstats.node.observing.logs import Log
from mpcstats.study.audit import Keys, SignedCheckpoint
from mpcstats.study.canonical import canonical_bytes
from mpcstats.wire.audit_pb2 import WitnessReply, WitnessRequest

__all__ = ["HeadExchange", "exchange_heads", "parse_checkpoint"]

LONGEST = 64 * 1024
"""Bytes of a signed checkpoint."""

_SECONDS = 10.0
_FIRST_SECONDS = 5.0
_EVERY_SECONDS = 600.0
_ATTEMPTS = 4

Exchange = Callable[[WitnessRequest], Awaitable[WitnessReply]]


def parse_checkpoint(data: bytes, sender: str) -> SignedCheckpoint:
    """A checkpoint from the wire.

    Raises
    ------
    FrameRejected
        It is none; names the sender.
    """
    try:
        if len(data) > LONGEST:
            raise ValueError
        return SignedCheckpoint.model_validate_json(data)
    except (ValidationError, ValueError):
        raise FrameRejected("sent an audit checkpoint that cannot be read", party=sender) from None


async def exchange_heads(log: AuditLog, keys: Keys, peers: Mapping[str, Exchange]) -> dict[str, MpcStatsError | None]:
    """Show the own log to every other party, and look at theirs.

    Parameters
    ----------
    keys : mapping of party to public signing key
    peers : mapping of party to a function that calls its Witness.Exchange

    Returns
    -------
    dict of party to error or None
        AuditBroken names the party whose log is not what it was; it may be the own one.
    """
    names = list(peers)
    results = await asyncio.gather(
        *(_with_peer(log, keys, name, peers[name]) for name in names), return_exceptions=True
    )
    found: dict[str, MpcStatsError | None] = {}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, BaseException) and not isinstance(result, MpcStatsError):
            raise result
        found[name] = result
    return found


async def _with_peer(log: AuditLog, keys: Keys, peer: str, call: Exchange) -> None:
    known = 0
    seen = await asyncio.to_thread(log.last_seen, peer)
    last = 0 if seen is None else seen.checkpoint.size
    for _ in range(_ATTEMPTS):  # the second time from where the peer says it is
        signed = await asyncio.to_thread(log.checkpoint)
        size = signed.checkpoint.size
        proof = await asyncio.to_thread(log.consistency, known, size) if known < size else []
        request = WitnessRequest(checkpoint=canonical_bytes(signed), proof_from=known, proof=proof, seen=last)
        reply = await _called(peer, call, request)
        if reply.cosignature:
            await asyncio.to_thread(log.add_witness, size, peer, reply.cosignature.hex(), keys)
            break
        kept = parse_checkpoint(reply.known, peer)
        # the peer has what this party once signed: if the log is not that any more, the fault is here
        await asyncio.to_thread(log.check_own, kept, keys)
        known = kept.checkpoint.size
    else:
        raise AuditBroken("does not sign this party's audit log, which continues what it saw", party=peer)
    theirs = parse_checkpoint(reply.checkpoint, peer)
    if theirs.checkpoint.party != peer:
        raise FrameRejected("showed the audit log of another party", party=peer)
    await asyncio.to_thread(log.witness, theirs, last, [bytes(part) for part in reply.proof], keys)


async def _called(peer: str, call: Exchange, request: WitnessRequest) -> WitnessReply:
    try:
        async with asyncio.timeout(_SECONDS):
            return await call(request)
    except grpc.RpcError as error:
        raise PartyUnreachable(f"cannot be reached ({error.code().name})", party=peer) from None
    except TimeoutError:
        raise PartyUnreachable(f"did not answer within {_SECONDS:g} s", party=peer) from None


class HeadExchange:
    """Exchanges heads in the background: soon after the start, after `wake`, and every ten minutes.

    Parameters
    ----------
    log, keys, peers
        See `exchange_heads`.
    node_log : Log
    """

    def __init__(self, log: AuditLog, keys: Keys, peers: Mapping[str, Exchange], node_log: Log) -> None:
        self._log, self._keys, self._peers, self._node_log = log, keys, peers, node_log
        self._news = asyncio.Event()
        self._told: set[str] = set()

    def wake(self) -> None:
        """A run began or ended: do not wait for the timer."""
        self._news.set()

    async def run(self, first_seconds: float = _FIRST_SECONDS, every_seconds: float = _EVERY_SECONDS) -> None:
        """Until it is cancelled. Never raises for what a peer does."""
        wait = first_seconds
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            wait = every_seconds
            try:
                found = await exchange_heads(self._log, self._keys, self._peers)
            except MpcStatsError as error:
                self._node_log.error("audit_exchange_failed", code=error.code, reason=error.message)
                continue
            for peer, problem in found.items():
                if problem is not None:
                    await self._tell(peer, problem)

    async def _tell(self, peer: str, error: MpcStatsError) -> None:
        """Say once what is wrong; who cannot be reached is nothing new."""
        if isinstance(error, PartyUnreachable) or str(error) in self._told:
            return
        self._told.add(str(error))
        self._node_log.error("audit_broken", party=error.party or peer, code=error.code, reason=error.message)
        party, code = error.party or peer, error.code
        await asyncio.to_thread(lambda: self._log.append("witness-refused", peer, party=party, code=code))
