"""Parties for transport tests: real keys, real mTLS ports on loopback, one process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from mpcstats.node.identity.keys import create_identity
from mpcstats.testing.processes import free_ports
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import (
    KeyPair,
    PinnedPeer,
    dial_options,
    peer_credentials,
    server_credentials,
    server_options,
)
from mpcstats.wire.transport_pb2_grpc import TransportStub

NAMES = ("alpha", "beta", "gamma")


@dataclass
class Party:
    """One party: its network and its server."""

    key: KeyPair
    network: PeerNetwork
    server: Any
    refusals: list[tuple[str, str]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def running_parties(keys: dict[str, KeyPair], members: int | None = None) -> AsyncIterator[list[Party]]:
    """A server and a network for each key, in order; the first `members` are the committee."""
    roster = tuple(
        PinnedPeer(number, name, f"127.0.0.1:{port}", keys[name].certificate_pem)
        for number, (name, port) in enumerate(zip(keys, free_ports(len(keys)), strict=True), start=1)
    )
    parties = []
    for own in roster:
        refusals: list[tuple[str, str]] = []
        network = PeerNetwork(
            keys[own.name], own.index, roster, lambda *refusal, to=refusals: to.append(refusal), members
        )
        others = [peer for peer in roster if peer.index != own.index]
        control = frozenset({"mpcstats.v1.Control"})
        check = CallerCheck(own.fingerprint, others, control, lambda *refusal, to=refusals: to.append(refusal))
        server = grpc.aio.server(interceptors=[check, network.instances], options=server_options())
        network.add_to_server(server)
        server.add_secure_port(own.address, server_credentials(keys[own.name], others))
        await server.start()
        parties.append(Party(keys[own.name], network, server, refusals))
    try:
        yield parties
    finally:
        for party in parties:
            await party.network.close()
            await party.server.stop(0)


def make_keys(root: Path, names: tuple[str, ...] = NAMES) -> dict[str, KeyPair]:
    return {name: create_identity(root / name, name) for name in names}


@contextlib.asynccontextmanager
async def raw_stream(key: KeyPair, to: Party, number: int) -> AsyncIterator[Any]:
    """A stream to party `number` that says whatever the test wants, under `key`."""
    peer = to.network._roster[number - 1]
    credentials = peer_credentials(key, peer.certificate_pem)
    async with grpc.aio.secure_channel(peer.address, credentials, options=_unlimited(peer.name)) as channel:
        call = TransportStub(channel).Exchange()
        yield call
        call.cancel()


def _unlimited(name: str) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in dial_options(name) if key != "grpc.max_send_message_length"]
