"""What arrives from one peer in one session: pieces become messages, and nothing unexpected is kept.

Rules for the pieces from one sender
* the steps of messages are strictly increasing: a stale, replayed or duplicated message is refused;
* the pieces of a message come in order, without gap or overlap, and agree on the length;
* all pieces are FRAME_BYTES long, except the last;
* at most `ahead_bytes` are kept for messages that nobody waits for yet; then reading stops until somebody does, and
  gRPC's flow control holds the sender back;
* the receiver knows how long a message is: any other length is refused.

No I/O happens here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from mpcstats.errors import FrameRejected, PartyUnreachable
from mpcstats.transport.channel import Buffer
from mpcstats.transport.tls import FRAME_BYTES

__all__ = ["Inbox", "Piece"]


# what holding a piece costs beside its bytes: many tiny messages must not slip under the limit
_PIECE_OVERHEAD = 512


@dataclass(frozen=True)
class Piece:
    """A piece of a message, as it came off the wire."""

    step: int
    offset: int
    total: int
    payload: memoryview


@dataclass
class _Message:
    total: int
    awaited: bool = False
    received: int = 0
    ahead: int = 0
    pieces: list[memoryview] = field(default_factory=list)
    buffer: bytearray | None = None

    @property
    def complete(self) -> bool:
        return bool(self.pieces or self.buffer) and self.received == self.total

    def add(self, payload: memoryview) -> None:
        # short messages, by far the most, are never copied; long ones go straight to their place once awaited
        if self.buffer is not None:
            self.buffer[self.received : self.received + len(payload)] = payload
        else:
            self.pieces.append(payload)
        self.received += len(payload)

    def await_it(self) -> int:
        """Mark as awaited; returns the bytes that no longer count as ahead."""
        self.awaited = True
        ahead, self.ahead = self.ahead, 0
        if self.total > FRAME_BYTES:
            self.buffer = bytearray(self.total)
            offset = 0
            for piece in self.pieces:
                self.buffer[offset : offset + len(piece)] = piece
                offset += len(piece)
            self.pieces.clear()
        return ahead

    def content(self) -> Buffer:
        return self.buffer if self.buffer is not None else self.pieces[0]


class Inbox:
    """Messages from one sender.

    Parameters
    ----------
    sender : str
        Name of the party; every refusal names it.
    ahead_bytes : int
        Bytes kept for messages that nobody waits for yet.
    """

    def __init__(self, sender: str, ahead_bytes: int) -> None:
        assert ahead_bytes >= 2 * FRAME_BYTES, "a single frame must fit"
        self._sender = sender
        self._ahead_limit = ahead_bytes
        self._messages: dict[int, _Message] = {}
        self._last_step = -1
        self._changed = asyncio.Event()
        self._finished = False
        self.ahead_bytes = 0
        """Bytes held right now for messages that nobody waits for."""

    async def put(self, piece: Piece) -> None:
        """Take a piece; waits while the bytes held ahead are at their limit.

        Raises
        ------
        FrameRejected
            The piece breaks a rule.
        """
        message = self._check(piece)
        cost = len(piece.payload) + _PIECE_OVERHEAD
        while not message.awaited and self.ahead_bytes + cost > self._ahead_limit:
            self._changed.clear()
            await self._changed.wait()
        if not message.awaited:
            message.ahead += cost
            self.ahead_bytes += cost
        message.add(piece.payload)
        self._changed.set()

    def take(self, step: int, size: int) -> Buffer | None:
        """The message `step` of `size` bytes if it is short and here; None: `get` has to wait, or refuses."""
        message = self._messages.get(step)
        if message is None or not message.complete or not message.received == size <= FRAME_BYTES:
            return None
        self.ahead_bytes -= message.await_it()
        self._changed.set()
        del self._messages[step]
        return message.content()

    async def get(self, step: int, size: int, on_progress: Callable[[], None]) -> Buffer:
        """Wait for the message `step` of `size` bytes; `on_progress` is called whenever a part of it arrives.

        Raises
        ------
        FrameRejected
            The message has another length, or its step is over.
        PartyUnreachable
            The sender ended the session before it sent the message.
        """
        message = self._messages.get(step)
        if message is None:
            if step <= self._last_step:
                raise FrameRejected(
                    f"step {step} was received or skipped: the sender is at {self._last_step}", party=self._sender
                )
            message = self._messages[step] = _Message(size)
        if message.total != size:
            raise self._wrong_length(step, message.total, size)
        self.ahead_bytes -= message.await_it()
        self._changed.set()
        received = message.received
        while not message.complete:
            if self._finished:
                raise PartyUnreachable(f"ended the session before step {step}", party=self._sender)
            self._changed.clear()
            await self._changed.wait()
            if message.received != received:
                received = message.received
                on_progress()
        del self._messages[step]
        return message.content()

    def finish(self) -> None:
        """The sender has sent everything: waits for more end."""
        self._finished = True
        self._changed.set()

    def _check(self, piece: Piece) -> _Message:
        step, size = piece.step, len(piece.payload)
        if size != min(FRAME_BYTES, max(0, piece.total - piece.offset)):
            raise FrameRejected(
                f"step {step}: a frame of {size} bytes at {piece.offset} of {piece.total}", party=self._sender
            )
        if piece.offset == 0:
            return self._begin(piece)
        message = self._messages.get(step)
        if step != self._last_step or message is None or piece.offset != message.received:
            expected = message.received if message is not None else 0
            raise FrameRejected(
                f"step {step}: a frame at {piece.offset} where {expected} was next (stale or out of order)",
                party=self._sender,
            )
        if piece.total != message.total:
            raise self._wrong_length(step, piece.total, message.total)
        return message

    def _begin(self, piece: Piece) -> _Message:
        previous = self._messages.get(self._last_step)
        if piece.step <= self._last_step:
            raise FrameRejected(
                f"step {piece.step} is stale or duplicated: the last one was {self._last_step}", party=self._sender
            )
        if previous is not None and not previous.complete:
            raise FrameRejected(f"step {self._last_step} was left incomplete", party=self._sender)
        message = self._messages.get(piece.step)
        if message is None:
            message = self._messages[piece.step] = _Message(piece.total)
        elif message.total != piece.total:
            raise self._wrong_length(piece.step, piece.total, message.total)
        self._last_step = piece.step
        return message

    def _wrong_length(self, step: int, got: int, expected: int) -> FrameRejected:
        return FrameRejected(
            f"step {step}: a message of {got} bytes where {expected} were expected", party=self._sender
        )
