"""Channels inside one process: for embedded sessions and tests. They protect nothing from the process itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mpcstats.errors import DeadlineExceeded, FrameRejected, MpcStatsError, PartyUnreachable
from mpcstats.transport.channel import Buffer

__all__ = ["MemoryChannel", "MemoryNetwork", "Message"]


@dataclass(frozen=True)
class Message:
    """One message as the network saw it."""

    step: int
    sender: int
    receiver: int
    payload: bytes


class MemoryNetwork:
    """m parties in one event loop.

    Parameters
    ----------
    parties : tuple of str
        Names in roster order.
    patience_seconds : float
        How long a wait may take.
    observe : function of Message, optional
        Called for every message; tests use it to record traces.
    """

    def __init__(
        self, parties: tuple[str, ...], patience_seconds: float = 30.0, observe: Callable[[Message], None] | None = None
    ) -> None:
        self.parties = parties
        self.patience_seconds = patience_seconds
        self.observe = observe
        self._pending: dict[tuple[int, int, int], asyncio.Future[bytes]] = {}
        self._at_work = 0
        self._last_work = float("-inf")
        self._stopped: dict[int, tuple[str, str]] = {}  # party -> (party at fault, code)

    def channel(self, index: int) -> MemoryChannel:
        """The end of party 1..m."""
        return MemoryChannel(self, index)

    def _slot(self, receiver: int, sender: int, step: int) -> asyncio.Future[bytes]:
        return self._pending.setdefault((receiver, sender, step), asyncio.get_running_loop().create_future())

    async def _wait(self, slot: asyncio.Future[bytes], patience: float) -> bytes:
        """Wait with patience, which begins anew as long as some party computes."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            quiet_since = clock() if self._at_work else max(began, self._last_work)
            try:
                return await asyncio.wait_for(asyncio.shield(slot), quiet_since + patience - clock())
            except TimeoutError:
                if not self._at_work and clock() >= max(began, self._last_work) + patience:
                    raise

    def _stop(self, index: int, at_fault: str, code: str) -> None:
        self._stopped.setdefault(index, (at_fault, code))
        for (receiver, sender, _), slot in self._pending.items():
            if sender == index and receiver != index and not slot.done():
                slot.set_exception(self._gone(index))
                slot.exception()  # whoever waits sees it; nobody may wait any more

    def _gone(self, index: int) -> PartyUnreachable:
        at_fault, code = self._stopped[index]
        return PartyUnreachable(f"the run was stopped ({code})", party=at_fault)


class MemoryChannel:
    """One party's end of a `MemoryNetwork`; a `Channel`."""

    def __init__(self, network: MemoryNetwork, index: int) -> None:
        self._network = network
        self.index = index
        self.parties = network.parties
        self.patience_seconds = network.patience_seconds

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """See `Channel.send`."""
        message = Message(step, self.index, receiver, bytes(payload))
        if self._network.observe:
            self._network.observe(message)
        if receiver in self._network._stopped:
            raise self._network._gone(receiver)
        slot = self._network._slot(receiver, self.index, step)
        if slot.done():
            raise FrameRejected(f"step {step} was sent twice", party=self.parties[self.index - 1])
        slot.set_result(message.payload)

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """See `Channel.receive`."""
        name = self.parties[sender - 1]
        slot = self._network._slot(self.index, sender, step)
        if sender in self._network._stopped and not slot.done():
            raise self._network._gone(sender)
        try:
            payload = await self._network._wait(slot, self.patience_seconds)
        except TimeoutError:
            raise DeadlineExceeded(
                f"nothing arrived for {self.patience_seconds:g} seconds (step {step})", party=name
            ) from None
        del self._network._pending[self.index, sender, step]
        if len(payload) != size:
            text = f"a message of {len(payload)} bytes came where {size} were due (step {step})"
            raise FrameRejected(text, party=name)
        return payload

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """See `Channel.working`."""
        network = self._network
        network._at_work += 1
        try:
            yield
        finally:
            network._at_work -= 1
            network._last_work = asyncio.get_running_loop().time()

    async def abort(self, error: Exception) -> None:
        """See `Channel.abort`."""
        at_fault, code = self.parties[self.index - 1], "E1000"
        if isinstance(error, MpcStatsError):
            at_fault, code = error.party or at_fault, error.code
        self._network._stop(self.index, at_fault, code)

    async def close(self) -> None:
        """See `Channel.close`."""
