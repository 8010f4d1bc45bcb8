"""Sessions with guests over real mutual TLS: who is connected to whom, and whom errors name."""

import asyncio
import contextlib

import grpc
import pytest

from mpcstats.errors import MpcStatsError, PartyUnreachable
from mpcstats.wire.transport_pb2 import Frame, Hello

from .nodes import make_keys, raw_stream, running_parties
from .test_grpc_channel import in_session

FIVE = ("alpha", "beta", "gamma", "delta", "epsilon")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("five"), FIVE)


async def test_guests_are_connected_to_members_alone(five):
    async def program(channel):
        got = await asyncio.gather(
            *(channel.receive(peer, 0, 1) for peer in channel.peers),
            *(channel.send(peer, 0, bytes([channel.index])) for peer in channel.peers),
        )
        return b"".join(bytes(part) for part in got[: len(channel.peers)])

    async with running_parties(five, members=3) as parties:
        results = await in_session(parties, program)
    assert results == [
        bytes([2, 3, 4, 5]),
        bytes([1, 3, 4, 5]),
        bytes([1, 2, 4, 5]),
        bytes([1, 2, 3]),
        bytes([1, 2, 3]),
    ]


async def test_a_stream_between_guests_is_refused(five):
    async with running_parties(five, members=3) as parties, raw_stream(five["delta"], parties[4], 5) as call:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.write(Frame(session_id=bytes(16), hello=Hello()))
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        reason, party = parties[4].refusals[-1]
    assert "outside of the committee" in reason
    assert party == "delta"


@pytest.mark.parametrize("lost", [2, 5], ids=["member", "guest"])
async def test_who_is_lost_is_named_by_everybody(five, lost):
    async def program(channel):
        if channel.index == lost:
            await asyncio.sleep(0.2)
            await parties[lost - 1].server.stop(0)
            await parties[lost - 1].network.close()
            return await asyncio.sleep(1)
        # the other guest waits for a member, which waits for the lost one
        return await channel.receive(lost if lost in channel.peers else 1, 0, 8)

    async with running_parties(five, members=3) as parties:
        results = await in_session(parties, program, patience=10)
    for number, error in enumerate(results, start=1):
        if number != lost:
            assert isinstance(error, PartyUnreachable)
            assert error.party == FIVE[lost - 1]


async def test_a_guest_that_stops_is_named_by_the_other_guest(five):
    async def program(channel):
        for peer in channel.peers:  # all streams are in use
            await channel.send(peer, 0, b"x")
        for peer in channel.peers:
            await channel.receive(peer, 0, 1)
        if channel.index == 5:
            raise MpcStatsError("changed its mind")
        return await channel.receive(5 if 5 in channel.peers else 1, 1, 8)

    async with running_parties(five, members=3) as parties:
        results = await in_session(parties, program)
    assert [error.party for error in results[:4]] == ["epsilon"] * 4


async def test_a_guest_that_computes_is_not_silent_for_the_other_guest(five):
    async def program(channel):
        if channel.index == 5:
            with channel.working():
                await asyncio.sleep(1.2)  # three times the patience
            await channel.send(1, 0, b"done")
        elif channel.index == 1:
            got = await channel.receive(5, 0, 4)
            for peer in (2, 3, 4):
                await channel.send(peer, 0, got)
        else:
            return bytes(await channel.receive(1, 0, 4))
        return None

    async with running_parties(five, members=3) as parties:
        results = await in_session(parties, program, patience=0.4)
    assert results == [None, b"done", b"done", b"done", None]
