"""`python -m mpcstats.testing.chaos_node DIR`: a real node that has accidents on order, and tells what it sends.

The orders are in DIR/chaos.json, for one run (see `Order`). What the node sends in a run goes, as digests, to the pipe
DIR/../wire (see `mpcstats.testing.history`); where there is no pipe, nowhere. All else is the node as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from mpcstats.transport.channel import Buffer
from mpcstats.transport.grpc_channel import GrpcChannel
from mpcstats.wire.transport_pb2 import Frame

__all__ = ["ORDER_FILE", "WIRE_FILE", "ChaosChannel", "Order"]

ORDER_FILE = "chaos.json"
WIRE_FILE = "wire"

_DIGEST = 32


@dataclass(frozen=True)
class Order:
    """One accident in the next run of a node.

    Attributes
    ----------
    kind : str
        "kill" (SIGKILL) or "stop" (SIGSTOP) at a message; "drop", "duplicate", "reorder", "corrupt" or "replay": a
        frame.
    at : int
        Number of the message, sent or received, or of the frame that is sent, from 0. Of a run with fewer: never.
    """

    kind: str
    at: int

    def give(self, directory: Path) -> None:
        """Put it where the node looks when its next run begins."""
        partial = directory / f"{ORDER_FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.rename(directory / ORDER_FILE)

    @classmethod
    def take(cls, directory: Path) -> Order | None:
        """The order that is there; it counts once."""
        path = directory / ORDER_FILE
        with contextlib.suppress(FileNotFoundError):
            order = cls(**json.loads(path.read_text(encoding="utf-8")))
            path.unlink()
            return order
        return None


class ChaosChannel(GrpcChannel):
    """A `GrpcChannel` with one accident."""

    directory: Path
    wire: int | None = None
    earlier: ClassVar[dict[int, bytes]] = {}
    """A frame to each peer of an earlier run."""
    recent: ClassVar[dict[int, bytes]] = {}
    """A frame to each peer of this run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._order = Order.take(self.directory)
        self._messages = self._frames = 0
        self._held: dict[int, bytes] = {}
        self.earlier.update(self.recent)
        self.study, self.journaled = b"", False

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """See `Channel.send`."""
        self._strike()
        self._tell(receiver, step, payload)
        await super().send(receiver, step, payload)

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """See `Channel.receive`."""
        self._strike()
        return await super().receive(sender, step, size)

    async def attach(
        self, peer: int, read: Callable[[], Awaitable[Any]], write: Callable[[Frame | bytes], Awaitable[None]]
    ) -> asyncio.Event:
        """See `GrpcChannel.attach`."""

        async def written(frame: Frame | bytes) -> None:
            frames = [frame] if not isinstance(frame, bytes) else self._after_accident(peer, frame)
            for each in frames:
                await write(each)

        return await super().attach(peer, read, written)

    def _strike(self) -> None:
        number, self._messages = self._messages, self._messages + 1
        if self._order is not None and number == self._order.at and self._order.kind in ("kill", "stop"):
            self._own_up()
            os.kill(os.getpid(), signal.SIGKILL if self._order.kind == "kill" else signal.SIGSTOP)

    def _after_accident(self, peer: int, frame: bytes) -> list[bytes]:
        """What goes to a peer in place of a frame."""
        number, self._frames = self._frames, self._frames + 1
        self.recent[peer] = frame
        if peer in self._held:
            return [frame, self._held.pop(peer)]
        order = self._order
        if order is None or order.at != number:
            return [frame]
        self._own_up()
        if order.kind == "reorder":
            self._held[peer] = frame
            return []
        # before the payload: which session, which step, how long
        place = 2 + number % (len(self.key[0]) + 4)
        changed = frame[:place] + bytes([frame[place] ^ 0x11]) + frame[place + 1 :]
        results = {"drop": [], "duplicate": [frame, frame], "corrupt": [changed]}
        results["replay"] = [self.earlier.get(peer, frame), frame]
        return results.get(order.kind, [frame])

    def _own_up(self) -> None:
        if self.wire is not None and self._order is not None:
            line = {"accident": self._order.kind, "party": self.parties[self.index - 1]}
            os.write(self.wire, json.dumps(line).encode() + b"\n")

    def _tell(self, receiver: int, step: int, payload: Buffer) -> None:
        if self.wire is None:
            return
        data = bytes(payload)
        keyed = len(data) > _DIGEST and data[:_DIGEST] == self.study
        line = {
            "party": self.parties[self.index - 1],
            "study": self.study.hex(),
            "receiver": self.parties[receiver - 1],
            "step": step,
            "journaled": self.journaled,
            "digest": hashlib.sha256(data).hexdigest(),
            "coins": hashlib.sha256(data[_DIGEST:]).hexdigest() if keyed else "",
        }
        os.write(self.wire, json.dumps(line).encode() + b"\n")  # whole or not at all: shorter than a pipe's unit


def _prepare(directory: Path) -> None:
    from mpcstats.node.runs import execution
    from mpcstats.transport import network

    ChaosChannel.directory = directory
    pipe = directory.parent / WIRE_FILE
    if pipe.exists():
        ChaosChannel.wire = os.open(pipe, os.O_WRONLY)
    real = execution.execute

    async def execute(channel: Any, **arguments: Any) -> Any:
        channel.study, channel.journaled = arguments["study_digest"], arguments.get("journal") is not None
        return await real(channel, **arguments)

    # a stand-in for what nodes load; no production code knows of it
    setattr(execution, execute.__name__, execute)
    setattr(network, GrpcChannel.__name__, ChaosChannel)


if __name__ == "__main__":
    from mpcstats.node.server import run_node

    path = Path(sys.argv[1]).absolute()
    _prepare(path)
    run_node(path)
