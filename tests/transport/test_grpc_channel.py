"""Sessions over real mutual TLS on loopback."""

import asyncio
import contextlib
import secrets
import time

import grpc
import numpy as np
import pytest

from mpcstats.errors import (
    DataError,
    DeadlineExceeded,
    FrameRejected,
    MpcStatsError,
    PartyUnreachable,
    PeerRefused,
)
from mpcstats.transport import grpc_channel
from mpcstats.transport.tls import FRAME_BYTES, MESSAGE_LIMIT, dial_options, peer_credentials
from mpcstats.wire.transport_pb2 import Abort, Chunk, Frame, Goodbye, Hello
from mpcstats.wire.transport_pb2_grpc import TransportStub

from .nodes import NAMES, make_keys, raw_stream, running_parties

MIB = FRAME_BYTES


async def in_session(parties, program, *, patience=5.0, ahead=None):
    """Run program(channel) at all parties; the results or errors in order."""
    session_id = secrets.token_bytes(16)

    async def one(party):
        async with party.network.session(session_id, patience_seconds=patience, ahead_bytes=ahead) as channel:
            await channel.wait_attached()
            return await program(channel)

    return await asyncio.wait_for(asyncio.gather(*(one(party) for party in parties), return_exceptions=True), 20)


async def test_every_pair_exchanges_messages_of_all_lengths(keys):
    sizes = [1, 8, 0, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]

    async def program(channel):
        for step, size in enumerate(sizes):
            payload = np.full(size, channel.index, np.uint8)
            got = await asyncio.gather(
                *(channel.receive(peer, step, size) for peer in channel.peers),
                *(channel.send(peer, step, payload) for peer in channel.peers),
            )
            for peer, content in zip(channel.peers, got, strict=False):
                assert bytes(content) == bytes([peer]) * size
        return channel.bytes_sent, channel.frames_sent

    async with running_parties(keys) as parties:
        results = await in_session(parties, program)
    for number, (sent, frames) in enumerate(results, start=1):
        others = [peer for peer in (1, 2, 3) if peer != number]
        assert sent == dict.fromkeys(others, sum(sizes))
        assert frames == dict.fromkeys(others, 1 + 1 + 1 + 1 + 1 + 2 + 4)


async def test_steps_may_be_taken_late_and_skipped(keys):
    async def program(channel):
        for step in (0, 3, 7):
            for peer in channel.peers:
                await channel.send(peer, step, bytes([step]))
        return [bytes(await channel.receive(peer, step, 1)) for step in (7, 0, 3) for peer in channel.peers]

    async with running_parties(keys) as parties:
        results = await in_session(parties, program)
    assert results == [[b"\x07"] * 2 + [b"\x00"] * 2 + [b"\x03"] * 2] * 3


async def gives_up(party, session_id):
    """Open a session and leave it because of beta."""
    with contextlib.suppress(PartyUnreachable):
        async with party.network.session(session_id, patience_seconds=5):
            raise PartyUnreachable("gone", party="beta")


async def attaches(party, session_id, after=0.0):
    """Open a session; why it did not come about."""
    await asyncio.sleep(after)
    with pytest.raises(PartyUnreachable) as caught:
        async with party.network.session(session_id, patience_seconds=5) as channel:
            await channel.wait_attached()
    return caught.value


async def test_who_dials_after_the_end_hears_who_was_lost(keys):
    async with running_parties(keys) as parties, asyncio.timeout(4):
        await gives_up(parties[2], b"s" * 16)
        error = await attaches(parties[0], b"s" * 16)
        assert (error.party, error.message) == ("beta", "lost, as gamma reports (E1401)")


async def test_who_is_dialled_before_it_is_there_hears_who_was_lost(keys):
    async with running_parties(keys) as parties, asyncio.timeout(4):
        _, error = await asyncio.gather(gives_up(parties[0], b"s" * 16), attaches(parties[2], b"s" * 16, after=0.3))
        assert (error.party, error.message) == ("beta", "lost, as alpha reports (E1401)")


async def test_reasons_of_old_sessions_are_few_and_a_new_session_of_that_name_begins(keys):
    async with running_parties(keys) as parties:
        network = parties[2].network
        for number in range(100):
            await gives_up(parties[2], number.to_bytes(16, "big"))
        assert list(network._aborted) == [(number.to_bytes(16, "big"), 0) for number in range(36, 100)]

        async def begins(party):
            async with party.network.session((99).to_bytes(16, "big"), patience_seconds=5) as channel:
                await channel.wait_attached()

        await asyncio.gather(*map(begins, parties))
        assert len(network._aborted) == 63


async def test_a_silent_party_is_named_at_the_deadline(keys):
    async def program(channel):
        if channel.index == 3:
            return await asyncio.sleep(1.5)
        return await channel.receive(3, 0, 8)

    async with running_parties(keys) as parties:
        start = time.monotonic()
        first, second, _ = await in_session(parties, program, patience=0.5)
        assert time.monotonic() - start < 5
    # whoever loses patience first tells the other one, who may hear it before its own deadline
    assert DeadlineExceeded in {type(first), type(second)} <= {DeadlineExceeded, PartyUnreachable}
    assert (first.party, second.party) == ("gamma", "gamma")


async def test_a_silent_party_is_named_by_who_hears_of_it_before_the_own_deadline(keys):
    async def program(channel):
        if channel.index == 3:
            return await asyncio.sleep(1.5)
        if channel.index == 2:
            await asyncio.sleep(0.45)  # its patience begins, and would end, later
        return await channel.receive(3, 0, 8)

    async with running_parties(keys) as parties:
        first, second, _ = await in_session(parties, program, patience=0.5)
    assert isinstance(first, DeadlineExceeded)
    assert isinstance(second, PartyUnreachable)
    assert (first.party, second.party) == ("gamma", "gamma")
    assert "as alpha reports (E1402)" in second.message


async def test_a_party_that_computes_is_not_silent_even_for_who_waits_for_another(keys):
    async def program(channel):
        if channel.index == 3:
            with channel.working():
                await asyncio.sleep(1.6)  # four times the patience
            await channel.send(2, 0, b"done")
        elif channel.index == 2:
            got = bytes(await channel.receive(3, 0, 4))
            await channel.send(1, 0, got)
        else:
            return bytes(await channel.receive(2, 0, 4)), channel.frames_sent
        return channel.frames_sent

    async with running_parties(keys) as parties:
        first, second, third = await in_session(parties, program, patience=0.4)
    assert first == (b"done", {2: 0, 3: 0})
    assert second == {1: 1, 3: 0}
    assert third == {1: 0, 2: 1}  # signs of life are no messages


async def test_patience_begins_anew_when_the_computing_ends_and_ends_with_it(keys):
    async def program(channel):
        if channel.index == 3:
            with channel.working(), channel.working():
                await asyncio.sleep(0.8)
            await asyncio.sleep(2)
            return None
        start = time.monotonic()
        try:
            return await channel.receive(3, 0, 4)
        finally:
            waited.append(time.monotonic() - start)

    waited = []
    async with running_parties(keys) as parties:
        first, second, _ = await in_session(parties, program, patience=0.4)
    assert DeadlineExceeded in {type(first), type(second)} <= {DeadlineExceeded, PartyUnreachable}
    assert (first.party, second.party) == ("gamma", "gamma")
    assert 0.9 < min(waited) < 1.8


async def test_signs_of_life_are_few_however_often_a_party_computes(keys):
    async def program(channel):
        if channel.index == 1:
            signs = []
            write = channel._streams[2].write

            async def counted(frame):
                signs.append(frame)
                await write(frame)

            channel._streams[2].write = counted
            for _ in range(200):
                with channel.working():
                    await asyncio.sleep(0.001)
            await channel.send(2, 0, b"x")
            return len(signs)
        return await channel.receive(1, 0, 1) if channel.index == 2 else None

    async with running_parties(keys) as parties:
        number, _, _ = await in_session(parties, program, patience=20)
    assert number == 2  # one sign, one message


async def test_a_slow_but_moving_message_is_not_silent(keys):
    size = 4 * MIB

    async def program(channel):
        if channel.index == 1:
            view = bytes(size)
            stream = channel._streams[2]
            for offset in range(0, size, MIB):  # 4 pieces over 1.2 s, patience 0.6 s
                await asyncio.sleep(0.3)
                frame = Frame(session_id=channel.key[0])
                frame.chunk.CopyFrom(Chunk(step=0, offset=offset, total=size, payload=view[offset : offset + MIB]))
                await stream.write(frame)
        elif channel.index == 2:
            return len(await channel.receive(1, 0, size))
        return None

    async with running_parties(keys) as parties:
        _, second, _ = await in_session(parties, program, patience=0.6)
    assert second == size


async def test_a_party_that_stops_is_named_with_its_code_and_without_details(keys):
    async def program(channel):
        if channel.index == 2:
            raise DataError("column age of ward 7")
        return await channel.receive(2 if channel.index == 1 else 1, 0, 8)

    async with running_parties(keys) as parties:
        first, _, third = await in_session(parties, program)
    for error in (first, third):
        assert isinstance(error, PeerRefused)
        assert error.party == "beta"
        assert "E1300" in str(error)
        assert "ward" not in str(error)


@pytest.mark.parametrize("cause", [PartyUnreachable, DeadlineExceeded])
async def test_the_party_at_fault_is_named_not_the_messenger(keys, cause):
    """Party 1 has lost party 3 and says so; party 2 still waits for party 1."""

    async def program(channel):
        if channel.index == 1:
            await asyncio.sleep(0.1)
            raise cause("gone", party="gamma")
        if channel.index == 2:
            return await channel.receive(1, 0, 8)
        try:
            return await channel.receive(2, 0, 8)
        except MpcStatsError:
            await asyncio.sleep(1)  # the accused stops, too: not before party 2 has heard party 1
            raise

    async with running_parties(keys) as parties:
        _, second, third = await in_session(parties, program)
    assert isinstance(second, PartyUnreachable)
    assert second.party == "gamma"
    assert "alpha reports" in second.message
    # the accused hears who says so
    assert isinstance(third, MpcStatsError)
    assert third.party == "gamma"
    assert "alpha reports" in third.message


async def test_a_broken_stream_names_its_other_end_at_once(keys):
    async def program(channel):
        if channel.index == 3:
            await asyncio.sleep(0.2)
            await parties[2].server.stop(0)
            await parties[2].network.close()
            return await asyncio.sleep(1)
        return await channel.receive(3, 0, 8)

    async with running_parties(keys) as parties:
        start = time.monotonic()
        first, second, _ = await in_session(parties, program, patience=10)
        assert time.monotonic() - start < 4
    for error in (first, second):
        assert isinstance(error, PartyUnreachable)
        assert error.party == "gamma"


async def test_the_end_of_a_session_loses_nothing_and_late_readers_learn_that_it_is_over(keys):
    async def program(channel):
        if channel.index == 1:
            await channel.send(2, 0, bytes(2 * MIB))
            await channel.send(2, 1, b"last")
            return None
        if channel.index == 2:
            await asyncio.sleep(0.3)  # party 1 has said goodbye
            assert len(await channel.receive(1, 0, 2 * MIB)) == 2 * MIB
            assert bytes(await channel.receive(1, 1, 4)) == b"last"
            return await channel.receive(1, 2, 4)
        return None

    async with running_parties(keys) as parties:
        first, second, third = await in_session(parties, program)
    assert (first, third) == (None, None)
    assert isinstance(second, PartyUnreachable)
    assert second.party == "alpha"


async def test_flow_control_bounds_what_a_receiver_holds(keys):
    limit = 4 * MIB

    async def program(channel):
        if channel.index == 1:
            await channel.send(2, 0, np.zeros(256 * MIB, np.uint8))
        elif channel.index == 2:
            try:
                await asyncio.sleep(10)
            finally:
                held.append(channel._inboxes[1].ahead_bytes)
        return channel.bytes_sent

    held = []
    async with running_parties(keys) as parties:
        session_id = secrets.token_bytes(16)
        tasks = []
        channels = []

        async def one(party):
            async with party.network.session(session_id, patience_seconds=1.0, ahead_bytes=limit) as channel:
                channels.append(channel)
                await channel.wait_attached()
                return await program(channel)

        tasks = [asyncio.create_task(one(party)) for party in parties[:2]]
        third = asyncio.create_task(one(parties[2]))
        done, _ = await asyncio.wait(tasks[:1], timeout=10)
        error = tasks[0].exception()
        for task in (tasks[1], third):
            task.cancel()
        await asyncio.gather(*tasks, third, return_exceptions=True)
    assert done
    assert isinstance(error, DeadlineExceeded)
    assert error.party == "beta"
    assert limit - MIB <= held[0] <= limit
    sent = next(channel for channel in channels if channel.index == 1).bytes_sent[2]
    assert sent <= limit + 32 * MIB  # the rest is gRPC's window, far from the 256 MiB offered


# ---- an authenticated party that breaks the rules ------------------------------------------------------------------


def chunk(key, step, payload, *, epoch=0, offset=0, total=None):
    piece = Chunk(step=step, offset=offset, total=len(payload) if total is None else total, payload=payload)
    return Frame(session_id=key, epoch=epoch, chunk=piece)


EVIL = {
    "another session": lambda key: [chunk(secrets.token_bytes(16), 0, b"12345678")],
    "another epoch": lambda key: [chunk(key, 0, b"12345678", epoch=1)],
    "the same step twice": lambda key: [chunk(key, 0, b"12345678"), chunk(key, 0, b"12345678")],
    "an earlier step": lambda key: [chunk(key, 5, b"12345678"), chunk(key, 4, b"12345678")],
    "another length than awaited": lambda key: [chunk(key, 1, b"1234567")],
    "a gap": lambda key: [chunk(key, 1, b"1234", offset=4, total=8)],
    "a second hello": lambda key: [Frame(session_id=key, hello=Hello())],
    "an empty frame": lambda key: [Frame(session_id=key)],
    "a piece above the limit": lambda key: [chunk(key, 1, bytes(MIB + 1))],
}


@pytest.mark.parametrize("what", EVIL)
async def test_a_bad_frame_ends_the_session_and_names_its_sender(keys, what, monkeypatch):
    error = await beta_hears(keys, EVIL[what], monkeypatch)
    assert isinstance(error, FrameRejected)
    assert error.party == "alpha"


async def test_a_message_above_grpcs_limit_never_reaches_us(keys, monkeypatch):
    error = await beta_hears(keys, lambda key: [chunk(key, 1, bytes(MESSAGE_LIMIT))], monkeypatch)
    assert isinstance(error, PartyUnreachable)
    assert error.party == "alpha"


async def test_a_strange_abort_code_is_not_repeated(keys, monkeypatch):
    def frames(key):
        return [Frame(session_id=key, abort=Abort(code="patient 17", party=99))]

    error = await beta_hears(keys, frames, monkeypatch)
    assert isinstance(error, PeerRefused)
    assert error.party == "alpha"
    assert "17" not in str(error)


async def beta_hears(keys, frames, monkeypatch):
    """Party 1 is played by the test; the error of party 2, which waits for step 1 of 8 bytes from it."""
    # this party 1 answers no farewell
    monkeypatch.setattr(grpc_channel, "ABORT_SECONDS", 0.1)
    session_id = secrets.token_bytes(16)

    async def beta():
        async with parties[1].network.session(session_id, patience_seconds=3.0) as channel:
            await channel.wait_attached()
            return await channel.receive(1, 1, 8)

    async def gamma():
        async with parties[2].network.session(session_id, patience_seconds=3.0) as channel:
            await channel.wait_attached()
            return await channel.receive(2, 0, 1)

    async with running_parties(keys) as parties:
        await parties[0].server.stop(0)
        tasks = [asyncio.create_task(beta()), asyncio.create_task(gamma())]
        alpha = keys["alpha"]
        async with raw_stream(alpha, parties[1], 2) as to_beta, raw_stream(alpha, parties[2], 3) as to_c:
            hello = Frame(session_id=session_id, hello=Hello())
            for call in (to_beta, to_c):
                await call.write(hello)
                assert (await call.read()).WhichOneof("content") == "hello"
            for frame in frames(session_id):
                await to_beta.write(frame)
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    return results[0]


async def test_streams_that_do_not_belong_are_refused_and_reported(keys):
    async with running_parties(keys) as parties:
        cases = [
            ("gamma", 2, Frame(session_id=bytes(16), hello=Hello()), "lower number dials"),
            ("alpha", 2, Frame(session_id=bytes(16), goodbye=Goodbye()), "without a hello"),
        ]
        for sender, number, frame, says in cases:
            async with raw_stream(keys[sender], parties[number - 1], number) as call:
                with contextlib.suppress(grpc.aio.AioRpcError):  # the refusal may be here already
                    await call.write(frame)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
                assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
                reason, party = parties[number - 1].refusals[-1]
                assert says in reason
                assert party == sender


async def test_streams_without_a_session_are_bounded(keys):
    async with running_parties(keys) as parties:
        stub = TransportStub(parties[0].network.channel_to(2))
        waiting = [stub.Exchange() for _ in range(5)]
        for number, call in enumerate(waiting):
            await call.write(Frame(session_id=bytes([number]) * 16, hello=Hello()))
        reads = [asyncio.create_task(call.read()) for call in waiting]
        done, pending = await asyncio.wait(reads, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert len(pending) == 4
        assert "too many streams" in done.pop().exception().details()
        for read in pending:
            read.cancel()
        for call in waiting:
            call.cancel()


async def test_a_second_stream_for_a_session_is_refused(keys):
    async def program(channel):
        if channel.index == 1:
            call = TransportStub(parties[0].network.channel_to(2)).Exchange()
            await call.write(channel.hello())
            await call.read()  # the hello
            try:
                await call.read()
            except grpc.aio.AioRpcError as error:
                return error.details()
        return await asyncio.sleep(0.3)

    async with running_parties(keys) as parties:
        first, second, third = await in_session(parties, program)
    assert "second stream" in first
    assert (second, third) == (None, None)


# ---- keys ----------------------------------------------------------------------------------------------------------


async def test_an_unknown_key_does_not_get_through_tls(keys, tmp_path):
    stranger = make_keys(tmp_path, ("alpha",))["alpha"]  # the right name, another key
    async with running_parties(keys) as parties, raw_stream(stranger, parties[1], 2) as call:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(Frame(session_id=bytes(16), hello=Hello()))
        assert await call.code() == grpc.StatusCode.UNAVAILABLE


async def test_an_impostor_server_is_not_trusted(keys, tmp_path):
    """Party 1 dials party 2's address, where somebody else answers with the right name and another key."""
    mixed = {**keys, "beta": make_keys(tmp_path, ("beta",))["beta"]}
    async with running_parties(mixed) as impostors:
        peer = impostors[1].network._roster[1]
        credentials = peer_credentials(keys["alpha"], keys["beta"].certificate_pem)
        async with grpc.aio.secure_channel(peer.address, credentials, options=dial_options("beta")) as channel:
            refused = TransportStub(channel).Exchange()
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await refused.write(Frame(session_id=bytes(16), hello=Hello()))
            assert await refused.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_own_key_is_no_party_and_a_party_is_no_operator(keys):
    async with running_parties(keys) as parties:
        peer = parties[1].network._roster[1]
        for who, method in (("beta", "/mpcstats.v1.Transport/Exchange"), ("alpha", "/mpcstats.v1.Transport/Exchange")):
            credentials = peer_credentials(keys[who], peer.certificate_pem)
            async with grpc.aio.secure_channel(peer.address, credentials, options=dial_options("beta")) as channel:
                call = channel.stream_stream(method, request_serializer=Frame.SerializeToString)()

                async def talk(call=call):  # the refusal may come before the first word is out
                    await call.write(Frame(session_id=bytes(16), goodbye=Goodbye()))
                    await call.read()

                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await talk()
                expected = "PERMISSION_DENIED" if who == "beta" else "FAILED_PRECONDITION"
                assert caught.value.code().name == expected


def test_the_key_is_not_in_the_repr(keys):
    for pair in keys.values():
        assert "PRIVATE" not in repr(pair)
    assert list(keys) == list(NAMES)
