"""Sessions without some of the roster's parties, over real mutual TLS: places move up, and outsiders stay outside."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

import grpc
import pytest

from mpcstats.errors import PartyUnreachable
from mpcstats.node.governance.absence import reaches
from mpcstats.transport.tls import PinnedPeer
from mpcstats.wire.transport_pb2 import Frame, Hello

from .nodes import make_keys, raw_stream, running_parties

FIVE = ("alpha", "beta", "gamma", "delta", "epsilon")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("without"), FIVE)


async def together(parties, without, program, patience=5.0):
    """Run program(channel) at all parties but those with these numbers; results or errors in order."""
    session_id = secrets.token_bytes(16)

    async def one(party):
        async with party.network.session(session_id, patience_seconds=patience, without=without) as channel:
            await channel.wait_attached()
            return await program(channel)

    there = [party for number, party in enumerate(parties, start=1) if number not in without]
    return await asyncio.wait_for(asyncio.gather(*map(one, there), return_exceptions=True), 20)


@pytest.mark.parametrize(("without", "members"), [((2,), 4), ((1, 3), 5), ((4,), 4), ((), 5)], ids=str)
async def test_places_move_up_at_all_parties_alike(five, without, members):
    async def program(channel):
        got = await asyncio.gather(
            *(channel.receive(peer, 0, 1) for peer in channel.peers),
            *(channel.send(peer, 0, bytes([channel.index])) for peer in channel.peers),
        )
        return channel.index, channel.parties, {peer: got[k][0] for k, peer in enumerate(channel.peers)}

    async with running_parties(five, members=members) as parties:
        for number in without:  # they are gone
            await parties[number - 1].server.stop(0)
        results = await together(parties, without, program)
    names = tuple(name for number, name in enumerate(FIVE, start=1) if number not in without)
    left = members - len(without)
    for place, (index, found, got) in enumerate(results, start=1):
        others = [j for j in range(1, len(names) + 1) if j != place and (place <= left or j <= left)]
        assert (index, found, got) == (place, names, {j: j for j in others})


async def test_errors_name_a_party_by_its_place_in_the_session(five):
    async def program(channel):
        # who is not there yet would miss a party that has stopped because of delta
        await asyncio.gather(*(channel.send(peer, 0, b"!") for peer in channel.peers))
        await asyncio.gather(*(channel.receive(peer, 0, 1) for peer in channel.peers))
        if channel.parties[channel.index - 1] == "delta":
            await parties[3].server.stop(0)
            await parties[3].network.close()
            return await asyncio.sleep(1)
        return await channel.receive(channel.parties.index("delta") + 1, 1, 8)

    async with running_parties(five) as parties:
        results = await together(parties, (2,), program)
    assert [type(error) for error in results if error is not None] == [PartyUnreachable] * 3
    assert {error.party for error in results if error is not None} == {"delta"}


async def test_one_that_was_left_out_gets_no_stream(five):
    session_id = secrets.token_bytes(16)
    async with running_parties(five) as parties:
        network = parties[4].network
        async with (
            network.session(session_id, patience_seconds=2.0, without=(2,)),
            raw_stream(five["beta"], parties[4], 5) as call,
        ):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call.write(Frame(session_id=session_id, hello=Hello()))
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
        assert parties[4].refusals[-1] == ("a stream for a session without this party", "beta")


async def test_who_is_reached(five, monkeypatch):
    """Any answer under the pinned key counts; a closed port and another key's answer do not."""
    from mpcstats.node.governance import absence

    monkeypatch.setattr(absence, "_PAUSE_SECONDS", 0.01)
    async with running_parties(five) as parties:
        network = parties[0].network
        assert await reaches(network, 3)
        await parties[2].server.stop(0)
        assert not await reaches(network, 3)
        impostor, true = network._roster[3], network._roster[1]
        network._roster = tuple(
            PinnedPeer(peer.index, peer.name, impostor.address if peer is true else peer.address, peer.certificate_pem)
            for peer in network._roster
        )
        assert not await reaches(network, 2)


async def test_a_silent_party_is_not_waited_for_longer_than_said(five, monkeypatch):
    from mpcstats.node.governance import absence

    monkeypatch.setattr(absence, "_SECONDS", 0.2)
    monkeypatch.setattr(absence, "_PAUSE_SECONDS", 0.01)

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, running_parties(five) as parties:
        network = parties[0].network
        network._roster = tuple(
            PinnedPeer(peer.index, peer.name, f"127.0.0.1:{port}", peer.certificate_pem) for peer in network._roster
        )
        started = time.monotonic()
        assert not await reaches(network, 2)
        assert time.monotonic() - started < 5
