"""The bare probe of the benchmark: one multiply kernel, AES-CTR, one gRPC stream per party, and nothing else.

It multiplies two preallocated arrays modulo 2^61-1, draws two streams, sends 8 bytes per element to the next party over
mutual TLS in 1 MiB messages, and adds what it receives. No session, no checks, no accounts, fixed test keys: the
ceiling that the engine's overhead is measured against, not a protocol.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numba import njit

from mpcstats.field.kernels import _fold61, _product61
from mpcstats.transport.tls import (
    KeyPair,
    PinnedPeer,
    dial_options,
    peer_credentials,
    server_credentials,
    server_options,
)

BLOCK = 1 << 17
_P61 = np.uint64((1 << 61) - 1)


@njit(nogil=True, cache=True)
def _local(x: Any, y: Any, a: Any, b: Any, out: Any, send: Any, w: Any) -> None:
    for k in range(x.shape[0]):
        z = _product61(x[k], y[k])
        coin = a[k] & _P61
        send[k] = _fold61(_product61(z, w[0]) + _product61(coin, w[1]))
        own = _fold61(_product61(z, w[2]) + _product61(coin, w[3]))
        out[k] = _fold61(own + _product61(b[k] & _P61, w[4]))


@njit(nogil=True, cache=True)
def _finish(out: Any, received: Any) -> None:
    for k in range(out.shape[0]):
        out[k] = _fold61(out[k] + received[k])


def _stream(key: bytes) -> Any:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


async def probe(own: KeyPair, index: int, roster: tuple[PinnedPeer, ...], size: int, repetitions: int) -> list[float]:
    """Seconds of each repetition at this party."""
    m = len(roster)
    inbox: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(_request: Any, context: Any) -> None:
        while (data := await context.read()) is not grpc.aio.EOF:
            inbox.put_nowait(data)

    server = grpc.aio.server(options=server_options())
    method = grpc.stream_stream_rpc_method_handler(handler)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("probe", {"Exchange": method})])
    server.add_secure_port(roster[index - 1].address, server_credentials(own, [p for p in roster if p.index != index]))
    await server.start()
    following = roster[index % m]
    channel = grpc.aio.secure_channel(
        following.address, peer_credentials(own, following.certificate_pem), options=dial_options(following.name)
    )
    call = channel.stream_stream("/probe/Exchange")(wait_for_ready=True)
    await call.write(b"hello")
    await inbox.get()
    seconds = await _repeat(call, inbox, size, repetitions)
    # whoever hears the farewell has received everything before it
    await call.write(b"bye")
    await inbox.get()
    await asyncio.sleep(0.3)
    call.cancel()
    await channel.close()
    await server.stop(0.5)
    return seconds


async def _repeat(call: Any, inbox: asyncio.Queue[bytes], size: int, repetitions: int) -> list[float]:
    x = np.arange(size, dtype=np.uint64)
    zeros, weights = bytes(8 * BLOCK), np.arange(3, 8).astype(np.uint64)
    one, other = _stream(b"a" * 16), _stream(b"b" * 16)
    out = np.empty(size, np.uint64)
    seconds = []
    for _ in range(repetitions + 1):
        await call.write(b"ready")
        await inbox.get()
        started = time.perf_counter()

        async def produce() -> None:
            for at in range(0, size, BLOCK):
                part = slice(at, min(size, at + BLOCK))
                count = part.stop - part.start
                a = np.frombuffer(one.update(zeros[: 8 * count]), np.uint64)
                b = np.frombuffer(other.update(zeros[: 8 * count]), np.uint64)
                send = np.empty(count, np.uint64)
                _local(x[part], x[part], a, b, out[part], send, weights)
                await call.write(send.tobytes())

        async def consume() -> None:
            for at in range(0, size, BLOCK):
                received = np.frombuffer(await inbox.get(), np.uint64)
                _finish(out[at : at + len(received)], received)

        await asyncio.gather(produce(), consume())
        seconds.append(time.perf_counter() - started)
    return seconds[1:]
