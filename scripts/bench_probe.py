"""The bare probe of the benchmark: one multiply kernel, AES-CTR, one gRPC stream per party, and nothing else.

It multiplies two arrays modulo 2^61-1, draws two streams, sends 8 bytes per element to the next party over mutual TLS
in 1 MiB messages, and adds what it receives: what the engine does for a product of three parties, with the same fused
kernels. No session, no frames, no checks, no accounts, fixed test keys: the ceiling that the engine's overhead is
measured against, not a protocol.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpcstats.field.fused import accumulate61, mix61
from mpcstats.transport.tls import (
    KeyPair,
    PinnedPeer,
    dial_options,
    peer_credentials,
    server_credentials,
    server_options,
)

__all__ = ["Probe"]

BLOCK = 1 << 17
_MASK = np.full(2, (1 << 61) - 1, np.uint64)
_WEIGHTS = np.arange(3, 9, dtype=np.uint64).reshape(2, 3)


class Probe:
    """One party's end, on a port of its own.

    Parameters
    ----------
    own : KeyPair
    index : int
        This party, 1..m.
    roster : tuple of PinnedPeer
        With the addresses of the probe.
    """

    def __init__(self, own: KeyPair, index: int, roster: tuple[PinnedPeer, ...]) -> None:
        self._own, self._index, self._roster = own, index, roster
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._streams = [Cipher(algorithms.AES(key * 16), modes.CTR(bytes(16))).encryptor() for key in (b"a", b"b")]
        self._zeros = bytes(8 * BLOCK)

    async def open(self) -> None:
        """Listen, and dial the next party."""
        own, roster = self._own, self._roster
        self._server = grpc.aio.server(options=server_options())
        method = grpc.stream_stream_rpc_method_handler(self._handle)
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("probe", {"Exchange": method})])
        others = [peer for peer in roster if peer.index != self._index]
        self._server.add_secure_port(roster[self._index - 1].address, server_credentials(own, others))
        await self._server.start()
        following = roster[self._index % len(roster)]
        credentials = peer_credentials(own, following.certificate_pem)
        self._channel = grpc.aio.secure_channel(following.address, credentials, options=dial_options(following.name))
        self._call = self._channel.stream_stream("/probe/Exchange")(wait_for_ready=True)
        await self.meet()

    async def meet(self) -> None:
        """Wait until the party before this one is here, too."""
        await self._call.write(b"hello")
        await self._inbox.get()

    async def run(self, size: int) -> tuple[float, float]:
        """One product of `size` elements at this party: seconds by the clock, and of the processor."""
        x, out = np.arange(size, dtype=np.uint64), np.empty(size, np.uint64)
        out.fill(0)
        await self.meet()
        started, busy = time.perf_counter(), time.process_time()
        await asyncio.gather(self._produce(x, out), self._consume(out))
        return time.perf_counter() - started, time.process_time() - busy

    async def close(self) -> None:
        """Whoever hears the farewell has received everything before it."""
        await self.meet()
        await asyncio.sleep(0.3)
        self._call.cancel()
        await self._channel.close()
        await self._server.stop(0.5)

    async def _handle(self, _request: Any, context: Any) -> None:
        while (data := await context.read()) is not grpc.aio.EOF:
            self._inbox.put_nowait(data)

    async def _produce(self, x: Any, out: Any) -> None:
        zeros = memoryview(self._zeros)
        for at in range(0, len(x), BLOCK):
            part = x[at : at + BLOCK]
            coins, rows = np.empty((2, len(part)), np.uint64), np.empty((2, len(part)), np.uint64)
            for row, stream in zip(coins, self._streams, strict=True):
                stream.update_into(zeros[: part.nbytes], row.data.cast("B"))
            mix61(part, part, coins, _MASK, _WEIGHTS, rows)
            out[at : at + len(part)] = rows[0]
            await self._call.write(rows[1].tobytes())

    async def _consume(self, out: Any) -> None:
        for at in range(0, len(out), BLOCK):
            received = np.frombuffer(await self._inbox.get(), np.uint64)
            accumulate61(out[at : at + len(received)], received, _WEIGHTS[0, 0])
