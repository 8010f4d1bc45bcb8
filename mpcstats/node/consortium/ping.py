"""The answer to a ping: who is here, with which roster, software and clock, and a bounded echo for the line's speed."""

from __future__ import annotations

import asyncio
import functools
import time

from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.permit import registry_digest
from mpcstats.version import __version__
from mpcstats.wire.node_pb2 import PingReply, PingRequest

__all__ = ["ECHOES", "ECHO_PERIOD", "MAX_PAYLOAD", "PROTOCOL", "PingDesk", "registry"]

PROTOCOL = 1
"""Version of what nodes say to each other; another one is another protocol."""

MAX_PAYLOAD = 256 * 1024
"""Bytes that a ping may carry in each direction."""

ECHOES, ECHO_PERIOD = 16, 10.0
"""Payloads that come back to one party, in so many seconds; later ones are dropped."""


class PingDesk:
    """Answers pings.

    Parameters
    ----------
    name : str
        This party.
    roster : Roster
    """

    def __init__(self, name: str, roster: Roster) -> None:
        self._name = name
        self._roster = roster
        self._echoes: dict[str, tuple[float, int]] = {}

    async def answer(self, request: PingRequest, caller: str) -> PingReply:
        """Answer a party whose payload is no larger than allowed."""
        return PingReply(
            name=self._name,
            roster_digest=self._roster.digest,
            version=__version__,
            time_microseconds=time.time_ns() // 1000,
            registry_digest=await asyncio.to_thread(registry),
            payload=request.payload if request.payload and self._may_echo(caller) else b"",
            protocol=PROTOCOL,
            roster_version=self._roster.version,
        )

    def _may_echo(self, caller: str) -> bool:
        now = time.monotonic()
        since, number = self._echoes.get(caller, (now, 0))
        if now - since >= ECHO_PERIOD:
            since, number = now, 0
        self._echoes[caller] = (since, number + 1)
        return number < ECHOES


@functools.cache
def registry() -> bytes:
    """The digest of the analyses that this software knows (32 bytes)."""
    return bytes.fromhex(registry_digest())
