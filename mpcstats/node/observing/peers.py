"""Whether the other parties can be reached: asked at most once a second, however many want to know."""

from __future__ import annotations

import asyncio
import time

import grpc

from mpcstats.transport.network import PeerNetwork
from mpcstats.wire.node_pb2 import PeerStatus, PingReply, PingRequest
from mpcstats.wire.node_pb2_grpc import PeerStub

__all__ = ["PeerWatch"]

_PING_SECONDS = 3.0
_FRESH_SECONDS = 1.0
_EVERY_SECONDS = 15.0


class PeerWatch:
    """Pings.

    Parameters
    ----------
    network : PeerNetwork
    roster_digest : bytes
    names : mapping of number to name
        The other parties.

    Attributes
    ----------
    last : dict of str to PeerStatus
        The last answers by party.
    """

    def __init__(self, network: PeerNetwork, roster_digest: bytes, names: dict[int, str]) -> None:
        self._network, self._digest, self._names = network, roster_digest, names
        self._asked: dict[int, tuple[float, asyncio.Task[PeerStatus]]] = {}
        self.last: dict[str, PeerStatus] = {}

    async def look(self) -> list[PeerStatus]:
        """The state of all other parties, by number; at most a second old."""
        return await asyncio.gather(*(self._look(number) for number in self._names))

    async def run(self) -> None:
        """Look for ever; ends by cancellation."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    async def _look(self, number: int) -> PeerStatus:
        known = self._asked.get(number)
        if known is None or (known[1].done() and time.monotonic() - known[0] > _FRESH_SECONDS):
            known = time.monotonic(), asyncio.create_task(self._ask(number))
            self._asked[number] = known
        # who asked first may go away: the others still wait for the answer
        return await asyncio.shield(known[1])

    async def _ask(self, number: int) -> PeerStatus:
        name = self._names[number]
        stub = PeerStub(self._network.channel_to(number))  # type: ignore[no-untyped-call]
        known = self.last.get(name)
        try:
            if known is None or not known.reachable:
                await stub.Ping(PingRequest(), timeout=_PING_SECONDS)  # the first one may have to connect
            start, began = time.perf_counter(), time.time()
            reply: PingReply = await stub.Ping(PingRequest(), timeout=_PING_SECONDS)
            seconds, middle = time.perf_counter() - start, (began + time.time()) / 2
        except grpc.RpcError:
            found = PeerStatus(name=name, reachable=False)
        else:
            skew = reply.time_microseconds / 1e6 - middle if reply.time_microseconds else 0.0
            found = PeerStatus(
                name=name,
                reachable=reply.name == name,
                version=reply.version,
                round_trip_microseconds=int(seconds * 1e6),
                same_roster=reply.roster_digest == self._digest,
                clock_skew_milliseconds=round(max(-1e9, min(1e9, skew * 1000))),
            )
        self.last[name] = found
        return found
