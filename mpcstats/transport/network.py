"""A node's connections: one gRPC channel per peer for calling, and the streams of sessions, dialled or accepted.

The party with the lower number dials. A stream may arrive before this party opens its session (the coordinator
starts the parties one after the other): it is kept for a bounded time, and a bounded number of them per peer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Any

import grpc

from mpcstats.errors import FrameRejected, MpcStatsError
from mpcstats.transport.broken import StreamBroken, on_stream
from mpcstats.transport.callers import OPERATOR, caller_index
from mpcstats.transport.codec import decode, encode
from mpcstats.transport.grpc_channel import ABORT_SECONDS, GrpcChannel, SessionKey
from mpcstats.transport.instances import Instances, caller_options
from mpcstats.transport.tls import KeyPair, PinnedPeer, dial_options, peer_credentials
from mpcstats.wire.transport_pb2 import Frame

__all__ = ["PeerNetwork", "exchange_call"]

_SERVICE = "mpcstats.v1.Transport"

# Streams of one peer that wait for their session at this party.
_WAITING_STREAMS = 4

# A connection that shares nothing with those that exist: it waits for no earlier failure.
_ALONE = [("grpc.use_local_subchannel_pool", 1)]

# Sessions that were aborted here, of which late streams still hear why.
_REMEMBERED = 64

# How long a stream may wait for this party to open its session.
_HELLO_SECONDS = 30.0


def exchange_call(channel: Any, **options: Any) -> Any:
    """Start Transport.Exchange on a gRPC channel, with this package's codec instead of the generated one."""
    method = channel.stream_stream(f"/{_SERVICE}/Exchange", request_serializer=encode, response_deserializer=decode)
    return method(**options)


@dataclass(frozen=True)
class _Open:
    """An open session: its channel, and the numbers in the roster of its parties in their order."""

    channel: GrpcChannel
    numbers: tuple[int, ...]


class PeerNetwork:
    """Dials peers and accepts their streams.

    Parameters
    ----------
    own : KeyPair
        The node's key and certificate.
    index : int
        This party's number.
    roster : tuple of PinnedPeer
        All parties, this one included, by number.
    on_refused : function (reason, party)
        Called for each refused stream.
    members : int, optional
        Parties 1..members compute and are connected to all others in a session; the rest only to these. Default: all.
    is_node : bool
        False in a command beside the party's node, which is no second node.
    """

    def __init__(
        self,
        own: KeyPair,
        index: int,
        roster: tuple[PinnedPeer, ...],
        on_refused: Callable[[str, str], None],
        members: int | None = None,
        *,
        is_node: bool = True,
    ) -> None:
        assert [peer.index for peer in roster] == list(range(1, len(roster) + 1))
        self._own = own
        self._index = index
        self._roster = roster
        self._on_refused = on_refused
        self._members = len(roster) if members is None else members
        self._options = caller_options() if is_node else []
        self._channels: dict[int, Any] = {}
        self._sessions: dict[SessionKey, _Open] = {}
        self._aborted: dict[SessionKey, Frame] = {}
        self._opened = asyncio.Condition()
        self._waiting: dict[int, int] = {}
        self.instances = Instances(self.parties, lambda party: self._on_refused("two nodes with one identity", party))
        """Which processes called as which party; an interceptor of the server."""

    def add_to_server(self, server: Any) -> None:
        """Serve Transport.Exchange, with this package's codec."""
        handler = grpc.stream_stream_rpc_method_handler(
            self.exchange, request_deserializer=decode, response_serializer=encode
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, {"Exchange": handler})])

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of all parties by number."""
        return tuple(peer.name for peer in self._roster)

    def channel_to(self, index: int) -> Any:
        """The gRPC channel to a peer (kept open, reconnects by itself)."""
        assert index != self._index
        if index not in self._channels:
            self._channels[index] = self._channel_to(index)
        return self._channels[index]

    def fresh_channel(self, index: int) -> Any:
        """Another gRPC channel to a peer, which dials now; the caller closes it."""
        return self._channel_to(index, *_ALONE)

    def _channel_to(self, index: int, *options: tuple[str, Any]) -> Any:
        peer = self._roster[index - 1]
        return grpc.aio.secure_channel(
            peer.address,
            peer_credentials(self._own, peer.certificate_pem),
            options=[*dial_options(peer.name), *self._options, *options],
        )

    @contextlib.asynccontextmanager
    async def session(
        self,
        session_id: bytes,
        *,
        epoch: int = 0,
        patience_seconds: float,
        ahead_bytes: int | None = None,
        without: Collection[int] = (),
    ) -> AsyncIterator[GrpcChannel]:
        """A session whose streams are being opened: `wait_attached` comes first inside the block.

        On leaving, the session is closed in good order, or aborted with the error that leaves the block.

        Parameters
        ----------
        without : numbers
            Parties that do not take part; those behind them move up.
        """
        key = (session_id, epoch)
        numbers = tuple(number for number in range(1, len(self._roster) + 1) if number not in without)
        limits = {} if ahead_bytes is None else {"ahead_bytes": ahead_bytes}
        channel = GrpcChannel(
            key,
            index=numbers.index(self._index) + 1,
            parties=tuple(self.parties[number - 1] for number in numbers),
            patience_seconds=patience_seconds,
            members=sum(number <= self._members for number in numbers),
            **limits,
        )
        async with self._opened:
            self._sessions[key] = _Open(channel, numbers)
            self._aborted.pop(key, None)
            self._opened.notify_all()
        later = [place for place in channel.peers if numbers[place - 1] > self._index]
        dials = [asyncio.create_task(self._dial(channel, place, numbers[place - 1])) for place in later]
        try:
            yield channel
        except Exception as error:
            await channel.abort(error)
            raise
        except asyncio.CancelledError:
            await channel.abort(MpcStatsError("cancelled"))
            raise
        else:
            await channel.close()
        finally:
            del self._sessions[key]
            if channel.last_words is not None:
                await self._remember(key, channel.last_words)
                if dials:  # who is being dialled hears why, too
                    await asyncio.wait(dials, timeout=ABORT_SECONDS)
            for dial in dials:
                dial.cancel()
            await asyncio.gather(*dials, return_exceptions=True)

    async def _remember(self, key: SessionKey, last_words: Frame) -> None:
        """Why a session is over, for streams that wait for it or come later."""
        async with self._opened:
            self._aborted[key] = last_words
            while len(self._aborted) > _REMEMBERED:
                del self._aborted[next(iter(self._aborted))]
            self._opened.notify_all()

    async def close(self) -> None:
        """Close the connections to all peers."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def exchange(self, _requests: Any, context: Any) -> None:
        """Accept a stream (RPC handler)."""
        peer = caller_index()
        assert peer != OPERATOR
        name = self._roster[peer - 1].name
        try:
            session = await self._greet(peer, context)
            if isinstance(session, Frame):
                await on_stream(context.write(session))
                return
            channel, place = session.channel, session.numbers.index(peer) + 1
            await on_stream(context.write(channel.hello()))
            ended = await channel.attach(place, context.read, context.write)
        except StreamBroken:
            return  # the session misses this stream, and will say so
        except FrameRejected as refusal:
            self._on_refused(refusal.message, name)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, refusal.message)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            channel.lost(place, "the connection broke")
            raise

    async def _greet(self, peer: int, context: Any) -> _Open | Frame:
        """Read the Hello of a stream and find its session, which this party may open a little later.

        The last words of this party where the session was aborted.
        """
        name = self._roster[peer - 1].name
        if peer > self._index:
            raise FrameRejected("the party with the lower number dials", party=name)
        if peer > self._members:
            raise FrameRejected("two parties outside of the committee have no session", party=name)
        if self._waiting.get(peer, 0) >= _WAITING_STREAMS:
            raise FrameRejected("too many streams without a session", party=name)
        self._waiting[peer] = self._waiting.get(peer, 0) + 1
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                frame = await on_stream(context.read())
                if not isinstance(frame, Frame) or frame.WhichOneof("content") != "hello":
                    raise FrameRejected("a stream without a hello", party=name)
                key = (frame.session_id, frame.epoch)
                async with self._opened:
                    await self._opened.wait_for(lambda: key in self._sessions or key in self._aborted)
                if key not in self._sessions:
                    return self._aborted[key]
                if peer not in self._sessions[key].numbers:
                    raise FrameRejected("a stream for a session without this party", party=name)
                return self._sessions[key]
        except StreamBroken as broken:
            raise FrameRejected(f"a stream that broke ({broken.status})", party=name) from None
        except TimeoutError:
            raise FrameRejected("a stream for a session that this party does not know", party=name) from None
        finally:
            self._waiting[peer] -= 1

    async def _dial(self, channel: GrpcChannel, peer: int, number: int) -> None:
        """Open and keep the stream to a party with a higher number: `peer` in the session, `number` in the roster."""
        call = exchange_call(self.channel_to(number), wait_for_ready=True)
        try:
            await on_stream(call.write(channel.hello()))
            frame = await on_stream(call.read())
            if frame is grpc.aio.EOF or (frame.session_id, frame.epoch) != channel.key:
                channel.lost(peer, "refused the session")
                return
            content = frame.WhichOneof("content") if isinstance(frame, Frame) else "chunk"
            if content == "abort":
                channel.stopped(peer, frame.abort)
                return
            if content != "hello":
                channel.lost(peer, "answered without a hello")
                return
            ended = await channel.attach(peer, call.read, call.write)
            await ended.wait()
            await on_stream(call.done_writing())
        except StreamBroken as broken:
            channel.lost(peer, f"the session could not be opened ({broken.status})")
        finally:
            call.cancel()
