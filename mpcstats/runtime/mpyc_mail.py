"""MPyC's messages in lockstep: what all tasks want to send is exchanged in two rounds of the session.

MPyC labels a message by a 64-bit program counter and sends whenever a task gets there. Here messages are collected
while the program runs, and exchanged when it waits:

1. a round of headers (16 bytes to each other party): how many bytes follow, whether the program is finished, and
   whether this party sent anything to anyone;
2. a round of data: the messages, each as program counter (8 bytes), length (4) and payload.

Every party takes part in every round until all are finished, so all count the same steps. If nobody sent anything and
somebody is not finished, the parties' programs have parted ways.
"""

from __future__ import annotations

import asyncio
import struct

from mpcstats.errors import FrameRejected, ProtocolError
from mpcstats.runtime.mpyc_copy import Payload
from mpcstats.runtime.mpyc_loop import HandTurnedLoop
from mpcstats.runtime.session import Session

__all__ = ["MAXIMUM_BATCH", "Mailbox", "exchange_mail"]

MAXIMUM_BATCH = 1 << 30
"""Bytes that one party may send another between two waits, and may leave unread."""

_HEADER = struct.Struct("<QII")  # bytes that follow; flags; the header's own mark
_MESSAGE = struct.Struct("<qI")
_MARK = 0x4D507943
_FINISHED, _SENT = 1, 2


class Mailbox:
    """Stands for the connection to one party: MPyC's `parties[i].protocol`."""

    def __init__(self, loop: HandTurnedLoop, party: str) -> None:
        self._loop = loop
        self._party = party
        self._outgoing: list[bytes] = []
        self._unread: dict[int, Payload] = {}
        self._unread_bytes = 0
        self._awaited: dict[int, asyncio.Future[Payload]] = {}
        self.nbytes_sent = 0

    def send(self, pc: int, payload: bytes) -> None:
        """Post a message."""
        self._outgoing += [_MESSAGE.pack(pc, len(payload)), payload]
        self.nbytes_sent += _MESSAGE.size + len(payload)

    def receive(self, pc: int) -> Payload | asyncio.Future[Payload]:
        """The message, or a promise of it."""
        if pc in self._unread:
            payload = self._unread.pop(pc)
            self._unread_bytes -= len(payload)
            return payload
        if pc in self._awaited:
            raise ProtocolError("a program under MPyC waits twice for one message")
        promise: asyncio.Future[Payload] = asyncio.Future(loop=self._loop)
        self._awaited[pc] = promise
        return promise

    def close_connection(self) -> None:
        """The session owns the connection."""

    def collect(self) -> bytes:
        """Everything posted since the last time."""
        batch, self._outgoing = b"".join(self._outgoing), []
        return batch

    def deliver(self, batch: bytes | bytearray | memoryview) -> None:
        """Hand over the other party's messages.

        Raises
        ------
        FrameRejected
            A message is cut short, comes twice, or too much is left unread.
        """
        data, at = memoryview(batch), 0
        while at < len(data):
            if at + _MESSAGE.size > len(data):
                raise FrameRejected("sent a message without a whole header (program under MPyC)", party=self._party)
            pc, size = _MESSAGE.unpack_from(data, at)
            at += _MESSAGE.size
            if at + size > len(data):
                raise FrameRejected("sent a message that is cut short (program under MPyC)", party=self._party)
            self._take(pc, Payload(data[at : at + size]))
            at += size

    def _take(self, pc: int, payload: Payload) -> None:
        payload.party = self._party
        promise = self._awaited.pop(pc, None)
        if promise is not None:
            if not promise.done():
                promise.set_result(payload)
            return
        self._unread_bytes += len(payload)
        if pc in self._unread or self._unread_bytes > MAXIMUM_BATCH:
            raise FrameRejected("sent a message twice, or too many unexpected ones (MPyC)", party=self._party)
        self._unread[pc] = payload


async def exchange_mail(session: Session, boxes: dict[int, Mailbox], finished: bool) -> bool:
    """Exchange what was posted, in two rounds; one round when all parties are finished.

    Returns
    -------
    bool
        All parties are finished.

    Raises
    ------
    FrameRejected
        A party announces too much, or sends malformed messages.
    ProtocolError
        Everybody waits.
    """
    batches: dict[int, bytes] = {j: box.collect() for j, box in boxes.items()}
    flags = _FINISHED * finished | _SENT * any(batches.values())
    headers = {j: _HEADER.pack(len(batch), flags, _MARK) for j, batch in batches.items()}
    received = await session.exchange(headers, dict.fromkeys(boxes, _HEADER.size))
    sizes: dict[int, int] = {}
    theirs = [flags]
    for j, data in sorted(received.items()):
        sizes[j], flag, mark = _HEADER.unpack(data)
        theirs.append(flag)
        if mark != _MARK or flag > 3 or sizes[j] > MAXIMUM_BATCH or (sizes[j] and not flag & _SENT):
            raise FrameRejected("sent a wrong header in a program under MPyC", party=session.name(j))
    if all(flag & _FINISHED for flag in theirs):
        return True  # at all parties: nobody waits for the data that was announced
    if not any(flag & _SENT for flag in theirs):
        raise ProtocolError(
            "the program under MPyC waits for messages that nobody sends",
            hint="every party must run the same program on inputs of the same shape",
        )
    arrived = await session.exchange(batches, sizes)
    for j, data in sorted(arrived.items()):
        boxes[j].deliver(data)
    return False
