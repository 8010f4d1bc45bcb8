"""Two processes with one party's key: noticed by the others, refused, and believed again when one is gone."""

import asyncio
import contextlib

import grpc
import pytest

from mpcstats.errors import ConfigurationError, PeerRefused
from mpcstats.node.identity.alone import check_alone
from mpcstats.transport.instances import SILENT_SECONDS, Instances, instance
from mpcstats.transport.tls import dial_options, peer_credentials
from tests.transport.nodes import make_keys, raw_stream, running_parties

A, B, C = "a" * 32, "b" * 32, "c" * 32


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def world():
    clock, told = Clock(), []
    return Instances(("one", "two", "three"), told.append, clock), clock, told


def test_restarts_are_no_doubles(world):
    seen, clock, told = world
    for number in (A, A, B, B, C, C):
        assert seen.heard(2, number)
        clock.now += 1
    assert seen.heard(1, A)  # another party may have any number
    assert told == []
    seen.require_one(2)


def test_one_that_comes_back_is_a_double_until_one_is_silent(world):
    seen, clock, told = world
    assert seen.heard(2, A)
    assert seen.heard(2, B)
    assert not seen.heard(2, A)
    assert not seen.heard(2, B)  # neither is believed
    assert told == ["two"]
    with pytest.raises(PeerRefused, match="two nodes with one identity") as caught:
        seen.require_one(2)
    assert caught.value.party == "two"
    seen.require_one(1)
    clock.now += 61
    assert not seen.heard(2, A)
    assert told == ["two", "two"]  # again, once a minute
    for _ in range(int(SILENT_SECONDS / 20) + 1):  # the older one goes on alone
        clock.now += 20
        believed = seen.heard(2, A)
    assert believed
    seen.require_one(2)
    assert seen.heard(2, A)
    assert seen.heard(2, B)  # like one that was restarted
    assert not seen.heard(2, A)


def test_memory_is_bounded(world):
    seen, _, _ = world
    for number in range(10_000):
        seen.heard(2, f"{number:032x}")
    assert len(seen._seen[2]) <= 64
    assert not seen.heard(2, f"{9_990:032x}")


async def call_as(key, to, number, instance):
    """One call under a key, from a process with this number; the status it ends with."""
    peer = to.network._roster[number - 1]
    options = [*dial_options(peer.name), ("grpc.primary_user_agent", f"mpcstats-instance/{instance}")]
    credentials = peer_credentials(key, peer.certificate_pem)
    async with grpc.aio.secure_channel(peer.address, credentials, options=options) as channel:
        call = channel.stream_stream("/mpcstats.v1.Transport/Exchange")()
        # a refusal may be there before the frame
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await call.write(b"no frame")
            await call.read()
        return await call.code(), await call.details()


async def test_over_real_connections_both_are_refused(tmp_path):
    keys = make_keys(tmp_path)
    async with running_parties(keys) as parties, asyncio.timeout(60):
        key, to = parties[1].key, parties[0]
        for instance in (A, B):
            _, details = await call_as(key, to, 1, instance)
            assert details != "two nodes with one identity"
        for instance in (A, B):
            assert await call_as(key, to, 1, instance) == (
                grpc.StatusCode.PERMISSION_DENIED,
                "two nodes with one identity",
            )
        assert [reason for reason, _ in to.refusals].count("two nodes with one identity") == 1
        # the third party is served as before, and programs that are no node are not counted
        _, details = await call_as(parties[2].key, to, 1, A)
        assert details != "two nodes with one identity"
        assert set(to.network.instances._seen) == {2, 3}
        async with raw_stream(parties[2].key, to, 1):
            assert list(to.network.instances._seen[3]) == [A]


async def test_nodes_say_which_process_they_are(tmp_path):
    async with running_parties(make_keys(tmp_path)) as parties, asyncio.timeout(60):
        call = parties[1].network.channel_to(1).stream_stream("/mpcstats.v1.Transport/Exchange")()
        # a refusal may be there before the frame
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            await call.write(b"no frame")
            await call.read()
        assert list(parties[0].network.instances._seen[2]) == [instance()]


async def test_a_node_does_not_start_while_another_one_answers_for_its_party(tmp_path):
    async with running_parties(make_keys(tmp_path)) as parties, asyncio.timeout(60):
        own, other = parties[0].network._roster[:2]
        with pytest.raises(ConfigurationError, match="another node with the identity of") as caught:
            await check_alone(parties[0].key, own.name, own.address, seconds=20)
        assert own.address in str(caught.value)
        # somebody else at that address is no double
        await check_alone(parties[0].key, own.name, other.address, seconds=20)
        gone = own.address
    await check_alone(parties[0].key, own.name, gone, seconds=20)
