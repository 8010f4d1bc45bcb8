"""One party's end of a session over gRPC: a bidirectional stream per peer behind the `Channel` protocol.

Rules
* every wait ends after `patience_seconds` without progress, with an error that names the silent party;
* a party that computes for long says so from time to time, and every wait of the session begins anew; members tell
  guests of each other's signs;
* a broken stream ends every wait of the session at once, with an error that names the lost party;
* a party that stops says so (Abort) and names the party at fault; whoever hears it names that party, not the messenger;
* the first cause wins: what follows from it is not reported.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import grpc

from mpcstats.errors import (
    DeadlineExceeded,
    FrameRejected,
    MpcStatsError,
    PartyUnreachable,
    PeerRefused,
    TransportError,
)
from mpcstats.transport.broken import StreamBroken, on_stream
from mpcstats.transport.channel import Buffer
from mpcstats.transport.codec import ChunkFrame, encode_chunk
from mpcstats.transport.inbox import Inbox, Piece
from mpcstats.transport.tls import FRAME_BYTES
from mpcstats.wire.transport_pb2 import Abort, Frame, Goodbye, Hello, Working

__all__ = ["ABORT_SECONDS", "AHEAD_BYTES", "SESSION_ID_BYTES", "GrpcChannel", "SessionKey"]

AHEAD_BYTES = 64 << 20
"""Bytes kept per peer for messages that nobody waits for yet."""

SESSION_ID_BYTES = 16

_STATUS = "mpcstats party status DIR"

ABORT_SECONDS = 1.0
"""How long an abort may take to get out, and a stream to end after it."""

_SIGNS_PER_PATIENCE = 4

SessionKey = tuple[bytes, int]
"""(session id, epoch)."""


class _Stream:
    """One stream: gRPC's two functions, and how far each direction is."""

    def __init__(self, read: Callable[[], Awaitable[Any]], write: Callable[[Frame | bytes], Awaitable[None]]) -> None:
        self.read = read
        self.write = write
        self.turn = asyncio.Lock()  # one message at a time: pieces of two messages never mix
        self.reader: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()


class GrpcChannel:
    """A `Channel` whose streams are attached by `mpcstats.transport.network`.

    Large exchanges must send and receive at the same time: two parties that both send more than `ahead_bytes` before
    they receive wait for each other until the deadline.

    Parameters
    ----------
    key : (bytes, int)
        Session id (16 bytes) and epoch.
    index : int
        This party's number.
    parties : tuple of str
        Names of all parties.
    members : int, optional
        The first so many are connected to all others, the rest to these alone; default: all.
    patience_seconds : float
        How long a wait may take without progress.
    ahead_bytes : int
        Bound of the receive buffer per peer.

    Attributes
    ----------
    bytes_sent : dict of int to int
        Payload bytes per receiver.
    frames_sent : dict of int to int
        Frames with payload per receiver.
    """

    def __init__(
        self,
        key: SessionKey,
        *,
        index: int,
        parties: tuple[str, ...],
        patience_seconds: float,
        ahead_bytes: int = AHEAD_BYTES,
        members: int | None = None,
    ) -> None:
        assert len(key[0]) == SESSION_ID_BYTES
        assert 1 <= index <= len(parties)
        self.key = key
        self.index = index
        self.parties = parties
        self.patience_seconds = patience_seconds
        everybody = range(1, len(parties) + 1)
        connected = everybody if members is None or index <= members else everybody[:members]
        self.peers = tuple(number for number in connected if number != index)
        # a guest has no stream to the other guests: members pass its signs of life on
        self._guests = () if members is None or index > members else tuple(everybody[members:])
        self.bytes_sent: dict[int, int] = dict.fromkeys(self.peers, 0)
        self.frames_sent: dict[int, int] = dict.fromkeys(self.peers, 0)
        self._inboxes: Mapping[int, Inbox] = {peer: Inbox(parties[peer - 1], ahead_bytes) for peer in self.peers}
        self._streams: dict[int, _Stream] = {}
        self._waits: set[asyncio.Timeout] = set()
        self._failure: MpcStatsError | None = None
        self._closing = False
        self.last_words: Frame | None = None
        """After `abort`: what peers are told that come later."""
        self._attached = asyncio.Event()
        self._at_work = 0
        self._last_sign = float("-inf")
        self._next_sign: asyncio.TimerHandle | None = None
        self._signs: set[asyncio.Task[None]] = set()

    # ---- Channel -----------------------------------------------------------------------------------------------

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """See `Channel.send`."""
        stream = self._stream(receiver)
        view = memoryview(payload).cast("B")
        total = len(view)
        # who waits for its turn is as patient as the one whose turn it is
        async with stream.turn, self._patience(receiver) as progress:
            for offset in range(0, max(total, 1), FRAME_BYTES):
                piece = view[offset : offset + FRAME_BYTES]
                await self._write(receiver, stream, encode_chunk(*self.key, step, offset, total, piece))
                self.bytes_sent[receiver] += len(piece)
                self.frames_sent[receiver] += 1
                progress()

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """See `Channel.receive`. Messages of more than 1 MiB come as a bytearray, shorter ones as a view."""
        self._stream(sender)
        if (message := self._inboxes[sender].take(step, size)) is not None:
            return message
        async with self._patience(sender) as progress:
            return await self._inboxes[sender].get(step, size, progress)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """See `Channel.working`."""
        self._at_work += 1
        if self._at_work == 1:
            self._give_sign()
        try:
            yield
        finally:
            self._at_work -= 1
            if not self._at_work and self._next_sign is not None:
                self._next_sign.cancel()

    async def abort(self, error: Exception) -> None:
        """See `Channel.abort`. Takes at most about two seconds."""
        if self._closing:
            return
        self._closing = True
        if not isinstance(error, MpcStatsError):
            error = MpcStatsError(f"internal error: {type(error).__name__}")
        self._fail(error)
        self.last_words = self._frame(abort=Abort(code=error.code, party=self._number(error.party)))
        await self._end_all(self.last_words, ABORT_SECONDS)

    async def close(self) -> None:
        """See `Channel.close`. Waits, at most `patience_seconds`, until every peer has sent all it had to send."""
        if self._closing:
            return
        self._closing = True
        await self._end_all(self._frame(goodbye=Goodbye()), self.patience_seconds)

    # ---- used by mpcstats.transport.network ----------------------------------------------------------------------

    async def attach(
        self, peer: int, read: Callable[[], Awaitable[Any]], write: Callable[[Frame | bytes], Awaitable[None]]
    ) -> asyncio.Event:
        """Take over a stream whose Hello was received; returns the event that says that the stream may end.

        Who comes after `abort` is told why there is no session any more.

        Raises
        ------
        FrameRejected
            The peer has a stream in this session already.
        """
        if self.last_words is not None and peer not in self._streams:
            await on_stream(write(self.last_words))
            await _drain(read)
            over = asyncio.Event()
            over.set()
            return over
        if peer in self._streams or self._closing:
            raise FrameRejected("a second stream for the same session", party=self.parties[peer - 1])
        stream = self._streams[peer] = _Stream(read, write)
        stream.reader = asyncio.create_task(self._read_all(peer, stream))
        if len(self._streams) == len(self.peers):
            self._attached.set()
        return stream.ended

    async def wait_attached(self) -> None:
        """Wait until a stream to every peer is attached, at most `patience_seconds`.

        Raises
        ------
        PartyUnreachable
            Names the first party whose stream is missing, or the one that broke.
        """
        try:
            async with asyncio.timeout(self.patience_seconds):
                await self._attached.wait()
        except TimeoutError:
            missing = next(peer for peer in self.peers if peer not in self._streams)
            self.lost(missing, f"no session within {self.patience_seconds:g} s")
        if self._failure is not None:
            raise self._failure

    def lost(self, peer: int, reason: str) -> None:
        """Record that the stream to `peer` broke or could not be opened."""
        if not self._closing:
            self._fail(PartyUnreachable(reason, party=self.parties[peer - 1], hint=_STATUS))

    def stopped(self, peer: int, notice: Abort) -> None:
        """Record that `peer` had stopped before there was a stream."""
        if not self._closing:
            self._fail(self._stopped_by(peer, notice))

    def hello(self) -> Frame:
        """The first frame of each direction."""
        return self._frame(hello=Hello())

    # ---- inside --------------------------------------------------------------------------------------------------

    def _frame(self, **content: Any) -> Frame:
        return Frame(session_id=self.key[0], epoch=self.key[1], **content)

    def _stream(self, peer: int) -> _Stream:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise TransportError("the session is closed")
        return self._streams[peer]

    @contextlib.asynccontextmanager
    async def _patience(self, peer: int) -> AsyncIterator[Callable[[], None]]:
        """Bound a wait for `peer`; the value is called on progress. A failure of the session ends it at once."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.patience_seconds) as limit:
                self._waits.add(limit)
                try:
                    if self._failure is not None:
                        raise self._failure
                    yield lambda: _reschedule(limit, loop.time() + self.patience_seconds)
                finally:
                    self._waits.discard(limit)
        except TimeoutError:
            if self._failure is not None:
                raise self._failure from None
            silent = DeadlineExceeded(
                f"nothing moved for {self.patience_seconds:g} s",
                party=self.parties[peer - 1] if peer else None,
                hint=_STATUS,
            )
            self._fail(silent)
            raise silent from None
        except TransportError as error:
            self._fail(error)
            raise

    def _fail(self, error: MpcStatsError) -> None:
        """Record the first cause and end every wait."""
        if self._failure is not None:
            return
        self._failure = error
        now = asyncio.get_running_loop().time()
        for limit in self._waits:
            _reschedule(limit, now)
        self._attached.set()

    def _give_sign(self) -> None:
        """Tell all peers that this party computes, unless they heard it a moment ago; and again later."""
        loop = asyncio.get_running_loop()
        interval = self.patience_seconds / _SIGNS_PER_PATIENCE
        due = self._last_sign + interval
        if loop.time() >= due:
            self._last_sign, due = loop.time(), loop.time() + interval
            self._tell_working(self._streams.values())
        self._next_sign = loop.call_at(due, self._give_sign)

    def _tell_working(self, streams: Iterable[_Stream]) -> None:
        for stream in streams:
            if not stream.turn.locked():  # else a message is under way, which is sign enough
                task = asyncio.create_task(self._say_working(stream))
                self._signs.add(task)
                task.add_done_callback(self._signs.discard)

    async def _say_working(self, stream: _Stream) -> None:
        # never cancelled while it writes: gRPC would end the whole stream with it
        with contextlib.suppress(StreamBroken):
            async with stream.turn:
                if not self._closing:
                    await on_stream(stream.write(self._frame(working=Working())))

    def _hear_sign(self) -> None:
        """A party computes. Others may wait for one that waits for it: all waits begin anew."""
        if self._failure is None:
            until = asyncio.get_running_loop().time() + self.patience_seconds
            for limit in self._waits:
                _reschedule(limit, until)

    async def _write(self, peer: int, stream: _Stream, frame: Frame | bytes) -> None:
        try:
            await on_stream(stream.write(frame))
        except StreamBroken as broken:
            # why a peer stopped may have arrived before its stream ended: the reader comes first
            if stream.reader is not None and self._failure is None:
                await asyncio.wait({stream.reader}, timeout=ABORT_SECONDS)
            self.lost(peer, f"the connection broke while sending ({broken.status})")
            raise self._failure or TransportError("the session is closed") from None

    async def _read_all(self, peer: int, stream: _Stream) -> None:
        """Read until the peer says goodbye, aborts, breaks a rule or is lost."""
        try:
            while True:
                frame = await on_stream(stream.read())
                if frame is grpc.aio.EOF:
                    self.lost(peer, "the connection broke")
                    return
                if not await self._take(peer, frame):
                    return
        except FrameRejected as error:
            self._fail(error)
        except StreamBroken as broken:
            self.lost(peer, f"the connection broke ({broken.status})")

    async def _take(self, peer: int, frame: ChunkFrame | Frame) -> bool:
        """Handle one frame; False after the last one."""
        name = self.parties[peer - 1]
        if (frame.session_id, frame.epoch) != self.key:
            raise FrameRejected("a frame of another session or epoch", party=name)
        if isinstance(frame, ChunkFrame):
            await self._inboxes[peer].put(Piece(frame.step, frame.offset, frame.total, frame.payload))
            return True
        content = frame.WhichOneof("content")
        if content == "chunk":  # a chunk whose bytes are not the canonical ones
            chunk = frame.chunk
            await self._inboxes[peer].put(Piece(chunk.step, chunk.offset, chunk.total, memoryview(chunk.payload)))
            return True
        if content == "abort":
            self._fail(self._stopped_by(peer, frame.abort))
            return False
        if content == "working":
            self._hear_sign()
            if peer in self._guests:
                self._tell_working([self._streams[g] for g in self._guests if g != peer and g in self._streams])
            return True
        if content == "goodbye":
            self._inboxes[peer].finish()
            return False
        raise FrameRejected(f"an unexpected frame ({content or 'empty'})", party=name)

    def _stopped_by(self, peer: int, notice: Abort) -> MpcStatsError:
        reporter = self.parties[peer - 1]
        known = 1 <= notice.party <= len(self.parties)
        culprit = self.parties[notice.party - 1] if known else reporter
        code = notice.code if notice.code[:1] == "E" and notice.code[1:].isdigit() else MpcStatsError.code
        if culprit != reporter and code in {PartyUnreachable.code, DeadlineExceeded.code}:
            return PartyUnreachable(f"lost, as {reporter} reports ({code})", party=culprit, hint=_STATUS)
        by = "" if culprit == reporter else f", as {reporter} reports"
        refusal = PeerRefused(f"stopped the run with {code}{by}", party=culprit, hint=f"ask {culprit} for its log")
        refusal.reason_code = code
        return refusal

    def _number(self, party: str | None) -> int:
        return self.parties.index(party) + 1 if party in self.parties and party != self.parties[self.index - 1] else 0

    async def _end_all(self, last: Frame, seconds: float) -> None:
        """Send the last frame everywhere, then wait for the peers' last ones."""
        farewells = [asyncio.create_task(self._say_last(stream, last)) for stream in self._streams.values()]
        readers = [stream.reader for stream in self._streams.values() if stream.reader is not None]
        for tasks in (farewells, readers):
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
        for task in (*farewells, *readers, *self._signs):
            task.cancel()
        for stream in self._streams.values():
            stream.ended.set()

    async def _say_last(self, stream: _Stream, last: Frame) -> None:
        with contextlib.suppress(StreamBroken):
            async with stream.turn:
                await on_stream(stream.write(last))


async def _drain(read: Callable[[], Awaitable[Any]]) -> None:
    """Wait for the end of a stream, a moment long: one that is cancelled loses what was written to it last."""
    with contextlib.suppress(StreamBroken, TimeoutError):
        async with asyncio.timeout(ABORT_SECONDS):
            while await on_stream(read()) is not grpc.aio.EOF:
                pass


def _reschedule(limit: asyncio.Timeout, when: float) -> None:
    if not limit.expired():
        limit.reschedule(when)
